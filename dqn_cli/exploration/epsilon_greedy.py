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
        chance, choice = uniform.T
        action: NDArray[np.int64] = (choice * actions).astype(np.int64)
        greedy = chance >= self.epsilon(step, episode)
        if greedy.any():
            action[greedy] = q().argmax(-1)[greedy]
        return action
