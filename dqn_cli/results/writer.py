"""Writing a run directory while it is trained: whole lines only, so a killed run stays readable."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import operator
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from filelock import FileLock, Timeout

from dqn_cli.results.reader import read_evaluations, read_scores, whole_rows
from dqn_cli.results.schema import (
    CHECKPOINTS,
    COLUMNS,
    CONFIG,
    EVALUATION_COLUMNS,
    EVALUATIONS,
    EXACT,
    MAY_BE_EMPTY,
    SCORES,
    SUMMARY,
    TIMING,
    TIMING_COLUMNS,
    WHOLE,
    ResultError,
    Rows,
    checkpoint_file,
    evaluations_file,
    format_number,
    scores_file,
)

PARTS = (
    CONFIG,
    SUMMARY,
    SCORES,
    EVALUATIONS,
    TIMING,
    CHECKPOINTS,
)  # what only a run puts in a directory


NONE = Rows(0, 0)
LOCK = ".lock"  # there while a process trains in the directory


def write_atomic(path: Path, data: bytes | str, *, durable: bool = False) -> None:
    """Write the whole file or leave what was there: a temporary file beside it, then a rename.

    Text is written as UTF-8 with `\\n` line ends. Guards against a killed process and a full disk,
    and if `durable` against a power cut, which takes its time. Raises OSError.
    """
    temporary = beside(path)
    try:
        write_beside(temporary, data.encode() if isinstance(data, str) else data, durable)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


def beside(path: Path) -> Path:
    """The temporary file that this process writes before it takes the place of `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def write_beside(temporary: Path, data: bytes, durable: bool) -> None:
    """Into a new file: one that a killed process of the same number left goes first, and a link
    that lies there is not followed."""
    temporary.unlink(missing_ok=True)
    with temporary.open("xb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have the names in it outlast a power cut, where the system can do that."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
                raise
        finally:
            os.close(opened)


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Makes the directory and keeps other processes from training in it; the claim ends with its
    owner, however that ends. ResultError if another one has it, or it cannot be written.
    """
    lock = FileLock(directory / LOCK, timeout=0)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise ResultError(directory, "another process is training in it") from None
    except OSError as error:
        raise ResultError(directory, f"cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # gone with its directory; Windows removes it later
            (directory / LOCK).unlink()
        lock.release()


def holds_run(directory: Path) -> bool:
    """Whether the directory already holds (part of) a run."""
    return any((directory / name).exists() for name in PARTS)


class RunWriter:
    """Writes one run directory; also a context manager, which closes the CSVs but judges nothing.

    config: the whole resolved config as YAML text. choices: Hydra group -> chosen option.
    seeds: one CSV each. threshold: the environment's reward threshold, if it names one.
    versions: package -> version. facts: more for summary.json, by name. kept: where a run is taken
    up again, how many rows of each seed stay; those after them are cut off. diverged: the seeds
    that had before.
    Raises ResultError where a run already lies, unless it is taken up again.
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
        facts: Mapping[str, str] | None = None,
        kept: Mapping[int, Rows] | None = None,
        diverged: Iterable[int] = (),
    ) -> None:
        if not seeds or len(set(seeds)) != len(seeds):
            raise ValueError(f"seeds must be distinct and at least one, not {list(seeds)}")
        if kept is None and holds_run(directory):
            raise ResultError(directory, "already holds a run, and a run is never overwritten")
        self.directory = directory
        self._facts = {
            "choices": choices,
            "threshold": _finite(threshold),
            **(facts or {}),
            "versions": versions,
        }
        self._outcome = {seed: Outcome() for seed in seeds}
        for seed in diverged:
            self._outcome[seed].diverged = True
        kept = kept or {}
        try:
            directory.mkdir(parents=True, exist_ok=True)
            write_atomic(directory / CONFIG, config, durable=True)  # first: it can be taken up now
            for folder in (SCORES, CHECKPOINTS):
                (directory / folder).mkdir(exist_ok=True)
            self._clean()
            rows = [name(seed) for seed in seeds for name in (scores_file, evaluations_file)]
            for path in (directory / row for row in rows):
                if path.is_symlink() or (path.exists() and not path.is_file()):
                    raise ResultError(path, "is not a regular file")  # a link may lead anywhere
            self._timing, self.seconds = _timing(directory / TIMING, kept)
            self._scores = {
                seed: _rows(directory / scores_file(seed), COLUMNS, kept.get(seed, NONE).episodes)
                for seed in seeds
            }
            self._evaluations: dict[int, BinaryIO] = {}
            for seed in seeds:
                if (directory / evaluations_file(seed)).exists():
                    self._evaluations[seed] = self._evaluated(seed, kept.get(seed, NONE))
            for seed in seeds:
                self._recall(seed)
            self._write_summary("running", None, None)
            sync_folder(directory / SCORES)
        except OSError as error:
            raise ResultError(directory, f"cannot be written: {error.strerror}") from error

    def _clean(self) -> None:
        """Remove what processes that were killed had begun to write."""
        for folder in (self.directory, self.directory / CHECKPOINTS):
            for stale in folder.glob(".*.tmp"):
                stale.unlink(missing_ok=True)

    def _evaluated(self, seed: int, kept: Rows) -> BinaryIO:
        (self.directory / EVALUATIONS).mkdir(exist_ok=True)
        path = self.directory / evaluations_file(seed)
        return _rows(path, EVALUATION_COLUMNS, kept.evaluations)

    def _recall(self, seed: int) -> None:
        """What the rows that are there already say of the seed."""
        episodes = read_scores(self.directory / scores_file(seed)).to_dict("records")
        evaluations: list[dict[Any, Any]] = []
        if seed in self._evaluations:
            path = self.directory / evaluations_file(seed)
            evaluations = read_evaluations(path).to_dict("records")
        for row in sorted([*episodes, *evaluations], key=lambda row: row["step"]):
            self._outcome[seed].add(row)

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

    def evaluation(self, seed: int, row: Mapping[str, int | float | None]) -> None:
        """Append an evaluation by step: a row with the columns of its CSV. Raises as `episode`."""
        if seed not in self._outcome:
            raise ValueError(f"seed {seed} is not one of this run's: {list(self._outcome)}")
        cells = _cells(row, EVALUATION_COLUMNS)
        self._outcome[seed].add(row)
        if seed not in self._evaluations:
            self._evaluations[seed] = self._evaluated(seed, NONE)
        _append(self._evaluations[seed], cells)

    def outcome(self, seed: int) -> Outcome:
        """What summary.json is going to say of the seed."""
        return self._outcome[seed]

    def best_again(self, seed: int, score: float) -> None:
        """What the seed's best network reached over episodes that it was not chosen by."""
        self._outcome[seed].best_fresh_score = score

    def diverged(self, seed: int) -> None:
        """The seed's numbers are none any more; no row of it follows."""
        self._sync(seed)
        best = self.directory / checkpoint_file(seed, "best")
        if best.exists():
            write_atomic(best, best.read_bytes(), durable=True)
        self._outcome[seed].diverged = True
        self._write_summary("running", None, None)

    def commit(self, seed: int, file: Path) -> None:
        """Make `file`, written and durable, the seed's checkpoint, after the rows it relies on. The
        one before stays as the previous one. Raises OSError.
        """
        self._sync(seed)
        newest = self.directory / checkpoint_file(seed, "resume")
        with contextlib.suppress(FileNotFoundError):
            os.replace(newest, self.directory / checkpoint_file(seed, "previous"))
        os.replace(file, newest)
        sync_folder(newest.parent)

    def _sync(self, seed: int) -> None:
        os.fsync(self._scores[seed].fileno())
        if seed in self._evaluations:
            os.fsync(self._evaluations[seed].fileno())
            sync_folder(self.directory / EVALUATIONS)

    def finish(
        self, status: str, *, env_steps_per_second: float | None, error: str | None = None
    ) -> None:
        """Write summary.json: how the run ended, and every seed's final and best score.

        env_steps_per_second counts the steps of all seeds together. Raises OSError.
        """
        self._write_summary(status, env_steps_per_second, error)
        self._clean()

    def close(self) -> None:
        """Close the CSVs; `episode` must not be called any more."""
        for file in (self._timing, *self._scores.values(), *self._evaluations.values()):
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
        write_atomic(self.directory / SUMMARY, text + "\n", durable=True)


@dataclass
class Outcome:
    """What summary.json says about one seed; the fields are the JSON's keys."""

    final_score: float | None = None  # the last score there was, whatever its episode
    final_episode: int | None = None
    final_step: int | None = None
    best_score: float | None = None  # the last of the highest scores
    best_episode: int | None = None
    best_step: int | None = None
    best_fresh_score: float | None = None  # of that network, over episodes it was not chosen by
    diverged: bool = False

    def add(self, row: Mapping[str, int | float | None]) -> None:
        """A row of scores/, or of evaluations/."""
        episode, step = _whole(row["episode"]), _whole(row["step"])
        if "return" in row and episode <= (self.final_episode or 0):
            raise ValueError(f"episode {episode} comes after episode {self.final_episode or 0}")
        if "return" in row:
            self.final_episode = episode
        self.final_step = step
        score = _finite(row.get("score"))
        if score is None:
            return
        self.final_score = score
        if self.best_score is None or score >= self.best_score:
            self.best_score, self.best_episode, self.best_step = score, episode, step


def _finite(value: float | None) -> float | None:
    """The value as a float; None for nan and inf, which JSON cannot say."""
    return None if value is None or not math.isfinite(value) else float(value)


def _whole(value: int | float | None) -> int:
    """The value as an int; TypeError for what is not a whole number's type."""
    return operator.index(value)  # type: ignore[arg-type]


def _cells(row: Mapping[str, int | float | None], columns: Sequence[str] = COLUMNS) -> list[str]:
    """The row's CSV cells in the order of the columns; ValueError if it does not fit them."""
    if unknown := sorted(set(row) - set(columns)):
        raise ValueError(f"no such column: {', '.join(unknown)}")
    missing = [c for c in columns if row.get(c) is None and c not in MAY_BE_EMPTY]
    if missing:
        raise ValueError(f"no value for {', '.join(missing)}")
    values = {c: _whole(row[c]) if c in WHOLE else row.get(c) for c in columns}
    return [format_number(value, exact=column in EXACT) for column, value in values.items()]


def _rows(path: Path, columns: Sequence[str], kept: int) -> BinaryIO:
    """A seed's CSV, open for more rows; what it holds after that many is cut off. The caller has
    seen that it holds so many.
    """
    file = path.open("ab", buffering=0)
    ends = whole_rows(path, columns) or [0]
    file.truncate(ends[kept])
    if not ends[0]:
        _append(file, columns)
    return file


def _timing(path: Path, kept: Mapping[int, Rows]) -> tuple[BinaryIO, float]:
    """timing.csv, open for more rows, without those of episodes that were not kept; and the seconds
    that it comes to.
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


def _append(file: BinaryIO, cells: Iterable[str]) -> None:
    """Add one line in one unbuffered write; a process killed between two leaves whole lines."""
    line = (",".join(cells) + "\n").encode()
    if file.write(line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
