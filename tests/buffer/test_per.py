"""Proportional prioritised replay, by hand and against the same thing done slowly (`Dense`)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dqn_cli.buffer.per import Prioritized
from dqn_cli.seeding import Stream
from dqn_cli.state import stack
from dqn_cli.training.replay import Replay

Make = Callable[..., Replay]
TINY = 1e-12  # an epsilon that hand-made numbers need not mention


@pytest.fixture
def make(replay, kernels) -> Make:
    def per(seeds: Sequence[int] = (0,), batch_size: int = 4, **keys: Any) -> Replay:
        given = {"capacity": 10, "alpha": 0.6, "beta": 0.4, "beta_end": 1.0, "beta_steps": 100}
        given |= {"epsilon": TINY, "normalize": "batch", **keys}
        return replay(Prioritized(seeds, batch_size, kernels, **given), len(seeds))

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


class Dense:
    """One lane, algorithm 1 of the paper in O(N)."""

    def __init__(self, seed: int, batch_size: int, capacity: int, alpha: float, epsilon: float):
        self.draws = Stream([seed], "replay", (batch_size,))
        self.raw = np.zeros(capacity)  # p; 0 is an empty place
        self.alpha, self.epsilon, self.batch_size = alpha, epsilon, batch_size
        self.largest, self.added, self.samples = 1.0, 0, 0

    def add(self) -> None:
        self.raw[self.added % len(self.raw)] = self.largest
        self.added += 1

    def sample(self, beta: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        held = min(self.added, len(self.raw))
        scaled = self.raw[:held] ** self.alpha
        probability = scaled / scaled.sum()
        share = (np.arange(self.batch_size) + self.draws.at(self.samples)[0]) / self.batch_size
        self.samples += 1
        index = np.searchsorted(probability.cumsum(), share, side="right")
        weight = (held * probability[index]) ** -beta
        return index, weight / weight.max()

    def update(self, index: NDArray[np.int64], error: NDArray[np.float64]) -> None:
        self.raw[index] = error + self.epsilon
        self.largest = max(self.largest, float((error + self.epsilon).max()))


@pytest.mark.parametrize("capacity", [1, 5, 17, 100, 300])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_like_the_slow_one_through_wraps_and_updates(
    make, row, tell, capacity: int, alpha: float
) -> None:
    """Trap: a sum tree right for powers of two only. Three lanes, rings that wrap around."""
    seeds, batch_size, epsilon = [4, 0, 9], 7, 0.01
    draw = np.random.default_rng(capacity)
    buffer = make(seeds, batch_size, capacity=capacity, alpha=alpha, epsilon=epsilon)
    dense = [Dense(seed, batch_size, capacity, alpha, epsilon) for seed in seeds]
    for step in range(1, capacity + 70):
        buffer.add(row(step, seeds))
        for lane in dense:
            lane.add()
        if step % 4 and step != capacity:
            continue
        batch = buffer.sample(step)
        error = draw.random((3, batch_size)).astype(np.float32) ** 2 * 3
        beta = min(0.4 + 0.6 * step / 100, 1.0)
        for s, lane in enumerate(dense):
            index, weight = lane.sample(beta)
            assert np.array_equal(batch.index[s], index)
            np.testing.assert_allclose(batch.weight[s], weight, rtol=1e-5)
            # one value for a row however often it was drawn, as a TD error is
            error[s] = error[s][[np.flatnonzero(index == i)[0] for i in index]]
            lane.update(index, error[s].astype(np.float64))
        tell(buffer, batch.index, error)


def test_rows_are_drawn_in_proportion_to_priority_to_the_alpha(holding) -> None:
    """sqrt of 1, 4, 9, 16 is 1, 2, 3, 4: P = 0.1, 0.2, 0.3, 0.4."""
    buffer = holding([1.0, 4.0, 9.0, 16.0], alpha=0.5, batch_size=25)
    drawn = np.concatenate([buffer.sample(1).index[0] for _ in range(400)])
    share = np.bincount(drawn, minlength=4) / len(drawn)
    np.testing.assert_allclose(share, [0.1, 0.2, 0.3, 0.4], atol=0.01)


def test_per_weight_sign(holding) -> None:
    """Trap: (N P)^+beta. P = 1/4, 3/4 and beta 1: (2/4)^-1 = 2 and (6/4)^-1 = 2/3, over 2."""
    buffer = holding([1.0, 3.0], alpha=1.0, beta=1.0, batch_size=8)
    batch = buffer.sample(0)
    expected = np.where(batch.index == 0, 1.0, 1 / 3)
    assert set(batch.index[0].tolist()) == {0, 1}
    np.testing.assert_allclose(batch.weight, expected, rtol=1e-6)


def test_weight_normaliser_is_the_largest_of_the_batch(holding) -> None:
    """Trap: two scales, of the batch or of the buffer, rarely told apart. Row 0 would weigh a
    thousand times more, but is not in these batches."""
    buffer = holding([0.001, 1.0, 1.0], alpha=1.0, beta=1.0, batch_size=2)
    batches = [buffer.sample(0) for _ in range(20)]
    assert not any((batch.index == 0).any() for batch in batches)
    for batch in batches:
        assert batch.weight.tolist() == [[1.0, 1.0]]


def test_weight_normaliser_is_the_largest_of_the_buffer(holding) -> None:
    """The other scale: (P_min / P)^beta, and P_min = 0.001 / 2.001 is in none of these batches."""
    keys = {"alpha": 1.0, "beta": 0.5, "batch_size": 2, "normalize": "buffer"}
    buffer = holding([0.001, 1.0, 1.0], **keys)
    for _ in range(20):
        batch = buffer.sample(0)
        assert not (batch.index == 0).any()
        np.testing.assert_allclose(batch.weight, 0.001**0.5, rtol=1e-5)


def test_the_buffer_s_largest_weight_is_that_of_rows_that_are_there(make, row, tell) -> None:
    """Empty places have no priority, and no weight; each lane has a largest weight of its own."""
    buffer = make([0, 1], alpha=1.0, beta=1.0, normalize="buffer", capacity=10)
    for k in range(2):
        buffer.add(row(k, [0, 1]))
    tell(buffer, np.array([[0, 1], [0, 1]]), np.array([[1.0, 2.0], [1.0, 4.0]]))
    batch = buffer.sample(0)
    for lane, weight in enumerate((0.5, 0.25)):
        expected = np.where(batch.index[lane] == 0, 1.0, weight)
        np.testing.assert_allclose(batch.weight[lane], expected, rtol=1e-6)


def test_exponents_beyond_one_are_squares(holding) -> None:
    """|TD error|^1.2 = (TD error squared)^0.6, and (w^2 of beta 0.4) = (w of beta 0.8)."""
    buffer = holding([1.0, 3.0], alpha=1.2, beta=0.8, beta_end=0.8, batch_size=8)
    assert buffer.sampler.tree.values(0, 2).tolist() == pytest.approx([1.0, (3.0**2) ** 0.6])
    assert buffer.sample(0).weight.min().item() == pytest.approx((3**-1.2) ** 0.8, rel=1e-5)


def test_weights_are_normalised_in_each_lane(make, row, tell) -> None:
    buffer = make([0, 1], batch_size=3, beta=1.0)
    for k in range(6):
        buffer.add(row(k, [0, 1]))
    errors = np.array([[1.0, 2, 3, 4, 5, 6], [100.0, 900, 900, 900, 900, 900]])
    tell(buffer, np.tile(np.arange(6), (2, 1)), errors)
    for _ in range(20):
        assert np.asarray(buffer.sample(0).weight).max(-1).tolist() == [1.0, 1.0]


def test_new_item_priority(make, row, tell) -> None:
    """Trap: an empty maximum, or alpha applied twice. New rows come in at the largest |TD error|
    seen so far, 1 to begin with, and alpha = 0.5 is applied once."""
    buffer = make([0, 1], alpha=0.5)

    def leaves(k: int) -> list[float]:
        return [float(buffer.sampler.tree.values(lane, k + 1)[k]) for lane in (0, 1)]

    def newest(k: int) -> list[float]:
        buffer.add(row(k, [0, 1]))
        return leaves(k)

    assert newest(0) == [1.0, 1.0]
    tell(buffer, np.array([[0], [0]]), np.array([[16.0], [0.25]]))
    assert leaves(0) == pytest.approx([4.0, 0.5])
    assert newest(1) == pytest.approx([4.0, 1.0])  # each lane has a maximum of its own
    tell(buffer, np.array([[0], [0]]), np.array([[0.01], [0.01]]))
    tell(buffer, np.array([[1], [1]]), np.array([[0.01], [0.01]]))
    assert newest(2) == pytest.approx([4.0, 1.0])  # and it does not shrink


def test_priority_is_the_absolute_error_not_its_square(holding) -> None:
    """Trap: an exponent of 2 alpha. |TD error| 4 + epsilon 0.5, to the 0.5: sqrt 4.5."""
    buffer = holding([4.0, 0.0], alpha=0.5, epsilon=0.5)
    assert buffer.sampler.tree.values(0, 2).tolist() == pytest.approx([4.5**0.5, 0.5**0.5])


def test_a_row_without_error_is_drawn_now_and_then(holding) -> None:
    """P(0) = 0.1 / (0.1 + 0.9): epsilon keeps it."""
    buffer = holding([0.0, 0.8], alpha=1.0, epsilon=0.1, batch_size=20)
    drawn = np.concatenate([buffer.sample(1).index[0] for _ in range(100)])
    assert (drawn == 0).mean() == pytest.approx(0.1, abs=0.02)


def test_a_row_that_is_overwritten_takes_its_priority_along(make, row, tell) -> None:
    buffer = make(capacity=3, alpha=1.0)
    for k in range(3):
        buffer.add(row(k, [0]))
    tell(buffer, np.array([[0, 1, 2]]), np.array([[8.0, 0.5, 0.5]]))
    tell(buffer, np.array([[0]]), np.array([[0.25]]))
    buffer.add(row(3, [0]))
    assert buffer.sampler.tree.total[0] == pytest.approx(8.0 + 0.5 + 0.5)


def test_alpha_0_is_uniform_with_weights_of_one(holding) -> None:
    buffer = holding([0.01, 1.0, 5.0, 100.0], alpha=0.0, batch_size=25)
    batches = [buffer.sample(50) for _ in range(200)]
    share = np.bincount(np.concatenate([batch.index[0] for batch in batches])) / 5000
    np.testing.assert_allclose(share, 0.25, atol=0.01)
    assert all((batch.weight == 1).all() for batch in batches)


@pytest.mark.parametrize(
    ("step", "beta"), [(0, 0.2), (50, 0.5), (100, 0.8), (101, 0.8), (10**9, 0.8)]
)
def test_beta_schedule_unit(holding, step: int, beta: float) -> None:
    """Trap: beta that counts episodes, updates or vector steps. It depends on the env step alone,
    0.2 at 0 and 0.8 from step 100 on; P = 1/4 and 3/4 make the smaller weight (1/3)^beta."""
    buffer = holding([1.0, 3.0], alpha=1.0, beta=0.2, beta_end=0.8, beta_steps=100, batch_size=8)
    for _ in range(3):  # however often one samples
        assert buffer.sample(step).weight.min().item() == pytest.approx(3**-beta, rel=1e-5)


def test_a_batch_takes_one_draw_from_each_equal_share(holding) -> None:
    buffer = holding([1.0, 1.0, 1.0, 1.0], batch_size=4)
    assert all(buffer.sample(1).index[0].tolist() == [0, 1, 2, 3] for _ in range(50))
    # one row has half of the total: exactly half of every batch
    buffer = holding([3.0, 1.0, 1.0, 1.0], alpha=1.0, batch_size=4)
    assert all((buffer.sample(1).index == 0).sum() == 2 for _ in range(50))


def test_draws_are_with_replacement(holding) -> None:
    """Trap: replace=False makes N P wrong."""
    index = holding([97.0, 1.0, 1.0, 1.0], alpha=1.0, batch_size=20).sample(1).index[0]
    assert (index == 0).sum() >= 18


def test_only_rows_that_are_there_are_drawn(make, row, tell) -> None:
    buffer = make([0, 1], batch_size=30, capacity=50)
    for k in range(3):
        buffer.add(row(k, [0, 1]))
    for _ in range(20):
        batch = buffer.sample(1)
        assert set(batch.index[0].tolist()) == {0, 1, 2}
        assert np.array_equal(batch.reward, np.asarray(batch.index) + np.array([[0], [100]]))


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_a_lane_is_the_same_bits_in_any_company_and_after_others_left(
    make, row, tell, batch_size: int
) -> None:
    company, alone = make([0, 1, 2], batch_size), {s: make([s], batch_size) for s in (0, 1, 2)}
    seeds = [0, 1, 2]
    draw = np.random.default_rng(0)
    for step in range(40):
        if step == 20:
            company.keep([2, 0])
            seeds = [2, 0]
        error = {s: draw.random((1, batch_size)) ** 2 * 3 for s in (0, 1, 2)}
        company.add(row(step, seeds))
        batch = company.sample(step)
        tell(company, batch.index, np.concatenate([error[s] for s in seeds]))
        for lane, s in enumerate(seeds):
            alone[s].add(row(step, [s]))
            solo = alone[s].sample(step)
            tell(alone[s], solo.index, error[s])
            assert np.array_equal(batch.index[lane], solo.index[0])
            assert np.array_equal(batch.weight[lane], solo.weight[0])
            assert np.array_equal(batch.reward[lane], solo.reward[0])


@pytest.mark.parametrize("error", [math.nan, math.inf])
@pytest.mark.parametrize("bad", [0, 1])
def test_a_lane_that_diverges_harms_no_other(make, row, tell, error: float, bad: int) -> None:
    """Its draws stay its own, and whoever is beside it draws and weighs what it would alone."""
    pair, alone = make([0, 1], capacity=30), make([1 - bad], capacity=30)
    for k in range(20):
        pair.add(row(k, [0, 1]))
        alone.add(row(k, [1 - bad]))
    draw = np.random.default_rng(1)
    for _ in range(5):
        ours, theirs = pair.sample(0), alone.sample(0)
        assert ours.index.min() >= 0 and ours.index.max() < 20
        assert np.array_equal(ours.weight[1 - bad], theirs.weight[0])
        assert np.array_equal(ours.index[1 - bad], theirs.index[0])
        assert np.isfinite(np.asarray(ours.weight)).all()
        errors = draw.random(tuple(ours.weight.shape))
        tell(alone, theirs.index, errors[[1 - bad]])
        errors[bad, 0] = error
        tell(pair, ours.index, errors)


def test_what_is_taken_out_of_a_buffer_goes_on_in_another(make, row, tell) -> None:
    whole, part = make([0, 1, 2], 7, capacity=30), make([5], 7, capacity=30)
    draw = np.random.default_rng(0)
    for step in range(60):
        if step == 45:
            rows = [whole.storage.rows(lane) for lane in (2, 0)]
            state = stack([whole.state(2), whole.state(0)])
            part.load([2, 0], state, step, whole.sampler.samples, rows)
        whole.add(row(step, [0, 1, 2]))
        batch = whole.sample(step)
        error = draw.random((3, 7)) ** 2 * 3
        tell(whole, batch.index, error)
        if step >= 45:
            part.add(row(step, [2, 0]))
            other = part.sample(step)
            tell(part, other.index, error[[2, 0]])
            assert np.array_equal(other.index, batch.index[[2, 0]])
            assert np.array_equal(other.weight, batch.weight[[2, 0]])
            assert np.array_equal(other.obs, batch.obs[[2, 0]])


@pytest.mark.parametrize("name", ["values", "largest"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_priorities_that_are_none_are_refused(make, row, name: str, value: float) -> None:
    buffer = make([0], 7)
    buffer.add(row(0, [0]))
    state = stack([buffer.state(0)])
    state[name] = torch.full_like(state[name], value)
    with pytest.raises(ValueError, match="expected finite priorities from 0 on"):
        buffer.load([0], state, 1, 0, [None])
