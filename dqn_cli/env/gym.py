"""Any Gymnasium environment with a discrete action space and an observation of fixed size."""

from __future__ import annotations

import functools
import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete

from dqn_cli import code
from dqn_cli.env.acrobot import AcrobotRow
from dqn_cli.env.cartpole import CartPoleRow
from dqn_cli.env.gym_row import GymRow, Inside, closed, one_line
from dqn_cli.env.mountaincar import MountainCarRow
from dqn_cli.env.row import Row
from dqn_cli.env.spaces import FLOAT, LARGEST, encoder
from dqn_cli.types import EnvError, Envs, Rehearsal, Space, Step

FPS = 30.0  # of an environment that names none
REHEARSED = 8  # steps in which an environment shows whether it repeats itself


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
