"""Resuming a run: what of its configuration may change, and where each seed continues."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dqn_cli.config import BadInput, Config, check, refuse_foreign
from dqn_cli.events import Episode, Evaluated
from dqn_cli.results.reader import read_config, read_summary, whole_rows
from dqn_cli.results.schema import (
    COLUMNS,
    CONFIG,
    DIAGNOSIS_COLUMNS,
    EVALUATION_COLUMNS,
    FIGURE,
    ResultError,
    Rows,
    checkpoint_file,
    diagnostics_file,
    evaluations_file,
    one_line,
    scores_file,
)
from dqn_cli.saving.checkpoint import load_lane
from dqn_cli.saving.tensors import Damaged
from dqn_cli.saving.versions import NAMES, versions
from dqn_cli.state import Best, Lane

# What may change when a run is resumed: its length, its seeds, and how it is carried out.
MAY_CHANGE = (
    *("seed", "episodes", "steps"),
    *("report", "checkpoint.every_seconds", "device.workers"),
)


class Progress(NamedTuple):
    """Where a seed continues; it starts from the beginning if `file` is None."""

    file: Path | None = None
    episode: int = 0  # episodes done
    step: int = 0
    kept: Rows = Rows(0, 0)  # how many rows stay
    best: Best | None = None
    params: NDArray[np.float32] | None = None  # [P], set where nothing is left to do


class Resumed(NamedTuple):
    """Where a run continues."""

    seeds: dict[int, Progress]
    diverged: list[int]  # seeds that had diverged, which are not trained further
    choices: dict[str, str]  # Hydra group -> choice, as the run was started
    speed: float | None  # env steps of all seeds per second, before
    ended: bool  # every file was written, the figure too
    notes: list[str]  # what the user should know

    @property
    def open(self) -> list[int]:
        """The seeds that have steps or evaluations left."""
        return [s for s, p in self.seeds.items() if s not in self.diverged and p.params is None]


def configuration(directory: Path, given: Mapping[str, Any], trust: bool) -> Config:
    """The run's own configuration with the changes of the command line. BadInput if one of them is
    not allowed, or if the configuration names foreign code and `trust` is false.

    given: dotted key -> value, of the keys that the command line names.
    """
    values = read_config(directory)
    if not trust:
        refuse_foreign(directory, values, "trust=true")
    try:
        before = check(values)
    except BadInput as error:
        raise BadInput(f"{directory / CONFIG}: {error}") from error
    values = before.model_dump()  # with the keys that it is older than
    for key, value in given.items():
        *above, last = key.split(".")
        section: Any = values
        for name in above:
            section = section.get(name) if isinstance(section, dict) else None
        old = section.get(last) if isinstance(section, dict) else None
        if key.partition(".")[0] not in values:
            raise BadInput(f"{key}: the run in {directory} has no such key")
        if key == "seed":
            wanted = value if isinstance(value, list) else [value]
            values["seed"] = before.seeds + [seed for seed in wanted if seed not in before.seeds]
        elif key in MAY_CHANGE:
            section[last] = value
        elif value != old:
            place, value, old = _difference(key, value, old)
            raise BadInput(
                f"{place}={value}: the run in {directory} has {old}, and another value would be "
                f"another experiment (with resume may change: {', '.join(MAY_CHANGE)})"
            )
    return check(values)


def _difference(key: str, value: Any, old: Any) -> tuple[str, Any, Any]:
    """The dotted key of the first difference, and its two values."""
    if isinstance(value, dict) and isinstance(old, dict):
        for name in sorted({*value, *old}):
            if value.get(name) != old.get(name):
                return _difference(f"{key}.{name}", value.get(name), old.get(name))
    return key, value, old


def resumed(directory: Path, config: Config, fits: Callable[[Lane], None]) -> Resumed:
    """Find each seed's newest whole checkpoint and the rows it relies on. Checkpoints that cannot
    be used are renamed.

    fits: raises ValueError for a lane that a loop of this configuration cannot continue.
    BadInput if a seed is past its limits, or its checkpoint is not of this configuration.
    """
    notes: list[str] = []
    summary = _summary(directory, notes)
    now, before = versions(), summary.get("versions")
    for name in NAMES:
        if not isinstance(before, dict):
            break
        was, found = before.get(name, "not installed"), now.get(name, "not installed")
        if was != found:
            notes.append(
                one_line(f"{name} was {was} and is {found}: the same scores are not promised")
            )
    seeds: dict[int, Progress] = {}
    diverged = []
    for seed in config.seeds:
        files = (
            (scores_file(seed), COLUMNS),
            (evaluations_file(seed), EVALUATION_COLUMNS),
            (diagnostics_file(seed), DIAGNOSIS_COLUMNS),
        )
        rows = Rows(*(max(len(whole_rows(directory / f, columns)) - 1, 0) for f, columns in files))
        said = summary.get("seeds", {}).get(str(seed), {})
        if said.get("diverged") is True and said.get("final_episode") == (rows.episodes or None):
            seeds[seed] = Progress(episode=rows.episodes, kept=rows)
            diverged.append(seed)
        else:
            seeds[seed] = _progress(directory, seed, rows, config, fits, notes)
    for seed in seeds:
        if seed not in diverged:
            _set_aside(directory, seed, seeds[seed].file)
    speed = summary.get("env_steps_per_second")
    return Resumed(
        seeds,
        diverged,
        summary.get("choices", {}),
        speed if isinstance(speed, float) else None,
        summary.get("status") == "finished" and (directory / FIGURE).exists(),
        notes,
    )


def _progress(
    directory: Path,
    seed: int,
    rows: Rows,
    config: Config,
    fits: Callable[[Lane], None],
    notes: list[str],
) -> Progress:
    taken = _newest(directory, seed, rows, config, notes)
    if taken is None:
        return Progress()
    file, lane = taken
    _check(file, lane, seed, fits)
    if _goes_on(lane, config):
        kept, params = _rows_of(lane, config), None
    else:
        kept, params = rows, lane.learner["online"].numpy()
    return Progress(file, lane.episode, lane.step, kept, lane.best, params)


def _rows_of(lane: Lane, config: Config) -> Rows:
    """How many rows there were when the lane was saved, without the extra evaluation at the end of
    a run, which a longer run does not have."""
    keys = config.eval
    episodes = sum(isinstance(event, Episode) for event, _ in lane.waiting)
    evaluations = sum(isinstance(e, Evaluated) and not e.extra for e, _ in lane.waiting)
    diagnosed = sum(isinstance(e, Episode) and e.diagnosis is not None for e, _ in lane.waiting)
    by_steps = (lane.step // keys.every_steps if keys.every_steps else 0) - evaluations
    diagnoses = 0
    if keys.diagnose_every:
        scored = lane.episode // keys.every_episodes if keys.every_episodes else 0
        diagnoses = scored // keys.diagnose_every - diagnosed + by_steps
    return Rows(lane.episode - episodes, by_steps, diagnoses)


def _set_aside(directory: Path, seed: int, file: Path | None) -> None:
    """Rename the seed's checkpoints that are newer than `file`, the one used: otherwise the next
    save would keep one of them as its previous checkpoint."""
    for kind in ("resume", "previous"):
        place = directory / checkpoint_file(seed, kind)
        if place == file:
            return
        if place.exists():
            os.replace(place, f"{place}.unused")


def _summary(directory: Path, notes: list[str]) -> dict[str, Any]:
    try:
        return read_summary(directory)
    except ResultError as error:
        notes.append(str(error))
        return {}


def _newest(
    directory: Path, seed: int, rows: Rows, config: Config, notes: list[str]
) -> tuple[Path, Lane] | None:
    """Load the newest checkpoint that is whole and whose rows are there; None if the seed starts
    over, which leads to the same bytes later. BadInput for a file that is no checkpoint."""
    newest, previous = (directory / checkpoint_file(seed, k) for k in ("resume", "previous"))
    for file in (newest, previous):
        if not file.exists():  # nothing was saved yet; or killed between two renames
            continue
        try:
            lane = load_lane(file)
        except Damaged as error:
            problem = str(error)
        except ValueError as error:
            raise BadInput(str(error)) from error
        else:
            needed = _rows_of(lane, config)
            if all(there >= need for there, need in zip(rows, needed, strict=True)):
                return file, lane
            problem = (
                f"{file}: of {needed.episodes} episodes, {needed.evaluations} evaluations and "
                f"{needed.diagnoses} diagnoses only {rows.episodes}, {rows.evaluations} and "
                f"{rows.diagnoses} have their rows"
            )
        then = "the one before is used" if file == newest and previous.exists() else "starting over"
        notes.append(f"{problem}; seed {seed}: {then}")
    return None


def _check(file: Path, lane: Lane, seed: int, fits: Callable[[Lane], None]) -> None:
    """BadInput if the lane read from `file` is of another seed or configuration."""
    try:
        if lane.seed != seed:
            raise ValueError(f"it is of seed {lane.seed}")
        fits(lane)
    except ValueError as error:
        raise BadInput(f"{file}: not of the run's configuration: {error}") from error


def _goes_on(lane: Lane, config: Config) -> bool:
    """Whether the lane has steps left, or networks that wait for their score. BadInput if it is
    past a limit."""
    begun = lane.episode + (len(lane.actions) > 0)
    if config.episodes is not None and begun > config.episodes:
        raise BadInput(f"episodes={config.episodes}: seed {lane.seed} is in episode {begun} by now")
    if config.steps is not None and lane.step > config.steps:
        raise BadInput(f"steps={config.steps}: seed {lane.seed} has done {lane.step} by now")
    return bool(lane.waiting) or (config.episodes != lane.episode and config.steps != lane.step)
