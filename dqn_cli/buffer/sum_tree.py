"""A sum tree per lane: indices are drawn in proportion to their values, many at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dqn_cli.kernels.kernels import BLOCK, Array, Kernels

FILL = 256  # values put at once: PyTorch's kernels compare each with each


class SumTree:
    """Finite values from 0 on at 0 .. capacity-1, float64, for each of S lanes.

    `leaves` [S, W * BLOCK] holds the values, `nodes` [S, 2 * W] a binary heap over the sums of
    their blocks, W being a power of two: 1 is the root, n has the children 2 n and 2 n + 1.
    Sums are recomputed from their children, never adjusted by differences, so they do not drift.
    With `minimum`, another heap keeps the smallest value, which is infinite where none was set.
    """

    def __init__(self, kernels: Kernels, lanes: int, capacity: int, minimum: bool = False) -> None:
        self.kernels = kernels
        self.width = 1 << (-(-capacity // BLOCK) - 1).bit_length()
        self.leaves = kernels.place(np.zeros((lanes, self.width * BLOCK)))
        self.nodes = kernels.place(np.zeros((lanes, 2 * self.width)))
        self.lows: list[Array] = []
        if minimum:
            shapes = self.leaves.shape, self.nodes.shape
            self.lows = [kernels.place(np.full(tuple(shape), np.inf)) for shape in shapes]

    @property
    def total(self) -> Array:
        """The sum of all values [S]."""
        return self.nodes[:, 1]

    @property
    def least(self) -> Array:
        """The smallest value that was set [S]."""
        return self.lows[1][:, 1]

    def set(self, index: Array, value: Array) -> None:
        """Put value [S, n] at index [S, n]; where an index comes twice, the last one stays."""
        self.kernels.tree_set(self.leaves, self.nodes, index, value, False)
        if self.lows:
            leaves, nodes = self.lows
            self.kernels.tree_set(leaves, nodes, index, value, True)

    def find(self, mass: Array) -> Array:
        """For mass [S, n] in [0, total): the index at which the running sum first exceeds it."""
        return self.kernels.tree_find(self.leaves, self.nodes, mass)

    def draw(self, uniform: Array) -> tuple[Array, Array, Array]:
        """One index from each of n equal shares of the total, where `uniform` [S, n] says in it;
        the values there, and the smallest of them [S]."""
        return self.kernels.tree_draw(self.leaves, self.nodes, uniform)

    def values(self, lane: int, n: int) -> Array:
        """The first n values of a lane."""
        return self.leaves[lane, :n]

    def fill(self, values: NDArray[np.float64]) -> None:
        """Put values [S, n] at 0 .. n-1 of an empty tree: each sum is what it would have become one
        by one."""
        for first in range(0, values.shape[1], FILL):
            part = np.ascontiguousarray(values[:, first : first + FILL])
            index = np.tile(np.arange(first, first + part.shape[1]), (len(values), 1))
            self.set(self.kernels.place(index), self.kernels.place(part))

    def keep(self, lanes: Sequence[int]) -> None:
        chosen = list(lanes)
        self.leaves, self.nodes = self.leaves[chosen], self.nodes[chosen]
        self.lows = [rows[chosen] for rows in self.lows]
