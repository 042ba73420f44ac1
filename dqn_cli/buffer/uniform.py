"""Uniform replay: every row is as likely as any other (Lin 1992, Mnih et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dqn_cli.kernels.kernels import Array
from dqn_cli.seeding import Stream
from dqn_cli.state import State
from dqn_cli.types import Count


class Uniform:
    def __init__(self, seeds: Sequence[int], batch_size: int, *, capacity: Count) -> None:
        self.capacity = capacity
        self.draws = Stream(seeds, "replay", (batch_size,))
        self.drawn = 0  # batches
        self.weight = np.ones((len(seeds), batch_size), np.float32)

    def added(self, position: int) -> None:
        """It is as likely as the others."""

    def draw(self, rows: int, step: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        index = (self.draws.at(self.drawn) * rows).astype(np.int64)
        self.drawn += 1
        return index, self.weight

    def update(self, index: Array, priority: Array) -> None:
        """Every row stays as likely as the others."""

    def chances(self, lane: int, index: NDArray[np.int64], step: int) -> None:
        """All rows are alike."""

    def keep(self, lanes: Sequence[int]) -> None:
        self.draws.keep(lanes)
        self.weight = self.weight[list(lanes)]

    def state(self, lane: int) -> State:
        return {}

    def load(self, seeds: Sequence[int], state: State, step: int, updates: int) -> None:
        self.drawn = updates
        self.draws = Stream(seeds, "replay", self.draws.shape)
        self.weight = np.ones((len(seeds), *self.draws.shape), np.float32)
