"""When the lanes of a running loop are saved, and into which files."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from dqn_cli.events import Event, Finished, RunError, Saved, Tick
from dqn_cli.results.files import beside, write_beside
from dqn_cli.results.schema import checkpoint_file
from dqn_cli.saving.blocks import Blocks
from dqn_cli.saving.checkpoint import dump_lane
from dqn_cli.state import Block, Lane, Rows


class Lanes(Protocol):
    """A loop whose lanes can be saved between two of its events."""

    seeds: list[int]  # of the lanes that still train
    step: int  # env steps that each of them has done

    def run(self) -> Iterator[Event]: ...

    def lane(self, lane: int) -> Lane:
        """Return the state of the lane at this index of `seeds`; it may be a view."""

    def rows_of(self, lane: int) -> Rows:
        """Return what its replay holds."""


def checkpointed(
    loop: Lanes,
    directory: Path,
    every_seconds: float | None,
    known: Mapping[int, Sequence[Block]],
) -> Iterator[Event]:
    """Run the loop, yield its events, and save lanes: each when it has finished, and all of them
    every `every_seconds` (None: never). Each file written is a `Saved` event. Raises what the loop
    raises, and RunError if a file cannot be written.

    known: seed -> the files with rows of replay that it is taken up from."""
    begun = time.monotonic()
    saved: dict[int, int] = {}  # seed -> step; the same again would be written under the same name
    blocks = Blocks(directory, known)
    for event in loop.run():
        yield event
        match event:
            case Finished():
                places = [loop.seeds.index(event.seed)]
            case Tick() if every_seconds is not None:
                for place in range(len(loop.seeds)):  # as they fill, so that no pause is long
                    with writing(directory):
                        blocks.write(loop.seeds[place], loop.rows_of(place))
                if time.monotonic() - begun < every_seconds:
                    continue
                places = list(range(len(loop.seeds)))
                begun = time.monotonic()
            case _:
                continue
        for place in places:
            if saved.get(loop.seeds[place]) != loop.step:
                saved[loop.seeds[place]] = loop.step
                yield from save(loop.lane(place), directory, blocks)


def save(lane: Lane, directory: Path, blocks: Blocks) -> Iterator[Saved]:
    """Write the lane's state next to its checkpoint, without replacing that. A lane whose networks
    hold nan or inf is not saved: its last finite checkpoint stays. RunError if the disk fails."""
    if not all(lane.learner[name].isfinite().all() for name in ("online", "target")):
        return
    place = directory / checkpoint_file(lane.seed, "resume")
    file = beside(place.with_name(f"{place.name}.{lane.step}"))  # the one before may be there still
    with writing(directory, file):
        written = blocks.write(lane.seed, lane.rows)
        blocks.forget(lane.seed, lane.rows, file)
        write_beside(file, dump_lane(lane, written), durable=True)
    yield Saved(lane.seed, file)


@contextlib.contextmanager
def writing(directory: Path, file: Path | None = None) -> Iterator[None]:
    """Turn an OSError into a RunError, and leave no half of `file`."""
    try:
        yield
    except OSError as error:
        if file is not None:
            with contextlib.suppress(OSError):
                file.unlink()
        place = (directory / checkpoint_file(0, "resume")).parent
        raise RunError(f"{place}: cannot be written: {error.strerror}") from error
