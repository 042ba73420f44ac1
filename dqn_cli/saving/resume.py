"""A run taken up again: what makes that possible, what may change, where each seed goes on."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from dqn_cli.config import BadInput, Config, check, refuse_foreign
from dqn_cli.events import Episode, Evaluated, Event, Finished, RunError, Saved, Tick
from dqn_cli.results.files import beside, write_beside
from dqn_cli.results.reader import read_config, read_summary, whole_rows
from dqn_cli.results.schema import (
    COLUMNS,
    CONFIG,
    EVALUATION_COLUMNS,
    FIGURE,
    ResultError,
    Rows,
    checkpoint_file,
    evaluations_file,
    one_line,
    scores_file,
)
from dqn_cli.saving.checkpoint import Damaged, dump_lane, load_lane
from dqn_cli.state import Best, Lane, stack, take
from dqn_cli.training import build
from dqn_cli.training.loop import Loop

# What may change when a run is taken up again: how long it is, whose it is, how it is carried out.
MAY_CHANGE = ("seed", "episodes", "steps", "checkpoint.every_seconds", "device.workers")


def checkpointed(loop: Loop, directory: Path, every_seconds: float | None) -> Iterator[Event]:
    """The loop's events; and now and then, and when a seed has come to its end, Saved."""
    begun = time.monotonic()
    saved: dict[int, int] = {}  # seed -> step; the same again would be written under the same name
    for event in loop.run():
        yield event
        match event:
            case Finished():
                places = [loop.seeds.index(event.seed)]
            case Tick() if every_seconds is not None and time.monotonic() - begun >= every_seconds:
                places = list(range(len(loop.seeds)))
                begun = time.monotonic()
            case _:
                continue
        for place in places:
            if saved.get(loop.seeds[place]) != loop.step:
                saved[loop.seeds[place]] = loop.step
                yield from save(loop.lane(place), directory)


def save(lane: Lane, directory: Path) -> Iterator[Saved]:
    """Nothing of a lane whose numbers are none any more: its last finite checkpoint stays."""
    if not all(lane.learner[name].isfinite().all() for name in ("online", "behind")):
        return
    place = directory / checkpoint_file(lane.seed, "resume")
    file = beside(place.with_name(f"{place.name}.{lane.step}"))  # the one before may be there still
    try:
        write_beside(file, dump_lane(lane), durable=True)
    except OSError as error:
        with contextlib.suppress(OSError):
            file.unlink()
        raise RunError(f"{file.parent}: cannot be written: {error.strerror}") from error
    yield Saved(lane.seed, file)


class Progress(NamedTuple):
    """How far a seed has come; it begins if there is no file to go on from."""

    file: Path | None = None
    episode: int = 0  # episodes done
    step: int = 0
    kept: Rows = Rows(0, 0)  # that stay
    best: Best | None = None
    params: NDArray[np.float32] | None = None  # [P], where nothing is left to do


class Resumed(NamedTuple):
    """Where a run goes on."""

    seeds: dict[int, Progress]
    diverged: list[int]  # seeds that went no further before, and go no further
    choices: dict[str, str]  # Hydra group -> option, as the run was begun
    speed: float | None  # env steps per second before
    ended: bool  # it was written to its end, the figure too
    notes: list[str]  # what the user should know

    @property
    def open(self) -> list[int]:
        """The seeds that something is left to do for."""
        return [s for s, p in self.seeds.items() if s not in self.diverged and p.params is None]


def configuration(directory: Path, given: Mapping[str, Any], trust: bool) -> Config:
    """The run's own configuration with what the command line changes. BadInput if it may not.

    given: dotted key -> value, of the keys that the command line names.
    """
    values = read_config(directory)
    if not trust:
        refuse_foreign(directory, values, "trust=true")
    try:
        before = check(values)
    except BadInput as error:
        raise BadInput(f"{directory / CONFIG}: {error}") from error
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
    """Where in a group its first difference lies."""
    if isinstance(value, dict) and isinstance(old, dict):
        for name in sorted({*value, *old}):
            if value.get(name) != old.get(name):
                return _difference(f"{key}.{name}", value.get(name), old.get(name))
    return key, value, old


def resumed(directory: Path, config: Config) -> Resumed:
    """Each seed's newest checkpoint that is whole, with the rows it relies on.

    BadInput if the limits were passed already, or a checkpoint is not of this configuration.
    """
    notes: list[str] = []
    summary = _summary(directory, notes)
    now, before = versions(), summary.get("versions")
    notes.extend(
        one_line(f"{name} was {before[name]} and is {now[name]}: the same scores are not promised")
        for name in now
        if isinstance(before, dict) and before.get(name, now[name]) != now[name]
    )
    probe = build.loop(config.model_copy(update={"seed": config.seeds[:1]}))
    seeds: dict[int, Progress] = {}
    diverged = []
    for seed in config.seeds:
        rows = Rows(
            max(len(whole_rows(directory / scores_file(seed), COLUMNS)) - 1, 0),
            max(len(whole_rows(directory / evaluations_file(seed), EVALUATION_COLUMNS)) - 1, 0),
        )
        said = summary.get("seeds", {}).get(str(seed), {})
        if said.get("diverged") is True and said.get("final_episode") == (rows.episodes or None):
            seeds[seed] = Progress(episode=rows.episodes, kept=rows)
            diverged.append(seed)
        else:
            seeds[seed] = _progress(directory, seed, rows, config, probe, notes)
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
    directory: Path, seed: int, rows: Rows, config: Config, probe: Loop, notes: list[str]
) -> Progress:
    taken = _newest(directory, seed, rows, config, notes)
    if taken is None:
        return Progress()
    file, lane = taken
    _fits(file, probe, lane, seed)
    if _goes_on(lane, config):
        kept, params = _rows_of(lane, config), None
    else:
        kept, params = rows, lane.learner["online"].numpy()
    return Progress(file, lane.episode, lane.step, kept, lane.best, params)


def _rows_of(lane: Lane, config: Config) -> Rows:
    """Those that were there when the lane was saved, but for an evaluation that no longer run of
    this configuration has."""
    every = config.eval.every_steps
    episodes = sum(isinstance(event, Episode) for event, _ in lane.waiting)
    evaluations = sum(isinstance(e, Evaluated) and not e.extra for e, _ in lane.waiting)
    due = lane.step // every if every else 0
    return Rows(lane.episode - episodes, due - evaluations)


def _set_aside(directory: Path, seed: int, file: Path | None) -> None:
    """A checkpoint that is of no use must never become the previous one of a good one."""
    for kind in ("resume", "previous"):
        place = directory / checkpoint_file(seed, kind)
        if place == file:
            return
        if place.exists():
            os.replace(place, f"{place}.unused")


def versions() -> dict[str, str]:
    """Of what the bits of the results depend on."""
    packages = ("dqn-cli", "torch", "numpy", "gymnasium")
    kernels = {pool.get("architecture") for pool in threadpool_info() if pool["user_api"] == "blas"}
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "blas": "+".join(sorted(map(str, kernels - {None}))) or platform.machine(),
    }


def _summary(directory: Path, notes: list[str]) -> dict[str, Any]:
    try:
        return read_summary(directory)
    except ResultError as error:
        notes.append(str(error))
        return {}


def _newest(
    directory: Path, seed: int, rows: Rows, config: Config, notes: list[str]
) -> tuple[Path, Lane] | None:
    """A damaged checkpoint gives way to the one before, and without one the seed starts over: it
    only takes longer to come to the same bytes. BadInput for one that cannot be read."""
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
            if needed.episodes <= rows.episodes and needed.evaluations <= rows.evaluations:
                return file, lane
            problem = (
                f"{file}: of {needed.episodes} episodes and {needed.evaluations} evaluations only "
                f"{rows.episodes} and {rows.evaluations} have their rows"
            )
        then = "the one before is used" if file == newest and previous.exists() else "starting over"
        notes.append(f"{problem}; seed {seed}: {then}")
    return None


def _fits(file: Path, probe: Loop, lane: Lane, seed: int) -> None:
    """BadInput if a run of this configuration cannot go on from the lane."""
    space, width = probe.env.space, probe.learner.online.shape[1]
    played = [(lane.actions, lane.obs)]
    if lane.known is not None:
        played.append((lane.known.actions, lane.known.obs))
    networks = [params for _, params in lane.waiting if params is not None]
    if lane.best is not None:
        networks.append(torch.from_numpy(lane.best.params))
    try:
        if lane.seed != seed:
            raise ValueError(f"it is of seed {lane.seed}")
        for actions, obs in played:
            if ((actions < 0) | (actions >= space.actions)).any():
                raise ValueError("actions: expected those of the environment")
            take({"obs": obs}, "obs", space.obs_shape, torch.as_tensor(probe.obs).dtype)
        if any(len(params) != width for params in networks):
            raise ValueError(f"best, waiting: expected {width} parameters")
        probe.learner.load([seed], stack([lane.learner]), lane.step)
    except ValueError as error:
        raise BadInput(f"{file}: not of the run's configuration: {error}") from error


def _goes_on(lane: Lane, config: Config) -> bool:
    """Whether something is left to do, by the limits or of what waits for its score. BadInput if it
    is past them."""
    begun = lane.episode + (len(lane.actions) > 0)
    if config.episodes is not None and begun > config.episodes:
        raise BadInput(f"episodes={config.episodes}: seed {lane.seed} is in episode {begun} by now")
    if config.steps is not None and lane.step > config.steps:
        raise BadInput(f"steps={config.steps}: seed {lane.seed} has done {lane.step} by now")
    return bool(lane.waiting) or (config.episodes != lane.episode and config.steps != lane.step)
