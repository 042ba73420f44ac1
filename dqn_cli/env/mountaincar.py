"""Gymnasium's MountainCar, many at once."""

from __future__ import annotations

import math

import numpy as np
from gymnasium.envs.classic_control import MountainCarEnv

from dqn_cli.env.row import Floats, Ints, Row, Stepped
from dqn_cli.kernels.jit import jit


class MountainCarRow(Row):
    """A state is the car's position and velocity."""

    kind = MountainCarEnv
    size = 2
    names = (
        *("force", "gravity", "min_position", "max_position", "max_speed"),
        *("goal_position", "goal_velocity"),
    )

    def first(self, random: np.random.Generator) -> Floats:
        return np.array([random.uniform(-0.6, -0.4), 0])

    def step(self, rows: Ints, action: Ints) -> Stepped:
        # Gymnasium's is Python's cosine here, not NumPy's.
        cos = np.array([math.cos(3 * position) for position in self.state[0].take(rows).tolist()])
        return moved(self.state, self.length, self.limit, rows, action, cos, self.constants)


@jit
def moved(
    state: Floats,
    length: Ints,
    limit: int,
    rows: Ints,
    action: Ints,
    cos: Floats,
    constants: tuple[float, ...],
) -> Stepped:
    force, gravity, left, right, max_speed, goal, goal_speed = constants
    before = state[:, rows]
    velocity = before[1] + ((action - 1) * force + cos * -gravity)
    velocity = np.minimum(np.maximum(velocity, -max_speed), max_speed)
    position = np.minimum(np.maximum(before[0] + velocity, left), right)
    after = np.empty_like(before)
    after[0] = position
    after[1] = np.where((position == left) & (velocity < 0), 0.0, velocity)
    obs = np.empty((len(rows), 2), np.float32)
    obs[:] = after.T
    terminated = (position >= goal) & (after[1] >= goal_speed)
    state[:, rows] = after
    length[rows] += 1
    return obs, np.full(len(rows), -1.0), terminated, length[rows] >= limit
