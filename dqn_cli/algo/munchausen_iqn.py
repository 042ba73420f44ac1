"""Munchausen IQN (Vieillard et al. 2020, section 4): implicit quantiles of a return that is raised
by the scaled log-policy, and followed softly.

    pi = softmax(Q_target / tau),   Q_target the mean of the target network's quantiles z
    y_j = r + alpha * clip(tau * log pi(a | s), l0, 0)
            + discount * sum_b pi(b | s') (z_j(s', b) - tau * log pi(b | s'))

As algo=munchausen, with the loss of algo=iqn.
"""

from __future__ import annotations

from torch import Tensor

from dqn_cli.algo.munchausen import Negative, bonus, soft_value
from dqn_cli.algo.qr import quantile_loss
from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.types import Batch, Forward, Fraction, Loss, Output, Positive


def soft_quantiles(values: Tensor, tau: float) -> Tensor:
    """sum_a pi(a) (z_j(a) - tau * log pi(a)) [..., K] of quantiles z [..., A, K], whose mean over
    them is the soft value."""
    q = values.mean(-1)
    scaled_log = q - soft_value(q, tau).unsqueeze(-1)  # tau * log pi
    chance = (scaled_log / tau).exp()
    return (chance.unsqueeze(-1) * (values - scaled_log.unsqueeze(-1))).sum(-2)


class MunchausenIQN:
    """kappa: up to where an error is squared, in the units of the return."""

    atoms = None  # as many quantiles as the network has fractions

    def __init__(
        self,
        kernels: Kernels = TORCH,
        *,
        alpha: Fraction,
        tau: Positive,
        l0: Negative,
        kappa: Positive,
    ) -> None:
        self.kernels = kernels
        self.alpha = alpha
        self.tau = tau
        self.l0 = l0
        self.kappa = kappa

    def q(self, values: Array) -> Array:
        return values.mean(-1)

    def loss(self, now: Output, online: Forward, target: Forward, batch: Batch) -> Loss:
        """ValueError if the network says of no fractions."""
        if now.fractions is None:
            raise ValueError("its values come without the fractions that they are quantiles at")
        tensor, array = self.kernels.tensor, self.kernels.array
        before, after = (tensor(target(obs).values) for obs in (batch.obs, batch.next_obs))
        more = bonus(before.mean(-1), tensor(batch.action), self.tau, self.l0)
        raised = batch._replace(reward=array(tensor(batch.reward) + self.alpha * more))
        following, fraction = soft_quantiles(after, self.tau), tensor(now.fractions)
        return quantile_loss(self.kernels, now, array(following), fraction, raised, self.kappa)
