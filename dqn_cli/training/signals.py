"""Signals that stop a run: the first one ends it in good order, and none reaches its workers."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType

# By which a scheduler says that the time of a job is about to end; Windows has none of them.
WARNINGS = tuple(getattr(signal, n) for n in ("SIGUSR1", "SIGUSR2") if hasattr(signal, n))
STOPS = (signal.SIGINT, signal.SIGTERM, *WARNINGS)


class Stopped(KeyboardInterrupt):
    """A run ended after this signal, with everything written that it takes to resume it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextlib.contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Call `stop` at the first SIGINT or SIGTERM and yield the list of signals received; a second
    SIGINT raises KeyboardInterrupt.

    Only the main thread can receive signals: in another one the list stays empty.
    """
    received: list[int] = []

    def handle(number: int, _: object) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        stop()

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield received
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def warned() -> Iterator[list[Callable[[], None]]]:
    """Take SIGUSR1 and SIGUSR2 for SIGTERM where somebody else handles them, as submitit does: its
    job is about to reach its time limit. What is yielded has a call of that handler then, which may
    put the job back into the queue and end the process: to be made when the run has stopped."""
    calls: list[Callable[[], None]] = []
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in WARNINGS:
            if callable(theirs := signal.getsignal(number)):
                before[number] = theirs

    def handle(number: int, frame: FrameType | None) -> None:
        calls.append(partial(before[number], number, frame))
        signal.raise_signal(signal.SIGTERM)

    for number in before:
        signal.signal(number, handle)
    try:
        yield calls
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Raise Stopped at a SIGTERM, as Python raises KeyboardInterrupt at a SIGINT."""

    def handle(number: int, _: object) -> None:
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Block the signals that stop a run, so that a process started here inherits the mask and never
    sees them; this process receives them afterwards. Ctrl-C reaches every process of a terminal,
    SIGTERM may reach a group, and Slurm sends SIGUSR2 to every process of a job. (Windows has no
    such mask: there a signal may end processes that are just starting.)"""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
