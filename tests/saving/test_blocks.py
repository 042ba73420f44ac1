"""Blocks of rows: a checkpoint writes what is new, and nothing that one needs is ever gone."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from dqn_cli import state
from dqn_cli.saving import blocks
from dqn_cli.saving.blocks import Blocks
from dqn_cli.saving.tensors import Damaged, dump, load
from dqn_cli.state import Rows

CAPACITY = 25


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "BLOCK_BYTES", 80)  # ten rows of eight bytes


def rows(stop: int, taken: list[tuple[int, int]] | None = None) -> Rows:
    """Rows that hold their number, the last 25 of them; `taken` says which were asked for."""

    def take(first: int, stop: int) -> state.State:
        if taken is not None:
            taken.append((first, stop))
        return {"x": torch.arange(first, stop, dtype=torch.float64)}

    return Rows(max(stop - CAPACITY, 0), stop, 8, take, dict)


def checkpoint(place: Path, written: Blocks, stop: int, name: str) -> Path:
    """As a run saves a seed; the file's path."""
    files = written.write(3, rows(stop))
    path = place / "checkpoints" / name
    written.forget(3, rows(stop), path.with_suffix(".tmp"))  # which is moved at once
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(dump({"rows": blocks.plain(rows(stop), files)}))
    return path


def read(path: Path) -> list[float]:
    found = blocks.read(load(path)["rows"], path)
    return [x for span in state.spans(*found[:3]) for x in found.take(*span)["x"].tolist()]


def test_rows_come_back_and_full_blocks_are_written_once(tmp_path: Path) -> None:
    written, taken = Blocks(tmp_path, {}), []
    for stop in (0, 4, 10, 19, 20, 26, 41, 77):
        asked = rows(stop, taken)
        written.write(3, asked)
        path = checkpoint(tmp_path, written, stop, f"{stop}.pt")
        assert read(path) == list(range(max(stop - CAPACITY, 0), stop))
    full = [span for span in taken if span[1] % 10 == 0]
    assert full == [(0, 10), (10, 20), (20, 30), (30, 40), (52, 60), (60, 70)]


def test_the_disk_stays_bounded_and_the_last_two_checkpoints_whole(tmp_path: Path) -> None:
    written, paths = Blocks(tmp_path, {}), []
    for stop in range(0, 300, 7):
        paths.append(checkpoint(tmp_path, written, stop, f"{stop}.pt"))
        for path in paths[-3:]:  # the first of them, if the process dies before a rename
            assert len(read(path)) == min(int(path.stem), CAPACITY)
        # 25 rows now, 14 of two checkpoints before, and two blocks that are there in part
        assert len(list(tmp_path.glob("checkpoints/*_rows_*.pt"))) <= 6


def test_the_disk_stays_bounded_however_often_a_run_is_killed(tmp_path: Path) -> None:
    """Trap: who takes a run up knows the blocks of its checkpoint, and never removes others."""
    written, stop = Blocks(tmp_path, {}), 0
    for life in range(9):
        for _ in range(4):
            stop += 13
            path = checkpoint(tmp_path, written, stop, f"{stop}.pt")
        assert len(list(tmp_path.glob("checkpoints/*_rows_*.pt"))) <= 8, life
        written = Blocks(tmp_path, {3: blocks.read(load(path)["rows"], path).blocks})
        assert len(read(path)) == CAPACITY


def test_a_checkpoint_that_is_not_in_its_place_yet_replaces_none(tmp_path: Path) -> None:
    """Trap: a process that saves while another one, which is late, moves the files to their places:
    the checkpoint that is in its place is robbed of its rows."""
    written = Blocks(tmp_path, {})
    for stop in (20, 40):
        path = checkpoint(tmp_path, written, stop, f"{stop}.pt")
    for stop in (60, 80, 100, 120):
        written.write(3, rows(stop))
        written.forget(3, rows(stop), waiting := path.with_name(f"{stop}.tmp"))
        waiting.touch()
    assert read(path) == list(range(15, 40))
    for waiting in path.parent.glob("*.tmp"):
        waiting.unlink()
    checkpoint(tmp_path, written, 140, "140.pt")
    assert sorted(map(int, re.findall(r"rows_(\d+)", str(list(path.parent.iterdir()))))) == [
        *(8, 9, 10, 11, 12, 13, 14)
    ]


def test_a_block_of_another_future_is_written_again(tmp_path: Path) -> None:
    """Trap: a block left by a run that was taken up at an earlier checkpoint, maybe with another
    version of something, is taken for one's own."""
    written = Blocks(tmp_path, {})
    path = checkpoint(tmp_path, written, 19, "first.pt")
    checkpoint(tmp_path, written, 30, "lost.pt")
    stale = tmp_path / "checkpoints/seed_3_rows_2.pt"
    stale.write_bytes(dump({"x": torch.zeros(10, dtype=torch.float64)}))
    again = Blocks(tmp_path, {3: blocks.read(load(path)["rows"], path).blocks})
    assert read(checkpoint(tmp_path, again, 30, "second.pt")) == list(range(5, 30))


@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_a_block_that_is_not_as_it_was_written_is_named(tmp_path: Path, damage: str) -> None:
    path = checkpoint(tmp_path, Blocks(tmp_path, {}), 24, "a.pt")
    block = tmp_path / "checkpoints/seed_3_rows_2.pt"
    data = bytearray(block.read_bytes())
    match damage:
        case "gone":
            block.unlink()
        case "cut":
            block.write_bytes(data[:-1])
        case _:
            at = data.index(np.arange(10.0, 20.0).tobytes())
            data[at + 3] ^= 1
            block.write_bytes(data)
    with pytest.raises(Damaged, match=r"a\.pt: seed_3_rows_2\.pt, which it relies on, is not as"):
        read(path)
