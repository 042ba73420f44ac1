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
from dqn_cli.maths import gather_values, scatter_action
from dqn_cli.types import Batch, Forward, Loss, Output

Atoms = Annotated[int, Ge(2), Le(10_000)]


def project(
    probability: Tensor, reward: Tensor, discount: Tensor, low: float, high: float
) -> Tensor:
    """The distribution [..., K] of reward [...] + discount [...] * Z on the support that Z, of
    this probability [..., K], has: each atom's mass is shared out between its two neighbours.

    Mass at an atom exactly stays whole (a pair of floor and ceiling that are one would lose it),
    and what lies outside of the support goes to its end.
    """
    atoms = probability.shape[-1]
    support = torch.linspace(low, high, atoms, device=probability.device)
    moved = reward.unsqueeze(-1) + discount.unsqueeze(-1) * support
    place = ((moved.clamp(low, high) - low) / ((high - low) / (atoms - 1))).clamp(0, atoms - 1)
    left = place.floor()
    share = place - left  # of the right neighbour
    below = left.nan_to_num().long()
    above = (below + 1).clamp(max=atoms - 1)
    projected = torch.zeros_like(probability)
    projected.scatter_add_(-1, below, probability * (1 - share))
    return projected.scatter_add_(-1, above, probability * share)


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

    def q(self, values: Array) -> Array:
        return self.kernels.array(self._mean(self.kernels.tensor(values)))

    def _mean(self, logits: Tensor) -> Tensor:
        support = torch.linspace(self.low, self.high, self.atoms, device=logits.device)
        return (logits.softmax(-1) * support).sum(-1)

    def entropy(self, values: Array) -> Array:
        log_p = self.kernels.tensor(values).log_softmax(-1)
        return self.kernels.array(-(log_p.exp() * log_p).sum(-1))

    def loss(self, now: Output, online: Forward, target: Forward, batch: Batch) -> Loss:
        tensor, array = self.kernels.tensor, self.kernels.array
        values, action, reward, discount = map(
            tensor, (now.values, batch.action, batch.reward, batch.discount)
        )
        following = tensor(target(batch.next_obs).values)
        chooser = tensor(online(batch.next_obs).values) if self.double else following
        probability = gather_values(following, self._mean(chooser).argmax(-1)).softmax(-1)
        goal = project(probability, reward, discount, self.low, self.high)
        logits = gather_values(values, action)
        log_p = logits.log_softmax(-1)
        cross_entropy = -(goal * log_p).sum(-1)
        d_values = scatter_action((log_p.exp() - goal).detach(), action, values)
        return Loss(*map(array, (cross_entropy, d_values, cross_entropy, self._mean(logits))))

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
