"""One run on several cores: each process trains a share of the seeds, and their events become one
stream. Lanes do not see each other, so that how they are shared out changes no byte of a result.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import queue
import signal
import threading
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event as Signal
from typing import Any, NamedTuple

from dqn_cli import build
from dqn_cli.config import Config, check
from dqn_cli.loop import Event, Loop, Tick

log = logging.getLogger("dqn_cli")

# `auto` starts processes if a run is long enough to earn back their two seconds of starting.
LONG_EPISODES, LONG_STEPS = 500, 50_000  # of all seeds together


class Failure(NamedTuple):
    """Why a process ended before its seeds were done."""

    line: str
    trace: str


def share_out(config: Config, loop: Loop) -> Loop | Workers:
    """The loop itself, or processes that do its work."""
    count = processes(config, loop.learner.online.device.type)
    return loop if count == 1 else Workers(config, loop, count)


def processes(config: Config, device: str) -> int:
    """How many, by `device.workers`; never more than seeds."""
    seeds, wanted = len(config.seeds), config.device.get("workers", 1)
    if wanted != "auto":
        return min(int(wanted), seeds)
    long = (config.episodes is None or seeds * config.episodes >= LONG_EPISODES) and (
        config.steps is None or seeds * config.steps >= LONG_STEPS
    )
    return min(cores(), seeds) if long and device == "cpu" else 1


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """As a Loop to whoever iterates. `loop` is the whole run's, of which the rooms without a state
    are used; its lanes are trained elsewhere."""

    def __init__(self, config: Config, loop: Loop, count: int) -> None:
        self.seeds = loop.seeds
        self.env = loop.env
        self.network = loop.network
        self.shares = [
            config.model_copy(update={"seed": self.seeds[i::count]}) for i in range(count)
        ]
        loop.close()
        self.inbox: queue.SimpleQueue[Event | Failure | None] = queue.SimpleQueue()
        self.readers: list[threading.Thread] = []  # of the processes that have not ended
        context = multiprocessing.get_context("spawn")  # PyTorch's threads do not survive a fork
        self.stopping = context.Event()
        self.pipes = [context.Pipe(duplex=False) for _ in self.shares]
        self.processes = [
            context.Process(
                target=work, args=(share.model_dump(), sender, self.stopping), daemon=True
            )
            for share, (_, sender) in zip(self.shares, self.pipes, strict=True)
        ]

    def run(self) -> Iterator[Event]:
        """Until every seed is finished. RuntimeError if a process fails; the others are ended."""
        log.info("seeds shared out to %d processes", len(self.shares))
        with interrupts_held():
            for process, (receiver, sender) in zip(self.processes, self.pipes, strict=True):
                process.start()
                sender.close()  # so that the receiver learns if the process dies
                reader = threading.Thread(target=self._read, args=(process, receiver), daemon=True)
                self.readers.append(reader)
                reader.start()
        yield from self._events()

    def stop(self) -> Iterator[Event]:
        """End early, with everything known so far told."""
        self.stopping.set()
        yield from self._events()

    def _events(self) -> Iterator[Event]:
        while self.readers or not self.inbox.empty():
            try:
                message = self.inbox.get(timeout=0.2)  # an interrupt may have swallowed the last
            except queue.Empty:
                message = None
            match message:
                case None:
                    self.readers = [reader for reader in self.readers if reader.is_alive()]
                case Failure() if self.stopping.is_set():
                    log.warning(message.line)
                case Failure():
                    for process in self.processes:
                        process.terminate()
                    error = RuntimeError(message.line)
                    error.add_note(message.trace)
                    raise error
                case Tick():  # seconds of the run: the processes evaluate side by side
                    yield message._replace(seconds=message.seconds / len(self.shares))
                case _:
                    yield message

    def _read(self, process: Any, receiver: Connection) -> None:
        """In a thread of its own: an interrupt may then come at any time and no message is torn."""
        try:
            while (message := receiver.recv()) is not None:
                self.inbox.put(message)
        except (EOFError, OSError):  # it ended between messages, or within one
            process.join()
            line = f"a worker process died, exit code {process.exitcode}"
            self.inbox.put(Failure(line, "It may have run out of memory."))
        self.inbox.put(None)


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal. Those started here never see it; this one does
    afterwards. (Windows has no such mask: there it may end processes that are just starting.)"""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def work(values: dict[str, Any], sender: Connection, stopping: Signal) -> None:
    """A process's life: train the seeds of this configuration and send every event."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    try:
        loop = build.loop(check(values))
        for event in loop.run():
            sender.send(event)
            if isinstance(event, Tick) and stopping.is_set():
                for last in loop.stop():
                    sender.send(last)
                break
        sender.send(None)
    except BrokenPipeError:
        pass  # the parent is gone, and nobody is left to tell
    except Exception as error:
        line = " ".join(str(error).split()) or type(error).__name__
        sender.send(Failure(line, traceback.format_exc()))
        sender.send(None)
