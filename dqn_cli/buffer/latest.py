"""No replay: the latest B rows, each time the same ones until new ones come.

With a batch of one this is online learning from the step just made; with `update_every` as large
as the batch, every row is in one fit and then gone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.buffer.ring import Ring
from dqn_cli.state import State, nested, within
from dqn_cli.types import Batch, Space, Step


class Latest:
    def __init__(
        self,
        seeds: Sequence[int],
        space: Space,
        batch_size: int,
        gamma: float,
        device: torch.device,
    ) -> None:
        self.ring = Ring(len(seeds), space, batch_size, gamma, device)
        self.weight = torch.ones(len(seeds), batch_size, device=device)

    def add(self, step: Step) -> None:
        self.ring.add(step)

    def sample(self, step: int) -> Batch:
        """The oldest row first; as long as there are fewer than B, they come several times."""
        lanes, batch_size = self.weight.shape
        rows = len(self.ring)
        index = (self.ring.added - rows + np.arange(batch_size) % rows) % batch_size
        return self.ring.gather(np.tile(index, (lanes, 1)), self.weight)

    def update(self, index: NDArray[np.int64], priority: Tensor) -> None:
        """All rows are taken anyway."""

    def keep(self, lanes: Sequence[int]) -> None:
        self.ring.keep(lanes)
        self.weight = self.weight[list(lanes)]

    def state(self, lane: int) -> State:
        return nested("ring", self.ring.state(lane))

    def load(self, seeds: Sequence[int], state: State, step: int, updates: int) -> None:
        self.ring.load(len(seeds), within("ring", state), step)
        self.weight = self.weight.new_ones(len(seeds), self.ring.capacity)
