"""Rank-based prioritised replay, by hand and against the same thing done slowly (`Listed`)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dqn_cli.buffer.per_rank import RankPrioritized
from dqn_cli.seeding import Stream
from dqn_cli.state import stack
from dqn_cli.training.replay import Replay

Make = Callable[..., Replay]


@pytest.fixture
def make(replay, kernels) -> Make:
    def per(seeds: Sequence[int] = (0,), batch_size: int = 4, **keys: Any) -> Replay:
        given = {"capacity": 10, "alpha": 0.7, "beta": 0.5, "beta_end": 1.0, "beta_steps": 100}
        given |= {"sort_every_updates": 1, "normalize": "batch", **keys}
        return replay(RankPrioritized(seeds, batch_size, kernels, **given), len(seeds))

    return per


@pytest.fixture
def holding(make, row, tell) -> Make:
    """holding([1, 3], ...): a buffer of one lane with these |TD errors| told."""

    def per(errors: Sequence[float], **keys: Any) -> Replay:
        buffer = make(**keys)
        for k in range(len(errors)):
            buffer.add(row(k, [0]))
        tell(buffer, np.arange(len(errors))[None], np.array([errors]))
        return buffer

    return per


class Listed:
    """One lane as a Python list of rows, the first one of rank 1."""

    def __init__(self, seed: int, batch_size: int, capacity: int, alpha: float, every: int):
        self.draws = Stream([seed], "replay", (batch_size,))
        self.error: dict[int, float] = {}
        self.ranking: list[int] = []
        self.capacity, self.alpha, self.batch_size, self.every = capacity, alpha, batch_size, every
        self.added = self.samples = 0

    def add(self) -> None:
        position = self.added % self.capacity
        self.error[position] = math.inf
        self.ranking = [position] + [i for i in self.ranking if i != position]
        self.added += 1

    def sample(self, beta: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        if self.samples % self.every == 0:
            self.ranking = sorted(self.error, key=lambda i: (-self.error[i], i))
        chances = [k**-self.alpha for k in range(1, len(self.ranking) + 1)]
        chances = [chance / sum(chances) for chance in chances]
        drawn = []
        for stratum, draw in enumerate(self.draws.at(self.samples)[0]):
            mass, rank = (stratum + draw) / self.batch_size, 0
            while rank < len(chances) - 1 and mass >= sum(chances[: rank + 1]):
                rank += 1
            drawn.append(rank)
        self.samples += 1
        weight = np.array([(len(chances) * chances[rank]) ** -beta for rank in drawn])
        return np.array([self.ranking[rank] for rank in drawn]), weight / weight.max()

    def update(self, index: NDArray[np.int64], error: NDArray[np.float64]) -> None:
        self.error |= dict(zip(index.tolist(), error.tolist(), strict=True))


@pytest.mark.parametrize(("capacity", "batch_size"), [(1, 1), (7, 3), (60, 5), (100, 9)])
@pytest.mark.parametrize("every", [1, 4, 1000])
def test_it_is_the_slow_list(make, row, tell, capacity: int, batch_size: int, every: int) -> None:
    """Filled, overwritten, sampled now and then, told errors: the same rows and weights."""
    seeds = [4, 0, 9]
    draw = np.random.default_rng(capacity)
    buffer = make(seeds, batch_size, capacity=capacity, sort_every_updates=every)
    slow = [Listed(seed, batch_size, capacity, 0.7, every) for seed in seeds]
    for step in range(1, capacity + 70):
        buffer.add(row(step, seeds))
        for lane in slow:
            lane.add()
        if step % 3 == 0:
            continue
        batch = buffer.sample(step)
        error = 3 * draw.random((3, batch_size)).astype(np.float32)  # below 1 and above
        beta = min(0.5 + 0.5 * step / 100, 1.0)
        for s, lane in enumerate(slow):
            index, weight = lane.sample(beta)
            assert np.array_equal(batch.index[s], index)
            np.testing.assert_allclose(batch.weight[s], weight, rtol=1e-5)
            error[s] = error[s][[np.flatnonzero(index == i)[0] for i in index]]
            lane.update(index, error[s].astype(np.float64))
        tell(buffer, batch.index, error)


def test_rows_are_drawn_by_rank_to_the_minus_alpha(holding) -> None:
    """Ranks 4, 2, 1, 3 of these errors; 1 / rank over 25 / 12: however far the errors lie apart."""
    buffer = holding([0.1, 3.0, 1000.0, 2.9], alpha=1.0, batch_size=25)
    drawn = np.concatenate([buffer.sample(1).index[0] for _ in range(400)])
    share = np.bincount(drawn, minlength=4) / len(drawn)
    np.testing.assert_allclose(share, np.array([3, 6, 12, 4]) / 25, atol=0.01)


def test_exponents_may_be_whole_numbers(holding) -> None:
    """As YAML has them: 1 over 1, 2, 3."""
    assert holding([3.0, 2.0, 1.0], alpha=1, capacity=3).sampler.value == pytest.approx(
        [1, 1 / 2, 1 / 3]
    )


def test_alpha_0_is_uniform_with_weights_of_one(holding) -> None:
    buffer = holding([0.01, 1.0, 5.0, 100.0], alpha=0.0, batch_size=4)
    for _ in range(50):
        batch = buffer.sample(50)
        assert sorted(batch.index[0].tolist()) == [0, 1, 2, 3]
        assert batch.weight.tolist() == [[1.0] * 4]


def test_per_weight_sign(holding) -> None:
    """Trap: (N P)^+beta. Of two rows, 1 and 1/2 over 3/2: the second one counts twice."""
    batch = holding([5.0, 1.0], alpha=1.0, beta=1.0, beta_end=1.0, batch_size=9).sample(0)
    expected = np.where(batch.index == 0, 0.5, 1.0)
    np.testing.assert_allclose(batch.weight, expected, rtol=1e-6)


def test_weight_normaliser_of_the_buffer_is_the_last_rank(holding) -> None:
    """A batch of one row has a weight of 1 by its own scale, and 1/4 by that of four ranks."""
    keys = {"alpha": 1.0, "beta": 1.0, "beta_end": 1.0, "batch_size": 1}
    errors = [1e6, 3.0, 2.0, 1.0]
    assert holding(errors, **keys).sample(0).weight.item() == 1.0
    buffer = holding(errors, normalize="buffer", **keys)
    for _ in range(30):
        batch = buffer.sample(0)
        assert batch.weight.item() == pytest.approx((batch.index.item() + 1) / 4)


def test_new_item_priority(make, row, tell) -> None:
    """Trap: new rows that nobody draws. They come before all others, the latest first, also
    between two sorts; told an error, they find their place at the next sort."""
    buffer = make(alpha=2.0, batch_size=1, sort_every_updates=1000, capacity=3)
    for k in range(3):
        buffer.add(row(k, [0]))
    buffer.sample(1)
    tell(buffer, np.array([[0, 1, 2]]), np.array([[5.0, 6.0, 7.0]]))
    buffer.add(row(3, [0]))  # over row 0
    buffer.sample(1)
    assert buffer.sampler.order[0].tolist() == [0, 1, 2]
    buffer.add(row(4, [0]))  # over row 1
    buffer.add(row(5, [0]))  # over row 2
    buffer.sample(1)
    assert buffer.sampler.order[0].tolist() == [2, 1, 0]


def test_a_sort_leaves_new_rows_before_the_largest_error(holding, row, tell) -> None:
    """Trap: new rows at a priority of 1, as proportional replay has them to begin with. They are
    before any error until they are told their own; a row that is overwritten is new, too."""
    buffer = holding([5.0, 1e6, 7.0], sort_every_updates=1, capacity=5)

    def order() -> list[int]:
        buffer.sample(1)
        return buffer.sampler.order[0, : len(buffer)].tolist()

    assert order() == [1, 2, 0]
    buffer.add(row(3, [0]))
    assert order() == [3, 1, 2, 0]
    tell(buffer, np.array([[3]]), np.array([[6.0]]))
    assert order() == [1, 2, 3, 0]
    buffer.add(row(4, [0]))
    buffer.add(row(5, [0]))  # over row 0
    assert order() == [0, 4, 1, 2, 3]


def test_ranks_are_renewed_every_so_many_samples(holding, tell) -> None:
    buffer = holding([1.0, 2.0, 3.0], sort_every_updates=3)
    orders = []
    for _ in range(5):
        buffer.sample(1)
        orders.append(buffer.sampler.order[0, :3].tolist())
        tell(buffer, np.array([[0]]), np.array([[10.0]]))
    assert orders == [[2, 1, 0]] * 3 + [[0, 2, 1]] * 2


@pytest.mark.parametrize("error", [math.nan, math.inf])
def test_a_lane_that_diverges_harms_no_other(make, row, tell, error: float) -> None:
    pair, alone = make([0, 1], capacity=30), make([1], capacity=30)
    for k in range(20):
        pair.add(row(k, [0, 1]))
        alone.add(row(k, [1]))
    draw = np.random.default_rng(1)
    for _ in range(5):
        ours, theirs = pair.sample(0), alone.sample(0)
        assert np.array_equal(ours.index[1], theirs.index[0])
        assert np.isfinite(np.asarray(ours.weight)).all()
        errors = draw.random(tuple(ours.weight.shape))
        tell(alone, theirs.index, errors[[1]])
        errors[0, 0] = error
        tell(pair, ours.index, errors)


@pytest.mark.parametrize("every", [1, 6])
def test_what_is_taken_out_of_a_buffer_goes_on_in_another(make, row, tell, every: int) -> None:
    """Between two sorts, with rows that were added since the last sample."""
    keys = {"capacity": 30, "sort_every_updates": every}
    whole, part = make([0, 1, 2], 7, **keys), make([5], 7, **keys)
    draw = np.random.default_rng(0)
    for step in range(60):
        if step == 46:
            rows = [whole.storage.rows(lane) for lane in (2, 0)]
            state = stack([whole.state(2), whole.state(0)])
            part.load([2, 0], state, step, whole.sampler.samples, rows)
            whole.keep([2, 0])
        lanes = [2, 0] if step >= 46 else [0, 1, 2]
        whole.add(row(step, lanes))
        if step >= 46:
            part.add(row(step, lanes))
        if step % 4 < 2:
            continue
        batch = whole.sample(step)
        error = draw.random((len(lanes), 7))
        tell(whole, batch.index, error)
        if step >= 46:
            other = part.sample(step)
            tell(part, other.index, error)
            assert np.array_equal(other.index, batch.index)
            assert np.array_equal(other.weight, batch.weight)
            assert np.array_equal(other.obs, batch.obs)


@pytest.mark.parametrize(
    ("name", "value"), [("priority", math.nan), ("priority", -1.0), ("order", 1), ("order", 9)]
)
def test_ranks_that_are_none_are_refused(make, row, name: str, value: float) -> None:
    buffer = make([0], 7)
    for k in range(2):
        buffer.add(row(k, [0]))
    state = stack([buffer.state(0)])
    state[name] = torch.full_like(state[name], value)
    with pytest.raises(ValueError, match="a rank of each row"):
        buffer.load([0], state, 2, 0, [None])
