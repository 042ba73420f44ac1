"""Frames that lie there once give the transitions that pairs of observations give, to the bit."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dqn_cli import state
from dqn_cli.kernels.kernels import Kernels
from dqn_cli.storage.frames import Frames
from dqn_cli.storage.transitions import Transitions
from dqn_cli.types import Batch, Space, Step

GOES_ON, LIFE_LOST, TERMINATED, TRUNCATED = range(4)
Padding = Literal["blank", "first"]


class Game:
    """Stacks of numbered frames [2, 1], each with a number that no other frame of the lane has. An
    episode's first stack is padded. A lost life terminates what is learned, not the game."""

    def __init__(self, lane: int, stack: int, padding: Padding) -> None:
        self.padding = padding
        self.frame = 1000 * lane
        self.stack = np.zeros((stack, 2, 1), np.float32)
        self.reset()

    def next(self) -> np.ndarray:
        self.frame += 1
        return np.array([[self.frame], [-self.frame]], np.float32)

    def reset(self) -> None:
        first = self.next()
        self.stack = np.zeros_like(self.stack) + (first if self.padding == "first" else 0)
        self.stack[-1] = first

    def step(self, end: int) -> tuple[np.ndarray, np.ndarray]:
        obs = self.stack
        self.stack = np.concatenate([obs[1:], self.next()[None]])
        seen = obs, self.stack
        if end in (TERMINATED, TRUNCATED):
            self.reset()
        return seen


class Both(NamedTuple):
    frames: Frames
    pairs: Transitions


def space(stack: int) -> Space:
    return Space((stack, 2, 1), np.dtype(np.float32), 3)


def made(lanes: int, stack: int, capacity: int, n_step: int, kernels: Kernels) -> Both:
    given_ = range(lanes), space(stack), capacity, 0.5, n_step, kernels
    return Both(Frames(*given_, stack=stack), Transitions(*given_))


def play(both: Sequence[Both], games: Sequence[Game], ends: Sequence[Sequence[int]]) -> None:
    for number, end in enumerate(ends):
        seen = [game.step(e) for game, e in zip(games, end, strict=True)]
        obs, next_obs = (np.stack(column) for column in zip(*seen, strict=True))
        over = np.isin(end, (LIFE_LOST, TERMINATED)), np.array(end) == TRUNCATED
        reward = np.arange(len(games)) + number + 1.0
        for storages in both:
            for storage in storages:
                storage.add(Step(obs, np.full(len(games), number % 3), reward, next_obs, *over))


def everything(storage: Frames | Transitions) -> Batch:
    index = np.tile(np.arange(len(storage)), (len(storage.own), 1))
    place, tensor = storage.kernels.place, storage.kernels.tensor
    weight = np.ones(index.shape, np.float32)
    return Batch(*map(tensor, storage.gather(place(index), place(weight))))


def alike(a: Frames | Transitions, b: Frames | Transitions) -> None:
    for name, one, other in zip(Batch._fields, everything(a), everything(b), strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other), name


def test_a_stack_by_hand(kernels: Kernels) -> None:
    """Frames 1 to 4 of an episode that is cut off, then 5 and 6 of the next one."""
    both = made(1, 3, 10, 1, kernels)
    play([both], [Game(0, 3, "blank")], [[GOES_ON], [GOES_ON], [TRUNCATED], [GOES_ON]])
    batch = everything(both.frames)
    seen, after = batch.obs[0, :, :, 0, 0].tolist(), batch.next_obs[0, :, :, 0, 0].tolist()
    assert seen == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 0, 5]]
    assert after == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [0, 5, 6]]
    assert batch.discount[0].tolist() == [0.5] * 4


def test_frame_stack_crosses_no_episode_boundary_and_loses_no_last_frame(kernels: Kernels) -> None:
    """Traps: a stack with frames of the episode before; the last frame, at truncation too, replaced
    by the next episode's first one; a lost life that is taken for a new episode."""
    ends = [[GOES_ON, TERMINATED], [TRUNCATED, TERMINATED], [LIFE_LOST, GOES_ON]] * 9
    for padding in ("blank", "first"):
        both = made(2, 4, 11, 3, kernels)
        games = [Game(lane, 4, padding) for lane in range(2)]
        for end in ends:
            play([both], games, [end])
            alike(*both)


histories = st.lists(
    st.lists(
        st.sampled_from([GOES_ON] * 6 + [LIFE_LOST, TERMINATED, TRUNCATED]), min_size=2, max_size=2
    ),
    min_size=1,
    max_size=60,
)


@settings(deadline=None, max_examples=150)
@given(
    ends=histories,
    stack=st.integers(1, 5),
    padding=st.sampled_from(["blank", "first"]),
    capacity=st.integers(1, 20),
    n_step=st.integers(1, 5),
    block=st.sampled_from([1, 100, 300, 10**6]),
    order=st.permutations(range(2)),
)
def test_like_pairs_wherever_episodes_end(
    kernels: Kernels, ends, stack, padding, capacity, n_step, block, order
) -> None:
    """Also where lanes changed places, or came from a file in blocks, or joined; and after that."""
    both, kept, joined = (made(2, stack, capacity, n_step, kernels) for _ in range(3))
    games = [Game(lane, stack, padding) for lane in range(2)]
    play([both, kept, joined], games, ends)
    alike(*both)
    loaded = made(2, stack, capacity, n_step, kernels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "BLOCK_BYTES", block)
        for new, old, left in zip(loaded, both, joined, strict=True):
            new.load(len(ends), [filed(old, lane) for lane in order])
            first = filed(left, order[1])
            left.keep([order[0]])
            left.load(len(ends), [None, first])
    for storages in kept:
        storages.keep(order)
    for _ in range(2):
        for storages in (kept, loaded, joined):
            alike(*storages)
        play([kept, loaded, joined], [games[lane] for lane in order], ends[::-1])


def filed(storage: Frames | Transitions, lane: int) -> state.Rows:
    """A lane's rows as a file has them: copies, in the blocks that they are cut into."""
    rows = storage.rows(lane)
    parts = {
        span: {name: array.clone() for name, array in rows.take(*span).items()}
        for span in state.spans(*rows[:3])
    }
    rest = {name: array.clone() for name, array in rows.rest().items()}
    return rows._replace(take=lambda first, stop: parts[first, stop], rest=lambda: rest)


def test_many_short_episodes_find_room(kernels: Kernels) -> None:
    """More than there is to begin with, in one lane; the other has one long one."""
    both = made(2, 2, 500, 1, kernels)
    games = [Game(lane, 2, "first") for lane in range(2)]
    for _ in range(70):
        play([both], games, [[TERMINATED, GOES_ON]])
        alike(*both)
    play([both], games, [[TERMINATED, GOES_ON]] * 630)
    alike(*both)
    assert both.frames.blank.shape[1] == 512


def test_any_observation_is_a_stack_of_one(kernels: Kernels) -> None:
    for shape in ((), (3,), (10, 10, 4)):
        obs_space = Space(shape, np.dtype(np.uint8), 3)
        storages = [
            Frames([1], obs_space, 7, 0.9, 2, kernels, stack=1),
            Transitions([1], obs_space, 7, 0.9, 2, kernels),
        ]
        rng = np.random.default_rng(0)
        obs = rng.integers(0, 256, (1, *shape), np.uint8)
        for k in range(20):
            next_obs = rng.integers(0, 256, (1, *shape), np.uint8)
            over = np.array([k % 5 == 4])
            step = Step(obs, np.array([k % 3]), np.array([k + 0.5]), next_obs, over, ~over)
            for storage in storages:
                storage.add(step)
            obs = rng.integers(0, 256, (1, *shape), np.uint8) if over[0] else next_obs
            alike(*storages)


def test_what_is_no_stack_of_frames_is_one_line(kernels: Kernels) -> None:
    with pytest.raises(ValueError, match=r"^stack=4: an observation of 10 x 10 x 4 is no stack"):
        Frames([1], Space((10, 10, 4), np.dtype(np.uint8), 3), 5, 0.9, 1, kernels, stack=4)
    frames = made(1, 2, 5, 1, kernels).frames
    no, none = np.array([False]), np.zeros(1, np.int64)
    obs = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
    for first, after in ((obs, obs), (obs, obs[:, ::-1].copy())):
        with pytest.raises(ValueError, match=r"^storage.stack=2: [^\n]*storage=transitions"):
            frames.add(Step(first, none, np.zeros(1), after, no, no))


def test_a_first_observation_that_is_refused_changes_nothing(kernels: Kernels) -> None:
    """Trap: of two lanes that begin an episode, the first has begun it when the second is refused,
    and what is saved then is no whole state."""
    frames = made(2, 2, 5, 1, kernels).frames
    no, none = np.zeros(2, np.bool_), np.zeros(2, np.int64)
    stacks = np.array([[[0, 1], [0, 2]], [[1, 2], [2, 3]], [[0, 5], [7, 8]], [[5, 6], [8, 9]]])
    first, second, third, fourth = np.repeat(stacks[..., None, None], 2, 3).astype(np.float32)
    frames.add(Step(first, none, np.zeros(2), second, no, ~no))
    with pytest.raises(ValueError, match=r"^storage\.stack=2: "):
        frames.add(Step(third, none, np.zeros(2), fourth, no, no))
    other = made(2, 2, 5, 1, kernels).frames
    other.load(1, [frames.rows(lane) for lane in range(2)])
    alike(frames, other)


def test_damaged_rows_are_one_line(kernels: Kernels) -> None:
    both = made(1, 2, 9, 1, kernels)
    play([both], [Game(0, 2, "blank")], [[GOES_ON], [TERMINATED], [GOES_ON]])
    rows, other = both.frames.rows(0), made(1, 2, 9, 1, kernels).frames
    good, rest = rows.take(0, 3), rows.rest()
    other.load(3, [rows])
    for name, value, words in (
        ("back", torch.tensor([0, 2, 0], dtype=torch.int32), "back: expected 0 to 1"),
        ("episode", torch.tensor([0, 2, 3], dtype=torch.int32), "episode: expected numbers"),
        ("episode", torch.tensor([-1, 0, 0], dtype=torch.int32), "episode: expected numbers"),
        ("frames", torch.zeros(3, 3), "frames: expected"),
        ("numbers", torch.full((3, 3), 7.0), "numbers: expected actions"),
    ):
        bad = {**good, name: value}
        with pytest.raises(ValueError, match=words):
            other.load(3, [rows._replace(take=lambda first, stop, bad=bad: bad)])
    for name in ("earlier", "lasts", "blank", "next_obs"):
        less = {key: value for key, value in rest.items() if key != name}
        with pytest.raises(ValueError, match=f"{name}: expected .* found nothing"):
            other.load(3, [rows._replace(rest=lambda less=less: less)])
