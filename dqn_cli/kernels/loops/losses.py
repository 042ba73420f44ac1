"""What an update learns from a batch: targets, losses and their slopes."""

from __future__ import annotations

import numpy as np

from dqn_cli.kernels.loops.cached import Array, Number, jit
from dqn_cli.kernels.loops.elements import HALF, ONE, TWO, ZERO, best


@jit
def dqn(
    values: Array,
    following: Array,
    chooser: Array,
    action: Array,
    reward: Array,
    discount: Array,
    huber: bool,
) -> tuple[Array, Array, Array, Array]:
    lanes, rows, actions, _ = values.shape
    per_sample = np.empty((lanes, rows), np.float32)
    priority, q = np.empty_like(per_sample), np.empty_like(per_sample)
    d_values = np.zeros((lanes, rows, actions, 1), np.float32)
    for lane in range(lanes):
        for row in range(rows):
            chosen = best(chooser[lane, row, :, 0])
            y = reward[lane, row] + discount[lane, row] * following[lane, row, chosen, 0]
            taken = action[lane, row]
            value = values[lane, row, taken, 0]
            error = value - y
            size = abs(error)
            if not huber:
                loss, slope = error * error, TWO * error
            elif size <= ONE:
                loss, slope = HALF * error * error, error
            else:  # nan, too, and it stays nan
                loss, slope = size - HALF, ONE if error > ONE else -ONE if error < -ONE else error
            per_sample[lane, row], priority[lane, row], q[lane, row] = loss, size, value
            d_values[lane, row, taken, 0] = slope
    return per_sample, d_values, priority, q


@jit
def gather_values(values: Array, action: Array) -> Array:
    lanes, rows, _, atoms = values.shape
    taken = np.empty((lanes, rows, atoms), np.float32)
    for lane in range(lanes):
        for row in range(rows):
            taken[lane, row] = values[lane, row, action[lane, row]]
    return taken


@jit
def scatter_action(value: Array, action: Array, actions: int) -> Array:
    lanes, rows, atoms = value.shape
    values = np.zeros((lanes, rows, actions, atoms), np.float32)
    for lane in range(lanes):
        for row in range(rows):
            values[lane, row, action[lane, row]] = value[lane, row]
    return values


@jit
def project(
    probability: Array, reward: Array, discount: Array, support: Array, low: float, high: float
) -> Array:
    lanes, rows, atoms = probability.shape
    projected = np.zeros((lanes, rows, atoms), np.float32)
    first, last, top = np.float32(low), np.float32(high), np.float32(atoms - 1)
    width = np.float32((high - low) / (atoms - 1))
    below, share = np.empty(atoms, np.int64), np.empty(atoms, np.float32)
    for lane in range(lanes):
        for row in range(rows):
            neighbours(
                reward[lane, row],
                discount[lane, row],
                support,
                first,
                last,
                width,
                top,
                below,
                share,
            )
            mass, new = probability[lane, row], projected[lane, row]
            for k in range(atoms):  # a pass for each neighbour, the order in which they are added
                new[below[k]] += mass[k] * (ONE - share[k])
            for k in range(atoms):
                new[min(below[k] + 1, atoms - 1)] += mass[k] * share[k]
    return projected


@jit
def neighbours(
    reward: Number,
    discount: Number,
    support: Array,
    low: Number,
    high: Number,
    width: Number,
    top: Number,
    below: Array,
    share: Array,
) -> None:
    """Between which atoms of the support each of them is moved to: the left one, and the share of
    the right one."""
    for k in range(len(support)):
        moved = reward + discount * support[k]
        moved = low if moved < low else high if moved > high else moved  # nan stays nan
        place = (moved - low) / width
        place = ZERO if place < ZERO else top if place > top else place
        left = np.floor(place)
        share[k] = place - left
        below[k] = np.int64(left if left == left else ZERO)


@jit
def weigh(
    weight: Array,
    per_sample: Array,
    d_values: Array,
    q: Array,
    divisor: float,
    loss_sum: Array,
    q_sum: Array,
) -> Array:
    lanes, rows, actions, atoms = d_values.shape
    weighted = np.empty((lanes, rows, actions, atoms), np.float32)
    share = np.float32(divisor)
    for lane in range(lanes):
        for row in range(rows):
            w = weight[lane, row]
            loss_sum[lane, row] += w * per_sample[lane, row]
            q_sum[lane, row] += q[lane, row]
            for a in range(actions):
                for k in range(atoms):
                    weighted[lane, row, a, k] = w * d_values[lane, row, a, k] / share
    return weighted
