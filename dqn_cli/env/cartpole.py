"""Many CartPoles stepped together: Gymnasium's environment to the last bit, all of it in a row.

A single CartPole costs as much as a small network's action; thirty together cost as much as four.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv
from numpy.typing import NDArray


class CartPoleRow:
    """`rows` environments as `env` is one: Gymnasium's CartPole, its constants and its limit."""

    def __init__(self, env: gymnasium.Env[Any, Any], rows: int) -> None:
        assert isinstance(env.unwrapped, CartPoleEnv) and env.spec is not None
        self.one = env.unwrapped
        self.limit = env.spec.max_episode_steps
        self.state = np.zeros((4, rows))  # cart's position and velocity, pole's angle and velocity
        self.length = np.zeros(rows, np.int64)

    def reset(self, row: int, seed: int) -> NDArray[np.float32]:
        draws = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
        self.state[:, row] = draws.uniform(-0.05, 0.05, 4)
        self.length[row] = 0
        return self.state[:, row].astype(np.float32)

    def step(
        self, rows: NDArray[np.int64], action: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """The equations of motion (Florian 2007, equations 23 and 24, without friction)."""
        one = self.one
        x, x_dot, angle, angle_dot = self.state[:, rows]
        force = np.where(action == 1, one.force_mag, -one.force_mag)
        cos, sin = np.cos(angle), np.sin(angle)
        push = (force + one.polemass_length * (angle_dot * angle_dot) * sin) / one.total_mass
        inertia = one.length * (4.0 / 3.0 - one.masspole * (cos * cos) / one.total_mass)
        angle_acc = (one.gravity * sin - cos * push) / inertia
        acc = push - one.polemass_length * angle_acc * cos / one.total_mass
        after = np.empty((4, len(rows)))
        after[0] = x + one.tau * x_dot
        after[1] = x_dot + one.tau * acc
        after[2] = angle + one.tau * angle_dot
        after[3] = angle_dot + one.tau * angle_acc
        self.state[:, rows] = after
        self.length[rows] += 1
        away = np.abs(after[0]) > one.x_threshold
        fallen = np.abs(after[2]) > one.theta_threshold_radians
        truncated = self.length[rows] == self.limit
        return after.T.astype(np.float32, order="C"), np.ones(len(rows)), away | fallen, truncated

    def frame(self, row: int) -> NDArray[np.uint8]:
        raise NotImplementedError("a row of CartPoles is for numbers; a Gym row draws")

    def close(self) -> list[str]:
        """There is nothing to close."""
        return []
