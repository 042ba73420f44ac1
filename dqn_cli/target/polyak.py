"""The Polyak target (Lillicrap et al. 2016): target <- tau * online + (1 - tau) * target."""

from __future__ import annotations

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.types import Count, PositiveFraction


class Polyak:
    """tau is the share of the online network; 1 copies it exactly, as the hard target does."""

    def __init__(
        self, kernels: Kernels = TORCH, *, tau: PositiveFraction, every_steps: Count
    ) -> None:
        self.kernels = kernels
        self.tau = tau
        self.every_steps = every_steps

    def choose(self, online: Array, target: Array) -> Array:
        return target

    def sync(self, online: Array, target: Array, step: int) -> None:
        if step % self.every_steps == 0:
            self.kernels.polyak(target, online, self.tau)
