"""Uniform replay: every row is as likely as any other (Lin 1992, Mnih et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.buffer.ring import Ring
from dqn_cli.seeding import Uniforms
from dqn_cli.state import State, nested, within
from dqn_cli.types import Batch, Count, Space, Step


class Uniform:
    def __init__(
        self,
        seeds: Sequence[int],
        space: Space,
        batch_size: int,
        gamma: float,
        device: torch.device,
        *,
        capacity: Count,
    ) -> None:
        self.ring = Ring(len(seeds), space, capacity, gamma, device)
        self.draws = Uniforms(seeds, "replay", (batch_size,))
        self.samples = 0
        self.weight = torch.ones(len(seeds), batch_size, device=device)

    def add(self, step: Step) -> None:
        self.ring.add(step)

    def sample(self, step: int) -> Batch:
        index = (self.draws.at(self.samples) * len(self.ring)).astype(np.int64)
        self.samples += 1
        return self.ring.gather(index, self.weight)

    def update(self, index: NDArray[np.int64], priority: Tensor) -> None:
        """Every row stays as likely as the others."""

    def keep(self, lanes: Sequence[int]) -> None:
        self.ring.keep(lanes)
        self.draws.keep(lanes)
        self.weight = self.weight[list(lanes)]

    def state(self, lane: int) -> State:
        return nested("ring", self.ring.state(lane))

    def load(self, seeds: Sequence[int], state: State, step: int, updates: int) -> None:
        self.ring.load(len(seeds), within("ring", state), step)
        self.samples = updates
        self.draws = Uniforms(seeds, "replay", self.draws.shape)
        self.weight = self.weight.new_ones(len(seeds), *self.draws.shape)
