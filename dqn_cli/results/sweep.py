"""What a sweep directory says of its sweep, so that it can go on and its jobs can be told apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from dqn_cli.results.files import write_atomic
from dqn_cli.results.schema import SWEEP, ResultError, one_line

BYTES = 64 * 1024**2  # a hundred for each job


class Sweep(NamedTuple):
    """The sweep that was last started in a directory."""

    command: list[str]  # the arguments of dqn-train, but for the directory
    jobs: list[str]  # the names of their directories, in order
    seeds_per_job: int | None  # None: all seeds of a variant train together
    sources: str  # hash of the files that its jobs' configurations are composed of
    foreign: bool  # by what it names code from elsewhere may run, so that resume needs trust=true


def write_sweep(directory: Path, sweep: Sweep) -> None:
    """Write the record, durably. Raises OSError."""
    text = json.dumps(sweep._asdict(), indent=1)
    write_atomic(directory / SWEEP, text + "\n", durable=True)


def read_sweep(directory: Path) -> Sweep:
    """Raises ResultError for a file that no sweep writes."""
    path = directory / SWEEP
    try:
        if not path.is_file():
            raise ResultError(path, "is not a regular file" if path.exists() else "does not exist")
        with path.open("rb") as file:
            data = file.read(BYTES + 1)
        values = json.loads(data) if len(data) <= BYTES else None
    except OSError as error:
        raise ResultError(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ResultError(path, f"not JSON that a sweep writes: {error}") from error
    if not isinstance(values, dict) or set(values) != set(Sweep._fields):
        raise ResultError(path, f"expected an object of {', '.join(Sweep._fields)}")
    sweep = Sweep(**values)
    size = sweep.seeds_per_job
    known = size is None or (type(size) is int and size > 0)
    if not (known and isinstance(sweep.sources, str) and isinstance(sweep.foreign, bool)):
        raise ResultError(path, "seeds_per_job, sources, foreign: not what a sweep writes")
    if not _texts(sweep.command):
        raise ResultError(path, "command: expected a list of arguments")
    if not _texts(sweep.jobs) or not all(map(_is_name, sweep.jobs)):
        raise ResultError(path, "jobs: expected names of directories")
    return sweep


def _texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(text, str) for text in values)


def _is_name(text: str) -> bool:
    """Whether it names an entry of a directory, on one line."""
    return text == one_line(text) and Path(text).name == text and text not in ("", "..")


def in_order(directory: Path) -> dict[str, int]:
    """The name of each job -> its place in the sweep; empty where that is not known."""
    try:
        return {name: place for place, name in enumerate(read_sweep(directory).jobs)}
    except ResultError:  # the command that resumes the sweep names it
        return {}
