from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.storage.transitions import Transitions
from dqn_cli.types import Batch, Space, Step


def drawn(stored: Transitions, index: Array, weight: Array) -> Batch:
    """These rows, as tensors whatever their kernels."""
    place, tensor = stored.kernels.place, stored.kernels.tensor
    return Batch(*map(tensor, stored.gather(place(index), place(weight))))


def rows_at(stored: Transitions, *positions: int) -> Batch:
    """The same positions of every lane."""
    index = np.tile(np.array(positions), (len(stored.own), 1))
    return drawn(stored, index, np.ones(index.shape, np.float32))


def held(stored: Transitions) -> list[list[bytes]]:
    """All that there is of each lane."""
    rows = [stored.rows(lane) for lane in range(len(stored.own))]
    return [
        [array.numpy().tobytes() for array in lane.take(lane.first, lane.stop).values()]
        for lane in rows
    ]


def test_the_oldest_row_is_overwritten(kernels, space, row) -> None:
    stored = Transitions(range(2), space(), 3, 0.9, 1, kernels)
    positions, sizes = [], []
    for k in range(5):
        positions.append(stored.add(row(k, [0, 1])))
        sizes.append(len(stored))
    assert positions == [0, 1, 2, 0, 1]
    assert sizes == [1, 2, 3, 3, 3]
    assert rows_at(stored, 0, 1, 2).reward.tolist() == [[3, 4, 2], [103, 104, 102]]


def test_a_row_comes_back_whole_and_in_its_own_lane(kernels, space, row) -> None:
    stored = Transitions(range(3), space(), 7, 0.9, 1, kernels)
    for k in range(7):
        stored.add(row(k, [0, 1, 2]))
    index = np.array([[6, 0], [5, 5], [1, 2]])
    weight = np.random.default_rng(0).random((3, 2), np.float32)
    batch = drawn(stored, index, weight)
    reward = torch.tensor([[6.0, 0.0], [105.0, 105.0], [201.0, 202.0]])
    obs = torch.stack([reward, -reward], dim=-1)
    assert torch.equal(batch.reward, reward)
    assert torch.equal(batch.obs, obs)
    assert torch.equal(batch.next_obs, obs + 0.5)
    assert batch.action.tolist() == [[0, 0], [2, 2], [1, 2]]
    assert np.array_equal(batch.weight, weight)
    assert np.array_equal(batch.index, index)


def test_truncation_is_not_termination(kernels, space, row) -> None:
    """Trap: a time limit that cuts the bootstrap. Only what terminated has discount 0."""
    stored = Transitions(range(2), space(), 4, 0.9, 1, kernels)
    stored.add(row(0, [0, 1]))
    stored.add(row(1, [0, 1], truncated=True)._replace(terminated=np.array([True, False])))
    torch.testing.assert_close(rows_at(stored, 0, 1).discount, torch.tensor([[0.9, 0], [0.9, 0.9]]))


def test_terminal_next_obs_lost_by_shared_storage(kernels, space, row) -> None:
    """Trap: the last row's successor replaced by the next episode's first observation."""
    stored = Transitions(range(1), space(), 4, 0.9, 1, kernels)
    stored.add(row(1, [0], ended=True))  # ends in 1.5
    stored.add(row(50, [0]))  # another episode begins with 50
    assert rows_at(stored, 0, 1).next_obs[0].tolist() == [[1.5, -0.5], [50.5, -49.5]]


def test_rows_are_copies(kernels, space, row) -> None:
    """Environments may hand out the same array again and again."""
    stored = Transitions(range(1), space(), 2, 0.9, 1, kernels)
    step = row(7, [0])
    stored.add(step)
    for array in step:
        array[...] = 0
    batch = rows_at(stored, 0)
    assert (batch.reward.item(), batch.action.item()) == (7.0, 1)
    assert batch.obs.flatten().tolist() == [7.0, -7.0]
    assert batch.next_obs.flatten().tolist() == [7.5, -6.5]
    batch.obs.zero_()
    assert rows_at(stored, 0).obs.flatten().tolist() == [7.0, -7.0]


def test_dtypes_bytes_stay_bytes_and_actions_do_not_overflow(kernels, space) -> None:
    """Trap: float pictures take four times the room, and an int8 action ends at 127."""
    stored = Transitions(range(1), space((2, 3), 400, np.uint8), 2, 0.9, 1, kernels)
    picture = np.arange(250, 256, dtype=np.uint8).reshape(1, 2, 3)
    no = np.array([False])
    stored.add(Step(picture, np.array([399]), np.array([0.1]), picture - 5, no, no))
    batch = rows_at(stored, 0)
    assert batch.obs.dtype == batch.next_obs.dtype == torch.uint8
    assert batch.action.dtype == torch.int64
    assert batch.reward.dtype == batch.discount.dtype == torch.float32
    assert stored.kernels.numpy(stored.columns["pairs"]).dtype == np.uint8
    assert batch.obs.tolist() == [[[[250, 251, 252], [253, 254, 255]]]]
    assert batch.next_obs.tolist() == [[[[245, 246, 247], [248, 249, 250]]]]
    assert batch.action.item() == 399


@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 4)])
def test_any_shape_of_observation(kernels, space, shape: tuple[int, ...]) -> None:
    stored = Transitions(range(2), space(shape), 3, 0.9, 1, kernels)
    obs = np.random.default_rng(0).random((2, *shape)).astype(np.float32)
    no = np.zeros(2, np.bool_)
    stored.add(Step(obs, np.zeros(2, np.int64), np.zeros(2), obs + 1, no, no))
    assert torch.equal(rows_at(stored, 0, 0).obs[:, 1], torch.from_numpy(obs))


def test_keep_keeps_the_rows_of_these_lanes_and_goes_on(kernels, space, row) -> None:
    stored = Transitions(range(3), space(), 3, 0.9, 1, kernels)
    for k in range(4):
        stored.add(row(k, [0, 1, 2]))
    stored.keep([2, 0])
    assert stored.add(row(4, [2, 0])) == 1
    assert rows_at(stored, 0, 1, 2).reward.tolist() == [[203, 204, 202], [3, 4, 2]]


def test_what_is_taken_out_of_a_storage_goes_on_in_another(kernels, space, row) -> None:
    for n in (0, 2, 3, 4, 8):  # empty, not full, full, overwritten
        stored, other = (Transitions(range(lanes), space(), 3, 0.9, 1, kernels) for lanes in (3, 1))
        for k in range(n):
            stored.add(row(k, [0, 1, 2], ended=k == 1, truncated=k == 6))
        other.load(n, [stored.rows(2), stored.rows(0)])
        assert len(other) == len(stored)
        for k in (n, n + 1):
            assert stored.add(row(k, [0, 1, 2])) == other.add(row(k, [2, 0]))
        stored.keep([2, 0])
        assert held(other) == held(stored)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("pairs", torch.zeros(4, 2, 2), "pairs: expected"),  # other rows than were added
        ("pairs", torch.zeros(3, 2, 3), "pairs: expected"),
        ("numbers", torch.zeros(3, 3, dtype=torch.float64), "numbers: expected"),
        ("numbers", torch.full((3, 3), 3.0), "numbers: expected actions"),
        ("numbers", torch.full((3, 3), 0.5), "numbers: expected actions"),
        ("numbers", torch.full((3, 3), torch.nan), "numbers: expected actions"),
        ("ends", torch.zeros(2, dtype=torch.bool), "ends: expected"),
        ("ends", torch.zeros(3), "ends: expected"),
    ],
)
def test_what_is_no_storage_of_this_kind_is_refused(
    kernels, space, row, name, value, words
) -> None:
    stored = Transitions(range(1), space(2, 3), 5, 0.9, 1, kernels)
    for k in range(3):
        stored.add(row(k, [0]))
    rows = stored.rows(0)
    state = rows.take(0, 3) | {name: value}
    with pytest.raises(ValueError, match=words):
        stored.load(3, [rows._replace(take=lambda first, stop: state)])
    with pytest.raises(ValueError, match="rows: expected 0 to 4, found 0 to 3"):
        stored.load(4, [rows])


def test_a_lane_that_joins_moves_none_that_is_there(kernels, space, row) -> None:
    """Trap: the others' replay is copied, or given to another lane."""
    stored = Transitions(range(3), space(), 4, 0.9, 1, kernels)
    for k in range(6):
        stored.add(row(k, [0, 1, 2]))
    state = stored.rows(2).take(2, 6)
    rows = stored.rows(2)._replace(take=lambda first, stop: state)
    stored.keep([0])
    column = stored.columns["pairs"]
    stored.load(6, [None, rows])
    assert stored.columns["pairs"] is column
    for k in (6, 7):
        stored.add(row(k, [0, 2]))
    assert rows_at(stored, 0, 1, 2, 3).reward.tolist() == [[4, 5, 6, 7], [204, 205, 206, 207]]


# Over n steps. Row k has the observation k and leads to k + 0.5.

WENT_ON, TERMINATED, TRUNCATED = range(3)
End = int


def stepped(
    kernels: Kernels,
    rewards: Sequence[Sequence[float]],
    ends: Sequence[Sequence[End]],
    n_step: int,
    gamma: float,
    capacity: int = 10,
) -> Transitions:
    """A storage that took these rewards [T, S], each with how its row ended [T, S]."""
    obs_space = Space((), np.dtype(np.float32), 3)
    stored = Transitions(range(len(rewards[0])), obs_space, capacity, gamma, n_step, kernels)
    for k, (reward, end) in enumerate(zip(rewards, ends, strict=True)):
        obs = np.full(len(reward), k, np.float32)
        over = np.array(end) == TERMINATED, np.array(end) == TRUNCATED
        action = np.full(len(reward), k % 3)
        stored.add(Step(obs, action, np.array(reward, float), obs + 0.5, *over))
    return stored


def one_lane(
    kernels: Kernels, rewards: Sequence[float], ends: dict[int, End], **keys: float
) -> Transitions:
    over = [[ends.get(k, 0)] for k in range(len(rewards))]
    return stepped(kernels, [[r] for r in rewards], over, **keys)


@pytest.mark.parametrize(
    ("ends", "reward", "discount", "next_obs"),
    [
        ({}, 2.75, 0.125, 2.5),  # 1 + 0.5 * 2 + 0.25 * 3, and 0.5 cubed
        ({2: TERMINATED}, 2.75, 0.0, 2.5),
        ({2: TRUNCATED}, 2.75, 0.125, 2.5),
        ({1: TERMINATED}, 2.0, 0.0, 1.5),  # 1 + 0.5 * 2, and nothing after it
        ({1: TRUNCATED}, 2.0, 0.25, 1.5),  # as much, and 0.5 squared of what would have come
        ({0: TERMINATED}, 1.0, 0.0, 0.5),
        ({0: TRUNCATED}, 1.0, 0.5, 0.5),
    ],
)
def test_a_return_of_three_steps_by_hand(
    kernels: Kernels, ends: dict[int, End], reward: float, discount: float, next_obs: float
) -> None:
    """Traps: one step too few or too many, gamma^n after fewer steps, the state after one step."""
    batch = rows_at(one_lane(kernels, [1, 2, 3, 100, 100], ends, n_step=3, gamma=0.5), 0)
    assert (batch.reward.item(), batch.discount.item()) == (reward, discount)
    assert (batch.obs.item(), batch.action.item(), batch.next_obs.item()) == (0, 0, next_obs)


@pytest.mark.parametrize("end", [TERMINATED, TRUNCATED])
def test_every_row_begins_a_return_and_none_mixes_two_episodes(kernels, end: End) -> None:
    """Two episodes of three steps; their rewards are powers of two, so a sum tells its parts."""
    stored = one_lane(kernels, [1, 2, 4, 8, 16, 32], {2: end, 5: end}, n_step=5, gamma=1.0)
    batch = rows_at(stored, *range(6))
    assert batch.obs[0].tolist() == [0, 1, 2, 3, 4, 5]
    assert batch.reward[0].tolist() == [1 + 2 + 4, 2 + 4, 4, 8 + 16 + 32, 16 + 32, 32]
    assert batch.next_obs[0].tolist() == [2.5] * 3 + [5.5] * 3
    assert batch.discount[0].tolist() == [float(end == TRUNCATED)] * 6


def test_no_return_spans_the_place_that_is_written_next(kernels: Kernels) -> None:
    """Trap: a new row with the oldest behind it. Rows 3 to 7 are there, at places 3, 4, 0, 1, 2."""
    stored = one_lane(kernels, [2.0**k for k in range(8)], {}, n_step=3, gamma=1.0, capacity=5)
    batch = rows_at(stored, 3, 4, 0, 1, 2)
    assert batch.obs[0].tolist() == [3, 4, 5, 6, 7]
    assert batch.reward[0].tolist() == [8 + 16 + 32, 16 + 32 + 64, 32 + 64 + 128, 64 + 128, 128]
    assert batch.next_obs[0].tolist() == [5.5, 6.5, 7.5, 7.5, 7.5]


def test_the_newest_rows_have_shorter_returns(kernels: Kernels) -> None:
    """Of an open episode: what follows is bootstrapped after as many steps as there are."""
    batch = rows_at(one_lane(kernels, [1, 2, 3], {}, n_step=3, gamma=0.5), 0, 1, 2)
    assert batch.reward[0].tolist() == [2.75, 3.5, 3.0]
    assert batch.discount[0].tolist() == [0.125, 0.25, 0.5]
    assert batch.next_obs[0].tolist() == [2.5, 2.5, 2.5]


def test_one_step_is_the_row_as_it_was_stored(kernels: Kernels) -> None:
    ends = {2: TERMINATED, 4: TRUNCATED}
    batch = rows_at(one_lane(kernels, [1, 2, 3, 4, 5, 6], ends, n_step=1, gamma=0.5), *range(6))
    assert batch.reward[0].tolist() == [1, 2, 3, 4, 5, 6]
    assert batch.discount[0].tolist() == [0.5, 0.5, 0, 0.5, 0.5, 0.5]
    assert batch.next_obs[0].tolist() == [k + 0.5 for k in range(6)]


def slow(
    rewards: Sequence[float], ends: Sequence[End], capacity: int, n_step: int, gamma: float
) -> dict[int, tuple[float, float, float]]:
    """One lane, step by step: at each place the return, its bootstrap's discount and state."""
    found = {}
    for first in range(max(len(rewards) - capacity, 0), len(rewards)):
        total, discount, row = 0.0, 1.0, first
        for row in range(first, min(first + n_step, len(rewards))):
            total += discount * rewards[row]
            discount *= gamma
            if ends[row] == TERMINATED:
                discount = 0.0
            if ends[row] != WENT_ON:
                break
        found[first % capacity] = total, discount, row + 0.5
    return found


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[list[int]], list[list[End]], list[int]]:
    """Rewards and ends [T, 2] of two lanes, and the lanes in either order."""
    length = draw(st.integers(1, 40))
    end = st.sampled_from([WENT_ON] * 4 + [TERMINATED, TRUNCATED])
    rewards = st.lists(st.integers(-9, 9), min_size=2, max_size=2)
    ends = st.lists(end, min_size=2, max_size=2)
    return (
        draw(st.lists(rewards, min_size=length, max_size=length)),
        draw(st.lists(ends, min_size=length, max_size=length)),
        draw(st.permutations(range(2))),
    )


@settings(deadline=None)
@given(history=histories(), capacity=st.integers(1, 15), n_step=st.integers(1, 8))
def test_like_the_slow_one_wherever_episodes_end(
    kernels: Kernels,
    history: tuple[list[list[int]], list[list[End]], list[int]],
    capacity: int,
    n_step: int,
) -> None:
    """To the bit: rewards are whole and gamma a half. Also where lanes changed places, or come from
    a state."""
    rewards, ends, order = history
    stored, kept = (stepped(kernels, rewards, ends, n_step, 0.5, capacity) for _ in range(2))
    kept.keep(order)
    loaded = stepped(kernels, rewards[:1], ends[:1], n_step, 0.5, capacity)
    loaded.load(len(rewards), [stored.rows(lane) for lane in order])
    for storage, lanes in ((stored, [0, 1]), (kept, order), (loaded, order)):
        batch = rows_at(storage, *range(len(storage)))
        for place, lane in enumerate(lanes):
            column = [r[lane] for r in rewards], [e[lane] for e in ends]
            numbers = batch.reward[place], batch.discount[place], batch.next_obs[place]
            got = enumerate(zip(*(n.tolist() for n in numbers), strict=True))
            assert dict(got) == slow(*column, capacity, n_step, 0.5)
