"""Reading run directories; whatever lies in them, the answer is a Run or a one-line ResultError."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import yaml

from dqn_cli.results.schema import (
    COLUMNS,
    CONFIG,
    DIAGNOSIS_COLUMNS,
    EVALUATION_COLUMNS,
    MAY_BE_EMPTY,
    SCORES,
    SUMMARY,
    SWEEP,
    TIMING,
    TIMING_COLUMNS,
    WHOLE,
    ResultError,
    diagnostics_file,
    evaluations_file,
    shorten,
)
from dqn_cli.results.sweep import in_order

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]

CONFIG_BYTES = 256 * 1024  # it has a few kB
SUMMARY_BYTES = 4 * 1024**2  # 250 a seed
USUAL_BYTES = 64 * 1024**2  # of a CSV that is read in one piece
LINE_BYTES = 2**16  # of a CSV, whose rows have about 60; there may be any number of them
TAIL_BYTES = 4096  # of a CSV, which hold its last row
YAML_DEPTH = 50
# libyaml's, where it is, ten times as fast; but it refuses an escaped half of a surrogate pair, as
# a name that is no UTF-8 has.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LARGEST = 1e300  # a threshold above leaves no room to draw it

_SCORES_NAME = re.compile(r"seed_(0|[1-9][0-9]{0,18})\.csv")
_NUMBERS = re.compile(rb"[-+.0-9einfa,]*")
_NUMBER = re.compile(r"[-+.0-9einfa]+")  # and float() takes it: no _, no space, no other digits


@dataclass(frozen=True, eq=False)
class Run:
    """One run directory in memory.

    config and summary are config.yaml and summary.json as they are ({} for a missing summary);
    choices is Hydra group -> option. scores maps a seed to its CSV, whose columns keep their names
    (episode, step, length int64, the others float64 with NaN where there is no value), evaluations
    to that of its evaluations by step, if it has any.
    """

    path: Path
    config: dict[str, Any]
    choices: dict[str, str]
    summary: dict[str, Any]
    scores: dict[int, pd.DataFrame]
    evaluations: dict[int, pd.DataFrame] = field(default_factory=dict)
    timing: dict[int, pd.DataFrame] = field(default_factory=dict)  # step, seconds; if asked for

    @cached_property
    def diagnostics(self) -> dict[int, pd.DataFrame]:
        """Seed -> the CSV of its diagnoses, read when they are first asked for; of an older run,
        {}. Raises ResultError naming the file at fault."""
        return {
            seed: read_diagnostics(file)
            for seed in self.scores
            if os.path.lexists(file := self.path / diagnostics_file(seed))
        }

    @property
    def diverged(self) -> list[int]:
        """The seeds whose numbers became none."""
        seeds = self.summary.get("seeds", {})
        return [s for s in self.scores if seeds.get(str(s), {}).get("diverged") is True]

    @property
    def fresh(self) -> dict[int, float]:
        """What the best network of each seed is worth on fresh episodes, where that is known."""
        seeds = self.summary.get("seeds", {})
        values = {s: seeds.get(str(s), {}).get("best_fresh_score") for s in self.scores}
        return {s: float(v) for s, v in values.items() if type(v) in (int, float)}

    @property
    def threshold(self) -> float | None:
        """The environment's reward threshold, if it names one."""
        value: float | None = self.summary.get("threshold")
        return value


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """The run directories that the paths are or contain at any depth, each once, in path order;
    those of a sweep in its order.

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
        place = in_order(Path(name)) if SWEEP in files else {}
        folders.sort(key=lambda folder: (place.get(folder, len(place)), folder))


def read_run(path: Path, timing: bool = False) -> Run:
    """Read one run directory, with the wall-clock times of its episodes if asked for. Raises
    ResultError naming the file at fault."""
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
    evaluations = {
        seed: read_evaluations(file)
        for seed in scores
        if os.path.lexists(file := path / evaluations_file(seed))
    }
    times = read_timing(path / TIMING) if timing and os.path.lexists(path / TIMING) else {}
    choices = summary.get("choices", {})
    return Run(path, config, choices, summary, scores, evaluations, times)


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
    usual = _usual(path, COLUMNS)
    if usual is not None and (np.diff(usual[:, 0]) > 0).all() and (np.diff(usual[:, 1]) >= 0).all():
        return _frame(usual, COLUMNS)
    rows: list[list[float]] = []
    for number, row in _rows(path, COLUMNS):
        if row[0] <= (rows[-1][0] if rows else 0):
            before = rows[-1][0] if rows else 0
            raise ResultError(path, f"episode {row[0]:.0f} comes after {before:.0f}", number)
        if row[1] < (rows[-1][1] if rows else 0):
            before = rows[-1][1] if rows else 0
            raise ResultError(path, f"step {row[1]:.0f} comes after {before:.0f}", number)
        rows.append(row)
    return _frame(rows, COLUMNS)


def read_evaluations(path: Path) -> pd.DataFrame:
    """Read one seed's evaluations by step, columns step, episode, score; as read_scores."""
    usual = _usual(path, EVALUATION_COLUMNS)
    if usual is not None and (np.diff(usual[:, 0]) > 0).all():
        return _frame(usual, EVALUATION_COLUMNS)
    rows: list[list[float]] = []
    for number, row in _rows(path, EVALUATION_COLUMNS):
        if rows and row[0] <= rows[-1][0]:
            raise ResultError(path, f"step {row[0]:.0f} comes after {rows[-1][0]:.0f}", number)
        rows.append(row)
    return _frame(rows, EVALUATION_COLUMNS)


def read_timing(path: Path) -> dict[int, pd.DataFrame]:
    """When each seed's episodes ended: columns step and seconds. A last line without its newline is
    left out. Raises ResultError naming the line at fault."""
    rows: dict[int, list[list[float]]] = {}
    for _, row in _rows(path, TIMING_COLUMNS):
        rows.setdefault(int(row[0]), []).append(row[2:])
    return {seed: _frame(sorted(of_seed), TIMING_COLUMNS[2:]) for seed, of_seed in rows.items()}


def read_diagnostics(path: Path) -> pd.DataFrame:
    """Read one seed's diagnoses, columns step, episode and DIAGNOSES; as read_scores. Two are of
    one step if an episode ended where an evaluation by step was due."""
    rows: list[list[float]] = []
    for number, row in _rows(path, DIAGNOSIS_COLUMNS):
        for column, now, before in zip(
            DIAGNOSIS_COLUMNS[:2], row, rows[-1] if rows else [], strict=False
        ):
            if now < before:
                raise ResultError(path, f"{column} {now:.0f} comes after {before:.0f}", number)
        rows.append(row)
    return _frame(rows, DIAGNOSIS_COLUMNS)


def whole_rows(path: Path, columns: Sequence[str]) -> list[int]:
    """Where in a seed's CSV, in bytes, the header ends and then each row, as far as whole ones go
    up; those of episodes by one, while two diagnoses may be of one step. Nothing if there is no
    such file or header.
    """
    ends: list[int] = []
    before = 0.0
    try:
        for number, line in enumerate(_lines(path)):
            text = line.decode("ascii")[:-1]
            if number == 0:
                fits = text == ",".join(columns)
            else:
                first = _read_row(path, 1, text, columns)[0]
                again = first == before and columns == DIAGNOSIS_COLUMNS
                fits = first == number if columns[0] == "episode" else first > before or again
                before = first
            if not fits:
                break
            ends.append((ends[-1] if ends else 0) + len(line))
    except ValueError:  # what is no row; a ResultError is a ValueError
        pass
    return ends


def last_row(path: Path, columns: Sequence[str]) -> list[float] | None:
    """The last whole row of a CSV, without reading those before; None if there is none."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - TAIL_BYTES, 0))
            line = file.read(TAIL_BYTES).split(b"\n")[-2]
        return _read_row(path, 0, line.decode("ascii"), columns)
    except (OSError, ValueError, IndexError):  # a ResultError is a ValueError
        return None


def _usual(path: Path, columns: Sequence[str]) -> FloatArray | None:
    """The rows of a file as runs write them, several times as fast as line by line; None for
    anything else, so that the slow way says what is wrong, or reads what is merely odd."""
    try:
        if not path.is_file() or path.stat().st_size > USUAL_BYTES:
            return None
        head, *lines, cut = path.read_bytes().split(b"\n")
        body = b",".join(lines)
        if cut or head != ",".join(columns).encode() or not _NUMBERS.fullmatch(body):
            return None
        if {line.count(b",") for line in lines} - {len(columns) - 1}:
            return None
        cells = body.split(b",") if body else []
        table = np.array([float(cell or b"nan") for cell in cells]).reshape(-1, len(columns))
    except (OSError, ValueError):
        return None
    for i, column in enumerate(columns):
        if column not in MAY_BE_EMPTY and b"" in cells[i :: len(columns)]:
            return None
        if (
            column in WHOLE
            and not ((table[:, i] == np.floor(table[:, i])) & (np.abs(table[:, i]) < 2**53)).all()
        ):
            return None
    return table if (table[:1, 0] > 0).all() and (table[:1, 1] >= 0).all() else None


def _frame(rows: list[list[float]] | FloatArray, columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd  # slow to import, so that `dqn-plot --help` does without it

    table = np.array(rows, dtype=np.float64).reshape(-1, len(columns))
    kinds = [np.int64 if column in WHOLE else np.float64 for column in columns]
    numbers = [cells.astype(kind) for cells, kind in zip(table.T, kinds, strict=True)]
    return pd.DataFrame(dict(zip(columns, numbers, strict=True)))


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[float]]]:
    """The number of each line after the header, and its row."""
    number = 0
    for number, line in enumerate(_lines(path), start=1):
        text = _text(path, line, number).removesuffix("\n").removesuffix("\r")
        if number > 1:
            yield number, _read_row(path, number, text, columns)
        elif text != ",".join(columns):
            break
    else:
        if number:
            return
    raise ResultError(path, f"expected the header {','.join(columns)}", line=1)


def _lines(path: Path) -> Iterator[bytes]:
    """A file's whole lines; what follows the last newline is left out."""
    try:
        if path.exists() and not path.is_file():  # a pipe or a device would never end
            raise ResultError(path, "is not a regular file")
        with path.open("rb") as file:
            number = 1
            while (line := file.readline(LINE_BYTES + 1)).endswith(b"\n"):
                yield line
                number += 1
            if len(line) > LINE_BYTES:
                problem = f"longer than {LINE_BYTES} bytes, which no run writes"
                raise ResultError(path, problem, number)
    except OSError as error:
        raise ResultError(path, f"cannot be read: {error.strerror}") from error


def _read_row(path: Path, number: int, line: str, columns: Sequence[str] = COLUMNS) -> list[float]:
    cells = line.split(",")
    if len(cells) != len(columns):
        raise ResultError(path, f"expected {len(columns)} cells, found {len(cells)}", number)
    row = []
    for column, cell in zip(columns, cells, strict=True):
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
    loader = yaml.SafeLoader if "\\u" in text or "\\U" in text else LOADER
    try:
        for event in yaml.parse(text, loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) is not None:
                raise ResultError(path, "YAML aliases and tags are not expected", _line(event))
            if depth > YAML_DEPTH:
                raise ResultError(path, f"nested deeper than {YAML_DEPTH} levels", _line(event))
        config = yaml.load(text, loader)
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
