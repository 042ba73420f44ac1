"""CSV rows as they are written: checked cells, appended in whole lines."""

from __future__ import annotations

import errno
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from dqn_cli.results.files import write_atomic
from dqn_cli.results.reader import whole_rows
from dqn_cli.results.schema import (
    COLUMNS,
    EXACT,
    MAY_BE_EMPTY,
    TIMING_COLUMNS,
    WHOLE,
    Rows,
    format_number,
)

NONE = Rows(0, 0, 0)


def cells(row: Mapping[str, int | float | None], columns: Sequence[str] = COLUMNS) -> list[str]:
    """The row's CSV cells in the order of the columns. ValueError if it does not fit them."""
    if unknown := sorted(set(row) - set(columns)):
        raise ValueError(f"no such column: {', '.join(unknown)}")
    missing = [c for c in columns if row.get(c) is None and c not in MAY_BE_EMPTY]
    if missing:
        raise ValueError(f"no value for {', '.join(missing)}")
    values = {c: whole(row[c]) if c in WHOLE else row.get(c) for c in columns}
    return [format_number(value, exact=column in EXACT) for column, value in values.items()]


def open_rows(path: Path, columns: Sequence[str], kept: int) -> BinaryIO:
    """Open a seed's CSV to append rows, after cutting off all but its first `kept` rows. The caller
    has checked that it holds as many. Raises OSError.
    """
    file = path.open("ab", buffering=0)
    ends = whole_rows(path, columns) or [0]
    file.truncate(ends[kept])
    if not ends[0]:
        append(file, columns)
    return file


def open_timing(path: Path, kept: Mapping[int, Rows]) -> tuple[BinaryIO, float]:
    """Open timing.csv to append rows, after removing those of episodes that were not kept. Returns
    the file and the seconds of its last episode. Raises OSError.
    """
    rows, last = [",".join(TIMING_COLUMNS)], 0.0
    if kept and path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                seed, episode, _, seconds = line.split(",")
                if int(episode) <= kept.get(int(seed), NONE).episodes:
                    last = max(last, float(seconds))
                    rows.append(line)
            except ValueError:  # the header, or what a killed process left of a row
                continue
    write_atomic(path, "\n".join(rows) + "\n")
    return path.open("ab", buffering=0), last


def append(file: BinaryIO, cells: Iterable[str]) -> None:
    """Add one line in one unbuffered write; a process killed between two leaves whole lines."""
    line = (",".join(cells) + "\n").encode()
    if file.write(line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)


def whole(value: int | float | None) -> int:
    """The value as an int; TypeError for what is not a whole number's type."""
    return operator.index(value)  # type: ignore[arg-type]
