"""A sum tree per lane: draw an index in proportion to its value in O(log capacity)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FANOUT = 16  # children per node: few levels, each one vectorised over lanes and draws


class SumTree:
    """Non-negative values at 0 .. capacity-1, float64, for each of S lanes.

    `levels[0]` holds the values, `levels[k + 1]` the sums of FANOUT neighbours in `levels[k]`.
    Sums are recomputed from their children, never adjusted by differences, so they do not drift.
    """

    def __init__(self, lanes: int, capacity: int) -> None:
        self.capacity = capacity
        self.levels: list[NDArray[np.float64]] = []
        nodes = capacity
        while True:
            nodes = -(-nodes // FANOUT)
            self.levels.append(np.zeros((lanes, nodes, FANOUT)))
            if nodes == 1:
                break

    @property
    def total(self) -> NDArray[np.float64]:
        """The sum of all values [S]."""
        total: NDArray[np.float64] = self.levels[-1].sum(axis=(1, 2))
        return total

    def get(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """The values at index [S, n]."""
        leaves = self.levels[0]
        values: NDArray[np.float64] = leaves[self._lane(leaves), index // FANOUT, index % FANOUT]
        return values

    def set(self, index: NDArray[np.int64], value: NDArray[np.float64]) -> None:
        """Put value [S, n] at index [S, n]; where an index comes twice, the last one stays."""
        lane = self._lane(self.levels[0])
        for level in self.levels:
            node = index // FANOUT
            level[lane, node, index % FANOUT] = value
            value = level[lane, node].sum(axis=-1)
            index = node

    def find(self, mass: NDArray[np.float64]) -> NDArray[np.int64]:
        """For mass [S, n] in [0, total): the index at which the running sum first exceeds it."""
        node = np.zeros(mass.shape, np.int64)
        for level in reversed(self.levels):
            sums = level[self._lane(level), node].cumsum(axis=-1)
            # Rounding may leave the mass at a node's very sum: stay on the last non-empty child.
            mass = np.minimum(mass, np.nextafter(sums[..., -1], 0))
            child = (sums <= mass[..., None]).sum(axis=-1)
            before = np.take_along_axis(sums, np.maximum(child - 1, 0)[..., None], -1)[..., 0]
            mass = mass - np.where(child > 0, before, 0.0)
            node = node * FANOUT + child
        return node

    def keep(self, lanes: Sequence[int]) -> None:
        self.levels = [level[list(lanes)] for level in self.levels]

    def _lane(self, level: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.arange(level.shape[0])[:, None]
