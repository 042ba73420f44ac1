"""What it takes to go on with a seed: arrays by name, and what is asked of those that come back.

A part hands out the state of one lane. It takes back a stack of such states, every array with
leading axis S: of any seeds, as long as all have done the same number of env steps. What is
counted (steps, updates, rows) is a function of that number and not part of the state.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.events import Episode, Evaluated

State = dict[str, Tensor]  # on the CPU


BLOCK_BYTES = 2**24  # of rows of replay that are kept and read together, at most


class Block(NamedTuple):
    """Rows in a file."""

    file: str  # its name, next to the checkpoints
    first: int
    stop: int
    crc: int  # of the file's bytes


class Rows(NamedTuple):
    """The rows that replay holds of a lane, numbered from the first one that it ever stored. A row
    never changes; those before `first` are gone."""

    first: int
    stop: int
    row_bytes: int
    take: Callable[[int, int], State]  # rows [first, stop) of one of `spans` by name, [n, ...]
    rest: Callable[[], State]  # what the storage has besides
    blocks: tuple[Block, ...] = ()  # files that hold all but the last of them


def block_rows(row_bytes: int) -> int:
    """How many rows a block has."""
    return max(BLOCK_BYTES // row_bytes, 1)


def spans(first: int, stop: int, row_bytes: int) -> list[tuple[int, int]]:
    """Rows `first` to `stop` cut into blocks, at whole numbers of them from row 0 on: first and
    stop of each."""
    size = block_rows(row_bytes)
    edges = [first, *range((first // size + 1) * size, stop, size), stop]
    return [pair for pair in itertools.pairwise(edges) if pair[0] < pair[1]]


class Best(NamedTuple):
    """The network that scored highest so far, the last of several."""

    score: float
    episode: int
    step: int
    params: NDArray[np.float32]  # [P]


# An event that waits for its score, and the parameters [P] to be scored if there are any.
Held = tuple[Episode | Evaluated, Tensor | None]


class Known(NamedTuple):
    """The last whole episode: replayed, its actions must lead there again."""

    actions: Tensor  # int64 [T]
    obs: Tensor  # [*obs], the last one
    return_: float


class Lane(NamedTuple):
    """One seed between two env steps."""

    seed: int
    episode: int  # training episodes done
    step: int  # env steps done
    best: Best | None
    actions: Tensor  # int64 [T], of the open episode: replayed, they rebuild it
    obs: Tensor  # [*obs], what they led to; anything if there are none
    known: Known | None
    waiting: list[Held]
    learner: State
    rows: Rows  # of its replay


def stack(states: Sequence[State]) -> State:
    """One state [S, ...] of S lanes' states."""
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}


def nested(name: str, state: State) -> State:
    """The state of a part, to stand within another's."""
    return {f"{name}.{key}": value for key, value in state.items()}


def within(name: str, state: State) -> State:
    """The inverse of `nested`."""
    start = f"{name}."
    return {key[len(start) :]: value for key, value in state.items() if key.startswith(start)}


def take(state: State, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The array of this name; ValueError if it is not there or not of this shape and type."""
    value = state.get(name)
    if value is None or value.shape != shape or value.dtype != dtype:
        found = "nothing" if value is None else f"{value.dtype} {tuple(value.shape)}"
        raise ValueError(f"{name}: expected {dtype} {shape}, found {found}")
    return value
