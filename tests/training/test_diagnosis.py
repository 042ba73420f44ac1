"""Diagnoses by hand, of tiny networks and replays; and that taking one changes nothing."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from dqn_cli.algo.c51 import C51
from dqn_cli.algo.dqn import DQN
from dqn_cli.buffer.latest import Latest
from dqn_cli.buffer.per import Prioritized
from dqn_cli.buffer.per_rank import RankPrioritized
from dqn_cli.buffer.uniform import Uniform
from dqn_cli.events import Diagnosis, Episode, Evaluated, Finished
from dqn_cli.network.cnn import CNN
from dqn_cli.network.dueling import Dueling
from dqn_cli.network.mlp import MLP
from dqn_cli.optimizer.adam import Adam
from dqn_cli.saving.checkpoint import dump_lane
from dqn_cli.seeding import generator
from dqn_cli.target.hard import Hard
from dqn_cli.training import build, diagnosis
from dqn_cli.training.diagnosis import Diagnostics
from dqn_cli.training.learner import Learner
from dqn_cli.types import Inputs, Step

ONE = {"beta": 1.0, "beta_end": 1.0, "beta_steps": 1, "normalize": "batch"}


@pytest.fixture
def learner(space, replay, kernels):
    """learner(rewards, sampler=...): a linear network of one lane with Q = (1, 3, 2), and rows of
    action 0 in a state (3, 4) that ended with these rewards."""

    def make(rewards: Sequence[float], sampler: Any = None, network: Any = None, **keys: Any):
        network = network or MLP(space(2, 3), 1, kernels, hidden=[], activation="relu")
        named = {name: value * 0 for name, value in network.named(network.init([5])[0]).items()}
        named["q.bias"] = torch.tensor([1.0, 3.0, 2.0]).repeat_interleave(len(named["q.bias"]) // 3)
        online = kernels.place(network.flat(named)[None].numpy())
        memory = replay(sampler or Uniform([5], 4, capacity=len(rewards)), 1, 2, 3, kernels=kernels)
        for reward in rewards:
            obs, no = np.array([[3, 4]], np.float32), np.zeros(1, np.bool_)
            memory.add(Step(obs, np.zeros(1, np.int64), np.array([reward]), obs, ~no, no))
        parts = {
            "algo": DQN(kernels, double=False, loss="mse"),
            "optimizer": Adam(online, kernels, lr=1.0, lr_end=None, lr_steps=1, beta1=0.9,
                              beta2=0.9, eps=1e-8),
            "target": Hard(every_steps=100),
        }  # fmt: skip
        how = {"batch_size": 4, "learning_starts": 0, "update_every": 1, "updates": 1}
        how |= {"reduction": "mean", "grad_clip_value": 1e-9, "grad_clip_norm": 1e-9}
        parts |= {"seeds": [5], "online": online, "network": network, "replay": memory}
        return Learner(**parts | how | {"kernels": kernels} | keys)

    return make


def diagnosed(learner: Learner, step: int = 7) -> Diagnosis:
    with torch.no_grad():
        return Diagnostics(learner).take(0, 5, step)


def test_one_row_by_hand(learner) -> None:
    """Reward 2 and Q 1: error -1, slope -2; by the weights times (3, 4), by the bias times 1."""
    found = diagnosed(learner([2.0]))
    assert found == Diagnosis(
        q_mean=3.0, q_max=3.0, td_median=1.0, td_90=1.0, td_max=1.0, age=0.0,
        grad_norm=pytest.approx(2 * math.sqrt(9 + 16 + 1), rel=1e-6),
        param_norm=pytest.approx(math.sqrt(1 + 9 + 4), rel=1e-6),
    )  # fmt: skip


@pytest.mark.parametrize(("reduction", "rows"), [("mean", 1), ("sum", 4)])
def test_the_gradient_is_that_of_an_update(learner, reduction: str, rows: int) -> None:
    """Of the losses' mean, or of the sum of a batch's four; neither clipped nor of other sizes."""
    found = diagnosed(learner([2.0] * 9, reduction=reduction))
    assert found.grad_norm == pytest.approx(rows * 2 * math.sqrt(26), rel=1e-6)


def test_errors_in_order_are_those_of_the_rows_drawn(learner) -> None:
    """Ten draws: the fifth, the ninth and the last; they are a function of seed and step."""
    rewards = np.arange(10) ** 2.0 + 1
    one = learner(rewards)
    for step in (7, 8):
        index = (generator(5, "diagnose", step).random(10) * 10).astype(int)
        error = np.sort(rewards[index] - 1)
        found = diagnosed(one, step)
        assert [found.td_median, found.td_90, found.td_max] == [error[4], error[8], error[9]]
    assert diagnosed(one, 7) == diagnosed(one, 7) != diagnosed(one, 8)


@pytest.mark.parametrize(
    ("count", "percent", "place"),
    [(1, 50, 0), (2, 50, 0), (3, 50, 1), (10, 90, 8), (11, 90, 9), (1, 90, 0), (128, 90, 115)],
)
def test_where_a_quantile_stands(count: int, percent: int, place: int) -> None:
    assert diagnosis.quantile(count, percent) == place


def test_a_target_network_is_what_the_next_state_is_worth_by(learner) -> None:
    one = learner([2.0])
    one.target_params = one.target_params + 10
    one.replay.storage.columns["numbers"][:, :, 2] = (
        0.5  # it goes on: 2 + 0.5 * (13 + 10 * (3 + 4))
    )
    assert diagnosed(one).td_max == 2 + 0.5 * (3 + 10 + 70) - 1


# Replay


def test_uniform_rows_are_half_as_old_as_the_oldest(learner) -> None:
    found = diagnosed(learner([2.0] * 9))
    assert found.age == 4.0
    assert (found.priority_median, found.priority_max, found.ess) == (None, None, None)
    assert diagnosed(learner([2.0] * 9, Latest([5], 3))).age == 1.0


def prioritized(kernels, capacity: int) -> Prioritized:
    return Prioritized([5], 4, kernels, capacity=capacity, alpha=1.0, epsilon=1e-300, **ONE)


def test_priorities_by_hand(learner, kernels) -> None:
    """P = 1/4, 1/4, 1/2 of the oldest to the newest, w = 1/P: (3 / 4)^2 over (1 + 1 + 1/2) / 4."""
    one = learner([2.0] * 3, prioritized(kernels, 5))
    index, error = np.array([[0, 1, 2]]), np.array([[1, 1, 2]], np.float32)
    one.replay.update(kernels.place(index), kernels.place(error))
    found = diagnosed(one)
    assert found.priority_median == pytest.approx(0.75)
    assert found.priority_max == pytest.approx(1.5)
    assert found.ess == pytest.approx(0.75**2 / 0.625)
    assert found.age == pytest.approx(0.25 * 2 + 0.25 * 1)


def test_ages_go_on_where_replay_begins_again(learner, kernels) -> None:
    """Rows 3, 4, 2 at places 0, 1, 2: the row at place 2 is the oldest."""
    one = learner([2.0] * 5, prioritized(kernels, 3))
    index, error = np.array([[0, 1, 2]]), np.array([[1, 1, 2]], np.float32)
    one.replay.update(kernels.place(index), kernels.place(error))
    assert diagnosed(one).age == pytest.approx(0.25 * 1 + 0.25 * 0 + 0.5 * 2)


def test_ranks_by_hand(learner, kernels) -> None:
    """Ranks 3, 1, 2 have 1/3, 1 and 1/2 of 11/6; a row added since has rank 1."""
    sampler = RankPrioritized([5], 4, kernels, capacity=9, alpha=1.0, sort_every_updates=100, **ONE)
    one = learner([2.0] * 3, sampler)
    index, error = np.array([[0, 1, 2]]), np.array([[1, 3, 2]], np.float32)
    one.replay.update(kernels.place(index), kernels.place(error))
    found = diagnosed(one)
    assert found.priority_median == pytest.approx(0.5 / (11 / 18))
    assert found.priority_max == pytest.approx(1 / (11 / 18))
    assert found.age == pytest.approx((2 * 1 / 3 + 1 * 1 + 0 * 1 / 2) / (11 / 6))
    value = np.array([1 / 3, 1, 1 / 2])
    p = value / value.sum()
    assert found.ess == pytest.approx((p / value).sum() ** 2 / (p / value**2).sum())


def test_of_many_rows_evenly_spaced_ones_speak(learner, kernels, monkeypatch) -> None:
    """Of ten, with at most four places: those of age 0, 3, 6 and 9."""
    monkeypatch.setattr(diagnosis, "PLACES", 4)
    one = learner([2.0] * 10, prioritized(kernels, 10))
    error = np.arange(1.0, 11)[None].astype(np.float32)  # those have 10, 7, 4 and 1
    one.replay.update(kernels.place(np.arange(10)[None]), kernels.place(error))
    found = diagnosed(one)
    assert found.age == pytest.approx((7 * 3 + 4 * 6 + 1 * 9) / 22)
    assert found.priority_max == pytest.approx(10 / 5.5)
    assert found.priority_median == pytest.approx(4 / 5.5)


# Units and distributions


@pytest.mark.parametrize(("activation", "share"), [("relu", 1 / 4), ("tanh", None)])
def test_a_unit_that_no_row_activates_is_dead(space, kernels, activation, share) -> None:
    """One of four; the layer after the last activation has none."""
    network = MLP(space(2, 3), 1, kernels, hidden=[4], activation=activation)
    named = network.named(network.init([5])[0])
    named["hidden.0.weight"][:] = 0.1
    named["hidden.0.bias"][:] = torch.tensor([1.0, 1.0, -9.0, 0.5])
    assert dead(network, named, kernels) == share


def dead(
    network: Any, named: dict[str, torch.Tensor], kernels: Any, shape: tuple[int, ...] = (2,)
) -> float | None:
    params = kernels.place(network.flat(named)[None].numpy())
    grad = params * 0 + 7
    obs = np.ones((1, 6, *shape), np.float32)
    obs[0, 5, 0] = 9  # in one row, somewhere in it
    output, pullback = network.vjp(params, Inputs(kernels.place(obs)))
    pullback(output.values + 1, grad)
    found: float | None = network.dead_units(grad[0])
    return found


def test_dead_units_of_a_trunk_and_its_streams(space, kernels) -> None:
    """One of 4 in the trunk, two of 3 in one stream and none of 3 in the other."""
    network = Dueling(
        space(2, 3), 1, kernels,
        convolutions=[], hidden=[4], streams=[3], activation="relu", aggregate="mean",
        trunk_gradient=1.0,
    )  # fmt: skip
    named = {name: value.abs() for name, value in network.named(network.init([5])[0]).items()}
    named["hidden.0.bias"][1] = named["value.hidden.0.bias"][0] = -99
    named["value.hidden.0.bias"][2] = -99
    assert dead(network, named, kernels) == pytest.approx(3 / 10)


@pytest.mark.parametrize(("activation", "share"), [("relu", 4 / 10), ("tanh", None)])
def test_a_channel_that_is_active_nowhere_in_the_picture_is_dead(
    space, kernels, activation, share
) -> None:
    """Two of four (-9 is more than 4 pixels of 0.1 to 0.9), one of three, and one of three hidden
    units. A channel that is active in a corner of one row is not."""
    network = CNN(
        space((4, 4, 1), 2), 1, kernels,
        convolutions=[[4, 2, 1], "pool", [3, 2, 1]], hidden=[3], activation=activation,
    )  # fmt: skip
    named = {name: value * 0 + 0.1 for name, value in network.named(network.init([5])[0]).items()}
    named["convolution.0.bias"][:] = torch.tensor([1.0, -9.0, -0.5, -9.0])
    named["convolution.2.bias"][1] = named["hidden.0.bias"][2] = -99
    assert dead(network, named, kernels, (4, 4, 1)) == share


def test_dead_channels_of_residual_blocks(space, kernels) -> None:
    """Those inside the two blocks, one of two in the first; and one of the two that come out of the
    last section. What goes round a block counts for none: the channel that the first one raises."""
    network = CNN(space((4, 4, 1), 2), 1, kernels, convolutions=[[2]], hidden=[], activation="relu")
    named = {name: value * 0 + 0.1 for name, value in network.named(network.init([5])[0]).items()}
    named["section.0.convolution.bias"][1] = -99
    named["section.0.residual.0.0.bias"][0] = -99
    named["section.0.residual.0.1.bias"][1] = 200
    named["section.0.residual.1.1.bias"][0] = -999
    assert dead(network, named, kernels, (4, 4, 1)) == 2 / 6


def test_entropies_are_of_the_best_action(learner, space, kernels) -> None:
    """Two atoms at 0 and 1: of the action with the mean 3/4, and not of the others."""
    algo = C51(0.9, kernels, atoms=2, low=0.0, high=1.0, double=False)
    network = MLP(space(2, 3), 2, kernels, hidden=[], activation="relu")
    one = learner([0.0], network=network, algo=algo)
    logits = np.log(np.array([0.5, 0.5, 0.25, 0.75, 0.9, 0.1], np.float32))
    one.online[0, -6:] = kernels.place(logits)
    found = diagnosed(one)
    assert found.q_max == pytest.approx(0.75)
    assert found.entropy == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))


# In a run

SMALL = (
    *("seed=[1,2]", "network.hidden=[9]", "learning_starts=30", "batch_size=16"),
    *("episodes=7", "eval.episodes=2", "update_every=2"),
)
ROOMS = {
    "plain": (),
    "rainbow": (
        *("algo=c51", "algo.double=true", "buffer=per", "network=noisy_dueling", "n_step=3"),
        "network.streams=[5]",
    ),
    "by rank": ("buffer=per_rank", "buffer.capacity=90", "buffer.sort_every_updates=5"),
    "torch": ("device.kernels=torch", "buffer=per", "grad_clip_norm=1"),
    "iqn": ("algo=iqn", "network.head=[5]", "network.fractions=4", "network.cosines=8"),
}


@pytest.mark.parametrize("rooms", ROOMS.values(), ids=ROOMS)
def test_taking_one_changes_nothing(compose, rooms: tuple[str, ...]) -> None:
    """Neither the state of any lane, nor a score, a loss or a bit of the parameters after it."""

    def told(every: str) -> list[Any]:
        found: list[Any] = []
        for event in build.loop(compose(*SMALL, *rooms, f"eval.diagnose_every={every}")).run():
            match event:
                case Episode() | Evaluated():
                    found.append(event.row)
                case Finished():
                    found.append(event.params.tobytes())
        return found

    assert told("1") == told("null") == told("3")
    loop = build.loop(compose(*SMALL, *rooms))
    with torch.no_grad():
        while loop.step < 60:
            list(loop._step())
        diagnostics = Diagnostics(loop.learner)
        before = [dump_lane(loop.lane(lane)) for lane in range(2)]
        first = [diagnostics.take(lane, 1 + lane, loop.step) for lane in range(2)]
        assert [dump_lane(loop.lane(lane)) for lane in range(2)] == before
        assert [diagnostics.take(lane, 1 + lane, loop.step) for lane in range(2)] == first


def test_which_evaluations_have_one(compose) -> None:
    """Every second scored episode, and each evaluation by steps, that at the end as well."""
    loop = build.loop(
        compose(*SMALL, "seed=1", "eval.every_episodes=3", "eval.diagnose_every=2",
                "eval.every_steps=50", "episodes=14")
    )  # fmt: skip
    events = [event for event in loop.run() if isinstance(event, Episode | Evaluated)]
    episodes = [e.episode for e in events if isinstance(e, Episode) and e.diagnosis is not None]
    assert episodes == [6, 12]
    by_steps = [event for event in events if isinstance(event, Evaluated)]
    assert all(event.diagnosis is not None for event in by_steps) and by_steps[-1].extra
    for event in events:
        if event.diagnosis is not None:
            assert event.diagnosis.start_return == pytest.approx(
                (1 - 0.99**event.score) / 0.01, rel=0.1  # the mean of two, by Jensen not exactly
            )  # fmt: skip
            assert event.diagnosis.start_q is not None


def test_a_part_of_one_s_own_that_tells_nothing_leaves_its_columns_empty(compose) -> None:
    loop = build.loop(compose(*SMALL, "network=mlp"))
    sampler = loop.learner.replay.sampler
    loop.learner.replay.sampler = Silent(sampler)
    with torch.no_grad():
        while loop.step < 50:
            list(loop._step())
        found = Diagnostics(loop.learner).take(0, 1, loop.step)
    assert found.age is None and found.ess is None and found.td_max is not None


class Silent:
    """A sampler without `chances`."""

    def __init__(self, sampler: Any) -> None:
        self.capacity, self.added, self.draw = sampler.capacity, sampler.added, sampler.draw
        self.update, self.keep, self.state = sampler.update, sampler.keep, sampler.state
