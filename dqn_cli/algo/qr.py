"""QR-DQN (Dabney et al. 2018, "Distributional RL with Quantile Regression"): the network's K values
of an action are the quantiles of its return at the fractions (i + 1/2) / K.

The loss is the quantile Huber loss of all pairs of a predicted and a target quantile, summed over
the predicted and averaged over the target ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.types import Batch, Count, Forward, Loss, Output, Positive


def midpoints(count: int, device: torch.device) -> Tensor:
    """The fractions [K] in the middle of K equal parts of [0, 1]."""
    return (torch.arange(count, device=device) + 0.5) / count


def quantile_huber(
    theta: Tensor, target: Tensor, fraction: Tensor, kappa: float
) -> tuple[Tensor, Tensor]:
    """Loss [...] of quantiles theta [..., K] at `fraction` [..., K] against samples target
    [..., M], and its derivative by theta [..., K].

        sum_i mean_j |fraction_i - 1{u_ij < 0}| huber(u_ij) / kappa,   u_ij = target_j - theta_i
    """
    error = target.unsqueeze(-2) - theta.unsqueeze(-1)  # [..., K, M]
    side = (fraction.unsqueeze(-1) - (error.detach() < 0).float()).abs()
    size = error.abs()
    inner = size.clamp(max=kappa)
    loss = side * (inner * (size - 0.5 * inner)) / kappa
    slope = -side * error.detach().clamp(-kappa, kappa) / kappa
    return loss.mean(-1).sum(-1), slope.mean(-1)


def quantile_loss(
    kernels: Kernels, now: Output, following: Array, fraction: Tensor, batch: Batch, kappa: float
) -> Loss:
    """The loss of the action taken, whose values are quantiles at `fraction` [..., K], given those
    of the next action [..., M]."""
    tensor, array = kernels.tensor, kernels.array
    reward, discount = tensor(batch.reward), tensor(batch.discount)
    sample = reward.unsqueeze(-1) + discount.unsqueeze(-1) * tensor(following)
    theta = tensor(kernels.gather_values(now.values, batch.action))
    per_sample, slope = quantile_huber(theta, sample, fraction, kappa)
    d_values = kernels.scatter_action(array(slope), batch.action, now.values.shape[-2])
    return Loss(array(per_sample), d_values, array(per_sample), array(theta.mean(-1)))


def next_quantiles(kernels: Kernels, following: Array, chooser: Array) -> Array:
    """Those [..., M] of the action of the largest mean by `chooser` [..., A, K], and not of each
    quantile by itself, out of `following` [..., A, M]."""
    best = kernels.tensor(chooser).mean(-1).argmax(-1)
    return kernels.gather_values(following, kernels.array(best))


class QR:
    """`double`: the online network chooses the next action. kappa: up to where an error is squared,
    in the units of the return."""

    def __init__(
        self, kernels: Kernels = TORCH, *, quantiles: Count, kappa: Positive, double: bool
    ) -> None:
        self.kernels = kernels
        self.atoms = quantiles
        self.kappa = kappa
        self.double = double

    def q(self, values: Array) -> Array:
        return values.mean(-1)

    def loss(self, now: Output, online: Forward, target: Forward, batch: Batch) -> Loss:
        following = target(batch.next_obs).values
        chooser = online(batch.next_obs).values if self.double else following
        following = next_quantiles(self.kernels, following, chooser)
        fraction = midpoints(self.atoms, self.kernels.device)
        return quantile_loss(self.kernels, now, following, fraction, batch, self.kappa)
