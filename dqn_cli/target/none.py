"""No target network: the online network values the next state, too (Mnih et al. 2013)."""

from __future__ import annotations

from dqn_cli.kernels.kernels import Array


class NoTarget:
    """The backup is as good as the last update; it is held constant all the same."""

    def choose(self, online: Array, target: Array) -> Array:
        return online

    def sync(self, online: Array, target: Array, step: int) -> None:
        """Nothing follows."""
