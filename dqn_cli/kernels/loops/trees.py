"""Trees over the priorities of replay, and the weights of what is drawn by them."""

from __future__ import annotations

import numpy as np

from dqn_cli.kernels.kernels import BLOCK
from dqn_cli.kernels.loops.cached import Array, Number, jit

LARGEST = 1e30  # |TD error| that counts, so that sums stay finite; nan, of a diverged lane, is that
BELOW_ONE = 1 - 2.0**-52  # a number times this is less than the number


@jit
def tree_set(leaves: Array, nodes: Array, index: Array, value: Array, least: bool) -> None:
    width = nodes.shape[1] // 2
    draws = index.shape[1]
    at = np.empty(draws, np.int64)
    for lane in range(len(nodes)):
        count = 0
        for j in range(draws):
            leaves[lane, index[lane, j]] = value[lane, j]
        for j in range(draws):
            place = index[lane, j] // BLOCK
            # Drawn rows are in order, so that neighbours have a block and parents in common.
            if count and at[count - 1] == width + place:
                continue
            family = leaves[lane, place * BLOCK : (place + 1) * BLOCK]
            nodes[lane, width + place] = smallest(family) if least else total(family)
            at[count] = width + place
            count += 1
        level = width
        while level > 1:
            level //= 2
            kept = 0
            for j in range(count):
                parent = at[j] // 2
                if kept and at[kept - 1] == parent:
                    continue
                left, right = nodes[lane, 2 * parent], nodes[lane, 2 * parent + 1]
                nodes[lane, parent] = min(left, right) if least else left + right
                at[kept] = parent
                kept += 1
            count = kept


@jit
def total(family: Array) -> Number:
    a, b, c, d = family[0], family[1], family[2], family[3]
    e, f, g, h = family[4], family[5], family[6], family[7]
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@jit
def smallest(family: Array) -> Number:
    a, b, c, d = family[0], family[1], family[2], family[3]
    e, f, g, h = family[4], family[5], family[6], family[7]
    return min(min(min(a, b), min(c, d)), min(min(e, f), min(g, h)))


@jit
def tree_find(leaves: Array, nodes: Array, mass: Array) -> Array:
    width = nodes.shape[1] // 2
    lanes, draws = mass.shape
    index = np.empty((lanes, draws), np.int64)
    at, rest = np.empty(draws, np.int64), np.empty(draws)
    for lane in range(lanes):
        most = nodes[lane, 1] * BELOW_ONE
        for j in range(draws):
            at[j] = 1
            rest[j] = max(min(mass[lane, j], most), 0.0)
        level = 1
        while level < width:  # all draws together and without branches, which none can foresee
            level *= 2
            for j in range(draws):
                left = 2 * at[j]
                here, value = rest[j], nodes[lane, left]
                # Rounding may carry a mass past the end, but not to where there is nothing.
                right = np.int64(here >= value) & np.int64(nodes[lane, left + 1] > 0.0)
                rest[j] = here - value * right
                at[j] = left + right
        for j in range(draws):
            found, here = (at[j] - width) * BLOCK, rest[j]
            for half in (4, 2, 1):
                value, other = 0.0, 0.0
                for i in range(found, found + half):
                    value += leaves[lane, i]
                    other += leaves[lane, i + half]
                right = np.int64(here >= value) & np.int64(other > 0.0)
                here -= value * right
                found += half * right
            index[lane, j] = found
    return index


@jit
def tree_draw(leaves: Array, nodes: Array, uniform: Array) -> tuple[Array, Array, Array]:
    lanes, draws = uniform.shape
    mass, value, rarest = np.empty((lanes, draws)), np.empty((lanes, draws)), np.empty(lanes)
    for lane in range(lanes):
        share = nodes[lane, 1] / draws
        for j in range(draws):
            mass[lane, j] = (j + uniform[lane, j]) * share
    index = tree_find(leaves, nodes, mass)
    for lane in range(lanes):
        rarest[lane] = np.inf
        for j in range(draws):
            value[lane, j] = leaves[lane, index[lane, j]]
            rarest[lane] = min(rarest[lane], value[lane, j])
    return index, value, rarest


@jit
def importance(value: Array, rarest: Array, beta: float) -> Array:
    weight = np.empty(value.shape, np.float32)
    for lane in range(len(value)):
        for j in range(value.shape[1]):
            weight[lane, j] = (rarest[lane] / value[lane, j]) ** beta
    return weight


@jit
def rank(priority: Array, largest: Array, epsilon: float, alpha: float) -> Array:
    value = np.empty(priority.shape)
    for lane in range(len(priority)):
        for j in range(priority.shape[1]):
            raw = priority[lane, j] + epsilon
            raw = raw if raw < LARGEST else LARGEST
            largest[lane] = max(largest[lane], raw)
            value[lane, j] = raw**alpha
    return value
