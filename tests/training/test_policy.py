"""Acting: which network, which noise, and which of its actions."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.algo.dqn import DQN
from dqn_cli.network.mlp import MLP
from dqn_cli.seeding import Stream
from dqn_cli.training.policy import Exploring, Greedy
from dqn_cli.types import Inputs, Noise, Output, Weights


class Wavering(MLP):
    """Its Q-values are moved by one normal number per action, if it is given any."""

    def noise(self, rows: int) -> Noise:
        return Noise((rows, 3), normal=True)

    def forward(self, weights: Weights, inputs: Inputs) -> Output:
        values = super().forward(weights, inputs).values
        return Output(values if inputs.noise is None else values + inputs.noise.unsqueeze(-1))


class Told:
    """An exploration that keeps what it is asked with, and takes the best action of some lanes."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def act(
        self,
        q: Callable[[], NDArray[np.float32]],
        actions: int,
        uniform: NDArray[np.float64],
        step: int,
        episode: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        self.asked.append((actions, uniform.tolist(), step, episode.tolist(), q().tolist()))
        return q().argmax(-1)

    def epsilon(self, step: int, episode: NDArray[np.int64]) -> None:
        return None


DQN_ = DQN(loss="mse", double=False)
OBS = np.array([[3.0, 1.0], [3.0, 1.0]], np.float32)
EPISODE = np.array([4, 9])


@pytest.fixture
def two(space) -> Callable[..., tuple[Greedy, Tensor]]:
    """two(kind): a linear network and two lanes of it. To the first, action 0 is worth the first
    number and action 1 the second; to the other one, action 2 is worth most."""

    def make(kind: type[MLP] = MLP) -> tuple[Greedy, Tensor]:
        net = kind(space(2, 3), 1, hidden=[], activation="relu")
        weight = torch.tensor([[1.0, 0], [0, 1], [0, 0]])
        ahead = net.flat({"q.weight": weight, "q.bias": torch.zeros(3)})
        other = net.flat({"q.weight": weight, "q.bias": torch.tensor([0, 0, 9.0])})
        return Greedy(net, DQN_), torch.stack([ahead, other])

    return make


def test_act_is_the_best_action_of_each_lane_s_own_network(two) -> None:
    greedy, params = two()
    weights = greedy.network.split(params)
    rows = np.stack([OBS, OBS[:, ::-1]], 1)  # two observations of each lane
    assert greedy.actions(weights, rows).tolist() == [[0, 1], [2, 2]]
    exploring = Exploring(greedy, Told(), [7, 3], 3)
    assert exploring.act(weights, OBS, 0, EPISODE).tolist() == [0, 2]
    assert exploring.act(weights, OBS[:, ::-1].copy(), 1, EPISODE).tolist() == [1, 2]


def test_of_equal_actions_the_first_is_taken(two) -> None:
    greedy, params = two()
    weights = greedy.network.split(params)
    assert greedy.actions(weights, np.ones((2, 1, 2), np.float32)).tolist() == [[0], [2]]


def test_an_exploration_is_told_the_step_s_numbers_and_q_values(two) -> None:
    greedy, params = two()
    told = Told()
    exploring = Exploring(greedy, told, [7, 3], 3)
    weights = greedy.network.split(params)
    stream = Stream([7, 3], "explore", (2,))
    q = [[3.0, 1.0, 0.0], [3.0, 1.0, 9.0]]
    for step in (0, 5, 256):
        exploring.act(weights, OBS, step, EPISODE)
        assert told.asked.pop() == (3, stream.at(step).tolist(), step, [4, 9], q)


def test_training_acts_with_noise_of_each_step_and_the_greedy_network_has_none(two) -> None:
    greedy, params = two(Wavering)
    plain, _ = two()
    weights, told = greedy.network.split(params), Told()
    stream = Stream.of(Noise((1, 3), normal=True), [7, 3], "noise.act")
    exploring = Exploring(greedy, told, [7, 3], 3)
    still = plain.q(weights, OBS[:, None])
    for step in (0, 1, 20_000):  # past a block
        exploring.act(weights, OBS, step, EPISODE)
        moved = told.asked.pop()[-1]
        np.testing.assert_allclose(moved, (still + stream.floats(step))[:, 0], rtol=1e-6)
    assert greedy.actions(weights, OBS[:, None]).tolist() == still.argmax(-1).tolist()


def test_a_lane_s_noise_and_numbers_stay_its_own(two) -> None:
    """After another has left, and in an order that a run taken up again may have."""
    greedy, params = two(Wavering)

    def asked(exploring: Exploring, lanes: list[int], step: int) -> list[object]:
        weights = greedy.network.split(params[lanes])
        exploring.act(weights, OBS[lanes], step, EPISODE[lanes])
        _, uniform, _, _, q = exploring.exploration.asked.pop()
        return list(zip(uniform, q, strict=True))

    whole, left, again = (Exploring(greedy, Told(), [7, 3], 3) for _ in range(3))
    asked(left, [0, 1], 0)
    left.keep([1])
    again.reseed([3, 7])
    for step in (1, 2):
        first, second = asked(whole, [0, 1], step)
        assert asked(left, [1], step) == [second]
        assert asked(again, [1, 0], step) == [second, first]
