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

import torch
from threadpoolctl import threadpool_info

from dqn_cli import build
from dqn_cli.checkpoint import dump_lane, load_lane
from dqn_cli.config import BadInput, Config, check, refuse_foreign
from dqn_cli.events import Event, Finished, RunError, Saved, Tick
from dqn_cli.loop import Loop
from dqn_cli.results.reader import read_config, read_summary, whole_episodes
from dqn_cli.results.schema import CONFIG, FIGURE, ResultError, checkpoint_file, scores_file
from dqn_cli.results.writer import beside, write_beside
from dqn_cli.state import Best, Lane, stack, take

# What may change when a run is taken up again: how long it is, whose it is, how it is carried out.
MAY_CHANGE = ("seed", "episodes", "steps", "checkpoint.every_seconds", "device.workers")


def checkpointed(loop: Loop, directory: Path, every_seconds: float | None) -> Iterator[Event]:
    """The loop's events; and now and then, and when a seed has come to its end, Saved."""
    begun = time.monotonic()

    def due() -> bool:
        return every_seconds is not None and time.monotonic() - begun >= every_seconds

    for event in loop.run(due):
        yield event
        if loop.scorer.waiting:  # a checkpoint would stand for rows that are not there
            continue
        match event:
            case Finished():
                yield from save(loop.lane(loop.seeds.index(event.seed)), directory)
            case Tick() if due():
                for lane in range(len(loop.seeds)):
                    yield from save(loop.lane(lane), directory)
                begun = time.monotonic()


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


class Resumed(NamedTuple):
    """Where the seeds of a run go on."""

    files: dict[int, Path]  # the checkpoints they go on from; the others begin
    best: dict[int, Best | None]  # of those that go on or begin
    done: dict[int, tuple[int, int]]  # episodes whose rows stay, and env steps
    diverged: list[int]  # seeds that went no further before
    notes: list[str]  # what the user should know
    ended: bool  # it was written to its end, the figure too


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
    ended = summary.get("status") == "finished" and (directory / FIGURE).exists()
    found = Resumed({}, {}, {}, [], notes, ended)
    now, before = versions(), summary.get("versions", {})
    found.notes.extend(
        f"{name} was {before[name]} and is {now[name]}: the same scores are not promised"
        for name in now
        if isinstance(before, dict) and before.get(name, now[name]) != now[name]
    )
    for seed, told in summary.get("seeds", {}).items():
        if told.get("diverged") is True and seed.isdecimal() and int(seed) in config.seeds:
            found.diverged.append(int(seed))
    probe = build.loop(config.model_copy(update={"seed": config.seeds[:1]}))
    for seed in config.seeds:
        rows = max(len(whole_episodes(directory / scores_file(seed))) - 1, 0)
        if seed in found.diverged:
            found.done[seed] = (rows, 0)
            continue
        taken = _newest(directory, seed, rows, found.notes)
        if taken is None:
            found.best[seed] = None
            continue
        file, lane = taken
        _fits(file, probe, lane, seed)
        found.done[seed] = (lane.episode, lane.step)
        if _goes_on(lane, config):
            found.files[seed] = file
            found.best[seed] = lane.best
    for seed in found.best:  # a damaged file must never become the previous one
        newest, previous = (directory / checkpoint_file(seed, k) for k in ("resume", "previous"))
        if found.files.get(seed) == previous:
            os.replace(previous, newest)
            found.files[seed] = newest
        elif seed not in found.files:
            newest.unlink(missing_ok=True)
            previous.unlink(missing_ok=True)
    return found


def versions() -> dict[str, str]:
    """Of what the bits of the results depend on."""
    packages = ("dqn-cli", "torch", "numpy", "gymnasium")
    kernels = {pool.get("architecture") for pool in threadpool_info() if pool["user_api"] == "blas"}
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "blas": "+".join(sorted(map(str, kernels - {None}))) or platform.machine(),
    }


def _summary(directory: Path, notes: list[str]) -> dict[str, Any]:
    try:
        return read_summary(directory)
    except ResultError as error:
        notes.append(str(error))
        return {}


def _newest(directory: Path, seed: int, rows: int, notes: list[str]) -> tuple[Path, Lane] | None:
    """A damaged checkpoint gives way to the one before, and without one the seed starts over: it
    only takes longer to come to the same bytes."""
    newest, previous = (directory / checkpoint_file(seed, k) for k in ("resume", "previous"))
    for file in (newest, previous):
        if not file.exists():  # nothing was saved yet; or killed between two renames
            continue
        try:
            lane = load_lane(file)
            if lane.episode <= rows:
                return file, lane
            problem = f"{file}: of {lane.episode} episodes only {rows} have their rows"
        except ValueError as error:
            problem = str(error)
        then = "the one before is used" if file == newest and previous.exists() else "starting over"
        notes.append(f"{problem}; seed {seed}: {then}")
    return None


def _fits(file: Path, probe: Loop, lane: Lane, seed: int) -> None:
    """BadInput if a run of this configuration cannot go on from the lane."""
    space, width = probe.env.space, probe.learner.online.shape[1]
    try:
        if lane.seed != seed:
            raise ValueError(f"it is of seed {lane.seed}")
        if ((lane.actions < 0) | (lane.actions >= space.actions)).any():
            raise ValueError("actions: expected those of the environment")
        take({"obs": lane.obs}, "obs", space.obs_shape, torch.as_tensor(probe.obs).dtype)
        if lane.best is not None and len(lane.best.params) != width:
            raise ValueError(f"best: expected {width} parameters")
        probe.learner.load([seed], stack([lane.learner]))
    except ValueError as error:
        raise BadInput(f"{file}: not of the run's configuration: {error}") from error


def _goes_on(lane: Lane, config: Config) -> bool:
    """Whether the limits leave it something to do. BadInput if it is past them."""
    limits = {"episodes": (lane.episode, config.episodes), "steps": (lane.step, config.steps)}
    for name, (done, limit) in limits.items():
        if limit is not None and done > limit:
            raise BadInput(f"{name}={limit}: seed {lane.seed} has done {done} already")
    return not any(done == limit for done, limit in limits.values())
