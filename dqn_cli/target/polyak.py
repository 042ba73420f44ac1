"""The Polyak target (Lillicrap et al. 2016): target <- tau * online + (1 - tau) * target."""

from __future__ import annotations

from torch import Tensor

from dqn_cli.types import Count, PositiveFraction


class Polyak:
    """tau is the share of the online network; 1 copies it exactly, as the hard target does."""

    def __init__(self, *, tau: PositiveFraction, every_steps: Count) -> None:
        self.tau = tau
        self.every_steps = every_steps

    def choose(self, online: Tensor, target: Tensor) -> Tensor:
        return target

    def sync(self, online: Tensor, target: Tensor, step: int) -> None:
        if step % self.every_steps == 0:
            target.lerp_(online, self.tau)
