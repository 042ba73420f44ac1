"""Epsilon along a straight line from start to end (Mnih et al. 2015)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dqn_cli import maths
from dqn_cli.exploration.epsilon_greedy import EpsilonGreedy
from dqn_cli.types import Count, Fraction, WholeNumber


class Linear(EpsilonGreedy):
    """It stays at the start for delay_steps and arrives after decay_steps more."""

    def __init__(
        self, *, start: Fraction, end: Fraction, decay_steps: Count, delay_steps: WholeNumber
    ) -> None:
        self.start = start
        self.end = end
        self.decay_steps = decay_steps
        self.delay_steps = delay_steps

    def epsilon(self, step: int, episode: NDArray[np.int64]) -> float:
        fallen = max(0, step - self.delay_steps)
        return maths.linear(self.start, self.end, fallen / self.decay_steps)
