"""Environments in a row are Gymnasium's own, to the last bit."""

import sys
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import AcrobotEnv, CartPoleEnv, MountainCarEnv
from gymnasium.wrappers import TimeLimit

from dqn_cli.env import acrobot, cartpole, mountaincar
from dqn_cli.env.acrobot import AcrobotRow
from dqn_cli.env.cartpole import CartPoleRow
from dqn_cli.env.gym import Gym
from dqn_cli.env.gym_row import GymRow
from dqn_cli.env.mountaincar import MountainCarRow
from dqn_cli.kernels.jit import jit

# Of each, a limit and a policy by which some episodes reach the end and some the limit.
ENVS: dict[str, tuple[type, int, Callable[[Any], Any]]] = {
    "CartPole-v1": (CartPoleRow, 50, lambda obs: obs[:, 2] + obs[:, 3] > 0),
    "Acrobot-v1": (AcrobotRow, 100, lambda obs: 2 * (obs[:, 4] < 0)),
    "MountainCar-v0": (MountainCarRow, 150, lambda obs: 2 * (obs[:, 1] > 0)),
}


def gym(id: str = "CartPole-v1", **kwargs: object) -> Gym:
    return Gym(id=id, import_=None, wrappers=[], kwargs=kwargs)


@pytest.fixture(params=["compiled", "plain"])
def numba(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "compiled":
        pytest.importorskip("numba")
        return
    monkeypatch.setitem(sys.modules, "numba", None)
    for module in (acrobot, cartpole, mountaincar):
        for name, function in list(vars(module).items()):
            if hasattr(function, "__wrapped__"):  # maybe compiled by an earlier test
                monkeypatch.setattr(module, name, jit(function.__wrapped__))


@pytest.mark.parametrize("n", [1, 12])
@pytest.mark.parametrize("id", ENVS)
def test_a_row_equals_single_environments(numba: None, id: str, n: int) -> None:
    kind, limit, policy = ENVS[id]
    made = gym(id, max_episode_steps=limit)
    envs, draw = made.make(n), np.random.default_rng(n)
    assert isinstance(envs, kind)
    singles = [gymnasium.make(id, max_episode_steps=limit) for _ in range(n)]
    rows, ends, seeds = np.arange(n), [0, 0], iter(range(10**6))

    def reset(row: int) -> Any:
        seed = next(seeds)
        ours, (theirs, _) = envs.reset(row, seed), singles[row].reset(seed=seed)
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        assert ours.tobytes() == theirs.tobytes()
        return ours

    obs = np.stack([reset(row) for row in range(n)])
    for time in range(700 if n == 12 else 3000):
        noisy = draw.random(n) < np.where((rows + time // 200) % 3, 0.7, 0.02)
        action = np.where(noisy, draw.integers(made.space.actions, size=n), policy(obs))
        stepped = np.flatnonzero(draw.random(n) < 0.8)
        draw.shuffle(stepped)
        ours = envs.step(stepped, action[stepped])
        for i, row in enumerate(stepped.tolist()):
            seen, reward, *ended, _ = singles[row].step(action[row])
            assert seen.tobytes() == ours[0][i].tobytes()
            assert [part[i].item() for part in ours[1:]] == [reward, *ended]
            # Most differences in the last bit of a state do not show in float32.
            assert np.array(singles[row].unwrapped.state).tobytes() == envs.state[:, row].tobytes()
            obs[row] = seen
            ends[0] += ended[0]
            ends[1] += ended[1]
            if any(ended):
                obs[row] = reset(row)
        assert [part.dtype for part in ours] == [np.float32, np.float64, np.bool_, np.bool_]
        assert ours[0].flags.c_contiguous
    assert min(ends) >= 3, ends


# States beyond those that episodes reach: bounds, walls and more than one turn.
SCALES = {
    "CartPole-v1": [4, 3, 0.4, 3],
    "Acrobot-v1": [8, 8, 20, 40],
    "MountainCar-v0": [1.3, 0.08],
}


@pytest.mark.parametrize("id", ENVS)
def test_a_step_from_any_state_is_the_same(numba: None, id: str) -> None:
    made, n, draw = gym(id), 2000, np.random.default_rng(0)
    envs, single, rows = made.make(n), gymnasium.make(id), np.arange(n)
    envs.state[:] = draw.uniform(-1, 1, envs.state.shape) * np.array(SCALES[id])[:, None]
    before, action = envs.state.copy(), draw.integers(made.space.actions, size=n)
    obs, reward, terminated, _ = envs.step(rows, action)
    for row in range(n):
        single.reset(seed=0)
        single.unwrapped.state = before[:, row].copy()
        seen, value, ended, *_ = single.step(action[row])
        assert np.array(single.unwrapped.state).tobytes() == envs.state[:, row].tobytes()
        assert seen.tobytes() == obs[row].tobytes()
        assert (value, ended) == (reward[row], terminated[row])


def test_the_old_limit_is_the_old_environment_s() -> None:
    with pytest.warns(DeprecationWarning, match="out of date"):
        assert gym("CartPole-v0").make(1).limit == 200


@pytest.mark.parametrize("id", ENVS)
def test_what_a_step_returned_stays_as_it_was(id: str) -> None:
    envs, one = gym(id).make(2), np.zeros(1, np.int64)
    for row in range(2):
        envs.reset(row, row)
    first = envs.step(one, one)
    copies = [part.tobytes() for part in first]
    envs.step(one, one + 1)
    envs.reset(0, 5)
    assert [part.tobytes() for part in first] == copies


@pytest.mark.parametrize("id", ENVS)
def test_only_the_rows_named_are_stepped(id: str) -> None:
    envs = gym(id).make(3)
    for row in range(3):
        envs.reset(row, row)
    before = envs.state.copy()
    envs.step(np.array([2, 0]), np.array([1, 0]))
    changed = (envs.state != before).any(axis=0)
    assert changed.tolist() == [True, False, True]
    assert envs.length.tolist() == [1, 0, 1]


@pytest.mark.parametrize("id", ENVS)
def test_it_is_used_where_it_is_the_same_thing(id: str) -> None:
    assert gym(id).together
    assert isinstance(gym(id).make(30), ENVS[id][0])
    assert isinstance(gym(id).make(1), ENVS[id][0])
    assert isinstance(gym(id).make(30, render=True), GymRow)
    assert not isinstance(
        gym("CliffWalking-v1").make(30), tuple(kind for kind, _, _ in ENVS.values())
    )


def registered(name: str, entry: Any, **kwargs: Any) -> Gym:
    gymnasium.register(f"dqn_cli_tests/{name}-v0", entry, **kwargs)
    return gym(f"dqn_cli_tests/{name}-v0")


@pytest.mark.parametrize("base", [CartPoleEnv, AcrobotEnv, MountainCarEnv])
def test_a_user_s_own_is_not_taken_for_it(base: Any) -> None:
    name = base.__name__
    assert registered(f"Same{name}", base).together
    assert not registered(f"Sub{name}", type("Sub", (base,), {})).together

    def changed(attribute: str, value: Any) -> Any:
        def made() -> Any:
            env = base()
            setattr(env, attribute, value)
            return env

        return made

    for i, (attribute, value) in enumerate(
        [
            *[("gravity", 1.0), ("force", 2.0), ("force_mag", 3.0), ("LINK_MASS_1", 2.0)],
            *[("kinematics_integrator", "exact"), ("book_or_nips", "nips"), ("goal_velocity", 0.1)],
            *[("torque_noise_max", 0.1), ("step", lambda action: None)],
        ]
    ):
        assert not registered(f"Other{i}{name}", changed(attribute, value)).together


@pytest.mark.parametrize(
    ("attribute", "value"), [("book_or_nips", "nips"), ("torque_noise_max", 1)]
)
def test_an_acrobot_of_other_equations_is_not_taken_for_it(
    monkeypatch: pytest.MonkeyPatch, attribute: str, value: Any
) -> None:
    monkeypatch.setattr(AcrobotEnv, attribute, value)
    assert not gym("Acrobot-v1").together


def test_wrappers_and_arguments_of_a_registration_are_not_passed_over() -> None:
    class Negated(gymnasium.RewardWrapper):
        def reward(self, reward: float) -> float:
            return -reward

    class Longer(TimeLimit):
        pass

    for name, entry, kwargs in (
        ("Negated", lambda **keys: Negated(CartPoleEnv(**keys)), {}),
        ("Longer", lambda **keys: Longer(CartPoleEnv(**keys), 9), {}),
        ("Sutton", CartPoleEnv, {"sutton_barto_reward": True}),
        ("OwnSutton", lambda **keys: CartPoleEnv(sutton_barto_reward=True, **keys), {}),
    ):
        assert isinstance(registered(name, entry, kwargs=kwargs).make(30), GymRow)


def test_the_smallest_of_several_limits_holds() -> None:
    limits = [
        {"_target_": "gymnasium.wrappers.TimeLimit", "max_episode_steps": limit}
        for limit in (7, 600)
    ]
    made = Gym(id="CartPole-v1", import_=None, wrappers=limits, kwargs={})
    assert made.together
    assert made.make(1).limit == 7
    assert registered("Endless", CartPoleEnv).make(1).limit > 10**9
