"""One run on several cores: each process trains a share of the seeds, and their events become one
stream. Lanes are independent, so how they are shared out changes no byte of a result.
"""

from __future__ import annotations

import contextlib
import logging
import math
import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from dqn_cli.config import Config, check
from dqn_cli.events import Event, RunError, Tick
from dqn_cli.saving.checkpoint import load_lane
from dqn_cli.saving.save import checkpointed
from dqn_cli.state import Block
from dqn_cli.training import build
from dqn_cli.training.loop import Loop
from dqn_cli.training.memory import full
from dqn_cli.training.signals import STOPS, signals_held

log = logging.getLogger("dqn_cli")

# `auto` starts processes if a run is long enough to earn back their two seconds of starting.
LONG_EPISODES, LONG_STEPS = 500, 50_000  # of all seeds together
# A container's share of time; "200000 100000" is that of two cores (Linux, cgroup v2).
QUOTA = Path("/sys/fs/cgroup/cpu.max")
ENDING_SECONDS = 30.0  # what a process has to end in that has nothing more to do


class Failure(NamedTuple):
    """Why a process ended before its seeds were done."""

    line: str
    trace: str | None  # None where the line is enough


class Died(NamedTuple):
    """A process that ended without a word."""

    process: Any


class Alone:
    """A run in this process."""

    def __init__(self, config: Config, loop: Loop, files: Mapping[int, Path]) -> None:
        self.seeds = loop.seeds[:]
        self.env = loop.env
        self.exploring = loop.exploring
        self.greedy = loop.exploring.greedy
        self.notes = loop.notes
        self.device = loop.learner.kernels.device
        self.replay_bytes = replay_bytes(config, loop)
        self.loop = loop
        self.every_seconds = config.checkpoint.every_seconds
        self.blocks = taken_up(loop, files.values())

    def run(self, directory: Path) -> Iterator[Event]:
        """Train, and yield the events, until every seed is finished or `stop` is called. A `Saved`
        names a temporary file in the run directory. RunError for an error from outside."""
        yield from checkpointed(self.loop, directory, self.every_seconds, self.blocks)

    def stop(self) -> None:
        """End after the present step; the events up to there still come."""
        self.loop.stop()

    def kill(self) -> None:
        """Do nothing: there are no other processes."""


def taken_up(loop: Loop, files: Iterable[Path]) -> dict[int, Sequence[Block]]:
    """Have the loop go on with these seeds; seed -> the files with rows of its replay."""
    lanes = [load_lane(file) for file in files]
    loop.take_up(lanes)
    return {lane.seed: lane.rows.blocks for lane in lanes}


def share_out(config: Config, loop: Loop, files: Mapping[int, Path]) -> Alone | Workers:
    """Decide whether `loop` trains in this process or worker processes do its work. files: seed ->
    the checkpoint it continues from; the other seeds start from the beginning."""
    count = processes(config, loop.learner.kernels.device.type)
    return Alone(config, loop, files) if count <= 1 else Workers(config, loop, files, count)


def replay_bytes(config: Config, loop: Loop) -> int:
    """What the replay of all seeds takes when it is as full as it will be."""
    storage, steps = loop.learner.replay.storage, loop.env.max_steps
    return len(loop.seeds) * full(config, storage.capacity, storage.row_bytes, steps)


def processes(config: Config, device: str) -> int:
    """The number of processes by `device.workers`; never more than seeds."""
    seeds, wanted = len(config.seeds), config.device.get("workers", 1)
    if wanted != "auto":
        return min(int(wanted), seeds)
    long = (config.episodes is None or seeds * config.episodes >= LONG_EPISODES) and (
        config.steps is None or seeds * config.steps >= LONG_STEPS
    )
    return min(cores(), seeds) if long and device == "cpu" else 1


def cores() -> int:
    """The number of cores that this process may use, at most its container's share of CPU time, and
    what its job asked Slurm for: not every cluster confines it to that."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if (asked := os.environ.get("SLURM_CPUS_PER_TASK", "")).isdecimal():
        here = min(here, max(int(asked), 1))
    try:
        quota, period = map(int, QUOTA.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # no such file, or "max": no limit
        return here
    return max(1, min(here, math.ceil(quota / period)))


class Workers:
    """Train `loop`'s seeds in `count` processes, with the interface of Alone. Of the loop only
    its parts without state are used."""

    def __init__(self, config: Config, loop: Loop, files: Mapping[int, Path], count: int) -> None:
        self.seeds = loop.seeds
        self.env = loop.env
        self.exploring = loop.exploring
        self.greedy = loop.exploring.greedy
        self.notes = loop.notes
        self.device = loop.learner.kernels.device
        self.replay_bytes = replay_bytes(config, loop)
        self.shares = [
            config.model_copy(update={"seed": self.seeds[i::count]}) for i in range(count)
        ]
        self.files = files
        self.inbox: queue.SimpleQueue[Event | Failure | Died | None] = queue.SimpleQueue()
        self.context = multiprocessing.get_context("spawn")  # torch's threads survive no fork
        self.stopping = False
        self.processes: list[Any] = []
        self.pipes: list[Connection] = []  # to them: a word on it means stop

    def run(self, directory: Path) -> Iterator[Event]:
        """Yield the events of all processes until every seed is finished or `stop` is called; no
        process is left then. If one fails, the others end after their present step; then RunError,
        or RuntimeError for an unexpected exception, with its trace as a note."""
        log.info("seeds shared out to %d processes", len(self.shares))
        try:
            self._start(directory)
            failure = yield from self._received()
        except BaseException:  # one could not be started, or the consumer is gone
            self.kill()
            raise
        self._end()
        if failure is not None:
            if failure.trace is None:
                raise RunError(failure.line)
            error = RuntimeError(failure.line)
            error.add_note(failure.trace)
            raise error

    def _start(self, directory: Path) -> None:
        with signals_held():  # the tracker lets SIGINT and SIGTERM through, once
            resource_tracker.ensure_running()
        for share in self.shares:
            files = [self.files[seed] for seed in share.seeds if seed in self.files]
            here, there = self.context.Pipe()
            process = self.context.Process(
                target=work, args=(share.model_dump(), files, directory, there), daemon=True
            )
            with signals_held():
                process.start()
            there.close()  # so that this end learns if the process dies
            self.processes.append(process)
            self.pipes.append(here)
            if self.stopping:
                here.send("stop")
            threading.Thread(target=self._read, args=(process, here), daemon=True).start()

    def _received(self) -> Generator[Event, None, Failure | None]:
        """Yield what the processes send until each has sent its last; returns the first failure."""
        failure: Failure | None = None
        running = len(self.processes)
        while running:
            message = self.inbox.get()
            if isinstance(message, Died):
                message.process.join(ENDING_SECONDS)
                code = message.process.exitcode
                line = f"a worker process died, exit code {code} (out of memory?)"
                message = Failure(line, None)
            match message:
                case None:
                    running -= 1
                case Failure():
                    log.error(message.line)
                    failure = failure or message
                    self.stop()
                case Tick():  # seconds of the run: the processes evaluate side by side
                    yield message._replace(seconds=message.seconds / len(self.shares))
                case _:
                    yield message
        return failure

    def _end(self) -> None:
        """Wait for processes that have nothing more to send, at most ENDING_SECONDS."""
        until = time.monotonic() + ENDING_SECONDS
        for process in self.processes:
            process.join(max(until - time.monotonic(), 0))
        self.kill()

    def stop(self) -> None:
        """Have each process end after its present step; the events up to there still come."""
        self.stopping = True
        for pipe in self.pipes:
            with contextlib.suppress(OSError):  # that process has ended
                pipe.send("stop")

    def kill(self) -> None:
        """End the processes at once."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join(ENDING_SECONDS)

    def _read(self, process: Any, pipe: Connection) -> None:
        """Put one process's messages into the inbox, and None after the last. Runs in a thread, so
        that a second interrupt cannot tear a message."""
        try:
            while (message := pipe.recv()) is not None:
                self.inbox.put(message)
        except (EOFError, OSError):  # it ended between messages, or within one
            self.inbox.put(Died(process))  # to join it here as well as there would be a race
        except Exception as error:
            self.inbox.put(Failure(f"a worker process is not understood: {error}", None))
        finally:
            self.inbox.put(None)


def work(
    values: dict[str, Any],
    files: Sequence[Path],
    directory: Path,
    parent: Connection,
) -> None:
    """Train the seeds of this configuration in a process of their own and send every event."""
    for number in STOPS:  # the parent decides what they mean
        signal.signal(number, signal.SIG_IGN)
    try:
        config = check(values)
        build.part(config, "device").apply()
        loop = build.loop(config)
        threading.Thread(target=stop_on_request, args=(parent, loop), daemon=True).start()
        blocks = taken_up(loop, files)
        for event in checkpointed(loop, directory, config.checkpoint.every_seconds, blocks):
            parent.send(event)
        parent.send(None)
    except ConnectionError:
        pass  # the parent has ended
    except Exception as error:
        line = " ".join(str(error).split()) or type(error).__name__
        trace = None if isinstance(error, RunError) else traceback.format_exc()
        with contextlib.suppress(ConnectionError):
            parent.send(Failure(line, trace))
            parent.send(None)


def stop_on_request(parent: Connection, loop: Loop) -> None:
    """Stop the loop when the parent sends a word, or has ended."""
    with contextlib.suppress(EOFError, OSError):
        parent.recv()
    loop.stop()
