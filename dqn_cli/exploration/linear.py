"""Epsilon along a straight line from start to end (Mnih et al. 2015)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dqn_cli import maths
from dqn_cli.exploration.epsilon_greedy import EpsilonGreedy
from dqn_cli.types import Count, Fraction


class Linear(EpsilonGreedy):
    def __init__(self, *, start: Fraction, end: Fraction, decay_steps: Count) -> None:
        self.start = start
        self.end = end
        self.decay_steps = decay_steps

    def epsilon(self, step: int, episode: NDArray[np.int64]) -> float:
        return maths.linear(self.start, self.end, step / self.decay_steps)
