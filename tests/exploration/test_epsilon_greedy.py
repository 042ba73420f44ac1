"""The two random numbers of a lane: whether its action is random, and which one."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from dqn_cli.exploration.constant import Constant
from dqn_cli.exploration.geometric import Geometric

EPISODE = np.array([1, 1, 1])
BEST = np.array([[0, 9, 1, 9], [3, 0, 0, 0], [0, 0, 7, 0]], np.float32)  # actions 1, 0 and 2


class Asked:
    """Q-values, and how often they were asked for."""

    def __init__(self, values: NDArray[np.float32]) -> None:
        self.values = values
        self.times = 0

    def __call__(self) -> NDArray[np.float32]:
        self.times += 1
        return self.values


@pytest.fixture
def act() -> Callable[..., tuple[list[int], int]]:
    """act(epsilon, [0.5, ...], [0.9, ...]): the actions of these lanes by their chance and their
    choice, and how often the Q-values were asked for."""

    def acted(
        epsilon: float, chance: list[float], choice: list[float], actions: int = 4
    ) -> tuple[list[int], int]:
        q = Asked(BEST)
        uniform = np.array([chance, choice]).T
        action = Constant(start=epsilon).act(q, actions, uniform, 0, EPISODE)
        assert action.dtype == np.int64
        return action.tolist(), q.times

    return acted


def test_q_values_are_computed_only_where_a_lane_is_greedy(act) -> None:
    """A forward is most of what an env step costs: not at all, or once for all lanes."""
    choice = [0.99, 0.0, 0.3]
    assert act(1.0, [0.0, 0.5, 0.99], choice) == ([3, 0, 1], 0)
    assert act(0.5, [0.1, 0.2, 0.3], choice) == ([3, 0, 1], 0)
    assert act(0.5, [0.1, 0.9, 0.3], choice) == ([3, 0, 1], 1)
    assert act(0.0, [0.0, 0.5, 0.99], choice) == ([1, 0, 2], 1)


def test_a_lane_is_greedy_where_its_own_chance_is_not_below_epsilon(act) -> None:
    """Trap: one lane's chance for all of them. The first of the best actions is taken."""
    assert act(0.5, [0.5, 0.1, 0.9], [0.99, 0.99, 0.99]) == ([1, 3, 2], 1)
    assert act(0.5, [0.4, 0.6, 0.1], [0.99, 0.99, 0.99]) == ([3, 0, 3], 1)


@pytest.mark.parametrize(
    ("choice", "action"), [(0.0, 0), (0.19, 0), (0.2, 1), (0.5, 2), (0.8, 4), (1 - 2**-53, 4)]
)
def test_every_action_has_an_equal_share_of_the_choice(act, choice: float, action: int) -> None:
    """Of five: the last one, too, and none beyond."""
    assert act(1.0, [0.0] * 3, [choice] * 3, actions=5) == ([action] * 3, 0)


def test_each_lane_has_the_epsilon_of_its_own_episode() -> None:
    """Halved after every episode: 1, a half, a quarter, at a chance of 0.4 for each."""
    geometric = Geometric(start=1.0, end=0.0, factor=0.5)
    uniform = np.array([[0.4, 0.9]] * 3)
    action = geometric.act(Asked(BEST), 4, uniform, 10**6, np.array([1, 2, 3]))
    assert action.tolist() == [3, 3, 2]
