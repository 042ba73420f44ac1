"""CartPoles in a row are Gymnasium's CartPole, to the last bit."""

import gymnasium
import numpy as np
import pytest

from dqn_cli.env.cartpole import CartPoleRow
from dqn_cli.env.gym import Gym, GymRow


def gym(id: str = "CartPole-v1", **kwargs: object) -> Gym:
    return Gym(id=id, import_=None, wrappers=[], kwargs=kwargs)


@pytest.mark.parametrize("few", [0, 12])
def test_a_row_equals_single_environments(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    """As arrays and one by one. A policy that balances for a while: some 500 episodes, of which
    some reach the limit."""
    monkeypatch.setattr("dqn_cli.env.cartpole.FEW", few)
    envs, singles = CartPoleRow(gym().one(), 12), GymRow(gym(), 12, {})
    rows, draw = np.arange(12), np.random.default_rng(0)
    obs = np.stack([envs.reset(row, row) for row in range(12)])
    for row in range(12):
        assert np.array_equal(singles.reset(row, row), obs[row])
    ends, next_seed = [0, 0], 12
    for _ in range(2000):
        noise = np.where(rows % 3, draw.standard_normal(12), 0.0)
        action = (obs[:, 2] + obs[:, 3] + 0.05 * noise > 0).astype(np.int64)
        ours, theirs = envs.step(rows, action), singles.step(rows, action)
        for mine, other in zip(ours, theirs, strict=True):
            assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
            assert mine.tobytes() == other.tobytes()
        obs, _, terminated, truncated = ours
        ends[0] += terminated.sum()
        ends[1] += truncated.sum()
        for row in np.flatnonzero(terminated | truncated):
            obs[row] = envs.reset(int(row), next_seed)
            assert np.array_equal(singles.reset(int(row), next_seed), obs[row])
            next_seed += 1
    assert min(ends) > 10


def test_only_the_rows_named_are_stepped() -> None:
    envs = CartPoleRow(gym().one(), 3)
    for row in range(3):
        envs.reset(row, row)
    before = envs.state.copy()
    envs.step(np.array([2, 0]), np.array([1, 0]))
    assert np.array_equal(envs.state[:, 1], before[:, 1])
    assert envs.length.tolist() == [1, 0, 1]
    assert envs.state[1, 2] > before[1, 2] and envs.state[1, 0] < before[1, 0]  # pushed


def test_it_is_used_where_it_is_the_same_thing() -> None:
    assert isinstance(gym().make(30), CartPoleRow)
    assert isinstance(gym().make(1), CartPoleRow)
    assert isinstance(gym().make(30, render=True), GymRow)
    assert isinstance(gym(sutton_barto_reward=True).make(30), GymRow)
    assert isinstance(gym("Acrobot-v1").make(30), GymRow)


def test_a_cartpole_of_the_user_s_own_is_not_taken_for_it() -> None:
    base = gymnasium.envs.classic_control.CartPoleEnv
    gymnasium.register("dqn_cli_tests/Heavy-v0", type("Heavy", (base,), {}))
    assert isinstance(gym("dqn_cli_tests/Heavy-v0").make(30), GymRow)


def test_wrappers_and_arguments_of_a_registration_are_not_passed_over() -> None:
    base = gymnasium.envs.classic_control.CartPoleEnv

    class Negated(gymnasium.RewardWrapper):
        def reward(self, reward: float) -> float:
            return -reward

    gymnasium.register("dqn_cli_tests/Negated-v0", lambda **keys: Negated(base(**keys)))
    gymnasium.register("dqn_cli_tests/Sutton-v0", base, kwargs={"sutton_barto_reward": True})
    for id in ("Negated", "Sutton"):
        assert isinstance(gym(f"dqn_cli_tests/{id}-v0").make(30), GymRow)
