"""Categorical DQN, C51 (Bellemare et al. 2017): the distribution of the return on a fixed support.

The network's K values of an action are the logits of K atoms z_i, evenly spaced from low to high.
The distribution of r + discount * Z(s', a*) is projected onto the support (algorithm 1), and the
loss is the cross-entropy with it, which prioritised replay goes by, too. a* is the action of the
largest mean, by the target network, or with `double` by the online network.
"""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.types import Batch, Forward, Loss, Output

Atoms = Annotated[int, Ge(2), Le(10_000)]


class C51:
    def __init__(
        self,
        gamma: float,
        kernels: Kernels = TORCH,
        *,
        atoms: Atoms,
        low: float,
        high: float,
        double: bool,
    ) -> None:
        if low >= high:
            raise ValueError(f"low={low}: expected less than high={high}")
        self.gamma = gamma
        self.kernels = kernels
        self.atoms = atoms
        self.low = low
        self.high = high
        self.double = double

    def _support(self) -> Tensor:
        return torch.linspace(self.low, self.high, self.atoms, device=self.kernels.device)

    def q(self, values: Array) -> Array:
        return self.kernels.array(self._mean(self.kernels.tensor(values)))

    def _mean(self, logits: Tensor) -> Tensor:
        return (logits.softmax(-1) * self._support()).sum(-1)

    def entropy(self, values: Array) -> Array:
        log_p = self.kernels.tensor(values).log_softmax(-1)
        return self.kernels.array(-(log_p.exp() * log_p).sum(-1))

    def loss(self, now: Output, online: Forward, target: Forward, batch: Batch) -> Loss:
        kernels = self.kernels
        tensor, array = kernels.tensor, kernels.array
        following = target(batch.next_obs).values
        chooser = online(batch.next_obs).values if self.double else following
        best = array(self._mean(tensor(chooser)).argmax(-1))
        probability = tensor(kernels.gather_values(following, best)).softmax(-1)
        goal = kernels.project(
            array(probability),
            batch.reward,
            batch.discount,
            array(self._support()),
            self.low,
            self.high,
        )
        logits = tensor(kernels.gather_values(now.values, batch.action))
        log_p = logits.log_softmax(-1)
        cross_entropy = array(-(tensor(goal) * log_p).sum(-1))
        slope = array((log_p.exp() - tensor(goal)).detach())
        d_values = kernels.scatter_action(slope, batch.action, now.values.shape[-2])
        return Loss(cross_entropy, d_values, cross_entropy, array(self._mean(logits)))

    def notes(self, rewards: tuple[float, float]) -> list[str]:
        """What the support cannot hold, given the smallest and the largest reward."""
        if self.gamma == 1:
            return []
        worst, best = (reward / (1 - self.gamma) for reward in rewards)
        slack = 1e-6 * (self.high - self.low)  # 1 / (1 - 0.9) is a little more than 10
        if self.low - slack <= min(worst, 0) and max(best, 0) <= self.high + slack:
            return []
        return [
            f"algo.low={self.low:g} algo.high={self.high:g}: with rewards from {rewards[0]:g} to "
            f"{rewards[1]:g} and gamma={self.gamma:g}, values may reach {min(worst, 0):.4g} to "
            f"{max(best, 0):.4g}, and what lies outside is taken for the end of the support"
        ]
