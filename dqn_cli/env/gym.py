"""Any Gymnasium environment with a vector observation and a discrete action space."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.spaces import Box, Discrete
from gymnasium.wrappers import OrderEnforcing, TimeLimit
from numpy.typing import NDArray

from dqn_cli.env.cartpole import CartPoleRow
from dqn_cli.types import EnvError, Envs, Space

TOGETHER = 4  # CartPoles from which on stepping them together is quicker


def one_line(text: object) -> str:
    return " ".join(str(text).split())


def named(error: Exception) -> str:
    """The exception in one line, its kind first."""
    return f"{type(error).__name__}: {one_line(error)}".removesuffix(": ")


def register(module: str) -> None:
    """Import a module that registers environments, as `package` or `package:function` to call."""
    name, _, function = module.partition(":")
    try:
        imported = importlib.import_module(name)
        if function:
            getattr(imported, function)()
    except Exception as error:  # the module's own code may raise anything
        raise ValueError(f"import={module}: {one_line(error)}") from error


def is_cartpole(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether it is Gymnasium's CartPole as it comes, with no arguments and no wrapper beside
    Gymnasium's own."""
    if env.spec is None or env.spec.kwargs:
        return False
    while isinstance(env, TimeLimit | OrderEnforcing):
        env = env.env
    return type(env) is CartPoleEnv


class Gym:
    """Makes the environment `id`; ValueError if it is unknown or not of a kind DQN can play."""

    def __init__(self, *, id: str, import_: str | None, kwargs: dict[str, Any]) -> None:
        self.id = id
        self.kwargs = kwargs
        if import_ is not None:
            register(import_)
        try:
            env = self.one()
        except Exception as error:  # so may the environment's
            raise ValueError(f"id={id}: {one_line(error)}") from error
        observed, acted = env.observation_space, env.action_space
        if not isinstance(acted, Discrete):
            raise ValueError(
                f"id={id}: its action space is {one_line(acted)}, DQN needs a Discrete one"
            )
        if not isinstance(observed, Box) or observed.dtype not in (
            np.dtype(np.float32),
            np.dtype(np.float64),
            np.dtype(np.uint8),
        ):
            raise ValueError(
                f"id={id}: its observation space is {one_line(observed)}, "
                "needed is a Box of floats or bytes"
            )
        self.first_action = int(acted.start)
        kind = np.uint8 if observed.dtype == np.uint8 else np.float32
        self.space = Space(observed.shape, np.dtype(kind), int(acted.n))
        self.threshold = env.spec.reward_threshold if env.spec else None
        self.cartpole = is_cartpole(env)
        env.close()

    def make(self, rows: int, render: bool = False) -> Envs:
        """`rows` environments; with `render`, frames can be asked of them."""
        if render:
            return GymRow(self, rows, {"render_mode": "rgb_array"})
        if rows >= TOGETHER and self.cartpole:
            return CartPoleRow(self.one(), rows)
        return GymRow(self, rows, {})

    def one(self, **extra: Any) -> gymnasium.Env[Any, Any]:
        return gymnasium.make(self.id, disable_env_checker=True, **{**self.kwargs, **extra})


class GymRow:
    """Environments side by side, stepped one after another; each is made at its first reset."""

    def __init__(self, maker: Gym, rows: int, mode: dict[str, Any]) -> None:
        self.id = maker.id
        self.space = maker.space
        self.first_action = maker.first_action
        self.make = functools.partial(maker.one, **mode)
        self.envs: list[Any] = [None] * rows

    def reset(self, row: int, seed: int) -> NDArray[Any]:
        try:
            if self.envs[row] is None:
                self.envs[row] = self.make()
            obs, _ = self.envs[row].reset(seed=seed)
        except Exception as error:
            raise EnvError(row, named(error)) from error
        return np.array(obs, self.space.obs_dtype)

    def step(
        self, rows: NDArray[np.int64], action: NDArray[np.int64]
    ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        chosen = (action + self.first_action).tolist()
        told: list[Any] = []
        try:
            for row, a in zip(rows.tolist(), chosen, strict=True):
                told.append(self.envs[row].step(a))
        except Exception as error:
            raise EnvError(int(rows[len(told)]), named(error)) from error
        obs, reward, terminated, truncated, _ = zip(*told, strict=True)
        return (
            np.array(obs, self.space.obs_dtype),
            np.array(reward, np.float64),
            np.array(terminated, np.bool_),
            np.array(truncated, np.bool_),
        )

    def frame(self, row: int) -> NDArray[np.uint8]:
        """What a person would see of it now, [height, width, 3]; ValueError if it cannot draw."""
        try:
            return np.asarray(self.envs[row].render(), np.uint8)
        except Exception as error:  # the environment's own code may raise anything
            raise ValueError(f"id={self.id}: it cannot be drawn: {one_line(error)}") from error

    def close(self) -> None:
        for env in self.envs:
            if env is not None:
                env.close()
