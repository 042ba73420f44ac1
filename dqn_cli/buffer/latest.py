"""No replay: the latest B rows, each time the same ones until new ones come.

With a batch of one this is online learning from the step just made; with `update_every` as large
as the batch, every row is in one fit and then gone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dqn_cli.kernels.kernels import Array
from dqn_cli.state import State


class Latest:
    def __init__(self, seeds: Sequence[int], batch_size: int) -> None:
        self.capacity = batch_size
        self.newest = 0  # position of the newest row
        self.weight = np.ones((len(seeds), batch_size), np.float32)

    def added(self, position: int) -> None:
        self.newest = position

    def draw(self, rows: int, step: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The oldest row first; as long as there are fewer than B, they come several times."""
        index = (self.newest + 1 - rows + np.arange(self.capacity) % rows) % self.capacity
        return np.tile(index, (len(self.weight), 1)), self.weight

    def update(self, index: Array, priority: Array) -> None:
        """All rows are taken anyway."""

    def chances(self, lane: int, index: NDArray[np.int64], step: int) -> None:
        """All rows are alike."""

    def keep(self, lanes: Sequence[int]) -> None:
        self.weight = self.weight[list(lanes)]

    def state(self, lane: int) -> State:
        return {}

    def load(self, seeds: Sequence[int], state: State, step: int, updates: int) -> None:
        self.newest = (step - 1) % self.capacity
        self.weight = np.ones((len(seeds), self.capacity), np.float32)
