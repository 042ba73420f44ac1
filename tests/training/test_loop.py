"""The loop between environment, stream and replay: which actions it takes, what it stores."""

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray

from dqn_cli.events import Episode, Finished
from dqn_cli.seeding import Stream
from dqn_cli.training import build

SMALL = (
    *("network.hidden=[16]", "episodes=null", "batch_size=4", "eval.every_episodes=null"),
    *("buffer.capacity=5000", "exploration=constant"),
)


class Colours(gymnasium.Env):
    """Shows one of five colours, each as likely as another, whatever is done."""

    observation_space = gymnasium.spaces.Box(0, 1, (5,), np.float32)
    action_space = gymnasium.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 50
        return self._look(), {}

    def step(self, action):
        self.left -= 1
        return self._look(), 0.0, self.left == 0, False, {}

    def _look(self):
        return np.eye(5, dtype=np.float32)[self.np_random.integers(5)]


class Endings(gymnasium.Env):
    """Episodes of three steps, whose ends `ENDS` names in turn. The observation says which episode
    it is, and the step."""

    ENDS = ((True, False), (False, True), (True, True))  # terminated, truncated
    observation_space = gymnasium.spaces.Box(0, 99, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    episode = -1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.steps = self.episode + 1, 0
        return self._look(), {}

    def step(self, action):
        self.steps += 1
        end = self.ENDS[self.episode % 3] if self.steps == 3 else (False, False)
        return self._look(), 1.0, *end, {}

    def _look(self):
        return np.array([self.episode, self.steps], np.float32)


gymnasium.register("dqn_cli_tests/Colours-v0", Colours)
gymnasium.register("dqn_cli_tests/Endings-v0", Endings)


class Stored(NamedTuple):
    """The rows that a run left in replay, in their order, and its network's greedy actions."""

    obs: NDArray[Any]  # [S, T, *obs]
    action: NDArray[np.int64]  # [S, T]
    discount: NDArray[np.float32]  # [S, T]
    greedy: NDArray[np.int64]  # [S, T], by the parameters it ended with
    ends: NDArray[np.bool_]  # [S, T], whether an episode ended with it


@pytest.fixture
def stored(compose, q_values) -> Callable[..., Stored]:
    """stored("steps=100", ...): what a run stores that learns nothing."""

    def run(*overrides: str) -> Stored:
        loop = build.loop(compose(*SMALL, "learning_starts=5000", *overrides))
        events = loop.run()
        while not isinstance(next(events), Finished):  # all seeds are still there
            pass
        storage, kernels = loop.learner.replay.storage, loop.learner.kernels
        params = kernels.tensor(loop.learner.online)
        index = np.tile(np.arange(len(storage)), (len(params), 1))
        weight = np.ones(index.shape, np.float32)
        batch = storage.gather(kernels.place(index), kernels.place(weight))
        greedy = q_values(loop.learner.network, params, batch.obs).argmax(-1).numpy()
        events.close()
        arrays = [kernels.numpy(array) for array in (batch.obs, batch.action, batch.discount)]
        return Stored(*arrays, greedy, kernels.numpy(storage.columns["ends"]))

    return run


COLOURS = ("env.id=dqn_cli_tests/Colours-v0", "seed=[1,2,3]", "steps=1000")


def draws() -> NDArray[np.float64]:
    """The chance and the choice [2, S, T] of each of these steps."""
    stream = Stream([1, 2, 3], "explore", (2,))
    return np.stack([stream.at(tick).copy() for tick in range(1000)]).transpose(2, 1, 0)


def test_epsilon_0_is_the_greedy_action_every_time(stored) -> None:
    rows = stored(*COLOURS, "exploration.start=0")
    assert rows.action.shape == (3, 1000)
    assert np.array_equal(rows.action, rows.greedy)
    assert any(len(set(lane)) > 1 for lane in rows.greedy.tolist())  # it depends on the colour


def test_epsilon_1_is_a_random_action_every_time(stored) -> None:
    """floor(choice * 4) of the stream's second number. A quarter of 3000 each: 750, with a standard
    deviation of sqrt(3000 * 3/16) = 24; and a quarter of them happens to be the greedy one."""
    rows = stored(*COLOURS, "exploration.start=1")
    _, choice = draws()
    assert np.array_equal(rows.action, np.floor(choice * 4))
    assert np.abs(np.bincount(rows.action.ravel(), minlength=4) - 750).max() < 5 * 24
    assert abs((rows.action == rows.greedy).sum() - 750) < 5 * 24


def test_epsilon_is_how_often_an_action_is_random(stored) -> None:
    """Trap: `chance < epsilon` for the greedy one. Of 3000 actions a tenth is random, and three in
    four of those are not the greedy one: 225, with a standard deviation of sqrt(225 * 0.925) = 14;
    the other way round it would be 2025."""
    rows = stored(*COLOURS, "exploration.start=0.1")
    assert abs((rows.action != rows.greedy).sum() - 225) < 5 * 14
    chance, choice = draws()  # of each lane its own
    assert np.array_equal(rows.action, np.where(chance < 0.1, np.floor(choice * 4), rows.greedy))


@pytest.mark.parametrize(
    ("chance", "epsilon", "random"),
    [(0.0, 0.0, False), (0.0, 1e-9, True), (0.3, 0.3, False), (1 - 2**-53, 1.0, True)],
)
def test_an_action_is_random_where_the_chance_is_below_epsilon(
    compose, chance: float, epsilon: float, random: bool
) -> None:
    """Both ends are meant: of a number in [0, 1), none is below 0 and all are below 1."""
    loop = build.loop(compose(*SMALL, *COLOURS, "steps=1", f"exploration.start={epsilon}"))
    loop.exploring.uniforms.at = lambda tick: np.array([[chance, 0.99]] * 3)
    loop.exploring.q = lambda *given: np.array([[[0.0, 1.0, 0.0, 0.0]]] * 3)
    done = []
    loop.learner.replay.add = lambda step: done.append(step.action.tolist())
    list(loop.run())
    assert done == [[3, 3, 3] if random else [1, 1, 1]]


def test_what_is_stored_of_a_truncated_episode_goes_on_at_gamma(stored) -> None:
    """Trap: a time limit that cuts the bootstrap. Three Acrobots, which random actions do not swing
    up in 20 steps, four episodes each."""
    acrobot = ("env=acrobot", "+env.kwargs.max_episode_steps=20", "seed=[1,2,3]")
    rows = stored(*acrobot, "exploration.start=1", "steps=80", "gamma=0.9")
    assert rows.discount.tolist() == [[np.float32(0.9)] * 80] * 3
    assert rows.ends[:, :80].tolist() == [([False] * 19 + [True]) * 4] * 3
    # the limit has ended episodes: every 20 steps each hangs almost still
    assert (np.abs(rows.obs[:, ::20, 4:]) <= 0.1).all()
    assert (np.abs(rows.obs[:, 19::20, 4:]) > 0.1).any()


def test_what_is_stored_of_a_terminated_episode_ends_there(stored) -> None:
    """Episodes of three steps end by termination, by a limit, and by both at once."""
    ends = ("env.id=dqn_cli_tests/Endings-v0", "seed=[1,2]", "steps=18", "gamma=0.5")
    rows = stored(*ends, "exploration.start=1")
    assert rows.discount.tolist() == [[0.5, 0.5, 0, 0.5, 0.5, 0.5, 0.5, 0.5, 0] * 2] * 2
    assert rows.ends[:, :18].tolist() == [[False, False, True] * 6] * 2
    assert rows.obs[0, ::3].tolist() == [[episode, 0] for episode in range(6)]


def test_an_epsilon_of_numpy_s_is_a_plain_number_in_a_row(compose) -> None:
    """A checkpoint with rows that wait for their score would not be read again otherwise."""
    loop = build.loop(compose("seed=[1,2]", "episodes=2", "network.hidden=[8]"))
    loop.exploring.exploration.epsilon = lambda step, episode: np.float64(0.25)
    rows = [event.row for event in loop.run() if isinstance(event, Episode)]
    assert {type(row["epsilon"]) for row in rows} == {float}
    assert {row["epsilon"] for row in rows} == {0.25}
