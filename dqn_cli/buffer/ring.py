"""Storage: the last `capacity` rows of every lane, oldest overwritten first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.types import Batch, Space, Step


class Ring:
    """Lanes add their rows together, so one write position serves them all."""

    def __init__(
        self, lanes: int, space: Space, capacity: int, gamma: float, device: torch.device
    ) -> None:
        self.capacity = capacity
        self.gamma = gamma
        self.device = device
        self.added = 0  # rows ever added, per lane
        dtype = torch.from_numpy(np.empty(0, space.obs_dtype)).dtype
        fields = {
            "obs": (space.obs_shape, dtype),
            "action": ((), torch.int64),
            "reward": ((), torch.float32),
            "next_obs": (space.obs_shape, dtype),
            "discount": ((), torch.float32),
        }
        try:
            self.fields: dict[str, Tensor] = {
                name: torch.zeros((lanes, capacity, *shape), dtype=kind, device=device)
                for name, (shape, kind) in fields.items()
            }
        except RuntimeError as error:
            raise ValueError(f"capacity={capacity}: {lanes} seeds do not fit: {error}") from error

    def __len__(self) -> int:
        """Rows held, per lane."""
        return min(self.added, self.capacity)

    def add(self, step: Step) -> int:
        """Store one row for every lane; returns the position it took."""
        position = self.added % self.capacity
        discount = self.gamma * ~step.terminated
        rows = (step.obs, step.action, step.reward, step.next_obs, discount)
        for field, row in zip(self.fields.values(), rows, strict=True):
            field[:, position] = torch.from_numpy(row)
        self.added += 1
        return position

    def gather(self, index: NDArray[np.int64], weight: Tensor) -> Batch:
        """The rows at `index` [S, B], weighted by `weight` [S, B]."""
        lanes, n = index.shape
        offset = np.arange(lanes)[:, None] * self.capacity
        flat = torch.from_numpy((index + offset).ravel()).to(self.device)
        rows = {
            name: field.flatten(0, 1).index_select(0, flat).view(lanes, n, *field.shape[2:])
            for name, field in self.fields.items()
        }
        return Batch(**rows, weight=weight, index=index)

    def keep(self, lanes: Sequence[int]) -> None:
        self.fields = {name: field[list(lanes)] for name, field in self.fields.items()}
