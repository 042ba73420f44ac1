"""What replay takes is known before a run begins."""

import os
from pathlib import Path

import pytest

from dqn_cli.config import BadInput
from dqn_cli.storage.frames import Frames
from dqn_cli.storage.transitions import Transitions
from dqn_cli.training import memory

BYTES = 2 * 2 * 4 + 12 + 1  # of two float32 twice; action, reward, discount; whether it ends


def test_a_row_is_two_observations_three_numbers_and_an_end(space) -> None:
    assert Transitions([1], space(2), 5, 0.9, 1).row_bytes == BYTES == 29
    pictures = space((4, 84, 84), dtype="uint8")
    assert Transitions([1], pictures, 5, 0.9, 1).row_bytes == 2 * 4 * 84 * 84 + 12 + 1


def test_a_million_rows_of_atari_take_7_gb(space) -> None:
    """Where pairs of stacks take 56. Two int32 say where a row stands in its episode."""
    frames = Frames([1], space((4, 84, 84), dtype="uint8"), 5, 0.9, 1, stack=4)
    assert frames.row_bytes == 84 * 84 + 12 + 1 + 8
    assert 10**6 * frames.row_bytes < 7.1e9


@pytest.mark.parametrize(
    ("limits", "max_steps", "rows"),
    [
        (("episodes=9",), None, 1000),  # however many steps they have
        (("episodes=9",), 500, 1000),
        (("episodes=9",), 50, 450),
        (("episodes=null", "steps=300"), 50, 300),
        (("episodes=9", "steps=300"), 20, 180),
    ],
)
def test_replay_that_does_not_fit_is_refused_and_what_just_fits_is_not(
    compose, space, monkeypatch: pytest.MonkeyPatch, limits, max_steps: int | None, rows: int
) -> None:
    """Of three seeds, and of no more rows than a run can have."""
    config = compose("seed=[1,2,3]", "buffer=uniform", "buffer.capacity=1000", *limits)
    there = 3 * rows * BYTES
    monkeypatch.setattr(memory, "memory", lambda: there)
    assert memory.full(config, 1000, BYTES, max_steps) == rows * BYTES
    memory.check_memory(config, 1000, BYTES, max_steps)
    monkeypatch.setattr(memory, "memory", lambda: there - 1)
    with pytest.raises(BadInput, match=rf"replay of 3 seeds .* which is {rows - 1} rows of each"):
        memory.check_memory(config, 1000, BYTES, max_steps)
    monkeypatch.setattr(memory, "memory", lambda: None)  # a machine that does not say
    memory.check_memory(config, 1000, BYTES, max_steps)


@pytest.mark.parametrize(
    ("quota", "expected"), [("50000", 50000), ("900000", 400000), ("max", 400000), (None, 400000)]
)
def test_a_container_s_limit_counts_where_it_is_the_smaller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str | None, expected: int
) -> None:
    """A machine of 100 pages of 4000 bytes."""
    pages = {"SC_PAGE_SIZE": 4000, "SC_PHYS_PAGES": 100}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__, raising=False)
    monkeypatch.setattr(memory, "QUOTA", tmp_path / "memory.max")
    if quota:
        memory.QUOTA.write_text(f"{quota}\n", encoding="ascii")
    assert memory.memory() == expected
