"""Munchausen DQN (Vieillard et al. 2020): the reward is raised by the scaled log-probability of the
action taken, and the next state is valued softly (equation 1 and algorithm 1).

    pi = softmax(Q_target / tau)
    y  = r + alpha * clip(tau * log pi(a | s), l0, 0)
           + discount * tau * logsumexp(Q_target(s') / tau)

Both terms are the target network's. With n_step > 1 the first of the n actions alone is rewarded
so.
"""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Le
from torch import Tensor

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.maths import REGRESSION, gather_action
from dqn_cli.types import Batch, Forward, Fraction, Loss, Output, Positive

Negative = Annotated[float, Le(0)]


def soft_value(q: Tensor, tau: float) -> Tensor:
    """tau * logsumexp(q / tau) [...] of q [..., A]: the softmax policy's mean of q plus tau times
    its entropy."""
    return tau * (q / tau).logsumexp(-1)


def bonus(q: Tensor, action: Tensor, tau: float, lowest: float) -> Tensor:
    """tau * log pi(a | s), of q [..., A] and the action [...] taken; from `lowest` to 0."""
    return (gather_action(q, action) - soft_value(q, tau)).clamp(lowest, 0)


class Munchausen:
    atoms = 1

    def __init__(
        self,
        kernels: Kernels = TORCH,
        *,
        alpha: Fraction,
        tau: Positive,
        l0: Negative,
        loss: Literal["mse", "huber"],
    ) -> None:
        self.kernels = kernels
        self.alpha = alpha
        self.tau = tau
        self.l0 = l0
        self.regression = REGRESSION[loss]

    def q(self, values: Array) -> Array:
        return values[..., 0]

    def loss(self, now: Output, online: Forward, target: Forward, batch: Batch) -> Loss:
        tensor, array = self.kernels.tensor, self.kernels.array
        values, action = tensor(now.values), tensor(batch.action)
        before, after = (
            tensor(target(obs).values).squeeze(-1) for obs in (batch.obs, batch.next_obs)
        )
        reward = tensor(batch.reward) + self.alpha * bonus(before, action, self.tau, self.l0)
        y = reward + tensor(batch.discount) * soft_value(after, self.tau)
        q = gather_action(values.squeeze(-1), action)
        error = q - y
        per_sample, slope = self.regression(error)
        d_values = self.kernels.scatter_action(
            array(slope.unsqueeze(-1)), batch.action, values.shape[-2]
        )
        return Loss(array(per_sample), d_values, array(error.abs()), array(q))
