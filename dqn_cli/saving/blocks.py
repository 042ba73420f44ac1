"""Rows of replay in files, so that a checkpoint costs what is new.

A row never changes, and rows are cut into blocks at fixed numbers. A block that is full is written
once, next to the checkpoints that need it, and removed when none does. The rows after the last full
one are in the checkpoint itself: of a small replay, all.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dqn_cli.results.files import write_atomic
from dqn_cli.results.schema import rows_file
from dqn_cli.saving.tensors import NOT_OURS, Damaged, are_tensors, dump, load
from dqn_cli.state import Block, Rows, State, block_rows, spans


class Blocks:
    """The block files of a run's seeds. known: seed -> those that a checkpoint which is taken up
    relies on; others that lie there are of a run that never was, and are written again."""

    def __init__(self, directory: Path, known: Mapping[int, Sequence[Block]]) -> None:
        self.directory = directory
        self.known = {seed: list(blocks) for seed, blocks in known.items()}
        self.latest: dict[int, list[tuple[Path, int]]] = {}  # checkpoints, oldest row of each

    def write(self, seed: int, rows: Rows) -> list[Block]:
        """Write the full blocks that are not there yet; returns those that `rows` lie in, oldest
        first. OSError if the disk fails."""
        known = self.known.setdefault(seed, [])
        size, written = block_rows(rows.row_bytes), known[-1].stop if known else 0
        for first, stop in spans(*rows[:3]):
            if stop % size or stop <= written:
                continue
            file = self.directory / rows_file(seed, stop // size)
            file.parent.mkdir(exist_ok=True)
            data = dump(rows.take(first, stop))
            write_atomic(file, data, durable=True)
            known.append(Block(file.name, first, stop, zlib.crc32(data)))
        return [block for block in known if block.stop > rows.first]

    def forget(self, seed: int, rows: Rows, file: Path) -> None:
        """Before a checkpoint of these rows is written to `file`, from where it is moved to its
        place, remove the blocks that neither of the last two in their places needs, whichever
        process wrote them."""
        latest = self.latest.setdefault(seed, [])
        # Another process may move them, and be late: those that it has not moved are still there.
        moved = [i for i, (other, _) in enumerate(latest) if not other.exists()]
        if len(moved) > 1:
            del latest[: moved[-2]]
            oldest, known = latest[0][1], self.known[seed]
            self.known[seed] = [block for block in known if block.stop > oldest]
            folder, size = (self.directory / rows_file(seed, 0)).parent, block_rows(rows.row_bytes)
            for path in folder.glob(f"seed_{seed}_rows_*.pt"):
                number = re.fullmatch(r"seed_\d+_rows_(\d+)\.pt", path.name)
                if number and int(number[1]) * size <= oldest:
                    path.unlink(missing_ok=True)
        latest.append((file, rows.first))


def plain(rows: Rows, blocks: Sequence[Block]) -> dict[str, Any]:
    """What a checkpoint says of rows that lie in these blocks, but for the last ones."""
    written = blocks[-1].stop if blocks else rows.first
    # clones, because a view would take all that it is a view of into the file
    return {
        "first": rows.first,
        "stop": rows.stop,
        "row_bytes": rows.row_bytes,
        "rest": cloned(rows.rest()),
        "blocks": [block._asdict() for block in blocks],
        "open": [cloned(rows.take(*span)) for span in spans(*rows[:3]) if span[1] > written],
    }


def cloned(state: State) -> State:
    return {name: tensor.clone() for name, tensor in state.items()}


def read(values: dict[str, Any], path: Path) -> Rows:
    """The inverse of `plain`, for the checkpoint at `path`; blocks are read when they are asked
    for. ValueError, TypeError or KeyError if the values are not such; Damaged for a block."""
    blocks = tuple(Block(**block) for block in values["blocks"])
    open_ = values["open"]
    rest = values["rest"]
    sizes = values["first"], values["stop"], values["row_bytes"]
    numbers = [*sizes, *(n for block in blocks for n in block[1:])]
    if not (all(type(n) is int and 0 <= n < 2**53 for n in numbers) and sizes[2]):
        raise ValueError(f"{path}: {NOT_OURS}")
    there = spans(*sizes)
    ends = [stop for _, stop in there]
    if not (
        are_tensors(rest)
        and all(map(are_tensors, open_))
        and [block.stop for block in blocks] == ends[: len(blocks)]
        and len(blocks) + len(open_) == len(there)
        and all(re.fullmatch(r"seed_\d+_rows_\d+\.pt", block.file) for block in blocks)
        and all(b.first <= first for b, (first, _) in zip(blocks, there, strict=False))
    ):
        raise ValueError(f"{path}: {NOT_OURS}")
    for block in blocks:
        file = path.with_name(block.file)
        try:
            whole = zlib.crc32(file.read_bytes()) == block.crc
        except OSError:
            whole = False
        if not whole:
            raise Damaged(f"{path}: {file.name}, which it relies on, is not as it was written")

    def take(first: int, stop: int) -> State:
        number = ends.index(stop)
        if number >= len(blocks):
            found: State = open_[number - len(blocks)]
            return found
        block = blocks[number]
        state = load(path.with_name(block.file))
        if not are_tensors(state):
            raise ValueError(f"{path.with_name(block.file)}: {NOT_OURS}")
        return {name: tensor[first - block.first :] for name, tensor in state.items()}

    return Rows(*sizes, take, lambda: rest, blocks)
