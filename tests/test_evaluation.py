from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.env.gym import Gym
from dqn_cli.evaluation import evaluation_seeds, greedy_returns
from dqn_cli.network.mlp import MLP
from dqn_cli.seeding import episode_seed

SEEDS = [[1, 2, 3], [4, 5, 6], [1, 2, 3], [7, 8, 9]]  # of four networks, three episodes each


@pytest.fixture
def cartpole() -> Gym:
    return Gym(id="CartPole-v1", import_=None, wrappers=[], kwargs={"max_episode_steps": 60})


class Recorder:
    """A network that keeps the Q-values it gave under each row of parameters."""

    def __init__(self, network: MLP) -> None:
        self.network = network
        self.given: dict[float, list[Tensor]] = {}

    def __call__(self, params: Tensor, obs: Tensor) -> Tensor:
        q = self.network(params, obs)
        for row, values in zip(params, q, strict=True):
            self.given.setdefault(row[0].item(), []).append(values)
        return q


def played(*arguments: Any, **more: Any) -> NDArray[np.float64]:
    found = greedy_returns(*arguments, max_steps=10_000, **more)
    assert found is not None and not found.cut.any()
    return found.returns


def by_a_plain_loop(network: MLP, row: Tensor, seed: int) -> float:
    env = gymnasium.make("CartPole-v1", max_episode_steps=60)
    obs, _ = env.reset(seed=seed)
    total, done = 0.0, False
    while not done:
        action = network(row[None], torch.from_numpy(obs)[None, None]).argmax().item()
        obs, reward, terminated, truncated, _ = env.step(action)
        total += float(reward)
        done = terminated or truncated
    env.close()
    return total


def networks(cartpole: Gym, hidden: int = 33) -> tuple[MLP, Tensor]:
    """Four of them; the second balances for long, so that they end at different times."""
    network = MLP(cartpole.space, hidden=[hidden], activation="relu")
    params = network.init([0, 1, 2, 3])
    named = network.named(params[1])
    named["hidden.0.weight"].zero_()
    named["hidden.0.weight"][0] = torch.tensor([0.0, 0.1, 1.0, 1.0])  # towards where it leans
    named["hidden.0.weight"][1] = -named["hidden.0.weight"][0]
    named["hidden.0.bias"].zero_()
    named["q.weight"].zero_()
    named["q.weight"][1, 0] = named["q.weight"][0, 1] = 1.0
    named["q.bias"].zero_()
    params[1] = network.flat(named)
    return network, params


def test_returns_equal_a_plain_loop(cartpole) -> None:
    network, params = networks(cartpole)
    returns = played(network, params, cartpole.make(12), SEEDS)
    expected = [
        [by_a_plain_loop(network, row, seed) for seed in seeds]
        for row, seeds in zip(params, SEEDS, strict=True)
    ]
    assert returns.tolist() == expected
    assert returns.min() < 20
    assert returns.max() == 60  # the time limit, too, ends an episode


def test_a_network_has_the_same_results_in_any_company(cartpole) -> None:
    """Every bit of its Q-values, too: company that ends early or late, rows it has played in."""
    network, params = networks(cartpole)
    envs = cartpole.make(13)

    def play(*which: int) -> tuple[dict[int, Any], dict[float, list[Tensor]]]:
        recorder = Recorder(network)
        lanes = list(which)
        seeds = [SEEDS[lane] for lane in lanes]
        returns = played(recorder, params[lanes], envs, seeds)
        return dict(zip(lanes, returns.tolist(), strict=True)), recorder.given

    alone = {lane: play(lane) for lane in range(4)}
    for company in ([0, 1], [3, 2, 1, 0], [1, 0, 3]):
        returns, given = play(*company)
        for lane in company:
            key = params[lane, 0].item()
            assert returns[lane] == alone[lane][0][lane]
            assert len(given[key]) == max(returns[lane])  # as many steps as its longest episode
            for ours, theirs in zip(given[key], alone[lane][1][key], strict=True):
                assert torch.equal(ours, theirs)


def test_returns_are_undiscounted_sums_of_the_rewards_of_one_episode() -> None:
    """Acrobot: -1 for each of 25 steps."""
    env = Gym(id="Acrobot-v1", import_=None, wrappers=[], kwargs={"max_episode_steps": 25})
    network = MLP(env.space, hidden=[], activation="relu")
    returns = played(network, network.init([1, 2]), env.make(4), [[1, 2], [3, 4]])
    assert returns.tolist() == [[-25.0, -25.0], [-25.0, -25.0]]


def test_watch_sees_every_step_of_the_first_episode(cartpole) -> None:
    network, params = networks(cartpole)
    envs, seen = cartpole.make(2), []
    returns = played(network, params[:1], envs, [[1, 2]], watch=seen.append)
    assert seen == [envs] * (int(returns[0, 0]) + 1)  # the first picture is before any step


def test_evaluation_pollutes_training(cartpole) -> None:
    """Trap: evaluation that draws from training's streams or leaves something behind. Twice in
    the same environments is the same, and no global generator has moved."""
    network, params = networks(cartpole)
    envs, before = cartpole.make(12), params.clone()
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first = played(network, params, envs, SEEDS)
    assert np.array_equal(played(network, params, envs, SEEDS), first)
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)
    assert torch.equal(params, before)


def test_seeds_are_none_of_training_s_and_none_comes_twice() -> None:
    training = {episode_seed(seed, "env", episode) for seed in (0, 12) for episode in range(300)}
    scoring = [
        number
        for seed in (0, 12)
        for episode in range(1, 101)
        for number in evaluation_seeds(seed, episode, range(5))
    ]
    assert len(set(scoring)) == len(scoring) == 1000
    assert not training & set(scoring)


def test_more_episodes_begin_with_those_of_fewer() -> None:
    few, more = (evaluation_seeds(12, 7, range(n)) for n in (3, 5))
    assert more[:3] == few
    assert evaluation_seeds(12, 7, range(2, 4)) == more[2:4]
