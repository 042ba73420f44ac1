"""The shape of a run directory: file names, CSV columns, how a number is written, the error."""

from __future__ import annotations

import numbers
from pathlib import Path
from typing import NamedTuple

CONFIG = "config.yaml"
SCORES = "scores"
EVALUATIONS = "evaluations"
DIAGNOSTICS = "diagnostics"
TIMING = "timing.csv"
SUMMARY = "summary.json"
FIGURE = "scores.png"
REPORT = "report.html"
CHECKPOINTS = "checkpoints"
LOG = "train.log"
FAILURES = "failures.txt"  # of a sweep's job: a line for every time it failed, saying why
SWEEP = "sweep.json"  # in a sweep's directory: its command, and the names of its jobs
STUDY = "study.json"  # in a search's directory: its trials, as far as they are

# What a diagnosis says; dqn_cli/events.py says of what and docs/diagnostics.md what it means.
DIAGNOSES = (
    *("q_mean", "q_max", "start_q", "start_return", "td_median", "td_90", "td_max"),
    *("grad_norm", "param_norm", "priority_median", "priority_max", "ess", "age"),
    *("dead_units", "entropy"),
)
# One row per training episode of a seed. `episode` counts from 1; `step` is the cumulative number
# of environment steps at the episode's end; `return` and `score` are undiscounted.
COLUMNS = ("episode", "step", "return", "length", "score", "epsilon", "loss", "q")
WHOLE = frozenset({"episode", "step", "length", "seed"})
EXACT = frozenset({"return", "score"})  # sums of rewards; loss and q are made of float32
# No evaluation or no update in that episode, or an exploration without an epsilon; or the run has
# nothing of which a diagnosis speaks.
MAY_BE_EMPTY = frozenset({"score", "epsilon", "loss", "q", *DIAGNOSES})
# One row per evaluation of a seed at an environment step: of `eval.every_steps`, and at the end of
# the run; `episode` counts training episodes done.
EVALUATION_COLUMNS = ("step", "episode", "score")
# One row per network of a seed that was scored, in order.
DIAGNOSIS_COLUMNS = ("step", "episode", *DIAGNOSES)
TIMING_COLUMNS = ("seed", "episode", "step", "seconds")


def scores_file(seed: int) -> str:
    """Path of a seed's CSV, relative to the run directory."""
    return f"{SCORES}/seed_{seed}.csv"


def evaluations_file(seed: int) -> str:
    """Path of a seed's evaluations by step, relative to the run directory."""
    return f"{EVALUATIONS}/seed_{seed}.csv"


def diagnostics_file(seed: int) -> str:
    """Path of a seed's diagnostics, relative to the run directory."""
    return f"{DIAGNOSTICS}/seed_{seed}.csv"


def checkpoint_file(seed: int, kind: str) -> str:
    """Path of a seed's checkpoint, relative to the run directory. `kind` is `best` or `last`, a
    network; or `resume` or `previous`, all that it takes to go on, and the one before."""
    return f"{CHECKPOINTS}/seed_{seed}_{kind}.pt"


def rows_file(seed: int, number: int) -> str:
    """Path of the seed's block of replay of this number, from 1, relative to the run directory."""
    return f"{CHECKPOINTS}/seed_{seed}_rows_{number}.pt"


def format_number(value: float | None, exact: bool = False) -> str:
    """A CSV cell: whole numbers plain, None as nothing, others to 9 significant digits, which keep
    every float32; or, if `exact`, to the fewest that keep this float64.

    Non-finite values become `nan`, `inf`, `-inf`.
    """
    if value is None:
        return ""
    if isinstance(value, numbers.Integral):
        return str(int(value))
    return (repr(float(value)) if exact else f"{float(value):.9g}").removesuffix(".0")


def one_line(text: str) -> str:
    """The text with line breaks and everything else unprintable written as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shorten(text: str, limit: int) -> str:
    """The text on one line, cut to `limit` characters with `...` at the cut."""
    line = one_line(text)
    return line if len(line) <= limit else line[: limit - 3] + "..."


class Rows(NamedTuple):
    """How many rows a seed has."""

    episodes: int  # in scores/
    evaluations: int  # in evaluations/
    diagnoses: int = 0  # in diagnostics/


class ResultError(ValueError):
    """A run directory cannot be read or written; its text is one line: which file, and why."""

    def __init__(self, path: Path | str, problem: str, line: int | None = None) -> None:
        super().__init__(path, problem, line)

    def __str__(self) -> str:
        path, problem, line = self.args
        where = f"{path}: line {line}" if line is not None else f"{path}"
        return one_line(f"{where}: {problem}")
