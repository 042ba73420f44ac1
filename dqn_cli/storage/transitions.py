"""Storage of transitions: the last `capacity` env steps of every lane, oldest overwritten first.

A sampled row becomes the transition over up to n steps (Sutton 1988; Hessel et al. 2018, section
"Multi-step learning"):

    R = r_0 + gamma r_1 + ... + gamma^(m-1) r_(m-1),   bootstrap  gamma^m  at the state after them

m is n, or fewer where the episode ends before, by termination (nothing is bootstrapped then) or by
truncation (it is, from the last state), or where the newest row is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.maths import Array
from dqn_cli.state import State, take
from dqn_cli.types import Batch, Space, Step


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
        device: torch.device,
    ) -> None:
        self.space = space
        self.capacity = capacity
        self.gamma = gamma
        self.n_step = n_step
        self.device = device
        self._make(lanes)

    def _make(self, lanes: int) -> None:
        self.stored = 0  # rows ever stored, per lane
        shape = (lanes, self.capacity, 2, *self.space.obs_shape)
        try:
            self.pairs = zeros(shape, self.space.obs_dtype, self.device)
            self.numbers = zeros((lanes, self.capacity, 3), np.dtype(np.float32), self.device)
        except (RuntimeError, MemoryError, ValueError) as error:
            raise ValueError(
                f"capacity={self.capacity}: {lanes} seeds do not fit: {error}"
            ) from error
        self.ends = np.zeros((lanes, self.capacity), np.bool_)

    def __len__(self) -> int:
        """Rows held, per lane."""
        return min(self.stored, self.capacity)

    def add(self, step: Step) -> int:
        """Store one row for every lane; returns its position."""
        position = self.stored % self.capacity
        pair, numbers = self.pairs[:, position], self.numbers[:, position]
        discount = self.gamma * ~step.terminated
        pair[:, 0], pair[:, 1] = self._here(step.obs), self._here(step.next_obs)
        numbers[:, 0], numbers[:, 1] = self._here(step.action), self._here(step.reward)
        numbers[:, 2] = self._here(discount)
        self.ends[:, position] = step.terminated | step.truncated
        self.stored += 1
        return position

    def gather(self, index: NDArray[np.int64], weight: Tensor) -> Batch:
        """The transitions that begin at `index` [S, B], weighted by `weight` [S, B]."""
        pairs, numbers = self._rows(self.pairs, index), self._rows(self.numbers, index)
        obs, next_obs = pairs.unbind(2)
        action, reward, discount = numbers.unbind(2)
        if self.n_step > 1:
            rows, inside = self.window(index, self.n_step)
            last = np.take_along_axis(rows, inside.sum(-1, keepdims=True) - 1, -1)[..., 0]
            next_obs = self._rows(self.pairs, last)[:, :, 1]
            for k in range(1, self.n_step):
                further = self._rows(self.numbers, rows[..., k])
                here = torch.from_numpy(inside[..., k]).to(self.device)
                reward = torch.where(here, reward + discount * further[..., 1], reward)
                discount = torch.where(here, discount * further[..., 2], discount)
        return Batch(obs, action.long(), reward, next_obs, discount, weight, index)

    def window(
        self, index: NDArray[np.int64], length: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The rows from `index` [S, B] on, as positions [S, B, length], and which of them belong
        together: up to the end of the episode, and to the newest row."""
        rows = (index[..., None] + np.arange(length)) % self.capacity
        newest = (self.stored - 1) % self.capacity
        lanes = np.arange(len(index))[:, None, None]
        last = self.ends[lanes, rows] | (rows == newest)
        inside = np.ones(rows.shape, np.bool_)
        inside[..., 1:] = ~np.logical_or.accumulate(last[..., :-1], axis=-1)
        return rows, inside

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
        return {
            "pairs": torch.as_tensor(self.pairs[lane, :rows]).cpu(),
            "numbers": torch.as_tensor(self.numbers[lane, :rows]).cpu(),
            "ends": torch.from_numpy(self.ends[lane, :rows]),
        }

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
        torch.as_tensor(self.pairs)[:, :rows] = pairs.to(self.device)
        torch.as_tensor(self.numbers)[:, :rows] = numbers.to(self.device)
        self.ends[:, :rows] = ends.numpy()

    def _here(self, row: NDArray[Any]) -> Array:
        return row if self.device.type == "cpu" else torch.from_numpy(row)

    def _rows(self, storage: Array, index: NDArray[np.int64]) -> Tensor:
        """The rows [S, B, ...] of storage [S, C, ...] at `index` [S, B]."""
        flat = (index + np.arange(0, len(index) * self.capacity, self.capacity)[:, None]).ravel()
        rows = storage.reshape(-1, *storage.shape[2:])
        if isinstance(rows, np.ndarray):
            found = torch.from_numpy(rows.take(flat, axis=0))
        else:
            found = torch.index_select(rows, 0, torch.from_numpy(flat).to(self.device))
        return found.view(*index.shape, *found.shape[1:])


def zeros(shape: tuple[int, ...], kind: np.dtype[Any], device: torch.device) -> Array:
    """Storage: on a CPU NumPy's, which takes memory only as it is written to."""
    if device.type == "cpu":
        return np.zeros(shape, kind)
    return torch.zeros(shape, dtype=torch.from_numpy(np.empty(0, kind)).dtype, device=device)
