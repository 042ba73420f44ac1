"""Epsilon = end + (start - end) * exp(-step / decay_steps): it nears end and never arrives."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dqn_cli.exploration.epsilon_greedy import EpsilonGreedy
from dqn_cli.types import Count, Fraction


class Exponential(EpsilonGreedy):
    """decay_steps is the time constant: 63 % of the way is done after that many env steps."""

    def __init__(self, *, start: Fraction, end: Fraction, decay_steps: Count) -> None:
        self.start = start
        self.end = end
        self.decay_steps = decay_steps

    def epsilon(self, step: int, episode: NDArray[np.int64]) -> float:
        return self.end + (self.start - self.end) * math.exp(-step / self.decay_steps)
