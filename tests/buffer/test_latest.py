import numpy as np
import pytest

from dqn_cli.buffer.latest import Latest
from dqn_cli.state import stack
from dqn_cli.training.replay import Replay


@pytest.fixture
def filled(replay, row, kernels):
    """filled(seeds, rows, batch_size): a buffer that took this many rows."""

    def make(seeds: list[int], rows: int, batch_size: int) -> Replay:
        buffer = replay(Latest(seeds, batch_size), len(seeds), kernels=kernels)
        for k in range(rows):
            buffer.add(row(k, seeds))
        return buffer

    return make


@pytest.mark.parametrize(
    ("rows", "latest"),
    [(4, [0, 1, 2, 3]), (5, [1, 2, 3, 4]), (11, [7, 8, 9, 10]), (2, [0, 1, 0, 1]), (1, [0] * 4)],
)
def test_the_latest_rows_come_in_their_order(filled, rows: int, latest: list[int]) -> None:
    batch = filled([0, 1], rows, 4).sample(1)
    assert batch.reward.tolist() == [latest, [100 + k for k in latest]]
    assert batch.weight.tolist() == [[1.0] * 4] * 2


def test_they_come_again_until_there_are_new_ones(filled, row) -> None:
    buffer = filled([0], 3, 2)
    assert [buffer.sample(1).reward.tolist() for _ in range(3)] == [[[1.0, 2.0]]] * 3
    buffer.update(buffer.sample(1).index, buffer.sample(1).weight * 1e6)
    buffer.add(row(3, [0]))
    assert buffer.sample(1).reward.tolist() == [[2.0, 3.0]]


def test_a_batch_of_one_is_the_step_just_made(filled, row) -> None:
    buffer = filled([0, 2], 0, 1)
    for k in range(5):
        buffer.add(row(k, [0, 2]))
        assert buffer.sample(1).reward.tolist() == [[k], [200 + k]]


def test_what_is_taken_out_of_a_buffer_goes_on_in_another(filled, row) -> None:
    whole, part = filled([0, 1, 2], 6, 4), filled([5], 6, 4)
    rows = [whole.storage.rows(lane) for lane in (2, 0)]
    state = stack([whole.state(2), whole.state(0)])
    part.load([2, 0], state, 6, 6, rows)
    whole.keep([2, 0])
    for k in range(6, 12):
        whole.add(row(k, [2, 0]))
        part.add(row(k, [2, 0]))
        ours, theirs = whole.sample(1), part.sample(1)
        assert np.array_equal(ours.reward, theirs.reward)
        assert np.array_equal(ours.weight, theirs.weight)
