"""CartPoles side by side: Gymnasium's environment to the last bit.

One of Gymnasium's costs as much as a small network's action, most of it for checks and wrappers.
Here a few are stepped one by one in plain numbers, and many as arrays.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv
from numpy.typing import NDArray

FEW = 7  # rows up to which one by one is quicker


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
        push = self.one.force_mag
        before = self.state[:, rows]
        if len(rows) <= FEW:
            pairs = zip(before.T.tolist(), action.tolist(), strict=True)
            each = [self.moved(push if right else -push, *state) for state, right in pairs]
            after = np.array(each).T
        else:
            after = np.array(self.moved(np.where(action == 1, push, -push), *before))
        self.state[:, rows] = after
        self.length[rows] += 1
        away = np.abs(after[0]) > self.one.x_threshold
        fallen = np.abs(after[2]) > self.one.theta_threshold_radians
        truncated = self.length[rows] == self.limit
        return after.T.astype(np.float32, order="C"), np.ones(len(rows)), away | fallen, truncated

    def moved(self, force: Any, x: Any, x_dot: Any, angle: Any, angle_dot: Any) -> tuple[Any, ...]:
        """The state one step later, in numbers or arrays as it was: the equations of motion
        (Florian 2007, equations 23 and 24, without friction)."""
        one = self.one
        cos, sin = np.cos(angle), np.sin(angle)
        push = (force + one.polemass_length * (angle_dot * angle_dot) * sin) / one.total_mass
        inertia = one.length * (4.0 / 3.0 - one.masspole * (cos * cos) / one.total_mass)
        angle_acc = (one.gravity * sin - cos * push) / inertia
        acc = push - one.polemass_length * angle_acc * cos / one.total_mass
        return (
            x + one.tau * x_dot,
            x_dot + one.tau * acc,
            angle + one.tau * angle_dot,
            angle_dot + one.tau * angle_acc,
        )

    def frame(self, row: int) -> NDArray[np.uint8]:
        raise NotImplementedError("a row of CartPoles is for numbers; a Gym row draws")

    def close(self) -> list[str]:
        """There is nothing to close."""
        return []
