"""Many environments of one kind, their states in one array: Gymnasium's own to the last bit.

A step of Gymnasium's costs as much as a small network's action, most of it for checks and wrappers.
Here the arithmetic is compiled where numba is installed. Sines and cosines stay with the library
that Gymnasium computes them by, NumPy or Python, since libraries differ in the last bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import OrderEnforcing, TimeLimit
from numpy.typing import NDArray

from dqn_cli.types import Learned

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Stepped = tuple[NDArray[np.float32], Floats, Bools, Bools]
NEVER = 2**62  # steps


class Row(ABC):
    """`rows` environments as `env` is one: constants and time limit are read from it."""

    kind: type[gymnasium.Env[Any, Any]]  # Gymnasium's class
    size = 4  # numbers in a state
    names: tuple[str, ...]  # of the constants
    learned: Learned | None = None

    def __init__(self, env: gymnasium.Env[Any, Any], rows: int) -> None:
        assert self.stands_for(env)
        self.one: Any = env.unwrapped
        self.constants = tuple(float(getattr(self.one, name)) for name in self.names)
        self.limit = min([NEVER, *limits(env)])
        self.state = np.zeros((self.size, rows))
        self.length = np.zeros(rows, np.int64)

    @classmethod
    def stands_for(cls, env: gymnasium.Env[Any, Any]) -> bool:
        """Whether it is Gymnasium's own as it comes: no attribute changed, by an argument or
        otherwise, and no wrapper except Gymnasium's own for order and time."""
        while type(env) in (TimeLimit, OrderEnforcing):
            env = env.env  # type: ignore[attr-defined]
        if type(env) is not cls.kind:
            return False
        attributes = {name: value for name, value in vars(env).items() if name != "spec"}
        return repr(attributes) == repr(vars(cls.kind()))

    def reset(self, row: int, seed: int) -> NDArray[np.float32]:
        first = self.first(np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed))))
        self.state[:, row] = first
        self.length[row] = 0
        return self.observed(first)

    @abstractmethod
    def step(self, rows: Ints, action: Ints) -> Stepped:
        """As Envs has it."""

    @abstractmethod
    def first(self, random: np.random.Generator) -> NDArray[Any]:
        """The state [size] that an episode begins in, of Gymnasium's type."""

    def observed(self, state: NDArray[Any]) -> NDArray[np.float32]:
        """The observation of a state [size]."""
        return state.astype(np.float32)

    def frame(self, row: int) -> NDArray[np.uint8]:
        raise NotImplementedError("this row is for numbers; a Gym row draws")

    def close(self) -> list[str]:
        """There is nothing to close."""
        return []


def limits(env: Any) -> list[int]:
    """The limits of every TimeLimit around it."""
    found = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, TimeLimit):
            found.append(env._max_episode_steps)
        env = env.env
    return found
