"""Storage of frames: as storage/transitions.py, the same rows to the bit, but each frame lies there
once, where a transition of stacks of four has it eight times.

An observation is a stack of frames, the newest last, that moves on by one frame a step. Row number
n has frame number n, the newest of its observation; the frame after it is that of the next row. Not
where an episode ends: the frame after its last row lies in a table, `lasts`. Where a stack reaches
back before the first frame of its episode, frames are blank (zeros) or that first one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.state import State, take
from dqn_cli.storage.ring import Column, Ring
from dqn_cli.storage.transitions import ALL, check_actions, shaped
from dqn_cli.types import Batch, Count, Space, Step

EPISODES = 64  # that the tables have room for, to begin with


class Frames(Ring):
    """stack: frames in an observation, along its first axis; 1 for observations of any shape, each
    of which is a frame."""

    def __init__(
        self,
        seeds: Sequence[int],
        space: Space,
        capacity: int,
        gamma: float,
        n_step: int,
        kernels: Kernels = TORCH,
        *,
        stack: Count,
    ) -> None:
        if stack > 1 and (not space.obs_shape or space.obs_shape[0] % stack):
            shape = " x ".join(map(str, space.obs_shape)) or "one number"
            raise ValueError(
                f"stack={stack}: an observation of {shape} is no stack of so many frames along its "
                "first axis; 1 takes any"
            )
        size = math.prod(space.obs_shape) // stack
        self.kind = np.dtype(space.obs_dtype)
        self.shape = (stack, size)
        columns = {
            "frames": Column(capacity + stack, (size,), self.kind),  # and those around the rows
            "numbers": Column(capacity, (3,), np.float32),
            "ends": Column(capacity, (), np.bool_),
            "episode": Column(capacity, (), np.int32),  # its number, from 0 on
            "back": Column(capacity, (), np.int32),  # earlier frames of the episode in the stack
        }
        super().__init__(len(seeds), capacity, columns, kernels)
        self.space = space
        self.gamma = gamma
        self.n_step = n_step
        self.stack = stack
        self._recorded = kernels.recorded(self._gather, 8)
        self._written = kernels.recorded(self._write, len(columns) + 1)

    def _make(self, lanes: int) -> None:
        super()._make(lanes)
        self._make_tables(EPISODES)
        self.next_obs = np.zeros((lanes, *self.shape), self.kind)  # of the newest row
        self.episode = np.full(lanes, -1, np.int32)  # the present one
        self.back = np.zeros(lanes, np.int32)  # of the newest row

    def _make_tables(self, episodes: int) -> None:
        """Of the latest so many episodes: episode e has entry e % episodes."""
        shape = (self.lanes, episodes)
        # The frame after the last one of its rows, and whether those before the first are blank.
        self.lasts = self.kernels.place(np.zeros((*shape, self.shape[1]), self.kind))
        self.blank = self.kernels.place(np.zeros(shape, np.bool_))

    def add(self, step: Step) -> int:
        """Store one row for every lane; returns its position. ValueError if an observation is not
        the one before it, moved on by a frame."""
        number, position, lanes = self.stored, self.stored % self.capacity, len(step.obs)
        obs, next_obs = (
            step.obs.reshape(lanes, *self.shape),
            step.next_obs.reshape(lanes, *self.shape),
        )
        if not same(obs[:, 1:], next_obs[:, :-1]).all():
            raise ValueError(self._unlike("that moves on by one a step"))
        begins = ~same(obs, self.next_obs[self.own]) | (self.episode[self.own] < 0)
        # Of all before any begins: what is refused changes nothing.
        blanks = {lane: self._blank(obs[lane]) for lane in np.flatnonzero(begins).tolist()}
        for lane, blank in blanks.items():
            self._begin(int(self.own[lane]), blank)
        more = np.minimum(self.back[self.own] + 1, self.stack - 1)
        self.back[self.own] = np.where(begins, 0, more)
        self.next_obs[self.own] = next_obs
        row = np.stack([step.action, step.reward, self.gamma * ~step.terminated], 1)
        values = (
            row.astype(np.float32),
            step.terminated | step.truncated,
            self.episode[self.own],
            self.back[self.own],
        )
        held, frames = self.columns["frames"].shape[1], (obs[:, -1], next_obs[:, -1])
        places = position, number % held, (number + 1) % held
        self._written(*self.columns.values(), self.slots, *frames, *values, *places)
        self.stored += 1
        return position

    def _write(self, frames: Array, *given: Any) -> None:
        """given: the other columns; the slots; for each slot a frame, the next one, and what goes
        into each other column; and where."""
        others, put = len(self.kinds) - 1, self.kernels.put
        columns, (slots, frame, following) = given[:others], given[others : others + 3]
        values, (position, number, next_number) = given[others + 3 : -3], given[-3:]
        put(frames, slots, number, frame)
        put(frames, slots, next_number, following)
        for column, value in zip(columns, values, strict=True):
            put(column, slots, position, value)

    def _blank(self, obs: NDArray[Any]) -> bool:
        """Whether the frames before the first one are blank in this observation [stack, F]."""
        earlier = obs[:-1]
        blank = not earlier.any()
        if not blank and not same(earlier, np.broadcast_to(obs[-1:], earlier.shape)).all():
            raise ValueError(self._unlike("of which an episode has one to begin with"))
        return blank

    def _begin(self, slot: int, blank: bool) -> None:
        """Begin another episode."""
        if self.episode[slot] >= 0:
            place = int(self.episode[slot]) % self.blank.shape[1]
            self.lasts[slot, place] = self.kernels.place(self.next_obs[slot, -1].copy())
            if self.episode[slot] + 1 - self._oldest(slot) >= self.blank.shape[1]:
                self._grow()
        self.episode[slot] += 1
        self.blank[slot, int(self.episode[slot]) % self.blank.shape[1]] = blank

    def _oldest(self, slot: int) -> int:
        """The episode of the oldest row."""
        position = self.stored % self.capacity if self.stored >= self.capacity else 0
        return int(self.columns["episode"][slot, position])

    def _grow(self) -> None:
        """Make room for twice as many episodes."""
        lasts, blank, room = self.lasts, self.blank, self.blank.shape[1]
        self._make_tables(2 * room)
        for slot, latest in enumerate(self.episode.tolist()):
            held = np.arange(max(latest - room + 1, 0), latest + 1)
            old, new = self.kernels.place(held % room), self.kernels.place(held % (2 * room))
            self.lasts[slot, new] = lasts[slot, old]
            self.blank[slot, new] = blank[slot, old]

    def _unlike(self, what: str) -> str:
        return (
            f"storage.stack={self.stack}: an observation is no stack of {self.stack} frames "
            f"{what}; storage.stack=1 takes any, and so does storage=transitions"
        )

    def gather(self, index: Array, weight: Array, lanes: slice = ALL) -> Batch:
        """The transitions of `lanes` that begin at `index` [S, B], weighted by `weight` [S, B]."""
        gather = self._recorded if lanes == ALL else self._gather
        names = "episode", "back", "numbers", "ends"
        rest = (self.columns[name] for name in names)
        held = self.columns["frames"], self.lasts, self.blank, *rest, self.slots[lanes]
        obs, action, reward, next_obs, discount = gather(*held, index, self.stored)
        return Batch(obs, action, reward, next_obs, discount, weight, index)

    def _gather(self, *given: Any) -> Any:
        gather: Any = self.kernels.gather_stacks
        return shaped(self.space, *gather(*given, self.stack, self.n_step))

    # A lane in a file

    def _rest(self, slot: int) -> State:
        if not self.stored:
            return {}
        held = np.arange(self._oldest(slot), self.episode[slot] + 1) % self.blank.shape[1]
        earlier = np.arange(self.stored - len(self) - self.stack + 1, self.stored - len(self))
        frames, at = self.columns["frames"], self.kernels.place
        parts = {
            "earlier": frames[slot, at(earlier % frames.shape[1])],  # than the oldest row's
            "lasts": self.lasts[slot, at(held[:-1])],
            "blank": self.blank[slot, at(held)],
        }
        state = {name: self.kernels.tensor(part).cpu() for name, part in parts.items()}
        return {**state, "next_obs": torch.from_numpy(self.next_obs[slot].copy())}

    def _put(self, slot: int, first: int, stop: int, state: State) -> None:
        super()._put(slot, first, stop, state)
        check_actions(state["numbers"], self.space)
        back = state["back"]
        if not ((back >= 0) & (back < self.stack)).all():
            raise ValueError(f"back: expected 0 to {self.stack - 1}")

    def _go_on(self, slot: int, rest: State) -> None:
        if not self.stored:
            self.episode[slot] = -1
            return
        episodes = self.kernels.numpy(self.columns["episode"][slot])
        first = self.stored - len(self)
        own = episodes[np.arange(first, self.stored) % self.capacity]
        if own[0] < 0 or not np.isin(np.diff(own), (0, 1)).all():
            raise ValueError("episode: expected numbers that go up by one")
        self.episode[slot] = own[-1]
        self.back[slot] = self.columns["back"][slot, self.newest]
        count, kind = int(own[-1] - own[0]), torch.from_numpy(np.empty(0, self.kind)).dtype
        while count >= self.blank.shape[1]:
            self._grow()
        size, place = self.shape[1], self.kernels.place
        earlier = take(rest, "earlier", (self.stack - 1, size), kind).numpy()
        lasts = take(rest, "lasts", (count, size), kind).numpy()
        blank = take(rest, "blank", (count + 1,), torch.bool).numpy()
        following = take(rest, "next_obs", self.shape, kind).numpy()
        at, frames = np.arange(own[0], own[-1] + 1) % self.blank.shape[1], self.columns["frames"]
        self.lasts[slot, place(at[:-1])] = place(lasts)
        self.blank[slot, place(at)] = place(blank)
        before = np.arange(first - self.stack + 1, first) % frames.shape[1]
        frames[slot, place(before)] = place(earlier)
        frames[slot, self.stored % frames.shape[1]] = place(following[-1].copy())
        self.next_obs[slot] = following


def same(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """For each of the first axis, whether all of it is the same to the bit."""
    bits = [np.ascontiguousarray(x).view(np.uint8).reshape(len(x), -1) for x in (a, b)]
    a, b = bits
    found: NDArray[np.bool_] = (a == b).all(axis=1)
    return found
