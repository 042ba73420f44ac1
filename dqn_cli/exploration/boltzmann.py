"""Boltzmann exploration (Sutton & Barto 2018, section 2.8): actions by the softmax of their values.

P(a) = exp(Q(s, a) / temperature) / sum_b exp(Q(s, b) / temperature)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dqn_cli import maths
from dqn_cli.types import Count, Positive


class Boltzmann:
    """The temperature, in the units of the return, goes from start to end on a straight line over
    decay_steps env steps."""

    def __init__(self, *, start: Positive, end: Positive, decay_steps: Count) -> None:
        self.start = start
        self.end = end
        self.decay_steps = decay_steps

    def epsilon(self, step: int, episode: NDArray[np.int64]) -> None:
        """There is none."""

    def act(
        self,
        q: Callable[[], NDArray[np.float32]],
        actions: int,
        uniform: NDArray[np.float64],
        step: int,
        episode: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        temperature = maths.linear(self.start, self.end, step / self.decay_steps)
        scores = q().astype(np.float64) / temperature
        weight = np.exp(scores - scores.max(-1, keepdims=True))
        running = weight.cumsum(-1)
        mass = uniform[:, :1] * running[:, -1:]
        action: NDArray[np.int64] = (running[:, :-1] <= mass).sum(-1)
        return action
