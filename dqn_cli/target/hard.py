"""The hard target (Mnih et al. 2015): a copy of the online network, renewed now and then."""

from __future__ import annotations

from torch import Tensor

from dqn_cli.types import Count


class Hard:
    def __init__(self, *, every_steps: Count) -> None:
        self.every_steps = every_steps

    def choose(self, online: Tensor, target: Tensor) -> Tensor:
        return target

    def sync(self, online: Tensor, target: Tensor, step: int) -> None:
        if step % self.every_steps == 0:
            target.copy_(online)
