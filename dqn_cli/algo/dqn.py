"""Deep Q-learning (Mnih et al. 2015) and Double DQN (van Hasselt et al. 2016).

    DQN     y = r + discount * max_a  Q_target(s', a)
    Double  y = r + discount * Q_target(s', argmax_a Q_online(s', a))

`discount` is gamma where the episode went on and 0 where it terminated, so neither a
terminal state nor a time limit is a special case here.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from dqn_cli.maths import REGRESSION, gather_action, scatter_action
from dqn_cli.types import Batch, Forward, Loss, Output


def q_backup(reward: Tensor, discount: Tensor, next_target: Tensor) -> Tensor:
    """reward [...], discount [...], next_target [..., A] -> y [...]."""
    return reward + discount * next_target.amax(-1)


def double_q_backup(
    reward: Tensor, discount: Tensor, next_target: Tensor, next_online: Tensor
) -> Tensor:
    """The online network chooses the next action, the target network values it."""
    return reward + discount * gather_action(next_target, next_online.argmax(-1))


class DQN:
    """One value per action: its expected return."""

    atoms = 1

    def __init__(self, *, double: bool, loss: Literal["mse", "huber"]) -> None:
        self.double = double
        self.regression = REGRESSION[loss]

    def q(self, values: Tensor) -> Tensor:
        return values.squeeze(-1)

    def loss(self, now: Output, online: Forward, target: Forward, batch: Batch) -> Loss:
        next_target = self.q(target(batch.next_obs).values)
        if self.double:
            next_online = self.q(online(batch.next_obs).values)
            y = double_q_backup(batch.reward, batch.discount, next_target, next_online)
        else:
            y = q_backup(batch.reward, batch.discount, next_target)
        q = gather_action(self.q(now.values), batch.action)
        error = q - y
        per_sample, slope = self.regression(error)
        d_values = scatter_action(slope.unsqueeze(-1), batch.action, now.values)
        return Loss(per_sample, d_values, error.abs(), q)
