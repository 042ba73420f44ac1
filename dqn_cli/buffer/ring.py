"""Storage: the last `capacity` rows of every lane, oldest overwritten first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.types import Batch, Space, Step


class Ring:
    """Lanes add their rows together, so one write position serves them all.

    A row is in two pieces, (obs, next_obs) in the environment's type and (action, reward,
    discount) as float32, so that a batch is gathered by two copies.
    """

    def __init__(
        self, lanes: int, space: Space, capacity: int, gamma: float, device: torch.device
    ) -> None:
        self.capacity = capacity
        self.gamma = gamma
        self.device = device
        self.added = 0  # rows ever added, per lane
        kind = torch.from_numpy(np.empty(0, space.obs_dtype)).dtype
        try:
            shape = (lanes, capacity, 2, *space.obs_shape)
            self.pairs = torch.zeros(shape, dtype=kind, device=device)
            self.numbers = torch.zeros(lanes, capacity, 3, device=device)
        except RuntimeError as error:
            raise ValueError(f"capacity={capacity}: {lanes} seeds do not fit: {error}") from error
        self._stage()

    def __len__(self) -> int:
        """Rows held, per lane."""
        return min(self.added, self.capacity)

    def add(self, step: Step) -> int:
        """Store one row for every lane; returns the position it took."""
        position = self.added % self.capacity
        pair, numbers = self.new_pair.numpy(), self.new_numbers.numpy()
        pair[:, 0], pair[:, 1] = step.obs, step.next_obs
        numbers[:, 0], numbers[:, 1] = step.action, step.reward
        numbers[:, 2] = self.gamma * ~step.terminated
        self.pairs[:, position] = self.new_pair
        self.numbers[:, position] = self.new_numbers
        self.added += 1
        return position

    def gather(self, index: NDArray[np.int64], weight: Tensor) -> Batch:
        """The rows at `index` [S, B], weighted by `weight` [S, B]."""
        flat = torch.from_numpy((index + self.offset).ravel()).to(self.device)
        pairs, numbers = (
            rows.flatten(0, 1).index_select(0, flat).view(*index.shape, *rows.shape[2:])
            for rows in (self.pairs, self.numbers)
        )
        obs, next_obs = pairs.unbind(2)
        action, reward, discount = numbers.unbind(2)
        return Batch(obs, action.long(), reward, next_obs, discount, weight, index)

    def keep(self, lanes: Sequence[int]) -> None:
        self.pairs = self.pairs[list(lanes)]
        self.numbers = self.numbers[list(lanes)]
        self._stage()

    def _stage(self) -> None:
        """Room on the CPU for the row that comes in, and where each lane's rows begin."""
        self.new_pair = torch.empty_like(self.pairs[:, 0], device="cpu")
        self.new_numbers = torch.empty_like(self.numbers[:, 0], device="cpu")
        self.offset = np.arange(len(self.pairs))[:, None] * self.capacity
