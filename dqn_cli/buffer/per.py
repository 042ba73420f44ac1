"""Proportional prioritised replay (Schaul et al. 2016, algorithm 1).

    P(i) = p_i^alpha / sum_k p_k^alpha,   p_i = |TD error| + epsilon
    w_i  = (N P(i))^-beta / max_j w_j     over the batch, or over the whole buffer

New rows come in at the largest priority seen so far, so each is likely to be replayed soon. A
batch takes one draw from each of B equal shares of the total (stratified), with replacement.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dqn_cli.buffer.importance import Normalize
from dqn_cli.buffer.sum_tree import SumTree
from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.maths import annealed
from dqn_cli.seeding import Stream
from dqn_cli.state import State, take
from dqn_cli.types import Chances, Count, Exponent, Positive


class Prioritized:
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
        epsilon: Positive,
        normalize: Normalize,
    ) -> None:
        self.capacity = capacity
        self.rows = 0  # that there are
        self.kernels = kernels
        self.tree = SumTree(kernels, len(seeds), capacity, minimum=normalize == "buffer")
        # priority given to new rows [S], before alpha
        self.largest = kernels.place(np.ones(len(seeds)))
        self.draws = Stream(seeds, "replay", (batch_size,))
        self.samples = 0
        self.alpha = alpha
        self.beta = (beta, beta_end, beta_steps)
        self.epsilon = epsilon
        self.normalize = normalize
        self._record()

    def _record(self) -> None:
        """Anew where the arrays are others."""
        self._added, self._drawn, self._updated = (
            self.kernels.recorded(function, 0) for function in (self._add, self._draw, self._update)
        )

    def added(self, position: int) -> None:
        self.rows = max(self.rows, position + 1)
        self._added(np.full((len(self.largest), 1), position))

    def _add(self, index: Array) -> None:
        self.tree.set(index, self.largest[:, None] ** self.alpha)

    def draw(self, rows: int, step: int) -> tuple[Array, Array]:
        uniform = self.draws.at(self.samples)
        self.samples += 1
        drawn: tuple[Array, Array] = self._drawn(uniform, annealed(*self.beta, step))
        return drawn

    def _draw(self, uniform: Array, beta: float) -> tuple[Array, Array]:
        # A value is its row's probability times the total, which cancels out of the weights.
        index, value, rarest = self.tree.draw(uniform)
        if self.normalize == "buffer":
            rarest = self.tree.least
        return index, self.kernels.importance(value, rarest, beta)

    def update(self, index: Array, priority: Array) -> None:
        self._updated(index, priority)

    def _update(self, index: Array, priority: Array) -> None:
        self.tree.set(index, self.kernels.rank(priority, self.largest, self.epsilon, self.alpha))

    def chances(self, lane: int, index: NDArray[np.int64], step: int) -> Chances:
        value = self.kernels.numpy(self.tree.leaves[lane, self.kernels.place(index)])
        return value, value ** -annealed(*self.beta, step)

    def keep(self, lanes: Sequence[int]) -> None:
        self.tree.keep(lanes)
        self.draws.keep(lanes)
        self.largest = self.largest[list(lanes)]
        self._record()

    def state(self, lane: int) -> State:
        return {
            "values": self.kernels.tensor(self.tree.values(lane, self.rows)).cpu(),
            "largest": torch.tensor(float(self.largest[lane]), dtype=torch.float64),
        }

    def load(self, seeds: Sequence[int], state: State, step: int, updates: int) -> None:
        largest = take(state, "largest", (len(seeds),), torch.float64)
        rows = min(step, self.capacity)
        values = take(state, "values", (len(seeds), rows), torch.float64)
        if not all((v >= 0).all() and v.isfinite().all() for v in (values, largest)):
            raise ValueError("values, largest: expected finite priorities from 0 on")
        minimum = self.normalize == "buffer"
        self.tree = SumTree(self.kernels, len(seeds), self.capacity, minimum)
        self.tree.fill(values.numpy())
        self.rows = rows
        self.largest = self.kernels.place(largest.numpy())
        self.draws = Stream(seeds, "replay", self.draws.shape)
        self.samples = updates
        self._record()
