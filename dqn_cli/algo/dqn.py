"""Deep Q-learning (Mnih et al. 2015) and Double DQN (van Hasselt et al. 2016).

    DQN     y = r + discount * max_a  Q_target(s', a)
    Double  y = r + discount * Q_target(s', argmax_a Q_online(s', a))

`discount` is gamma where the episode went on and 0 where it terminated, so neither a
terminal state nor a time limit is a special case here.
"""

from __future__ import annotations

from typing import Literal

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.types import Batch, Forward, Loss, Output


class DQN:
    """One value per action: its expected return."""

    atoms = 1

    def __init__(
        self, kernels: Kernels = TORCH, *, double: bool, loss: Literal["mse", "huber"]
    ) -> None:
        self.kernels = kernels
        self.double = double
        self.huber = loss == "huber"

    def q(self, values: Array) -> Array:
        return values[..., 0]

    def loss(self, now: Output, online: Forward, target: Forward, batch: Batch) -> Loss:
        following = target(batch.next_obs).values
        chooser = online(batch.next_obs).values if self.double else following
        return Loss(
            *self.kernels.dqn(
                now.values,
                following,
                chooser,
                batch.action,
                batch.reward,
                batch.discount,
                self.huber,
            )
        )
