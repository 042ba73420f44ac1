"""No target network: the online network values the next state, too (Mnih et al. 2013)."""

from __future__ import annotations

from torch import Tensor


class NoTarget:
    """The backup is as good as the last update; it is held constant all the same."""

    def choose(self, online: Tensor, target: Tensor) -> Tensor:
        return online

    def sync(self, online: Tensor, target: Tensor, step: int) -> None:
        """Nothing follows."""
