"""Gymnasium's CartPole, many at once."""

from __future__ import annotations

import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv

from dqn_cli.env.row import Floats, Ints, Row, Stepped
from dqn_cli.kernels.jit import jit


class CartPoleRow(Row):
    """A state is the cart's position and velocity, the pole's angle and velocity."""

    kind = CartPoleEnv
    names = (
        *("force_mag", "gravity", "masspole", "total_mass", "length", "polemass_length", "tau"),
        *("x_threshold", "theta_threshold_radians"),
    )

    def first(self, random: np.random.Generator) -> Floats:
        return random.uniform(-0.05, 0.05, 4)

    def step(self, rows: Ints, action: Ints) -> Stepped:
        angle = self.state[2].take(rows)
        cos, sin = np.cos(angle), np.sin(angle)
        return moved(self.state, self.length, self.limit, rows, action, cos, sin, self.constants)


@jit
def moved(
    state: Floats,
    length: Ints,
    limit: int,
    rows: Ints,
    action: Ints,
    cos: Floats,
    sin: Floats,
    constants: tuple[float, ...],
) -> Stepped:
    """The equations of motion (Florian 2007, equations 23 and 24, without friction)."""
    force_mag, gravity, masspole, total_mass, half, polemass_length, tau, x_max, angle_max = (
        constants
    )
    before = state[:, rows]
    x, x_dot, angle, angle_dot = before[0], before[1], before[2], before[3]
    force = np.where(action == 1, force_mag, -force_mag)
    push = (force + polemass_length * (angle_dot * angle_dot) * sin) / total_mass
    angle_acc = (gravity * sin - cos * push) / (
        half * (4.0 / 3.0 - masspole * (cos * cos) / total_mass)
    )
    acc = push - polemass_length * angle_acc * cos / total_mass
    after = np.empty_like(before)
    after[0] = x + tau * x_dot
    after[1] = x_dot + tau * acc
    after[2] = angle + tau * angle_dot
    after[3] = angle_dot + tau * angle_acc
    out = (np.abs(after[0]) > x_max) | (np.abs(after[2]) > angle_max)
    obs = np.empty((len(rows), 4), np.float32)
    obs[:] = after.T
    state[:, rows] = after
    length[rows] += 1
    return obs, np.ones(len(rows)), out, length[rows] >= limit
