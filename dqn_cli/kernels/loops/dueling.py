"""A dueling network's values of actions from its two streams."""

from __future__ import annotations

import numpy as np

from dqn_cli.kernels.loops.cached import Array, Number, jit
from dqn_cli.kernels.loops.elements import best, sum_rows


@jit
def aggregate(value: Array, advantage: Array, kind: int) -> Array:
    lanes, rows, actions, atoms = advantage.shape
    q = np.empty_like(advantage)
    base = np.zeros(atoms, np.float32)
    for lane in range(lanes):
        for row in range(rows):
            if kind == 0:
                mean_rows(advantage[lane, row], base)
            elif kind == 1:
                for k in range(atoms):
                    base[k] = advantage[lane, row, best(advantage[lane, row, :, k]), k]
            for a in range(actions):
                raised(value[lane, row], advantage[lane, row, a], base, q[lane, row, a])
    return q


@jit
def mean_rows(x: Array, mean: Array) -> None:
    sum_rows(x, mean)
    for k in range(len(mean)):
        mean[k] /= np.float32(len(x))


@jit
def raised(value: Array, advantage: Array, base: Array, q: Array) -> None:
    for k in range(len(q)):
        q[k] = value[k] + (advantage[k] - base[k])


@jit
def d_aggregate(d_q: Array, advantage: Array, kind: int) -> tuple[Array, Array]:
    lanes, rows, actions, atoms = advantage.shape
    d_value = np.empty((lanes, rows, atoms), np.float32)
    d_advantage = d_q.copy()
    for lane in range(lanes):
        for row in range(rows):
            total = d_value[lane, row]
            sum_rows(d_q[lane, row], total)
            if kind == 0:
                for a in range(actions):
                    lower(d_advantage[lane, row, a], total, np.float32(actions))
            elif kind == 1:
                for k in range(atoms):
                    d_advantage[lane, row, best(advantage[lane, row, :, k]), k] -= total[k]
    return d_value, d_advantage


@jit
def lower(x: Array, total: Array, count: Number) -> None:
    for k in range(len(x)):
        x[k] -= total[k] / count
