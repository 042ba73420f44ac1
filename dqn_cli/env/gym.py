"""Any Gymnasium environment with a discrete action space and an observation of fixed size.

What an environment returns is checked here, once, as it comes in: it is what was declared, or one
line says what was declared and what came.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from dqn_cli import code
from dqn_cli.env.acrobot import AcrobotRow
from dqn_cli.env.cartpole import CartPoleRow
from dqn_cli.env.mountaincar import MountainCarRow
from dqn_cli.env.row import Row
from dqn_cli.env.spaces import FLOAT, LARGEST, encoder, kind_of
from dqn_cli.types import EnvError, Envs, Learned, Rehearsal, Space, Step

FPS = 30.0  # of an environment that names none
INSIDE = "dqn_cli.inside"  # what `Inside` notes in an info
REHEARSED = 8  # steps in which an environment shows whether it repeats itself


def one_line(text: object) -> str:
    return " ".join(str(text).split())


def named(error: Exception) -> str:
    """The exception in one line, its kind first."""
    return f"{type(error).__name__}: {one_line(error)}".removesuffix(": ")


def register(module: str) -> None:
    """Import a module that registers environments, as `package` or `package:function` to call."""
    name, _, function = module.partition(":")
    try:
        imported = code.load(name)
        if function:
            getattr(imported, function)()
    except Exception as error:  # the module's own code may raise anything
        missing = isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]
        where = ", neither installed nor in the current folder" if missing else ""
        raise ValueError(f"import={module}: {one_line(error)}{where}") from error


def row_for(env: gymnasium.Env[Any, Any]) -> type[Row] | None:
    """The row that steps many of this environment as one, if there is one."""
    kinds = CartPoleRow, AcrobotRow, MountainCarRow
    return next((kind for kind in kinds if kind.stands_for(env)), None)


class Gym:
    """Makes the environment `id`, in `wrappers`, the first one innermost; ValueError if it is
    unknown or not of a kind DQN can play."""

    def __init__(
        self,
        *,
        id: code.EnvId,
        import_: code.Module | None,
        wrappers: code.Wrappers,
        kwargs: code.EnvKwargs,
    ) -> None:
        self.id = id
        self.kwargs = kwargs
        if import_ is not None:
            register(import_)
        self.wrappers = [wrapper(number, keys) for number, keys in enumerate(wrappers)]
        try:
            env = self.one()
            self.observed, acted = env.observation_space, env.action_space
        except Exception as error:  # so may the environment's
            hint = "; env.import=MODULE imports the package that registers it"
            unknown = isinstance(error, gymnasium.error.UnregisteredEnv) and import_ is None
            raise ValueError(f"id={id}: {one_line(error)}{hint if unknown else ''}") from error
        if not isinstance(acted, Discrete):
            raise ValueError(
                f"id={id}: its action space is {one_line(acted)}, DQN needs a Discrete one"
            )
        try:
            self.encode = encoder(self.observed)
        except ValueError as error:
            raise ValueError(
                f"id={id}: its observation space is {one_line(self.observed)}, needed is a Box, "
                f"Discrete, MultiBinary, MultiDiscrete, or a Dict or Tuple of them: {error}"
            ) from error
        self.acted = acted
        self.space = Space(self.encode.shape, self.encode.dtype, int(acted.n), self.encode.high)
        self.threshold = env.spec.reward_threshold if env.spec else None
        self.max_steps = env.spec.max_episode_steps if env.spec else None
        self.row = row_for(env)
        self.together = self.row is not None
        fps = env.metadata.get("render_fps")
        self.fps = fps if isinstance(fps, int | float) and 0.1 <= fps < math.inf else FPS
        self.observation = self.encode.text
        self.notes = [f"environment {id}: {n}" for n in [*self.encode.notes, *closed([env])]]

    def make(self, rows: int, render: bool = False) -> Envs:
        """`rows` environments; with `render`, frames can be asked of them."""
        if render:
            return GymRow(self, rows, {"render_mode": "rgb_array"})
        if self.row:
            return self.row(self.one(), rows)
        return GymRow(self, rows, {})

    def one(self, **extra: Any) -> gymnasium.Env[Any, Any]:
        if ":" in self.id:
            code.load(self.id.partition(":")[0])  # Gymnasium would not look in the current folder
        env = gymnasium.make(self.id, disable_env_checker=True, **{**self.kwargs, **extra})
        if self.wrappers and row_for(env) is None:  # a row's own says nothing of what is learned
            env = Inside(env)
        for wrap in self.wrappers:
            env = wrap(env)
        return env

    def action(self, number: int) -> np.integer[Any]:
        found: np.integer[Any] = self.acted.dtype.type(number + self.acted.start)
        return found

    def rehearse(self) -> Rehearsal:
        """What cannot be promised of this environment, seen by playing the first steps of one
        episode twice."""
        row, where = GymRow(self, 1, {}), np.zeros(1, np.int64)

        def play() -> tuple[list[Step], list[bytes]]:
            """The steps as they are learned from, and all that was seen."""
            obs = row.reset(0, 0)[None]
            steps, seen = [], [obs.tobytes()]
            for number in range(REHEARSED):
                action = where + number % self.space.actions
                found = row.step(where, action)
                seen += [part.tobytes() for part in found]
                next_obs, reward, terminated, truncated = found
                worth, *ends = row.learned or (reward, terminated, truncated)
                steps.append(Step(obs, action, worth, next_obs, *ends))
                obs = next_obs
                if terminated | truncated:
                    break
            return steps, seen

        try:
            (steps, first), (_, second) = play(), play()
        except EnvError:
            row.close()
            raise
        notes = []
        if first != second:
            notes.append(
                "the same seed and actions lead elsewhere: a rerun, resume and dqn-play "
                "--scored do not give the same scores"
            )
        largest = max(np.abs(obs).max(initial=0) for step in steps for obs in (step[0], step[3]))
        if self.space.obs_dtype == FLOAT and largest >= LARGEST:
            notes.append(
                f"observations reach {largest:.4g}, where float32 has only one number in "
                f"{np.spacing(np.float32(largest)):g}: scale them (env.wrappers)"
            )
        notes = [f"environment {self.id}: {note}" for note in [*notes, *row.close()]]
        rewards = [float(step.reward[0]) for step in steps]
        return Rehearsal(notes, (min(rewards), max(rewards)), steps)


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


def wrapper(number: int, keys: dict[str, Any]) -> functools.partial[Any]:
    """The wrapper that keys with a `_target_` describe, to be called with an environment."""
    arguments = dict(keys)
    target = arguments.pop("_target_", None)
    try:
        return functools.partial(code.attribute(str(target)), **arguments)
    except Exception as error:  # the module's own code may raise anything
        raise ValueError(
            f"wrappers.{number}={keys}: expected _target_: MODULE.CLASS and its arguments: "
            f"{one_line(error)}"
        ) from error


def closed(envs: list[Any]) -> list[str]:
    """What went wrong as these were closed."""
    problems = []
    for env in envs:
        try:
            env.close()
        except Exception as error:  # the environment's own code may raise anything
            problems.append(f"close() failed: {named(error)}")
    return list(dict.fromkeys(problems))


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
