from collections.abc import Sequence

import numpy as np
import pytest

from dqn_cli.buffer.uniform import Uniform
from dqn_cli.training.replay import Replay


@pytest.fixture
def filled(replay, row, kernels):
    """filled(seeds, rows, batch_size, capacity): a buffer that took this many rows."""

    def make(seeds: Sequence[int], rows: int, batch_size: int, capacity: int = 10) -> Replay:
        sampler = Uniform(seeds, batch_size, capacity=capacity)
        buffer = replay(sampler, len(seeds), kernels=kernels)
        for k in range(rows):
            buffer.add(row(k, list(seeds)))
        return buffer

    return make


def test_every_row_is_as_likely_as_any_other(filled) -> None:
    buffer = filled([0], rows=10, batch_size=100)
    drawn = np.concatenate([buffer.sample(1).index[0] for _ in range(200)])
    counts = np.bincount(drawn, minlength=10)
    # chi-square of 20000 draws, 9 degrees of freedom: above 39 in one of 100000 cases
    assert ((counts - 2000) ** 2 / 2000).sum() < 39


def test_only_rows_that_are_there_are_drawn(filled) -> None:
    buffer = filled([0, 1], rows=3, batch_size=50)
    batches = [buffer.sample(1) for _ in range(20)]
    for lane in (0, 1):
        assert {i for batch in batches for i in batch.index[lane].tolist()} == {0, 1, 2}
        rewards = {r for batch in batches for r in batch.reward[lane].tolist()}
        assert rewards == {100 * lane + k for k in range(3)}


def test_the_full_ring_is_drawn_from_and_no_more(filled) -> None:
    buffer = filled([0], rows=25, batch_size=200)  # capacity 10
    assert set(buffer.sample(1).reward[0].tolist()) == set(range(15, 25))


def test_draws_are_with_replacement(filled) -> None:
    """Trap: replace=False. All different would come by chance in one batch of 400."""
    index = filled([0], rows=8, batch_size=8).sample(1).index[0]
    assert len(set(index.tolist())) < 8


def test_a_row_belongs_to_its_index(filled) -> None:
    batch = filled([0, 3], rows=10, batch_size=20).sample(1)
    lane = np.array([[0], [300]])
    assert np.array_equal(batch.reward, np.asarray(batch.index) + lane)


def test_weights_are_one_and_priorities_change_nothing(filled) -> None:
    told, untold = filled([0, 1], 10, 6), filled([0, 1], 10, 6)
    for _ in range(5):
        batch = told.sample(1)
        assert batch.weight.tolist() == [[1.0] * 6] * 2
        assert np.array_equal(batch.index, untold.sample(1).index)
        told.update(batch.index, batch.weight * 1e6)


def test_lanes_draw_differently_and_none_depends_on_company(filled) -> None:
    alone = {seed: filled([seed], 10, 6) for seed in (0, 1, 2)}
    company = filled([2, 0, 1], 10, 6)
    for _ in range(300):  # past a block of the stream
        batch = company.sample(1)
        for lane, seed in enumerate([2, 0, 1]):
            solo = alone[seed].sample(1)
            assert np.array_equal(batch.index[lane], solo.index[0])
            assert np.array_equal(batch.obs[lane], solo.obs[0])
    assert not np.array_equal(batch.index[0], batch.index[1])


def test_keep_goes_on_with_these_lanes_alone(filled, row) -> None:
    company, alone = filled([0, 1, 2], 4, 6), filled([2], 4, 6)
    company.sample(1), alone.sample(1)
    company.keep([2])
    for k in range(4, 9):
        company.add(row(k, [2]))
        alone.add(row(k, [2]))
        ours, theirs = company.sample(1), alone.sample(1)
        assert np.array_equal(ours.reward, theirs.reward)
        assert ours.weight.shape == (1, 6)
