"""Gymnasium's environments side by side, and what they return, checked once as it comes in: it is
what was declared, or one line says what was declared and what came.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from dqn_cli.env.spaces import FLOAT, kind_of
from dqn_cli.types import EnvError, Learned

if TYPE_CHECKING:
    from dqn_cli.env.gym import Gym

INSIDE = "dqn_cli.inside"  # what `Inside` notes in an info


class GymRow:
    """Environments side by side, stepped one after another; each is made at its first reset."""

    def __init__(self, maker: Gym, rows: int, mode: dict[str, Any]) -> None:
        self.id = maker.id
        self.space = maker.space
        self.observed = maker.observed
        self.encode = maker.encode
        self.acted = maker.acted
        self.make = functools.partial(maker.one, **mode)
        self.envs: list[Any] = [None] * rows
        self.learned: Learned | None = None

    def reset(self, row: int, seed: int) -> NDArray[Any]:
        try:
            if self.envs[row] is None:
                self.envs[row] = self.make()
            given = self.envs[row].reset(seed=seed)
        except Exception as error:
            raise EnvError(row, named(error)) from error
        try:
            pair = isinstance(given, tuple) and len(given) == 2
            if not (pair and isinstance(given[1], Mapping | None)):
                raise ValueError(f"{kind_of(given)}, expected (observation, info)")
            obs = np.empty((1, *self.space.obs_shape), self.space.obs_dtype)
            self._observe(given[0], obs)
        except ValueError as error:
            raise EnvError(row, f"reset gave {error}") from error
        first: NDArray[Any] = obs[0]
        return first

    def step(
        self, rows: NDArray[np.int64], action: NDArray[np.int64]
    ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        chosen = (action + self.acted.start).astype(self.acted.dtype)
        obs = np.empty((len(rows), *self.space.obs_shape), self.space.obs_dtype)
        reward = np.empty(len(rows))
        ended = np.empty((2, len(rows)), np.bool_)
        learned: dict[int, tuple[float, bool]] = {}
        for i, row in enumerate(rows.tolist()):
            try:
                given = self.envs[row].step(chosen[i])
            except Exception as error:
                raise EnvError(row, named(error)) from error
            try:
                if not (isinstance(given, tuple) and len(given) == 5):
                    raise ValueError(
                        f"{kind_of(given)}, "
                        "expected (observation, reward, terminated, truncated, info)"
                    )
                self._observe(given[0], obs[i : i + 1])
                reward[i] = number(given[1])
                ended[0, i] = truth(given[2], "terminated")
                ended[1, i] = truth(given[3], "truncated")
                info = given[4]
                if not isinstance(info, dict | Mapping | None):
                    raise ValueError(f"an info that is {kind_of(info)}, expected a dictionary")
                if info and "replay" in info:
                    learned[i] = replayed(info["replay"])
                    if INSIDE in info:
                        check_inside(info, float(reward[i]), bool(ended[0, i]))
            except ValueError as error:
                raise EnvError(row, f"step gave {error}") from error
        self.learned = None
        if learned:
            worth, end = reward.copy(), ended[0].copy()
            for i, said in learned.items():
                worth[i], end[i] = said
            self.learned = worth, end, (ended[0] | ended[1]) & ~end
        return obs, reward, ended[0], ended[1]

    def _observe(self, given: Any, obs: NDArray[Any]) -> None:
        """What an environment gave, checked, into obs [1, *obs]."""
        usual = type(given) is np.ndarray and given.dtype == self.encode.usual
        if usual and given.shape == self.space.obs_shape:
            obs[0] = given
            # Any nan or infinity makes the sum of squares one.
            if self.space.obs_dtype != FLOAT or math.isfinite(np.vdot(obs, obs)):
                return
        try:
            obs[0] = self.encode(given)
        except ValueError as error:
            raise ValueError(
                f"an observation {error} where {one_line(self.observed)} is declared"
            ) from error

    def frame(self, row: int) -> NDArray[np.uint8]:
        """What a person would see of it now, [height, width, 3]; ValueError if it cannot draw."""
        try:
            return np.asarray(self.envs[row].render(), np.uint8)
        except Exception as error:  # the environment's own code may raise anything
            raise ValueError(f"id={self.id}: it cannot be drawn: {one_line(error)}") from error

    def close(self) -> list[str]:
        return closed([env for env in self.envs if env is not None])


class Inside(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Notes, below the wrappers of a run, what they are given of a step whose info says what is
    learned: a wrapper that changes the one and not the other would have no effect on learning."""

    def step(self, action: Any) -> Any:
        given = self.env.step(action)
        match given:
            case (_, reward, terminated, _, {"replay": learned, **info}):
                noted = {**info, "replay": learned, INSIDE: (reward, terminated, learned)}
                return *given[:4], noted
        return given


def check_inside(info: Mapping[str, Any], reward: float, terminated: bool) -> None:
    """ValueError if wrappers changed a step's reward or `terminated`, and not what is learned."""
    before, ended, learned = info[INSIDE]
    given, found = (number(before), truth(ended, "terminated")), (reward, terminated)
    if found != given and info["replay"] == learned:
        raise ValueError(
            f"(reward, terminated) as {found}, which env.wrappers made of {given}, but what is "
            f"learned is info['replay'], still {learned}: a wrapper has to change that, too"
        )


def number(value: Any) -> float:
    """A reward; a one-element array is taken as its number."""
    if type(value) is float and math.isfinite(value):
        return value
    if value is None or isinstance(value, str | bytes | complex):
        raise ValueError(f"the reward {value!r}, expected a number")
    try:
        found = float(value.item() if isinstance(value, np.ndarray) else value)
    except Exception:
        raise ValueError(f"a reward that is {kind_of(value)}, expected a number") from None
    if not math.isfinite(found):
        raise ValueError(f"the reward {found}, expected a finite number")
    return found


def truth(value: Any, name: str) -> bool:
    """`terminated` or `truncated`; 0 and 1 will do."""
    if value is True or value is False:
        return value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_ | int | np.integer) and value in (0, 1):
        return bool(value)
    what = repr(value) if isinstance(value, int | float | str) else kind_of(value)
    raise ValueError(f"{name} that is {what}, expected True or False")


def replayed(value: Any) -> tuple[float, bool]:
    """What an environment's info has replay hold in place of the reward and `terminated`."""
    if not (isinstance(value, tuple) and len(value) == 2):
        raise ValueError(f"info['replay'] that is {kind_of(value)}, expected (reward, terminated)")
    return number(value[0]), truth(value[1], "info['replay'][1]")


def closed(envs: list[Any]) -> list[str]:
    """What went wrong as these were closed."""
    problems = []
    for env in envs:
        try:
            env.close()
        except Exception as error:  # the environment's own code may raise anything
            problems.append(f"close() failed: {named(error)}")
    return list(dict.fromkeys(problems))


def one_line(text: object) -> str:
    return " ".join(str(text).split())


def named(error: Exception) -> str:
    """The exception in one line, its kind first."""
    return f"{type(error).__name__}: {one_line(error)}".removesuffix(": ")
