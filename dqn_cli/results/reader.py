"""Reading run directories; whatever lies in them, the answer is a Run or a one-line ResultError."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import yaml
from numpy.typing import NDArray

from dqn_cli.results.schema import (
    COLUMNS,
    CONFIG,
    MAY_BE_EMPTY,
    SCORES,
    SUMMARY,
    WHOLE,
    ResultError,
    shorten,
)

if TYPE_CHECKING:
    import pandas as pd

CONFIG_BYTES = 256 * 1024  # it has a few kB
SUMMARY_BYTES = 4 * 1024**2  # 250 a seed
SCORES_BLOCK = 1024**2  # bytes read at once; a row has about 60, and however many rows may come
YAML_DEPTH = 50
LARGEST = 1e300  # a threshold above leaves no room to draw it

_HEADER = ",".join(COLUMNS)
_SCORES_NAME = re.compile(r"seed_(0|[1-9][0-9]{0,18})\.csv")
_NUMBER = re.compile(r"[-+.0-9einfa]+")  # and float() takes it: no _, no space, no other digits
_SEPARATORS = np.frombuffer(b"," * (len(COLUMNS) - 1) + b"\n", np.uint8)
_MUST = [column not in MAY_BE_EMPTY for column in COLUMNS]
_IS_WHOLE = [column in WHOLE for column in COLUMNS]


@dataclass(frozen=True, eq=False)
class Run:
    """One run directory in memory.

    config and summary are config.yaml and summary.json as they are ({} for a missing summary);
    choices is Hydra group -> option. scores maps a seed to its CSV, whose columns keep their names
    (episode, step, length int64, the others float64 with NaN where there is no value).
    """

    path: Path
    config: dict[str, Any]
    choices: dict[str, str]
    summary: dict[str, Any]
    scores: dict[int, pd.DataFrame]

    @property
    def diverged(self) -> list[int]:
        """The seeds whose numbers became none."""
        told = self.summary.get("seeds", {})
        return [s for s in self.scores if told.get(str(s), {}).get("diverged") is True]

    @property
    def threshold(self) -> float | None:
        """The environment's reward threshold, if it names one."""
        value: float | None = self.summary.get("threshold")
        return value


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """The run directories that the paths are or contain at any depth, each once, in path order.

    Links inside a path are not followed. Raises ResultError for a path that holds no run.
    """
    found: dict[str, Path] = {}  # real path -> the path to show
    for path in paths:
        if not os.path.isdir(path):
            missing = not os.path.lexists(path)
            raise ResultError(path, "does not exist" if missing else "is not a directory")
        runs = list(_walk(path))
        if not runs:
            raise ResultError(path, f"holds no run (a directory with {CONFIG} and {SCORES}/)")
        for run in runs:
            found.setdefault(os.path.realpath(run), run)
    return list(found.values())


def _walk(top: Path) -> Iterable[Path]:
    def stop(error: OSError) -> None:
        raise ResultError(error.filename, f"cannot be read: {error.strerror}") from error

    for name, folders, files in os.walk(top, onerror=stop):
        if SCORES in folders and (CONFIG in files or SUMMARY in files):
            folders.clear()  # there are no runs inside a run
            yield Path(name)
        folders.sort()


def read_run(path: Path) -> Run:
    """Read one run directory. Raises ResultError naming the file at fault."""
    config, summary = read_config(path), read_summary(path)
    folder = path / SCORES
    try:
        names = [match for name in os.listdir(folder) if (match := _SCORES_NAME.fullmatch(name))]
    except OSError as error:
        raise ResultError(folder, f"cannot be read: {error.strerror}") from error
    if not names:
        raise ResultError(folder, "holds no seed_N.csv")
    seeds = sorted((int(match[1]), match[0]) for match in names)
    scores = {seed: read_scores(folder / name) for seed, name in seeds}
    return Run(path, config, summary.get("choices", {}), summary, scores)


def read_config(run: Path) -> dict[str, Any]:
    """A run's config.yaml as plain values. Raises ResultError."""
    return _read_yaml(run / CONFIG)


def read_summary(run: Path) -> dict[str, Any]:
    """A run's summary.json, {} if there is none. Raises ResultError."""
    return _read_summary(run / SUMMARY) if os.path.lexists(run / SUMMARY) else {}


def read_scores(path: Path) -> pd.DataFrame:
    """Read one seed's CSV: see Run.scores. A last line without its newline is left out, since the
    process was killed while writing it. Raises ResultError naming the line at fault.
    """
    import pandas as pd  # slow to import, so that `dqn-plot --help` does without it

    tables = [np.empty((0, len(COLUMNS)))]
    number, last = 1, np.zeros(len(COLUMNS))  # of the next line; the row before
    for block in _blocks(path):
        rows = block.removeprefix(f"{_HEADER}\n".encode()) if number == 1 else block
        table = None if number == 1 and rows is block else _table(rows)
        if table is None or not _in_order(table, last):
            _complain(path, block, number, last)
        elif len(table):
            tables.append(table)
            last = table[-1]
        number += block.count(b"\n")
    if number == 1:
        raise ResultError(path, f"expected the header {_HEADER}", line=1)
    table = np.concatenate(tables)
    return pd.DataFrame(table, columns=list(COLUMNS)).astype({c: "int64" for c in WHOLE})


def whole_episodes(path: Path) -> list[int]:
    """Where in a seed's CSV, in bytes, the header ends and then each episode, as far as whole rows
    number them 1, 2, 3 ...; nothing if there is no such file or header.
    """
    header = f"{_HEADER}\n".encode()
    ends: list[int] = []
    try:
        for block in _blocks(path, as_it_is=True):
            if not ends and not block.startswith(header):
                return []
            rows = block if ends else block.removeprefix(header)
            ends = ends or [len(header)]
            table = _table(rows)
            numbers = np.arange(len(ends), len(ends) + rows.count(b"\n"))
            if table is not None and (table[:, 0] == numbers).all():
                lines = np.flatnonzero(np.frombuffer(rows, np.uint8) == ord("\n")) + 1
                ends.extend((lines + ends[-1]).tolist())
                continue
            for line in rows.split(b"\n")[:-1]:
                if _read_row(path, 1, line.decode("ascii"))[0] != len(ends):
                    return ends
                ends.append(ends[-1] + len(line) + 1)
    except ValueError:  # what is no row; a ResultError is a ValueError
        pass
    return ends


def _blocks(path: Path, as_it_is: bool = False) -> Iterator[bytes]:
    """A file's whole lines, about SCORES_BLOCK bytes of them at a time; with `\\n` line ends,
    unless as it is. What follows the last newline is left out."""
    try:
        if path.exists() and not path.is_file():  # a pipe or a device would never end
            raise ResultError(path, "is not a regular file")
        with path.open("rb") as file:
            rest, number = b"", 1
            while data := file.read(SCORES_BLOCK):
                end = data.rfind(b"\n") + 1
                if not end and len(rest) + len(data) > SCORES_BLOCK:
                    problem = f"longer than {SCORES_BLOCK} bytes, which no run writes"
                    raise ResultError(path, problem, number)
                block, rest = (rest + data[:end], data[end:]) if end else (b"", rest + data)
                number += block.count(b"\n")
                if block:
                    yield block if as_it_is else block.replace(b"\r\n", b"\n")
    except OSError as error:
        raise ResultError(path, f"cannot be read: {error.strerror}") from error


def _table(rows: bytes) -> NDArray[np.float64] | None:
    """The numbers [rows, columns] of whole lines, each as _read_row has them; None if it would
    refuse one. This is what makes a million rows quick."""
    data = np.frombuffer(rows, np.uint8)
    at = np.flatnonzero((data == ord(",")) | (data == ord("\n")))
    if len(at) % len(COLUMNS) or (data[at].reshape(-1, len(COLUMNS)) != _SEPARATORS).any():
        return None
    empty = (np.diff(at, prepend=-1) == 1).reshape(-1, len(COLUMNS))
    if (empty & _MUST).any() or rows.translate(None, b"-+.0123456789einfa,\n"):
        return None
    cells = rows.decode("ascii").replace("\n", ",").split(",")[:-1]
    try:
        flat = np.fromiter((float(cell or "nan") for cell in cells), np.float64, len(cells))
    except ValueError:
        return None
    table = flat.reshape(-1, len(COLUMNS))
    whole = table[:, _IS_WHOLE]
    fits = ((np.floor(whole) == whole) & (abs(whole) < 2**53)).all()
    return table if fits else None


def _in_order(table: NDArray[np.float64], last: NDArray[np.float64]) -> bool:
    """Episodes one after another, and no step before the last."""
    ahead = np.diff(table[:, :2], axis=0, prepend=last[None, :2])
    return bool((ahead[:, 0] > 0).all() and (ahead[:, 1] >= 0).all())


def _complain(path: Path, block: bytes, number: int, last: NDArray[np.float64]) -> NoReturn:
    """Name what is wrong in a block of lines, the first of which has this number."""
    lines = _text(path, block, number).split("\n")[:-1]
    if number == 1 and lines.pop(0) != _HEADER:
        raise ResultError(path, f"expected the header {_HEADER}", line=1)
    episode, step = last[:2].tolist()
    for line_number, line in enumerate(lines, start=max(number, 2)):
        row = _read_row(path, line_number, line)
        if row[0] <= episode:
            raise ResultError(path, f"episode {row[0]:.0f} comes after {episode:.0f}", line_number)
        if row[1] < step:
            raise ResultError(path, f"step {row[1]:.0f} comes after {step:.0f}", line_number)
        episode, step = row[:2]
    raise AssertionError(f"{path}: refused, but every row of it is whole")


def _read_row(path: Path, number: int, line: str) -> list[float]:
    cells = line.split(",")
    if len(cells) != len(COLUMNS):
        raise ResultError(path, f"expected {len(COLUMNS)} cells, found {len(cells)}", number)
    row = []
    for column, cell in zip(COLUMNS, cells, strict=True):
        if not cell and column in MAY_BE_EMPTY:
            row.append(math.nan)
            continue
        value = _number(cell)
        if value is None or (column in WHOLE and not (value.is_integer() and abs(value) < 2**53)):
            kind = "whole number" if column in WHOLE else "number"
            raise ResultError(path, f"{column}: expected a {kind}, found {_quote(cell)}", number)
        row.append(value)
    return row


def _number(cell: str) -> float | None:
    try:
        return float(cell) if _NUMBER.fullmatch(cell) else None
    except ValueError:
        return None


def _read_yaml(path: Path) -> dict[str, Any]:
    """A mapping of plain values. Aliases, tags and deep nesting, which no run writes, are refused
    before anything is built from them: a few aliases can stand for billions of values.
    """
    text = _read_text(path, CONFIG_BYTES)
    depth = 0
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) is not None:
                raise ResultError(path, "YAML aliases and tags are not expected", _line(event))
            if depth > YAML_DEPTH:
                raise ResultError(path, f"nested deeper than {YAML_DEPTH} levels", _line(event))
        config = yaml.safe_load(text)
        str(config)  # ValueError for a number of more digits than Python will print
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ResultError(path, f"not YAML: {error.problem}", line) from error
    except ResultError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # such as the date 2001-99-99
        raise ResultError(path, f"not YAML: {getattr(error, 'reason', error)}") from error
    if not isinstance(config, dict):
        raise ResultError(path, "expected a mapping of keys to values")
    return config


def _line(event: yaml.Event) -> int | None:
    return event.start_mark.line + 1 if event.start_mark else None


def _read_summary(path: Path) -> dict[str, Any]:
    """summary.json, with those of its fields checked that are used here."""
    text = _read_text(path, SUMMARY_BYTES)
    try:
        summary = json.loads(text)
    except json.JSONDecodeError as error:
        raise ResultError(path, f"not JSON: {error.msg}", error.lineno) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, deep nesting
        raise ResultError(path, f"not JSON that a run writes: {error}") from error
    if not isinstance(summary, dict):
        raise ResultError(path, "expected a JSON object")
    choices = summary.get("choices", {})
    if not isinstance(choices, dict) or not all(isinstance(v, str) for v in choices.values()):
        raise ResultError(path, "choices: expected an object of names")
    seeds = summary.get("seeds", {})
    if not isinstance(seeds, dict) or not all(isinstance(v, dict) for v in seeds.values()):
        raise ResultError(path, "seeds: expected an object of objects")
    threshold = summary.get("threshold")
    number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    if threshold is not None and not (number and abs(threshold) <= LARGEST):
        raise ResultError(path, "threshold: expected a finite number or null")
    return summary


def _read_text(path: Path, limit: int) -> str:
    """A regular file of at most `limit` bytes of UTF-8 text without NUL."""
    try:
        if path.exists() and not path.is_file():  # a pipe or a device would never end
            raise ResultError(path, "is not a regular file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ResultError(path, f"cannot be read: {error.strerror}") from error
    if len(data) > limit:
        raise ResultError(path, f"larger than {limit} bytes, which no run writes")
    return _text(path, data, 1)


def _text(path: Path, data: bytes, number: int) -> str:
    """UTF-8 text without NUL, whose first line has this number in the file."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + number
        raise ResultError(path, "expected text, found bytes that are not UTF-8", line) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + number
        raise ResultError(path, "expected text, found a NUL byte", line)
    return text


def _quote(cell: str) -> str:
    return repr(shorten(cell, 40))
