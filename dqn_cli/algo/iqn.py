"""IQN (Dabney et al. 2018, "Implicit Quantile Networks"): quantiles of the return at fractions that
the network draws anew for every forward: the present state's, the next state's and, with `double`,
those that choose the next action are independent of each other.
"""

from __future__ import annotations

from dqn_cli.algo.qr import next_quantiles, quantile_loss
from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.types import Batch, Forward, Loss, Output, Positive


class IQN:
    """kappa: up to where an error is squared, in the units of the return."""

    atoms = None  # as many quantiles as the network has fractions

    def __init__(self, kernels: Kernels = TORCH, *, kappa: Positive, double: bool) -> None:
        self.kernels = kernels
        self.kappa = kappa
        self.double = double

    def q(self, values: Array) -> Array:
        return values.mean(-1)

    def loss(self, now: Output, online: Forward, target: Forward, batch: Batch) -> Loss:
        """ValueError if the network says of no fractions."""
        if now.fractions is None:
            raise ValueError("its values come without the fractions that they are quantiles at")
        following = target(batch.next_obs).values
        chooser = (online if self.double else target)(batch.next_obs).values
        following = next_quantiles(self.kernels, following, chooser)
        fraction = self.kernels.tensor(now.fractions)
        return quantile_loss(self.kernels, now, following, fraction, batch, self.kappa)
