"""Deep Q-learning (Mnih et al. 2015) and Double DQN (van Hasselt et al. 2016).

    DQN     y = r + discount * max_a  Q_target(s', a)
    Double  y = r + discount * Q_target(s', argmax_a Q_online(s', a))

`discount` is gamma where the episode went on and 0 where it terminated, so neither a
terminal state nor a time limit is a special case here.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dqn_cli.maths import REGRESSION, gather_action
from dqn_cli.types import Batch, Loss, QFunction


def q_backup(reward: Tensor, discount: Tensor, next_target: Tensor) -> Tensor:
    """reward [...], discount [...], next_target [..., A] -> y [...]."""
    return reward + discount * next_target.amax(-1)


def double_q_backup(
    reward: Tensor, discount: Tensor, next_target: Tensor, next_online: Tensor
) -> Tensor:
    """The online network chooses the next action, the target network says what it is worth."""
    return reward + discount * gather_action(next_target, next_online.argmax(-1))


class DQN:
    def __init__(self, loss: Literal["mse", "huber"], *, double: bool) -> None:
        self.regression = REGRESSION[loss]
        self.double = double

    def loss(self, online: QFunction, target: QFunction, batch: Batch) -> Loss:
        """All that is told is [S, B]; gradients flow through Q(s, a) alone."""
        with torch.no_grad():
            next_target = target(batch.next_obs)
            if self.double:
                y = double_q_backup(
                    batch.reward, batch.discount, next_target, online(batch.next_obs)
                )
            else:
                y = q_backup(batch.reward, batch.discount, next_target)
        q = gather_action(online(batch.obs), batch.action)
        error = q - y
        per_sample, slope = self.regression(error)
        return Loss(per_sample, slope, error.detach().abs(), q.detach())
