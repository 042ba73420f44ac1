"""Storage of transitions: the last `capacity` env steps of every lane, oldest overwritten first.

A sampled row becomes the transition over up to n steps (Sutton 1988; Hessel et al. 2018, section
"Multi-step learning"):

    R = r_0 + gamma r_1 + ... + gamma^(m-1) r_(m-1),   bootstrap  gamma^m  at the state after them

m is n, or fewer where the episode ends before, by termination (nothing is bootstrapped then) or by
truncation (it is, from the last state), or where the newest row is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.state import State
from dqn_cli.storage.ring import Column, Ring
from dqn_cli.types import Batch, Space, Step

ALL = slice(None)  # lanes


class Transitions(Ring):
    """A row is in three pieces, (obs, next_obs) in the environment's type, (action, reward,
    discount) as float32, and whether the episode ended with it."""

    def __init__(
        self,
        seeds: Sequence[int],
        space: Space,
        capacity: int,
        gamma: float,
        n_step: int,
        kernels: Kernels = TORCH,
    ) -> None:
        columns = {
            "pairs": Column(capacity, (2, math.prod(space.obs_shape)), space.obs_dtype),
            "numbers": Column(capacity, (3,), np.float32),
            "ends": Column(capacity, (), np.bool_),
        }
        super().__init__(len(seeds), capacity, columns, kernels)
        self.space = space
        self.gamma = gamma
        self.n_step = n_step
        self._recorded = kernels.recorded(self._gather, 4)

    def add(self, step: Step) -> int:
        """Store one row for every lane; returns its position."""
        position = self.stored % self.capacity
        self.kernels.store(
            self.columns["pairs"],
            self.columns["numbers"],
            self.columns["ends"],
            self.slots,
            position,
            self.gamma,
            step.obs.reshape(len(step.obs), -1),
            step.action,
            step.reward,
            step.next_obs.reshape(len(step.obs), -1),
            step.terminated,
            step.truncated,
        )
        self.stored += 1
        return position

    def gather(self, index: Array, weight: Array, lanes: slice = ALL) -> Batch:
        """The transitions of `lanes` that begin at `index` [S, B], weighted by `weight` [S, B]."""
        gather = self._recorded if lanes == ALL else self._gather
        columns = (self.columns[name] for name in ("pairs", "numbers", "ends"))
        obs, action, reward, next_obs, discount = gather(
            *columns, self.slots[lanes], index, self.newest
        )
        return Batch(obs, action, reward, next_obs, discount, weight, index)

    def _gather(self, *given: Any) -> Any:
        gather: Any = self.kernels.gather
        return shaped(self.space, *gather(*given, self.n_step))

    def _put(self, slot: int, first: int, stop: int, state: State) -> None:
        super()._put(slot, first, stop, state)
        check_actions(state["numbers"], self.space)


def shaped(
    space: Space, obs: Array, action: Array, reward: Array, next_obs: Array, discount: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """The same, with observations [S, B, *obs]."""
    shape = (*action.shape, *space.obs_shape)
    return obs.reshape(shape), action, reward, next_obs.reshape(shape), discount


def check_actions(numbers: Array, space: Space) -> None:
    """ValueError if one of a file's rows has none."""
    action = numbers[..., 0]
    if not ((action >= 0) & (action < space.actions) & (action == action.floor())).all():
        raise ValueError("numbers: expected actions of the environment")
