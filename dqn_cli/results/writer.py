"""Writing a run directory while it is trained: whole lines only, so a killed run stays readable."""

from __future__ import annotations

import errno
import json
import math
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from dqn_cli.results.schema import (
    CHECKPOINTS,
    COLUMNS,
    CONFIG,
    MAY_BE_EMPTY,
    SCORES,
    SUMMARY,
    TIMING,
    TIMING_COLUMNS,
    WHOLE,
    ResultError,
    format_number,
    scores_file,
)

PARTS = (CONFIG, SUMMARY, SCORES, TIMING, CHECKPOINTS)  # what only a run puts in a directory


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write the whole file or leave what was there: a temporary file beside it, then a rename.

    Text is written as UTF-8 with `\\n` line ends. Guards against a killed process and a full disk,
    not against a power cut. Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def holds_run(directory: Path) -> bool:
    """Whether the directory already holds (part of) a run."""
    return any((directory / name).exists() for name in PARTS)


class RunWriter:
    """Writes one run directory; also a context manager, which closes the CSVs but judges nothing.

    config: the whole resolved config as YAML text. choices: Hydra group -> chosen option.
    seeds: one CSV each. threshold: the environment's reward threshold, if it names one.
    versions: package -> version. Raises ResultError where a run already lies.
    """

    def __init__(
        self,
        directory: Path,
        *,
        config: str,
        choices: dict[str, str],
        seeds: Sequence[int],
        threshold: float | None,
        versions: dict[str, str],
    ) -> None:
        if not seeds or len(set(seeds)) != len(seeds):
            raise ValueError(f"seeds must be distinct and at least one, not {list(seeds)}")
        if holds_run(directory):
            raise ResultError(directory, "already holds a run, and a run is never overwritten")
        self.directory = directory
        self._facts = {"choices": choices, "threshold": _finite(threshold), "versions": versions}
        self._outcome = {seed: _Outcome() for seed in seeds}
        try:
            (directory / SCORES).mkdir(parents=True)
            write_atomic(directory / CONFIG, config)
            self._timing = _create_csv(directory / TIMING, TIMING_COLUMNS)
            self._scores = {s: _create_csv(directory / scores_file(s), COLUMNS) for s in seeds}
            self._write_summary("running", None, None)
        except OSError as error:
            raise ResultError(directory, f"cannot be written: {error.strerror}") from error

    def episode(self, seed: int, row: Mapping[str, int | float | None], seconds: float) -> None:
        """Append a finished episode: a row with the CSV's columns (those without a value may be
        absent), and the wall-clock seconds since training began.

        Raises ValueError for a seed, column or episode number that cannot be.
        """
        if seed not in self._outcome:
            raise ValueError(f"seed {seed} is not one of this run's: {list(self._outcome)}")
        cells = _cells(row)
        self._outcome[seed].add(row)
        _append(self._scores[seed], cells)
        timing = (seed, row["episode"], row["step"], seconds)
        _append(self._timing, [format_number(value) for value in timing])

    def finish(
        self, status: str, *, env_steps_per_second: float | None, error: str | None = None
    ) -> None:
        """Write summary.json: how the run ended, and every seed's final and best score.

        env_steps_per_second counts the steps of all seeds together. Raises OSError.
        """
        self._write_summary(status, env_steps_per_second, error)

    def close(self) -> None:
        """Close the CSVs; `episode` must not be called any more."""
        for file in (self._timing, *self._scores.values()):
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write_summary(self, status: str, speed: float | None, error: str | None) -> None:
        summary = {
            "status": status,
            "error": error,
            **self._facts,
            "env_steps_per_second": _finite(speed),
            "seeds": {str(seed): vars(outcome) for seed, outcome in self._outcome.items()},
        }
        text = json.dumps(summary, indent=2, allow_nan=False)
        write_atomic(self.directory / SUMMARY, text + "\n")


@dataclass
class _Outcome:
    """What summary.json says about one seed; the fields are the JSON's keys."""

    final_score: float | None = None  # the last score there was, whatever its episode
    final_episode: int | None = None
    final_step: int | None = None
    best_score: float | None = None  # the first of the highest scores
    best_episode: int | None = None
    best_step: int | None = None

    def add(self, row: Mapping[str, int | float | None]) -> None:
        episode, step = _whole(row["episode"]), _whole(row["step"])
        if episode <= (self.final_episode or 0):
            raise ValueError(f"episode {episode} comes after episode {self.final_episode or 0}")
        self.final_episode, self.final_step = episode, step
        score = _finite(row.get("score"))
        if score is None:
            return
        self.final_score = score
        if self.best_score is None or score > self.best_score:
            self.best_score, self.best_episode, self.best_step = score, episode, step


def _finite(value: float | None) -> float | None:
    """The value as a float; None for nan and inf, which JSON cannot say."""
    return None if value is None or not math.isfinite(value) else float(value)


def _whole(value: int | float | None) -> int:
    """The value as an int; TypeError for what is not a whole number's type."""
    return operator.index(value)  # type: ignore[arg-type]


def _cells(row: Mapping[str, int | float | None]) -> list[str]:
    """The row's CSV cells in the order of the columns; ValueError if it does not fit them."""
    if unknown := sorted(set(row) - set(COLUMNS)):
        raise ValueError(f"no such column: {', '.join(unknown)}")
    missing = [c for c in COLUMNS if row.get(c) is None and c not in MAY_BE_EMPTY]
    if missing:
        raise ValueError(f"no value for {', '.join(missing)}")
    return [format_number(_whole(row[c]) if c in WHOLE else row.get(c)) for c in COLUMNS]


def _create_csv(path: Path, header: Sequence[str]) -> BinaryIO:
    file = path.open("xb", buffering=0)
    _append(file, header)
    return file


def _append(file: BinaryIO, cells: Iterable[str]) -> None:
    """Add one line in one unbuffered write; a process killed between two leaves whole lines."""
    line = (",".join(cells) + "\n").encode()
    if file.write(line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
