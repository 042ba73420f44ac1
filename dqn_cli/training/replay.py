"""Replay: a storage that keeps what happened, and a sampler that chooses what is learned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.state import Rows, State
from dqn_cli.types import Batch, Sampler, Step, Storage


class Replay:
    def __init__(self, storage: Storage, sampler: Sampler, kernels: Kernels = TORCH) -> None:
        self.storage = storage
        self.sampler = sampler
        self.kernels = kernels

    def __len__(self) -> int:
        """Rows held, per lane."""
        return len(self.storage)

    def add(self, step: Step) -> None:
        self.sampler.added(self.storage.add(step))

    def sample(self, step: int) -> Batch:
        """B rows of each lane, after `step` env steps (per seed)."""
        index, weight = self.sampler.draw(len(self.storage), step)
        place = self.kernels.place
        return self.storage.gather(place(index), place(weight))

    def rows(self, lane: int, index: NDArray[np.int64]) -> Batch:
        """The rows at `index` [1, n] of one lane, of weight 1 each."""
        place = self.kernels.place
        weight = place(np.ones(index.shape, np.float32))
        return self.storage.gather(place(index), weight, slice(lane, lane + 1))

    def update(self, index: Array, priority: Array) -> None:
        """Take note of the priorities [S, B] of the rows at `index` [S, B]."""
        self.sampler.update(index, priority)

    def keep(self, lanes: Sequence[int]) -> None:
        self.storage.keep(lanes)
        self.sampler.keep(lanes)

    def state(self, lane: int) -> State:
        """All that `load` needs of a lane but the rows of its storage."""
        return self.sampler.state(lane)

    def load(
        self,
        seeds: Sequence[int],
        state: State,
        step: int,
        updates: int,
        rows: Sequence[Rows | None],
    ) -> None:
        """Go on with these seeds from their state and rows (None: those that are in this place),
        after so many env steps (per seed) and updates; ValueError if they are not of such a
        replay."""
        self.storage.load(step, rows)
        self.sampler.load(seeds, state, step, updates)
