import numpy as np
import pytest
import torch

from dqn_cli.buffer.ring import Ring
from dqn_cli.state import stack
from dqn_cli.types import Batch, Step

CPU = torch.device("cpu")


def rows_at(ring: Ring, *positions: int) -> Batch:
    """The same positions of every lane."""
    index = np.tile(np.array(positions), (len(ring.numbers), 1))
    return ring.gather(index, torch.ones(index.shape))


def test_the_oldest_row_is_overwritten(space, row) -> None:
    ring = Ring(2, space(), 3, 0.9, CPU)
    positions, sizes = [], []
    for k in range(5):
        positions.append(ring.add(row(k, [0, 1])))
        sizes.append(len(ring))
    assert positions == [0, 1, 2, 0, 1]
    assert sizes == [1, 2, 3, 3, 3]
    assert rows_at(ring, 0, 1, 2).reward.tolist() == [[3, 4, 2], [103, 104, 102]]


def test_a_row_comes_back_whole_and_in_its_own_lane(space, row) -> None:
    ring = Ring(3, space(), 7, 0.9, CPU)
    for k in range(7):
        ring.add(row(k, [0, 1, 2]))
    index = np.array([[6, 0], [5, 5], [1, 2]])
    weight = torch.rand(3, 2)
    batch = ring.gather(index, weight)
    reward = torch.tensor([[6.0, 0.0], [105.0, 105.0], [201.0, 202.0]])
    obs = torch.stack([reward, -reward], dim=-1)
    assert torch.equal(batch.reward, reward)
    assert torch.equal(batch.obs, obs)
    assert torch.equal(batch.next_obs, obs + 0.5)
    assert batch.action.tolist() == [[0, 0], [2, 2], [1, 2]]
    assert torch.equal(batch.weight, weight)
    assert np.array_equal(batch.index, index)


def test_truncation_is_not_termination(space, row) -> None:
    """Trap: a time limit that cuts the bootstrap. Only what terminated has discount 0."""
    ring = Ring(2, space(), 4, 0.9, CPU)
    ring.add(row(0, [0, 1]))
    ring.add(row(1, [0, 1])._replace(terminated=np.array([True, False])))
    torch.testing.assert_close(rows_at(ring, 0, 1).discount, torch.tensor([[0.9, 0], [0.9, 0.9]]))


def test_terminal_next_obs_lost_by_shared_storage(space, row) -> None:
    """Trap: the last row's successor replaced by the next episode's first observation."""
    ring = Ring(1, space(), 4, 0.9, CPU)
    ring.add(row(1, [0], ended=True))  # ends in 1.5
    ring.add(row(50, [0]))  # another episode begins with 50
    assert rows_at(ring, 0, 1).next_obs[0].tolist() == [[1.5, -0.5], [50.5, -49.5]]


def test_rows_are_copies(space, row) -> None:
    """Environments may hand out the same array again and again."""
    ring = Ring(1, space(), 2, 0.9, CPU)
    step = row(7, [0])
    ring.add(step)
    for array in step:
        array[...] = 0
    batch = rows_at(ring, 0)
    assert (batch.reward.item(), batch.action.item()) == (7.0, 1)
    assert batch.obs.flatten().tolist() == [7.0, -7.0]
    assert batch.next_obs.flatten().tolist() == [7.5, -6.5]
    batch.obs.zero_()
    assert rows_at(ring, 0).obs.flatten().tolist() == [7.0, -7.0]


def test_dtypes_bytes_stay_bytes_and_actions_do_not_overflow(space) -> None:
    """Trap: float pictures take four times the room, and an int8 action ends at 127."""
    ring = Ring(1, space((2, 3), 400, np.uint8), 2, 0.9, CPU)
    picture = np.arange(250, 256, dtype=np.uint8).reshape(1, 2, 3)
    ring.add(Step(picture, np.array([399]), np.array([0.1]), picture - 5, np.array([False])))
    batch = rows_at(ring, 0)
    assert batch.obs.dtype == batch.next_obs.dtype == torch.uint8
    assert batch.action.dtype == torch.int64
    assert batch.reward.dtype == batch.discount.dtype == torch.float32
    assert ring.pairs.dtype == np.uint8
    assert batch.obs.tolist() == [[[[250, 251, 252], [253, 254, 255]]]]
    assert batch.next_obs.tolist() == [[[[245, 246, 247], [248, 249, 250]]]]
    assert batch.action.item() == 399


@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 4)])
def test_any_shape_of_observation(space, shape: tuple[int, ...]) -> None:
    ring = Ring(2, space(shape), 3, 0.9, CPU)
    obs = np.random.default_rng(0).random((2, *shape)).astype(np.float32)
    ring.add(Step(obs, np.zeros(2, np.int64), np.zeros(2), obs + 1, np.zeros(2, bool)))
    assert torch.equal(rows_at(ring, 0, 0).obs[:, 1], torch.from_numpy(obs))


def test_keep_keeps_the_rows_of_these_lanes_and_goes_on(space, row) -> None:
    ring = Ring(3, space(), 3, 0.9, CPU)
    for k in range(4):
        ring.add(row(k, [0, 1, 2]))
    ring.keep([2, 0])
    assert ring.add(row(4, [2, 0])) == 1
    assert rows_at(ring, 0, 1, 2).reward.tolist() == [[203, 204, 202], [3, 4, 2]]


def test_what_is_taken_out_of_a_ring_goes_on_in_another(space, row) -> None:
    for n in (0, 2, 3, 4, 8):  # empty, not full, full, overwritten
        ring, other = Ring(3, space(), 3, 0.9, CPU), Ring(1, space(), 3, 0.9, CPU)
        for k in range(n):
            ring.add(row(k, [0, 1, 2], ended=k == 1))
        other.load(2, stack([ring.state(2), ring.state(0)]), n)
        assert len(other) == len(ring)
        for k in (n, n + 1):
            assert ring.add(row(k, [0, 1, 2])) == other.add(row(k, [2, 0]))
        assert np.array_equal(other.pairs, ring.pairs[[2, 0]])
        assert np.array_equal(other.numbers, ring.numbers[[2, 0]])


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("pairs", torch.zeros(1, 4, 2, 2), "pairs: expected"),  # other rows than were added
        ("pairs", torch.zeros(1, 3, 2, 3), "pairs: expected"),
        ("numbers", torch.zeros(1, 3, 3, dtype=torch.float64), "numbers: expected"),
        ("numbers", torch.full((1, 3, 3), 3.0), "numbers: expected actions"),
        ("numbers", torch.full((1, 3, 3), 0.5), "numbers: expected actions"),
        ("numbers", torch.full((1, 3, 3), torch.nan), "numbers: expected actions"),
    ],
)
def test_what_is_no_ring_of_this_kind_is_refused(space, row, name, value, words) -> None:
    ring = Ring(1, space(2, 3), 5, 0.9, CPU)
    for k in range(3):
        ring.add(row(k, [0]))
    state = stack([ring.state(0)]) | {name: value}
    with pytest.raises(ValueError, match=words):
        ring.load(1, state, 3)
