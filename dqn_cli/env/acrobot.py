"""Gymnasium's Acrobot, many at once."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import AcrobotEnv
from numpy.typing import NDArray

from dqn_cli.env.row import Floats, Ints, Row, Stepped
from dqn_cli.kernels.jit import jit


class AcrobotRow(Row):
    """A state is the angles of the two links and their velocities."""

    kind = AcrobotEnv
    names = (
        *("LINK_MASS_1", "LINK_MASS_2", "LINK_LENGTH_1", "LINK_COM_POS_1", "LINK_COM_POS_2"),
        *("LINK_MOI", "MAX_VEL_1", "MAX_VEL_2", "dt"),
    )

    def __init__(self, env: gymnasium.Env[Any, Any], rows: int) -> None:
        super().__init__(env, rows)
        *links, max1, max2, self.dt = self.constants
        self.links = (*links, *(number**2 for number in links[2:5]))
        self.bounds = max1, max2
        self.torque = np.array(self.one.AVAIL_TORQUE, np.float64)

    @classmethod
    def stands_for(cls, env: gymnasium.Env[Any, Any]) -> bool:
        one: Any = env.unwrapped
        return super().stands_for(env) and one.torque_noise_max == 0 and one.book_or_nips == "book"

    def first(self, random: np.random.Generator) -> NDArray[np.float32]:
        return random.uniform(-0.1, 0.1, 4).astype(np.float32)

    def observed(self, state: NDArray[Any]) -> NDArray[np.float32]:
        cos, sin = np.cos(state[:2]), np.sin(state[:2])
        return np.array([cos[0], sin[0], cos[1], sin[1], *state[2:]], np.float32)

    def step(self, rows: Ints, action: Ints) -> Stepped:
        """By the classical Runge-Kutta method: one step of `dt`."""
        state, torque = self.state.take(rows, 1), self.torque.take(action)
        dt, half = self.dt, self.dt / 2.0
        k1 = self.slope(state, 0.0, state, torque)
        k2 = self.slope(state, half, k1, torque)
        k3 = self.slope(state, half, k2, torque)
        k4 = self.slope(state, dt, k3, torque)
        after, angles = ended(state, dt / 6.0, k1, k2, k3, k4, *self.bounds)
        cos, sin = np.cos(angles), np.sin(after[:2])
        return stored(self.state, self.length, self.limit, rows, after, cos, sin)

    def slope(self, state: Floats, time: float, slope: Floats, torque: Floats) -> Floats:
        """The derivative [4, N] of the state `state + time * slope`."""
        ahead, angles = reached(state, time, slope)
        cos, sin = np.cos(angles), np.sin(ahead[1])
        return derivative(ahead, torque, cos, sin, self.links, 2.0)


@jit
def reached(state: Floats, time: float, slope: Floats) -> tuple[Floats, Floats]:
    """The state, and the angles [3, N] whose cosines are needed there."""
    ahead = state + time * slope
    angles = np.empty_like(ahead[:3])
    angles[0] = ahead[1]
    angles[1] = ahead[0] + ahead[1] - math.pi / 2.0
    angles[2] = ahead[0] - math.pi / 2
    return ahead, angles


@jit
def derivative(
    state: Floats,
    torque: Floats,
    cos: Floats,
    sin: Floats,
    links: tuple[float, ...],
    two: float,
) -> Floats:
    """Sutton and Barto's equations of motion, as the book has them."""
    m1, m2, l1, lc1, lc2, moi, l1_squared, lc1_squared, lc2_squared = links
    d1 = m1 * lc1_squared + m2 * (l1_squared + lc2_squared + 2 * l1 * lc2 * cos[0]) + moi + moi
    d2 = m2 * (lc2_squared + l1 * lc2 * cos[0]) + moi
    # Gymnasium squares by the C library's pow, which may round otherwise than x * x does; numba
    # makes the latter of a power that it knows to be 2.
    squared = np.empty_like(state[:3])
    squared[:2] = state[2:]
    squared[2] = d2
    flat = squared.ravel()
    for i in range(len(flat)):
        flat[i] = math.pow(flat[i], two)
    w1, w2, g = state[2], state[3], 9.8
    phi2 = m2 * lc2 * g * cos[1]
    phi1 = (
        -m2 * l1 * lc2 * squared[1] * sin
        - 2 * m2 * l1 * lc2 * w2 * w1 * sin
        + (m1 * lc1 + m2 * l1) * g * cos[2]
        + phi2
    )
    found = np.empty_like(state)
    found[0], found[1] = w1, w2
    found[3] = (torque + d2 / d1 * phi1 - m2 * l1 * lc2 * squared[0] * sin - phi2) / (
        m2 * lc2_squared + moi - squared[2] / d1
    )
    found[2] = -(d2 * found[3] + phi1) / d1
    return found


@jit
def ended(
    state: Floats,
    sixth: float,
    k1: Floats,
    k2: Floats,
    k3: Floats,
    k4: Floats,
    bound1: float,
    bound2: float,
) -> tuple[Floats, Floats]:
    """The next state, and the angles [3, N] whose cosines say what is seen and whether it is the
    end."""
    after = state + sixth * (k1 + 2 * k2 + 2 * k3 + k4)
    for link in range(2):
        angle = after[link]
        while (angle > math.pi).any():
            angle[:] = np.where(angle > math.pi, angle - 2 * math.pi, angle)
        while (angle < -math.pi).any():
            angle[:] = np.where(angle < -math.pi, angle + 2 * math.pi, angle)
    after[2] = np.minimum(np.maximum(after[2], -bound1), bound1)
    after[3] = np.minimum(np.maximum(after[3], -bound2), bound2)
    angles = np.empty_like(after[:3])
    angles[:2] = after[:2]
    angles[2] = after[1] + after[0]
    return after, angles


@jit
def stored(
    state: Floats, length: Ints, limit: int, rows: Ints, after: Floats, cos: Floats, sin: Floats
) -> Stepped:
    obs = np.empty((len(rows), 6), np.float32)
    for link in range(2):
        obs[:, 2 * link], obs[:, 2 * link + 1] = cos[link], sin[link]
        obs[:, 4 + link] = after[2 + link]
    terminated = -cos[0] - cos[2] > 1.0
    state[:, rows] = after
    length[rows] += 1
    return obs, np.where(terminated, 0.0, -1.0), terminated, length[rows] >= limit
