"""Rank-based prioritised replay (Schaul et al. 2016, section 3.3).

    P(i) = rank(i)^-alpha / sum_k k^-alpha

Rank 1 has the largest |TD error|, so an outlier counts for no more than its place. New rows come
in at rank 1. The order is exact whenever it is sorted, every so many updates, and a little stale in
between, as the paper has it. A batch takes one draw from each of B equally probable ranges of
ranks, with replacement.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dqn_cli.buffer.importance import Normalize, importance
from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.maths import annealed
from dqn_cli.seeding import Stream
from dqn_cli.state import State, take
from dqn_cli.types import Chances, Count, Exponent


class RankPrioritized:
    def __init__(
        self,
        seeds: Sequence[int],
        batch_size: int,
        kernels: Kernels = TORCH,
        *,
        capacity: Count,
        alpha: Exponent,
        beta: Exponent,
        beta_end: Exponent,
        beta_steps: Count,
        sort_every_updates: Count,
        normalize: Normalize,
    ) -> None:
        self.kernels = kernels
        self.capacity = capacity
        self.rows = 0  # that there are
        self.draws = Stream(seeds, "replay", (batch_size,))
        self.samples = 0
        self.strata = np.arange(batch_size)
        self.priority = np.zeros((len(seeds), capacity))  # |TD error|, infinite until it is known
        self.order = np.zeros((len(seeds), capacity), np.int64)  # the row at each rank
        self.ranked = 0  # ranks given
        self.fresh: list[int] = []  # rows added since
        self.value = np.arange(1.0, capacity + 1) ** -alpha  # of each rank, before it is divided
        self.running = np.cumsum(self.value)  # by the sum up to the last rank
        self.beta = (beta, beta_end, beta_steps)
        self.sort_every_updates = sort_every_updates
        self.normalize = normalize

    def added(self, position: int) -> None:
        self.rows = max(self.rows, position + 1)
        self.priority[:, position] = np.inf
        self.fresh.append(position)

    def draw(self, rows: int, step: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        self._rank()
        share = (self.strata + self.draws.at(self.samples)) / len(self.strata)
        self.samples += 1
        mass = share * self.running[rows - 1]
        rank = np.searchsorted(self.running[: rows - 1], mass, side="right")
        index = np.take_along_axis(self.order, rank, axis=-1)
        value = self.value[rank]
        if self.normalize == "batch":
            rarest = value.min(axis=-1, keepdims=True)
        else:
            rarest = self.value[rows - 1, None, None]
        weight = importance(value, rarest, annealed(*self.beta, step))
        return index, weight.astype(np.float32)

    def _rank(self) -> None:
        """Give every row its rank: in order, or those added since before all others."""
        rows = self.rows
        if self.samples % self.sort_every_updates == 0:
            errors = -self.priority[:, :rows]
            self.order[:, :rows] = np.argsort(errors, axis=-1, kind="stable")
            self.ranked = rows
            self.fresh.clear()
        for row in self.fresh:
            for order in self.order:
                known = order[: self.ranked] == row  # its place was another row's before
                rank = int(known.argmax()) if row < self.ranked else self.ranked
                order[1 : rank + 1] = order[:rank]
                order[0] = row
            self.ranked = max(self.ranked, row + 1)
        self.fresh.clear()

    def update(self, index: Array, priority: Array) -> None:
        raw = self.kernels.numpy(priority).astype(np.float64)
        lanes = np.arange(len(raw))[:, None]
        self.priority[lanes, self.kernels.numpy(index)] = np.fmin(
            raw, np.inf
        )  # nan, of a diverged lane, is that

    def chances(self, lane: int, index: NDArray[np.int64], step: int) -> Chances:
        if self.fresh:
            self._rank()
        rank = np.empty(self.rows, np.int64)
        rank[self.order[lane, : self.rows]] = np.arange(self.rows)
        value = self.value[rank[index]]
        return value, value ** -annealed(*self.beta, step)

    def keep(self, lanes: Sequence[int]) -> None:
        chosen = list(lanes)
        self.draws.keep(lanes)
        self.priority, self.order = self.priority[chosen], self.order[chosen]

    def state(self, lane: int) -> State:
        if self.fresh:
            self._rank()
        return {
            "priority": torch.from_numpy(self.priority[lane, : self.rows]),
            "order": torch.from_numpy(self.order[lane, : self.rows]),
        }

    def load(self, seeds: Sequence[int], state: State, step: int, updates: int) -> None:
        lanes = len(seeds)
        rows = min(step, self.capacity)
        priority = take(state, "priority", (lanes, rows), torch.float64).numpy()
        order = take(state, "order", (lanes, rows), torch.int64).numpy()
        if not (priority >= 0).all() or (np.sort(order) != np.arange(rows)).any():
            raise ValueError(
                "priority, order: expected priorities from 0 on, and a rank of each row"
            )
        self.priority = np.zeros((lanes, self.capacity))
        self.priority[:, :rows] = priority
        self.order = np.zeros((lanes, self.capacity), np.int64)
        self.order[:, :rows] = order
        self.rows = self.ranked = rows
        self.fresh = []
        self.draws = Stream(seeds, "replay", self.draws.shape)
        self.samples = updates
