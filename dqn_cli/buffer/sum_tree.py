"""A sum tree per lane: draw an index in proportion to its value, for many draws and lanes at once.

It is wide and low, and every level is a few operations on all draws of all lanes together: what
a tree costs here is the number of calls and the memory touched, not the comparisons made.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

FANOUT = 16  # children per node, two cache lines
BELOW_ONE = 1 - 2.0**-52  # a number times this is less than the number


class SumTree:
    """Finite values from 0 on at 0 .. capacity-1, float64, for each of S lanes.

    `leaves` [S, T * 256] holds the values, `nodes` [S, T * 16] the sums of 16 leaves each and `top`
    [S, T] the sums of 16 nodes each. The top is searched whole, by its running sums [S, T].
    Sums are recomputed from their children, never adjusted by differences, so they do not drift.
    What is set is kept until it is asked for, and then put in all at once.
    """

    def __init__(self, lanes: int, capacity: int) -> None:
        width = -(-capacity // FANOUT**2)
        self.leaves = np.zeros((lanes, width * FANOUT**2))
        self.nodes = np.zeros((lanes, width * FANOUT))
        self.top = np.zeros((lanes, width))
        self.running = np.zeros((lanes, width))
        self.pending: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []

    @property
    def total(self) -> NDArray[np.float64]:
        """The sum of all values [S]."""
        self._settle()
        return self.running[:, -1]

    def get(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """The values at index [S, n]."""
        self._settle()
        values: NDArray[np.float64] = self.leaves.ravel()[index + starts(*self.leaves.shape)]
        return values

    def least(self, n: int) -> NDArray[np.float64]:
        """The smallest of the first n values [S]. All of them are looked at."""
        self._settle()
        smallest: NDArray[np.float64] = self.leaves[:, :n].min(axis=-1)
        return smallest

    def set(self, index: NDArray[np.int64], value: NDArray[np.float64]) -> None:
        """Put value [S, n] at index [S, n]; where an index comes twice, the last one stays."""
        self.pending.append((index, value))
        if len(self.pending) == 256:  # nobody asks before learning starts
            self._settle()

    def _settle(self) -> None:
        if not self.pending:
            return
        indices, values = zip(*self.pending, strict=True)
        self.pending.clear()
        place = np.concatenate(indices, axis=-1) + starts(*self.leaves.shape)
        self.leaves.ravel()[place] = np.concatenate(values, axis=-1)
        for children, parents in ((self.leaves, self.nodes), (self.nodes, self.top)):
            place = place // FANOUT
            families = torch.from_numpy(children.reshape(-1, FANOUT).take(place, axis=0))
            parents.ravel()[place] = families.sum(-1).numpy()
        self.running = torch.from_numpy(self.top).cumsum(-1).numpy()

    def find(self, mass: NDArray[np.float64]) -> NDArray[np.int64]:
        """For mass [S, n] in [0, total): the index at which the running sum first exceeds it."""
        self._settle()
        values, running = self.top, self.running
        mass = within(running, mass)
        found = torch.searchsorted(torch.from_numpy(running), torch.from_numpy(mass), right=True)
        place = at = (found.numpy() + starts(*values.shape)).reshape(-1, 1)
        mass = mass.reshape(-1, 1)
        for level in (self.nodes, self.leaves):
            mass = mass - (running.ravel()[at] - values.ravel()[at])  # less what lies before
            values = level.reshape(-1, FANOUT).take(place.ravel(), axis=0)
            running = torch.from_numpy(values).cumsum(-1).numpy()
            # A search would branch on the unforeseeable: counting passed children is quicker.
            passed = (running <= within(running, mass)).view(np.uint64)  # 8 truths in a number
            counts = np.bitwise_count(passed)
            child = np.add(counts[:, :1], counts[:, 1:], dtype=np.int64)
            place, at = place * FANOUT + child, child + starts(*values.shape)
        return place.reshape(len(self.top), -1) - starts(*self.leaves.shape)

    def values(self, lane: int, n: int) -> NDArray[np.float64]:
        """The first n values of a lane."""
        self._settle()
        return self.leaves[lane, :n]

    def fill(self, values: NDArray[np.float64]) -> None:
        """Put values [S, n] at 0 .. n-1 of an empty tree, each sum being what it would have become
        one by one."""
        self.leaves[:, : values.shape[1]] = values
        for children, parents in ((self.leaves, self.nodes), (self.nodes, self.top)):
            families = torch.from_numpy(children.reshape(-1, FANOUT))
            parents[:] = families.sum(-1).numpy().reshape(parents.shape)
        self.running = torch.from_numpy(self.top).cumsum(-1).numpy()

    def keep(self, lanes: Sequence[int]) -> None:
        self._settle()
        chosen = list(lanes)
        self.leaves, self.nodes = self.leaves[chosen], self.nodes[chosen]
        self.top, self.running = self.top[chosen], self.running[chosen]


def within(running: NDArray[np.float64], mass: NDArray[np.float64]) -> NDArray[np.float64]:
    """A mass [R, n] that rounding carried a bit past either end of running sums [R, m], put back:
    where it lies, there is something."""
    return np.maximum(np.minimum(mass, running[:, -1:] * BELOW_ONE), 0)


@functools.lru_cache(16)
def starts(rows: int, width: int) -> NDArray[np.int64]:
    """Where each row of an array [rows, width] begins in the whole of it, [rows, 1]."""
    return np.arange(0, rows * width, width)[:, None]
