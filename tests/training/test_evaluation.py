import math
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.algo.dqn import DQN
from dqn_cli.env.gym import Gym
from dqn_cli.events import Episode, Evaluated, RunError
from dqn_cli.kernels import compiled
from dqn_cli.network.mlp import MLP
from dqn_cli.seeding import episode_seed
from dqn_cli.training import build
from dqn_cli.training.evaluation import (
    Evaluation,
    Score,
    Scorer,
    evaluation_seeds,
    fresh_scores,
    fresh_seeds,
    greedy_returns,
)
from dqn_cli.training.policy import Greedy
from dqn_cli.types import Space

SEEDS = [[1, 2, 3], [4, 5, 6], [1, 2, 3], [7, 8, 9]]  # of four networks, three episodes each


@pytest.fixture
def cartpole() -> Gym:
    return Gym(id="CartPole-v1", import_=None, wrappers=[], kwargs={"max_episode_steps": 60})


class Recorder(Greedy):
    """It keeps the Q-values that it gave under each row of parameters."""

    def __init__(self, greedy: Greedy) -> None:
        super().__init__(greedy.network, greedy.algo, greedy.kernels)
        self.given: dict[float, list[NDArray[Any]]] = {}

    def q(self, weights: Any, obs: NDArray[Any], noise: Any = None) -> NDArray[Any]:
        q = super().q(weights, obs)
        assert noise is None
        for first, values in zip(weights[:, 0].tolist(), q, strict=True):
            self.given.setdefault(first, []).append(values)
        return q

    def recorded(self) -> Callable[..., NDArray[Any]]:
        return self.q


def playing(space: Space, hidden: list[int]) -> Greedy:
    """What plays an MLP."""
    network = MLP(space, 1, compiled, hidden=hidden, activation="relu")
    return Greedy(network, DQN(compiled, loss="mse", double=False), compiled)


def played(*arguments: Any, **more: Any) -> NDArray[np.float64]:
    found = greedy_returns(*arguments, max_steps=10_000, **more)
    assert found is not None and not found.cut.any()
    return found.returns


def by_a_plain_loop(greedy: Greedy, row: Tensor, seed: int) -> float:
    weights = greedy.weights(row[None])
    env = gymnasium.make("CartPole-v1", max_episode_steps=60)
    obs, _ = env.reset(seed=seed)
    total, done = 0.0, False
    while not done:
        action = greedy.q(weights, obs[None, None]).argmax()
        obs, reward, terminated, truncated, _ = env.step(action)
        total += float(reward)
        done = terminated or truncated
    env.close()
    return total


def networks(cartpole: Gym, hidden: int = 33) -> tuple[Greedy, Tensor]:
    """Four of them; the second balances for long, so that they end at different times."""
    greedy = playing(cartpole.space, [hidden])
    network = greedy.network
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
    return greedy, params


def test_returns_equal_a_plain_loop(cartpole) -> None:
    greedy, params = networks(cartpole)
    returns = played(greedy, params, cartpole.make(12), SEEDS)
    expected = [
        [by_a_plain_loop(greedy, row, seed) for seed in seeds]
        for row, seeds in zip(params, SEEDS, strict=True)
    ]
    assert returns.tolist() == expected
    assert returns.min() < 20
    assert returns.max() == 60  # the time limit, too, ends an episode


def test_a_network_has_the_same_results_in_any_company(cartpole) -> None:
    """Every bit of its Q-values, too: company that ends early or late, rows it has played in."""
    greedy, params = networks(cartpole)
    envs = cartpole.make(13)

    def play(*which: int) -> tuple[dict[int, Any], dict[float, list[NDArray[Any]]]]:
        recorder = Recorder(greedy)
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
                assert np.array_equal(ours, theirs)


def test_returns_are_undiscounted_sums_of_the_rewards_of_one_episode() -> None:
    """Acrobot: -1 for each of 25 steps."""
    env = Gym(id="Acrobot-v1", import_=None, wrappers=[], kwargs={"max_episode_steps": 25})
    greedy = playing(env.space, [])
    returns = played(greedy, greedy.network.init([1, 2]), env.make(4), [[1, 2], [3, 4]])
    assert returns.tolist() == [[-25.0, -25.0], [-25.0, -25.0]]


def test_discounted_returns_are_of_the_same_rewards_and_start_q_is_of_the_first_observation() -> (
    None
):
    """Acrobot: -1 for each of 25 steps, so -(1 - gamma^25) / (1 - gamma)."""
    env = Gym(id="Acrobot-v1", import_=None, wrappers=[], kwargs={"max_episode_steps": 25})
    greedy, envs = playing(env.space, []), env.make(4)
    params, seeds = greedy.network.init([1, 2]), [[1, 2], [3, 4]]
    for at_once in (None, 1):
        found = greedy_returns(greedy, params, envs, seeds, 100, gamma=0.9, at_once=at_once)
        assert found is not None
        np.testing.assert_allclose(found.discounted, -(1 - 0.9**25) / 0.1, rtol=1e-12)
        first = np.stack([[envs.reset(0, seed) for seed in row] for row in seeds])
        assert np.array_equal(found.start_q, greedy.q(greedy.weights(params), first).max(-1))


def test_watch_sees_every_step_of_the_first_episode(cartpole) -> None:
    greedy, params = networks(cartpole)
    envs, seen = cartpole.make(2), []
    returns = played(greedy, params[:1], envs, [[1, 2]], watch=seen.append)
    assert seen == [envs] * (int(returns[0, 0]) + 1)  # the first picture is before any step


def test_evaluation_pollutes_training(cartpole) -> None:
    """Trap: evaluation that draws from training's streams or leaves something behind. Twice in
    the same environments is the same, and no global generator has moved."""
    greedy, params = networks(cartpole)
    envs, before = cartpole.make(12), params.clone()
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first = played(greedy, params, envs, SEEDS)
    assert np.array_equal(played(greedy, params, envs, SEEDS), first)
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


# Stopping, cutting, sharing


class Counted(gymnasium.Env):
    """Ends after 5 steps, or never; it counts how many of its kind there are."""

    observation_space = gymnasium.spaces.Box(0, 1000, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    there = most = 0

    def __init__(self, endless: bool = False) -> None:
        self.endless = endless
        Counted.there += 1
        Counted.most = max(Counted.most, Counted.there)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        self.start = int(self.np_random.integers(100))
        return np.array([self.start], np.float32), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        obs = np.array([self.start + self.time], np.float32)
        return obs, float(self.start % 7), not self.endless and self.time == 5, False, {}

    def close(self) -> None:
        Counted.there -= 1


gymnasium.register("dqn_cli_tests/Counted-v0", Counted)


def counted(**kwargs: Any) -> Gym:
    Counted.there = Counted.most = 0
    return Gym(id="dqn_cli_tests/Counted-v0", import_=None, wrappers=[], kwargs=kwargs)


def test_an_episode_without_an_end_is_cut_and_counted() -> None:
    env = counted(endless=True)
    greedy = playing(env.space, [])
    found = greedy_returns(greedy, greedy.network.init([1]), env.make(2), [[1, 2]], max_steps=30)
    starts = [gymnasium.make("dqn_cli_tests/Counted-v0").reset(seed=s)[0][0] for s in (1, 2)]
    assert found is not None
    assert found.returns.tolist() == [[30 * (start % 7) for start in starts]]
    assert found.cut.tolist() == [[True, True]]
    whole = counted()
    found = greedy_returns(greedy, greedy.network.init([1]), whole.make(2), [[1, 2]], max_steps=5)
    assert found is not None and not found.cut.any()  # it ended by itself in its last step


def test_it_stops_within_a_step() -> None:
    env, asked = counted(endless=True), []

    def stopped() -> bool:
        asked.append(None)
        return len(asked) > 7

    greedy = playing(env.space, [])
    envs = env.make(1)
    never = 10**12  # steps
    assert (
        greedy_returns(greedy, greedy.network.init([1]), envs, [[1]], never, stopped=stopped)
        is None
    )
    assert len(asked) == 8


def test_one_environment_gives_the_same_returns_as_many() -> None:
    """Every bit: the rows of a network stay together, played or not."""
    env = Gym(id="Acrobot-v1", import_=None, wrappers=[], kwargs={"max_episode_steps": 200})
    greedy = playing(env.space, [33])
    recorded = [Recorder(greedy), Recorder(greedy)]
    params = greedy.network.init([4])
    params *= 3  # so that actions differ
    many = played(recorded[0], params, env.make(3), [[1, 2, 3]])
    one = played(recorded[1], params, env.make(1), [[1, 2, 3]], at_once=1)
    assert np.array_equal(many, one)
    key = params[0, 0].item()
    first, alone = (recorder.given[key] for recorder in recorded)
    for ours, theirs in zip(first, alone, strict=False):
        assert np.array_equal(ours[0], theirs[0])  # the first episode's row


@pytest.mark.parametrize("shared", [False, True])
def test_there_are_no_more_environments_than_are_needed(compose, shared: bool) -> None:
    """Of one seed: the one that trains and those of an evaluation, or the one that trains."""
    settings = ["env.id=dqn_cli_tests/Counted-v0", "seed=1", "episodes=4", "learning_starts=8"]
    settings += ["batch_size=8", "network.hidden=[8]", "eval.episodes=3"]
    Counted.there = Counted.most = 0
    loop = build.loop(compose(*settings, f"eval.envs={'shared' if shared else 'own'}"))
    events = list(loop.run())
    assert Counted.most == (1 if shared else 1 + 3)
    assert Counted.there == 0
    assert len([event for event in events if isinstance(event, Episode)]) == 4


@pytest.mark.parametrize("every", ["eval.every_episodes=1", "eval.every_steps=7"])
@pytest.mark.parametrize(
    "env", [("env.id=Acrobot-v1", "+env.kwargs.max_episode_steps=40"), ("env.id=CartPole-v1",)]
)
def test_a_shared_environment_changes_no_byte(compose, env: tuple[str, ...], every: str) -> None:
    """Also where an evaluation comes in the middle of an episode, which is then rebuilt, or in the
    middle of another seed's (seed 1's three CartPole episodes end within seed 2's first)."""
    settings = [*env, "episodes=3", "seed=[2,1]", "learning_starts=8"]
    settings += ["batch_size=8", "network.hidden=[8]"]
    settings += ["eval.every_episodes=null", "eval.episodes=2", every]
    told = []
    for envs in ("own", "shared"):
        loop = build.loop(compose(*settings, f"eval.envs={envs}"))
        rows = [e for e in loop.run() if isinstance(e, Episode | Evaluated)]
        told.append(sorted((e.seed, str(e.row)) for e in rows))
    assert told[0] == told[1]
    assert len(told[0]) >= 6


class Wandering(Counted):
    """Starts where it likes."""

    resets = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        _, info = super().reset(seed=seed)
        Wandering.resets += 1
        self.start = Wandering.resets
        return np.array([self.start], np.float32), info


gymnasium.register("dqn_cli_tests/Wandering-v0", Wandering)
SHARED = ("seed=1", "episodes=4", "learning_starts=8", "batch_size=8", "network.hidden=[8]")
SHARED = (*SHARED, "eval.every_episodes=null", "eval.every_steps=3", "eval.envs=shared")


def test_an_environment_that_is_not_where_it_was_after_an_evaluation_is_named(compose) -> None:
    """In step 3, in the middle of the first episode."""
    loop = build.loop(compose(*SHARED, "env.id=dqn_cli_tests/Wandering-v0"))
    with pytest.raises(RunError, match="did not repeat itself in seed 1, episode 1: "):
        list(loop.run())
    assert loop.step == 3


def test_in_a_shared_environment_an_evaluation_is_played_in_the_step_it_is_of(compose) -> None:
    """So that no networks are held back in a run that has memory for one environment only."""
    loop = build.loop(compose(*SHARED, "env.id=dqn_cli_tests/Counted-v0"))
    told = [(event.step, loop.step) for event in loop.run() if isinstance(event, Evaluated)]
    assert told == [(step, step) for step in (3, 6, 9, 12, 15, 18, 20)]


def test_the_limit_of_an_evaluation_is_the_user_s_then_the_environment_s(cartpole) -> None:
    assert Evaluation(1, None, 3, max_steps=7).limit(cartpole) == 7
    assert Evaluation(1, None, 3).limit(cartpole) == 60
    assert Evaluation(1, None, 3).limit(counted()) == 10_000


def test_fresh_episodes_leave_no_environment_open() -> None:
    env = counted()
    greedy = playing(env.space, [])
    rows = {1: greedy.network.init([1])[0]}
    assert len(fresh_scores(env, greedy, rows, Evaluation(1, None, 2), 3, lambda: False)) == 1
    assert (Counted.there, Counted.most) == (0, 2)


def test_fresh_scores_are_those_of_a_plain_loop(cartpole) -> None:
    """Of episodes that no evaluation has; in groups of three: two of the last are left out."""
    greedy, params = networks(cartpole)
    rows = {12: params[0], 34: params[1]}
    every = Evaluation(1, None, 3)
    found = fresh_scores(cartpole, greedy, rows, every, 7, lambda: False)
    expected = {
        seed: np.mean([by_a_plain_loop(greedy, row, s) for s in fresh_seeds(seed, range(7))])
        for seed, row in rows.items()
    }
    assert found == expected
    alone = fresh_scores(cartpole, greedy, {34: params[1]}, every, 7, lambda: False)
    assert alone == {34: expected[34]}
    assert fresh_scores(cartpole, greedy, rows, every, 7, lambda: True) == {}
    scoring = {s for step in range(500) for s in evaluation_seeds(12, step, range(5))}
    assert not scoring & set(fresh_seeds(12, range(100)))


def test_what_waits_for_its_score_is_a_copy_of_the_parameters(cartpole: Gym) -> None:
    """Training goes on meanwhile, in place."""
    greedy, params = networks(cartpole)
    made = Scorer(cartpole, greedy, Evaluation(1, None, 1), lambda: False)
    made.hold(Evaluated(12, 1, 0, None, 0, None, extra=False), params[0])
    before = params[0].clone()
    params[0].zero_()
    _, held = made.waiting[0]
    assert held is not None and torch.equal(held, before) and before.any()


def scorer(cartpole: Gym, scores: list[float]) -> Scorer:
    """Of a network whose evaluations have these scores, one after another."""
    greedy, params = networks(cartpole)
    made = Scorer(cartpole, greedy, Evaluation(1, None, 1), lambda: False)
    found = iter(scores)
    made._scores = lambda group: [Score(next(found), 0, None, None) for _ in group]  # type: ignore[method-assign]
    for number in range(len(scores)):
        event = Evaluated(12, number, 0, None, 0, None, extra=number == 3)
        made.hold(event, torch.full_like(params[0], number))
    return made


def test_what_needs_no_score_is_told_at_once(compose, monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes of a run that is scored by steps, in the step that ends them; and a score too, where
    an environment is stepped alone. Where many are, networks wait for each other."""
    sizes = ("network.hidden=[8]", "learning_starts=8", "batch_size=8", "seed=1")
    limits = ("episodes=null", "steps=200", "eval.every_episodes=null", "eval.every_steps=90")

    def events() -> list[tuple[str, bool]]:
        loop = build.loop(compose(*sizes, *limits, "eval.episodes=2"))
        kinds = (Episode, Evaluated)
        return [
            (type(event).__name__, event.step == loop.step)
            for event in loop.run()
            if isinstance(event, kinds) and event.step < 200
        ]

    together = events()
    evaluated = [name for name, _ in together].index("Evaluated")
    assert evaluated > 2 and all(at_once for _, at_once in together[:evaluated])
    assert not any(at_once for _, at_once in together[evaluated:])
    monkeypatch.setattr("dqn_cli.env.gym.row_for", lambda env: None)
    alone = events()
    assert [name for name, _ in alone] == [name for name, _ in together]
    assert all(at_once for _, at_once in alone)


def test_best_is_finite_and_the_later_of_equals(cartpole) -> None:
    """And the one at the end alone is told, but not kept: a longer run would not have it."""
    made = scorer(cartpole, [math.nan, 7.0, 7.0, 9.0, 6.0, math.inf])
    told = list(made.tell())
    assert [event.best is not None for event in told] == [False, True, True, True, False, False]
    assert (made.best[12].score, made.best[12].step) == (7.0, 2)
    assert (made.best[12].params == 2).all()
