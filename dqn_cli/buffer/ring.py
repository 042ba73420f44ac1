"""Storage: the last `capacity` rows of every lane, oldest overwritten first."""

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


class Ring:
    """Lanes add their rows together, so one write position serves them all.

    A row is in two pieces, (obs, next_obs) in the environment's type and (action, reward,
    discount) as float32, so that a batch is gathered by two copies.
    """

    def __init__(
        self, lanes: int, space: Space, capacity: int, gamma: float, device: torch.device
    ) -> None:
        self.space = space
        self.capacity = capacity
        self.gamma = gamma
        self.device = device
        self._make(lanes)

    def _make(self, lanes: int) -> None:
        self.added = 0  # rows ever added, per lane
        shape = (lanes, self.capacity, 2, *self.space.obs_shape)
        try:
            self.pairs = zeros(shape, self.space.obs_dtype, self.device)
            self.numbers = zeros((lanes, self.capacity, 3), np.dtype(np.float32), self.device)
        except (RuntimeError, MemoryError, ValueError) as error:
            raise ValueError(
                f"capacity={self.capacity}: {lanes} seeds do not fit: {error}"
            ) from error

    def __len__(self) -> int:
        """Rows held, per lane."""
        return min(self.added, self.capacity)

    def add(self, step: Step) -> int:
        """Store one row for every lane; returns the position it took."""
        position = self.added % self.capacity
        pair, numbers = self.pairs[:, position], self.numbers[:, position]
        discount = self.gamma * ~step.terminated
        pair[:, 0], pair[:, 1] = self._here(step.obs), self._here(step.next_obs)
        numbers[:, 0], numbers[:, 1] = self._here(step.action), self._here(step.reward)
        numbers[:, 2] = self._here(discount)
        self.added += 1
        return position

    def gather(self, index: NDArray[np.int64], weight: Tensor) -> Batch:
        """The rows at `index` [S, B], weighted by `weight` [S, B]."""
        lanes, n = index.shape
        flat = (index + np.arange(0, lanes * self.capacity, self.capacity)[:, None]).ravel()
        pairs, numbers = self._rows(self.pairs, flat), self._rows(self.numbers, flat)
        obs, next_obs = pairs.view(lanes, n, *pairs.shape[1:]).unbind(2)
        action, reward, discount = numbers.view(lanes, n, 3).unbind(2)
        return Batch(obs, action.long(), reward, next_obs, discount, weight, index)

    def keep(self, lanes: Sequence[int]) -> None:
        added, rows, pairs, numbers = self.added, len(self), self.pairs, self.numbers
        self._make(len(lanes))
        self.added = added
        for place, lane in enumerate(lanes):
            self.pairs[place, :rows] = pairs[lane, :rows]
            self.numbers[place, :rows] = numbers[lane, :rows]

    def state(self, lane: int) -> State:
        rows = len(self)
        return {
            "pairs": torch.as_tensor(self.pairs[lane, :rows]).cpu(),
            "numbers": torch.as_tensor(self.numbers[lane, :rows]).cpu(),
        }

    def load(self, lanes: int, state: State, added: int) -> None:
        """A state after so many rows; ValueError if it is not of such a ring."""
        rows = min(added, self.capacity)
        kind = torch.from_numpy(np.empty(0, self.space.obs_dtype)).dtype
        pairs = take(state, "pairs", (lanes, rows, 2, *self.space.obs_shape), kind)
        numbers = take(state, "numbers", (lanes, rows, 3), torch.float32)
        action = numbers[..., 0]
        if not ((action >= 0) & (action < self.space.actions) & (action == action.floor())).all():
            raise ValueError("numbers: expected actions of the environment")
        self._make(lanes)
        self.added = added
        torch.as_tensor(self.pairs)[:, :rows] = pairs.to(self.device)
        torch.as_tensor(self.numbers)[:, :rows] = numbers.to(self.device)

    def _here(self, row: NDArray[Any]) -> Array:
        return row if self.device.type == "cpu" else torch.from_numpy(row)

    def _rows(self, storage: Array, flat: NDArray[np.int64]) -> Tensor:
        """The rows of storage [S, C, ...] at `flat`, which counts through all lanes."""
        rows = storage.reshape(-1, *storage.shape[2:])
        if isinstance(rows, np.ndarray):
            return torch.from_numpy(rows.take(flat, axis=0))
        return torch.index_select(rows, 0, torch.from_numpy(flat).to(self.device))


def zeros(shape: tuple[int, ...], kind: np.dtype[Any], device: torch.device) -> Array:
    """Storage: on a CPU NumPy's, which takes memory only as it is written to."""
    if device.type == "cpu":
        return np.zeros(shape, kind)
    return torch.zeros(shape, dtype=torch.from_numpy(np.empty(0, kind)).dtype, device=device)
