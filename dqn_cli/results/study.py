"""What a search's directory says of its trials, so that they can be read without Optuna."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from dqn_cli.results.files import write_atomic
from dqn_cli.results.labels import text
from dqn_cli.results.reader import Run
from dqn_cli.results.report import number
from dqn_cli.results.schema import STUDY, ResultError, one_line
from dqn_cli.results.table import Format, csv_text, render
from dqn_cli.words import counted

BYTES = 64 * 1024**2  # a few hundred for each trial
SHOWN = 5  # trials in the table for people

# Diverged: every seed did. Failed: as often as it is tried. Open: all else.
State = Literal["finished", "pruned", "diverged", "failed", "open"]
Value = str | int | float | bool | None


class Trial(NamedTuple):
    """A trial, by the values of the keys that are searched."""

    number: int
    state: State
    value: float | None  # the objective; of a pruned trial, what it was when it was given up
    percent: int  # of its run that is done: where it was pruned, 100 if it is over, else 0
    params: dict[str, Value]


class Study(NamedTuple):
    """A search. A higher objective is better."""

    objective: str  # of a seed: see objective.Objective
    over_seeds: str
    seeds: list[int]
    wanted: int  # trials
    sampler: str
    pruner: str
    space: dict[str, str]  # key -> where its values are from, in Hydra's grammar
    importance: dict[str, float]  # key -> share of it, the largest first; empty if not known yet
    trials: list[Trial]

    @property
    def best(self) -> Trial | None:
        """The finished trial with the highest objective, the first one of equals."""
        done = [t for t in self.trials if t.state == "finished" and t.value is not None]
        return max(done, key=lambda trial: trial.value or 0.0, default=None)

    @property
    def aim(self) -> str:
        """What is searched for, for people."""
        seeds = len(self.seeds)
        what = {"final": "final score", "auc": "mean score over training", "best": "best network"}
        over = {"iqm": "IQM", "lower": "lower 95 % bound"}.get(self.over_seeds, self.over_seeds)
        each = f"{over} of {seeds} seeds" if seeds > 1 else "one seed"
        return f"{what.get(self.objective, self.objective)}, {each}"


def job_of(number: int) -> str:
    """The name of a trial's directory."""
    return f"trial_{number:04d}"


def named(runs: Sequence[Run], study: Study) -> list[Run]:
    """The runs of its trials, which are called by their numbers: most of their keys differ, and two
    of the same values are two trials."""
    names = {job_of(trial.number): f"trial {trial.number}" for trial in study.trials}
    return [
        replace(
            run, config={**run.config, "name": names.get(run.path.name, run.config.get("name"))}
        )
        for run in runs
    ]


def write_study(directory: Path, study: Study) -> None:
    """Write the record. Raises OSError."""
    values = study._asdict() | {"trials": [trial._asdict() for trial in study.trials]}
    write_atomic(directory / STUDY, json.dumps(values, indent=1) + "\n")


def read_study(directory: Path) -> Study:
    """Raises ResultError for a file that no search writes."""
    path = directory / STUDY
    try:
        if not path.is_file():
            raise ResultError(path, "is not a regular file" if path.exists() else "does not exist")
        with path.open("rb") as file:
            data = file.read(BYTES + 1)
        values = json.loads(data) if len(data) <= BYTES else None
    except OSError as error:
        raise ResultError(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ResultError(path, f"not JSON that a search writes: {error}") from error
    try:
        return _study(values)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ResultError(path, f"not what a search writes: {one_line(str(error))}") from error


def table(study: Study, kind: Format) -> str:
    """The best trials for people; as CSV all, in full precision."""
    keys = study.space
    if kind == "csv":
        rows = [
            [t.number, t.state, t.value, t.percent, *(t.params.get(key) for key in keys)]
            for t in study.trials
        ]
        return csv_text([["trial", "state", "value", "percent", *keys], *rows])
    return render(lines(study), kind)


def lines(study: Study) -> list[list[str]]:
    """The header and a line for each of the best trials, for people."""
    done = [t for t in study.trials if t.state == "finished" and t.value is not None]
    done.sort(key=lambda trial: -(trial.value or 0.0))
    rows = [
        [str(t.number), number(t.value), *(shown(t.params.get(key)) for key in study.space)]
        for t in done[:SHOWN]
    ]
    return [["trial", "objective", *study.space], *rows]


def summary(study: Study) -> list[str]:
    """Lines under the table: what there is, what matters, and what the best value is not."""
    states = [trial.state for trial in study.trials]
    counts = ", ".join(f"{states.count(s)} {s}" for s in get_args(State) if s in states)
    wanted = counted(study.wanted, "trial")
    said = [f"{len(study.trials)} of {wanted}: {counts}. Objective: {study.aim}."]
    if study.importance:
        shares = ", ".join(f"{key} {share:.0%}" for key, share in study.importance.items())
        said.append(f"Importance (PED-ANOVA): {shares}.")
    if study.best is not None:
        finished = sum(trial.state == "finished" for trial in study.trials)
        said.append(
            f"The best of {finished} values is too high by the luck that made it the best; what it "
            "is worth, fresh seeds say."
        )
    return said


def shown(value: Value) -> str:
    """A searched value for people: 4 significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else one_line(text(value))


def _study(values: Any) -> Study:
    if set(values) != set(Study._fields):
        raise ValueError(f"expected an object of {', '.join(Study._fields)}")
    study = Study(**values)._replace(trials=[_trial(**trial) for trial in values["trials"]])
    words = (study.objective, study.over_seeds, study.sampler, study.pruner)
    if not all(isinstance(word, str) for word in (*words, *study.space, *study.space.values())):
        raise ValueError("expected words")
    if not all(_is_number(share) for share in study.importance.values()):
        raise ValueError("importance: expected numbers")
    if not all(type(n) is int for n in (*study.seeds, study.wanted)):
        raise ValueError("seeds, wanted: expected whole numbers")
    return study


def _trial(**values: Any) -> Trial:
    trial = Trial(**values)
    if type(trial.number) is not int or type(trial.percent) is not int:
        raise ValueError("number, percent: expected whole numbers")
    if trial.state not in get_args(State):
        raise ValueError(f"state: expected one of {', '.join(get_args(State))}")
    if trial.value is not None and not _is_number(trial.value):
        raise ValueError("value: expected a number or null")
    if not all(isinstance(v, Value | None) for v in trial.params.values()):
        raise ValueError("params: expected plain values")
    return trial


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and not math.isnan(value)
