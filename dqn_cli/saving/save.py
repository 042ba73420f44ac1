"""When the lanes of a running loop are saved, and into which files."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from dqn_cli.events import Event, Finished, RunError, Saved, Tick
from dqn_cli.results.files import beside, write_beside
from dqn_cli.results.schema import checkpoint_file
from dqn_cli.saving.checkpoint import dump_lane
from dqn_cli.state import Lane


class Lanes(Protocol):
    """A loop whose lanes can be saved between two of its events."""

    seeds: list[int]  # of the lanes that still train
    step: int  # env steps that each of them has done

    def run(self) -> Iterator[Event]: ...

    def lane(self, lane: int) -> Lane:
        """Return the state of the lane at this index of `seeds`; it may be a view."""


def checkpointed(loop: Lanes, directory: Path, every_seconds: float | None) -> Iterator[Event]:
    """Run the loop, yield its events, and save lanes: each when it has finished, and all of them
    every `every_seconds` (None: never). Each file written is a `Saved` event. Raises what the loop
    raises, and RunError if a file cannot be written."""
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
    """Write the lane's state next to its checkpoint, without replacing that. A lane whose networks
    hold nan or inf is not saved: its last finite checkpoint stays. RunError if the disk fails."""
    if not all(lane.learner[name].isfinite().all() for name in ("online", "target")):
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
