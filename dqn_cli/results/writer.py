"""Writing a run directory while it is trained: whole lines only, so a killed run stays readable."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from dqn_cli.results.files import sync_folder, write_atomic
from dqn_cli.results.outcome import Outcome, finite
from dqn_cli.results.reader import read_evaluations, read_scores
from dqn_cli.results.rows import NONE, append, cells, open_rows, open_timing
from dqn_cli.results.schema import (
    CHECKPOINTS,
    COLUMNS,
    CONFIG,
    DIAGNOSIS_COLUMNS,
    DIAGNOSTICS,
    EVALUATION_COLUMNS,
    EVALUATIONS,
    SCORES,
    SUMMARY,
    TIMING,
    ResultError,
    Rows,
    checkpoint_file,
    diagnostics_file,
    evaluations_file,
    format_number,
    scores_file,
)

# What only a run puts in a directory.
PARTS = (CONFIG, SUMMARY, SCORES, EVALUATIONS, DIAGNOSTICS, TIMING, CHECKPOINTS)


def holds_run(directory: Path) -> bool:
    """Whether the directory already holds (part of) a run."""
    return any((directory / name).exists() for name in PARTS)


class RunWriter:
    """Write one run directory. As a context manager it closes the CSVs, and nothing else.

    config: the whole resolved config as YAML text. choices: Hydra group -> chosen option.
    seeds: one CSV each. threshold: the environment's reward threshold, if it names one.
    versions: package -> version. facts: further entries of summary.json, by name. kept: for a
    resumed run, how many rows of each seed stay; the rows after them are cut off. diverged: the
    seeds that had diverged before a resumed run.
    Raises ResultError if the directory holds a run and `kept` is None, or if it cannot be written.
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
            "threshold": finite(threshold),
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
            files = (scores_file, evaluations_file, diagnostics_file)
            rows = [name(seed) for seed in seeds for name in files]
            for path in (directory / row for row in rows):
                if path.is_symlink() or (path.exists() and not path.is_file()):
                    raise ResultError(path, "is not a regular file")  # a link may lead anywhere
            self._timing, self.seconds = open_timing(directory / TIMING, kept)
            self._scores = {
                seed: open_rows(
                    directory / scores_file(seed), COLUMNS, kept.get(seed, NONE).episodes
                )
                for seed in seeds
            }
            self._evaluations: dict[int, BinaryIO] = {}
            self._diagnostics: dict[int, BinaryIO] = {}
            for seed in seeds:
                stay = kept.get(seed, NONE)
                if (directory / evaluations_file(seed)).exists():
                    self._evaluations[seed] = self._evaluated(seed, stay)
                if (directory / diagnostics_file(seed)).exists():
                    self._diagnostics[seed] = self._diagnosed(seed, stay)
            for seed in kept:
                self._recall(seed)
            self._write_summary("running", None, None)
            sync_folder(directory / SCORES)
        except OSError as error:
            raise ResultError(directory, f"cannot be written: {error.strerror}") from error

    def _clean(self) -> None:
        """Remove the temporary files of processes that were killed while writing."""
        for folder in (self.directory, self.directory / CHECKPOINTS):
            for stale in folder.glob(".*.tmp"):
                stale.unlink(missing_ok=True)

    def _evaluated(self, seed: int, kept: Rows) -> BinaryIO:
        (self.directory / EVALUATIONS).mkdir(exist_ok=True)
        path = self.directory / evaluations_file(seed)
        return open_rows(path, EVALUATION_COLUMNS, kept.evaluations)

    def _diagnosed(self, seed: int, kept: Rows) -> BinaryIO:
        (self.directory / DIAGNOSTICS).mkdir(exist_ok=True)
        path = self.directory / diagnostics_file(seed)
        return open_rows(path, DIAGNOSIS_COLUMNS, kept.diagnoses)

    def _recall(self, seed: int) -> None:
        """Rebuild the seed's outcome from the rows that are already there."""
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
        values = cells(row)
        self._outcome[seed].add(row)
        append(self._scores[seed], values)
        timing = (seed, row["episode"], row["step"], seconds)
        append(self._timing, [format_number(value) for value in timing])

    def evaluation(self, seed: int, row: Mapping[str, int | float | None]) -> None:
        """Append an evaluation by step: a row with the columns of its CSV. Raises as `episode`."""
        if seed not in self._outcome:
            raise ValueError(f"seed {seed} is not one of this run's: {list(self._outcome)}")
        values = cells(row, EVALUATION_COLUMNS)
        self._outcome[seed].add(row)
        if seed not in self._evaluations:
            self._evaluations[seed] = self._evaluated(seed, NONE)
        append(self._evaluations[seed], values)

    def diagnosis(self, seed: int, row: Mapping[str, int | float | None]) -> None:
        """Append a diagnosis: a row with the columns of its CSV. Raises as `episode`."""
        if seed not in self._outcome:
            raise ValueError(f"seed {seed} is not one of this run's: {list(self._outcome)}")
        values = cells(row, DIAGNOSIS_COLUMNS)
        if seed not in self._diagnostics:
            self._diagnostics[seed] = self._diagnosed(seed, NONE)
        append(self._diagnostics[seed], values)

    def outcome(self, seed: int) -> Outcome:
        """Return what summary.json will say about the seed."""
        return self._outcome[seed]

    def best_again(self, seed: int, score: float) -> None:
        """Record the mean return of the seed's best network over fresh episodes, which took no part
        in choosing it."""
        self._outcome[seed].best_fresh_score = score

    def diverged(self, seed: int) -> None:
        """Record that the seed diverged, and sync its files; no row of it may follow."""
        self._sync(seed)
        best = self.directory / checkpoint_file(seed, "best")
        if best.exists():
            write_atomic(best, best.read_bytes(), durable=True)
        self._outcome[seed].diverged = True
        self._write_summary("running", None, None)

    def commit(self, seed: int, file: Path) -> None:
        """Make `file`, written and durable, the seed's checkpoint, after syncing the rows that it
        relies on. The checkpoint before it is kept as the previous one. Raises OSError.
        """
        self._sync(seed)
        newest = self.directory / checkpoint_file(seed, "resume")
        with contextlib.suppress(FileNotFoundError):
            os.replace(newest, self.directory / checkpoint_file(seed, "previous"))
        os.replace(file, newest)
        sync_folder(newest.parent)

    def _sync(self, seed: int) -> None:
        os.fsync(self._scores[seed].fileno())
        for folder, files in ((EVALUATIONS, self._evaluations), (DIAGNOSTICS, self._diagnostics)):
            if seed in files:
                os.fsync(files[seed].fileno())
                sync_folder(self.directory / folder)

    def finish(
        self, status: str, *, env_steps_per_second: float | None, error: str | None = None
    ) -> None:
        """Write summary.json: how the run ended, and every seed's final and best score.

        env_steps_per_second counts the steps of all seeds together. Raises OSError.
        """
        self._write_summary(status, env_steps_per_second, error)
        self._clean()

    def close(self) -> None:
        """Close the CSVs; no row may be appended afterwards."""
        self._timing.close()
        for files in (self._scores, self._evaluations, self._diagnostics):
            for file in files.values():
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
            "env_steps_per_second": finite(speed),
            "seeds": {str(seed): vars(outcome) for seed, outcome in self._outcome.items()},
        }
        text = json.dumps(summary, indent=2, allow_nan=False)
        write_atomic(self.directory / SUMMARY, text + "\n", durable=True)
