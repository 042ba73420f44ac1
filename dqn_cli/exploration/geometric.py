"""Epsilon multiplied by a factor after every episode: max(end, start * factor^(episode - 1))."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dqn_cli.exploration.epsilon_greedy import EpsilonGreedy
from dqn_cli.types import Fraction


class Geometric(EpsilonGreedy):
    """Each lane by the number of its own open episode: long episodes explore no less."""

    def __init__(self, *, start: Fraction, end: Fraction, factor: Fraction) -> None:
        self.start = start
        self.end = end
        self.factor = factor

    def epsilon(self, step: int, episode: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array(
            [max(self.end, self.start * self.factor ** (e - 1)) for e in episode.tolist()]
        )
