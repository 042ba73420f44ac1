"""Epsilon that stays where it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dqn_cli.exploration.epsilon_greedy import EpsilonGreedy
from dqn_cli.types import Fraction


class Constant(EpsilonGreedy):
    def __init__(self, *, start: Fraction) -> None:
        self.start = start

    def epsilon(self, step: int, episode: NDArray[np.int64]) -> float:
        return self.start
