"""Replay: a storage that keeps what happened, and a sampler that chooses what is learned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dqn_cli.kernels.kernels import Array
from dqn_cli.state import State, nested, within
from dqn_cli.storage.transitions import Transitions
from dqn_cli.types import Batch, Sampler, Step


class Replay:
    def __init__(self, storage: Transitions, sampler: Sampler) -> None:
        self.storage = storage
        self.sampler = sampler

    def __len__(self) -> int:
        """Rows held, per lane."""
        return len(self.storage)

    def add(self, step: Step) -> None:
        self.sampler.added(self.storage.add(step))

    def sample(self, step: int) -> Batch:
        """B rows of each lane, after `step` env steps (per seed)."""
        index, weight = self.sampler.draw(len(self.storage), step)
        place = self.storage.kernels.place
        return self.storage.gather(place(index), place(weight))

    def rows(self, lane: int, index: NDArray[np.int64]) -> Batch:
        """The rows at `index` [1, n] of one lane, of weight 1 each."""
        place = self.storage.kernels.place
        weight = place(np.ones(index.shape, np.float32))
        return self.storage.gather(place(index), weight, slice(lane, lane + 1))

    def update(self, index: Array, priority: Array) -> None:
        """Take note of the priorities [S, B] of the rows at `index` [S, B]."""
        self.sampler.update(index, priority)

    def keep(self, lanes: Sequence[int]) -> None:
        self.storage.keep(lanes)
        self.sampler.keep(lanes)

    def state(self, lane: int) -> State:
        storage, sampler = self.storage.state(lane), self.sampler.state(lane)
        return {**nested("storage", storage), **nested("sampler", sampler)}

    def load(self, seeds: Sequence[int], state: State, step: int, updates: int) -> None:
        """Go on with these seeds from their state, after so many env steps (per seed) and updates;
        ValueError if it is not of such a replay."""
        self.storage.load(len(seeds), within("storage", state), step)
        self.sampler.load(seeds, within("sampler", state), step, updates)
