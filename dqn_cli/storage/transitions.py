"""Storage of transitions: the last `capacity` env steps of every lane, oldest overwritten first.

A sampled row becomes the transition over up to n steps (Sutton 1988; Hessel et al. 2018, section
"Multi-step learning"):

    R = r_0 + gamma r_1 + ... + gamma^(m-1) r_(m-1),   bootstrap  gamma^m  at the state after them

m is n, or fewer where the episode ends before, by termination (nothing is bootstrapped then) or by
truncation (it is, from the last state), or where the newest row is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.state import State, take
from dqn_cli.types import Batch, Space, Step

ALL = slice(None)  # lanes


class Transitions:
    """Lanes store their rows together, so one write position serves them all.

    A row is in three pieces, (obs, next_obs) in the environment's type, (action, reward, discount)
    as float32, and whether the episode ended with it.
    """

    def __init__(
        self,
        lanes: int,
        space: Space,
        capacity: int,
        gamma: float,
        n_step: int,
        kernels: Kernels = TORCH,
    ) -> None:
        self.space = space
        self.capacity = capacity
        self.gamma = gamma
        self.n_step = n_step
        self.kernels = kernels
        self.features = math.prod(space.obs_shape)
        self._make(lanes)

    def _make(self, lanes: int) -> None:
        self.stored = 0  # rows ever stored, per lane
        shape = (lanes, self.capacity)
        try:
            # NumPy's zeros take memory only as they are written to.
            pairs = np.zeros((*shape, 2, self.features), self.space.obs_dtype)
            self.pairs = self.kernels.place(pairs)
            self.numbers = self.kernels.place(np.zeros((*shape, 3), np.float32))
            self.ends = self.kernels.place(np.zeros(shape, np.bool_))
        except (RuntimeError, MemoryError, ValueError) as error:
            raise ValueError(
                f"capacity={self.capacity}: {lanes} seeds do not fit: {error}"
            ) from error

    def __len__(self) -> int:
        """Rows held, per lane."""
        return min(self.stored, self.capacity)

    @property
    def newest(self) -> int:
        """The position of the newest row."""
        return (self.stored - 1) % self.capacity

    def add(self, step: Step) -> int:
        """Store one row for every lane; returns its position."""
        position = self.stored % self.capacity
        self.kernels.store(
            self.pairs,
            self.numbers,
            self.ends,
            position,
            self.gamma,
            step.obs.reshape(len(step.obs), -1),
            step.action,
            step.reward,
            step.next_obs.reshape(len(step.obs), -1),
            step.terminated,
            step.truncated,
        )
        self.stored += 1
        return position

    def gather(self, index: Array, weight: Array, lanes: slice = ALL) -> Batch:
        """The transitions of `lanes` that begin at `index` [S, B], weighted by `weight` [S, B]."""
        pairs, numbers, ends = self.pairs[lanes], self.numbers[lanes], self.ends[lanes]
        obs, action, reward, next_obs, discount = self.kernels.gather(
            pairs, numbers, ends, index, self.newest, self.n_step
        )
        shape = (*index.shape, *self.space.obs_shape)
        return Batch(
            obs.reshape(shape), action, reward, next_obs.reshape(shape), discount, weight, index
        )

    def keep(self, lanes: Sequence[int]) -> None:
        stored, rows = self.stored, len(self)
        pairs, numbers, ends = self.pairs, self.numbers, self.ends
        self._make(len(lanes))
        self.stored = stored
        for place, lane in enumerate(lanes):
            self.pairs[place, :rows] = pairs[lane, :rows]
            self.numbers[place, :rows] = numbers[lane, :rows]
            self.ends[place, :rows] = ends[lane, :rows]

    def state(self, lane: int) -> State:
        rows = len(self)
        arrays = {"pairs": self.pairs, "numbers": self.numbers, "ends": self.ends}
        state: State = {
            name: self.kernels.tensor(rows_of[lane, :rows]).cpu()
            for name, rows_of in arrays.items()
        }
        return state | {"pairs": state["pairs"].view(rows, 2, *self.space.obs_shape)}

    def load(self, lanes: int, state: State, stored: int) -> None:
        """A state after so many rows; ValueError if it is not of such a storage."""
        rows = min(stored, self.capacity)
        kind = torch.from_numpy(np.empty(0, self.space.obs_dtype)).dtype
        pairs = take(state, "pairs", (lanes, rows, 2, *self.space.obs_shape), kind)
        numbers = take(state, "numbers", (lanes, rows, 3), torch.float32)
        ends = take(state, "ends", (lanes, rows), torch.bool)
        action = numbers[..., 0]
        if not ((action >= 0) & (action < self.space.actions) & (action == action.floor())).all():
            raise ValueError("numbers: expected actions of the environment")
        self._make(lanes)
        self.stored = stored
        for rows_of, saved in (
            (self.pairs, pairs.reshape(lanes, rows, 2, self.features)),
            (self.numbers, numbers),
            (self.ends, ends),
        ):
            rows_of[:, :rows] = self.kernels.place(saved.numpy())
