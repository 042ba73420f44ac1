"""The hard target (Mnih et al. 2015): a copy of the online network, renewed now and then."""

from __future__ import annotations

from dqn_cli.kernels.kernels import Array
from dqn_cli.types import Count


class Hard:
    def __init__(self, *, every_steps: Count) -> None:
        self.every_steps = every_steps

    def choose(self, online: Array, target: Array) -> Array:
        return target

    def sync(self, online: Array, target: Array, step: int) -> None:
        if step % self.every_steps == 0:
            target[:] = online
