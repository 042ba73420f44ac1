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

from dqn_cli.buffer.importance import Normalize, importance
from dqn_cli.buffer.sum_tree import SumTree
from dqn_cli.maths import annealed
from dqn_cli.seeding import Stream
from dqn_cli.state import State, take
from dqn_cli.types import Count, Exponent, Positive

LARGEST = 1e30  # |TD error| that counts, so that sums stay finite; nan, of a diverged lane, is that


class Prioritized:
    def __init__(
        self,
        seeds: Sequence[int],
        batch_size: int,
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
        self.tree = SumTree(len(seeds), capacity)
        self.largest = np.ones(len(seeds))  # priority given to new rows, per lane, before alpha
        self.draws = Stream(seeds, "replay", (batch_size,))
        self.samples = 0
        self.strata = np.arange(batch_size)
        self.alpha = alpha
        self.beta = (beta, beta_end, beta_steps)
        self.epsilon = epsilon
        self.normalize = normalize

    def added(self, position: int) -> None:
        self.rows = max(self.rows, position + 1)
        place = np.full((len(self.largest), 1), position)
        self.tree.set(place, self.largest[:, None] ** self.alpha)

    def draw(self, rows: int, step: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        share = (self.strata + self.draws.at(self.samples)) / len(self.strata)
        self.samples += 1
        total = self.tree.total[:, None]
        index = self.tree.find(share * total)
        value = self.tree.get(index)  # the probability times the total, which cancels out
        if self.normalize == "batch":
            rarest = value.min(axis=-1, keepdims=True)
        else:
            rarest = self.tree.least(rows)[:, None]
        weight = importance(value, rarest, annealed(*self.beta, step))
        return index, weight.astype(np.float32)

    def update(self, index: NDArray[np.int64], priority: NDArray[np.float32]) -> None:
        raw = priority.astype(np.float64) + self.epsilon
        raw = np.fmin(raw, LARGEST)
        np.maximum(self.largest, raw.max(axis=-1), out=self.largest)
        self.tree.set(index, raw**self.alpha)

    def keep(self, lanes: Sequence[int]) -> None:
        self.tree.keep(lanes)
        self.draws.keep(lanes)
        self.largest = self.largest[list(lanes)]

    def state(self, lane: int) -> State:
        return {
            "values": torch.from_numpy(self.tree.values(lane, self.rows)),
            "largest": torch.tensor(self.largest[lane]),
        }

    def load(self, seeds: Sequence[int], state: State, step: int, updates: int) -> None:
        largest = take(state, "largest", (len(seeds),), torch.float64)
        rows = min(step, self.capacity)
        values = take(state, "values", (len(seeds), rows), torch.float64)
        if not all((v >= 0).all() and v.isfinite().all() for v in (values, largest)):
            raise ValueError("values, largest: expected finite priorities from 0 on")
        self.tree = SumTree(len(seeds), self.capacity)
        self.tree.fill(values.numpy())
        self.rows = rows
        self.largest = largest.numpy()
        self.draws = Stream(seeds, "replay", self.draws.shape)
        self.samples = updates
