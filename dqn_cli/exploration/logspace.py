"""Epsilon along evenly spaced powers of ten (Berta 2025): fast at first, and it arrives.

epsilon(t) = end + (start - end) * (10^(-2 t / (n - 1)) - 10^-2) / (1 - 10^-2),   t < n
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dqn_cli.exploration.epsilon_greedy import EpsilonGreedy
from dqn_cli.types import Count, Fraction


class Logspace(EpsilonGreedy):
    """start at env step 0, end from step n - 1 on; n is decay_steps."""

    def __init__(self, *, start: Fraction, end: Fraction, decay_steps: Count) -> None:
        self.start = start
        self.end = end
        self.decay_steps = decay_steps

    def epsilon(self, step: int, episode: NDArray[np.int64]) -> float:
        if step >= self.decay_steps - 1:
            return self.end
        left: float = (10 ** (-2 * step / (self.decay_steps - 1)) - 0.01) / 0.99
        return self.end + (self.start - self.end) * left
