"""Epsilon-greedy: a random action with probability epsilon, else the best one (Watkins 1989).

A schedule is a subclass that says what epsilon is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


class EpsilonGreedy(ABC):
    @abstractmethod
    def epsilon(self, step: int, episode: NDArray[np.int64]) -> float | NDArray[np.float64]:
        """The probability of a random action after `step` env steps (per seed), in the open
        `episode` [S] of each lane, counted from 1: one for all lanes, or [S]."""

    def act(
        self,
        q: Callable[[], NDArray[np.float32]],
        actions: int,
        uniform: NDArray[np.float64],
        step: int,
        episode: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        action: NDArray[np.int64] = (uniform[:, 1] * actions).astype(np.int64)
        greedy = uniform[:, 0] >= self.epsilon(step, episode)
        if np.count_nonzero(greedy):  # several times as fast as `any`
            action = np.where(greedy, q().argmax(-1), action)
        return action
