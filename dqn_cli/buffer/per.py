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
from torch import Tensor

from dqn_cli.buffer.importance import Normalize, importance
from dqn_cli.buffer.ring import Ring
from dqn_cli.buffer.sum_tree import SumTree
from dqn_cli.maths import annealed
from dqn_cli.seeding import Uniforms
from dqn_cli.state import State, nested, take, within
from dqn_cli.types import Batch, Count, Exponent, Positive, Space, Step

LARGEST = 1e30  # |TD error| that counts, so that sums stay finite; nan, of a diverged lane, is that


class Prioritized:
    def __init__(
        self,
        seeds: Sequence[int],
        space: Space,
        batch_size: int,
        gamma: float,
        device: torch.device,
        *,
        capacity: Count,
        alpha: Exponent,
        beta: Exponent,
        beta_end: Exponent,
        beta_steps: Count,
        epsilon: Positive,
        normalize: Normalize,
    ) -> None:
        self.ring = Ring(len(seeds), space, capacity, gamma, device)
        self.tree = SumTree(len(seeds), capacity)
        self.largest = np.ones(len(seeds))  # priority given to new rows, per lane, before alpha
        self.draws = Uniforms(seeds, "replay", (batch_size,))
        self.samples = 0
        self.strata = np.arange(batch_size)
        self.alpha = alpha
        self.beta = (beta, beta_end, beta_steps)
        self.epsilon = epsilon
        self.normalize = normalize

    def add(self, step: Step) -> None:
        position = np.full((len(self.largest), 1), self.ring.add(step))
        self.tree.set(position, self.largest[:, None] ** self.alpha)

    def sample(self, step: int) -> Batch:
        share = (self.strata + self.draws.at(self.samples)) / len(self.strata)
        self.samples += 1
        total = self.tree.total[:, None]
        index = self.tree.find(share * total)
        value = self.tree.get(index)  # the probability times the total, which cancels out
        if self.normalize == "batch":
            rarest = value.min(axis=-1, keepdims=True)
        else:
            rarest = self.tree.least(len(self.ring))[:, None]
        weight = importance(value, rarest, annealed(*self.beta, step))
        weights = torch.from_numpy(weight.astype(np.float32)).to(self.ring.device)
        return self.ring.gather(index, weights)

    def update(self, index: NDArray[np.int64], priority: Tensor) -> None:
        raw = priority.cpu().numpy().astype(np.float64) + self.epsilon
        raw = np.fmin(raw, LARGEST)
        np.maximum(self.largest, raw.max(axis=-1), out=self.largest)
        self.tree.set(index, raw**self.alpha)

    def keep(self, lanes: Sequence[int]) -> None:
        self.ring.keep(lanes)
        self.tree.keep(lanes)
        self.draws.keep(lanes)
        self.largest = self.largest[list(lanes)]

    def state(self, lane: int) -> State:
        return {
            **nested("ring", self.ring.state(lane)),
            "values": torch.from_numpy(self.tree.values(lane, len(self.ring))),
            "largest": torch.tensor(self.largest[lane]),
        }

    def load(self, seeds: Sequence[int], state: State, step: int, updates: int) -> None:
        largest = take(state, "largest", (len(seeds),), torch.float64)
        self.ring.load(len(seeds), within("ring", state), step)
        values = take(state, "values", (len(seeds), len(self.ring)), torch.float64)
        if not all((v >= 0).all() and v.isfinite().all() for v in (values, largest)):
            raise ValueError("values, largest: expected finite priorities from 0 on")
        self.tree = SumTree(len(seeds), self.ring.capacity)
        self.tree.fill(values.numpy())
        self.largest = largest.numpy()
        self.draws = Uniforms(seeds, "replay", self.draws.shape)
        self.samples = updates
