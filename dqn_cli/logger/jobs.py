"""The jobs of a sweep, for people: which one runs, how many are over, and the time left."""

from __future__ import annotations

import sys
import time
from datetime import timedelta

from rich.console import Console

from dqn_cli.results.schema import one_line, shorten


class Jobs:
    """Count the jobs of a sweep, and print how each ended; and that it starts, where no bar says
    which one runs.

    total: how many there are; None if that is not known. live: they run one after the other in
    this process, so that each may draw its bar on a terminal.
    """

    def __init__(self, total: int | None, *, live: bool) -> None:
        self.total = total
        self.live = live and Console(file=sys.stdout).is_terminal
        self.done = self.failures = self.left_out = 0
        self.spent = 0.0  # seconds of the jobs that are done; others may have failed at once

    def start(self, number: int, overrides: str, verb: str = "starts") -> None:
        """Begin the job of that number, from 0, which has these overrides."""
        self.number = f"job {number + 1}" + (f"/{self.total}" if self.total else "")
        self.overrides = one_line(overrides)
        self.started = time.monotonic()
        if not self.live:
            self._print(verb, *self._counts, self.left(0.0))

    def finish(self, outcome: str, pruned: int | None = None) -> None:
        """End the job that runs; outcome: its scores, for people. pruned: at how many percent it
        was given up, if it was."""
        seconds = time.monotonic() - self.started
        self.done += 1
        self.spent += seconds
        how = "finished" if pruned is None else f"pruned at {pruned} %"
        self._print(f"{how} in {timedelta(seconds=round(seconds))}", outcome)

    def fail(self, reason: str) -> None:
        """End the job that runs, which failed for this reason."""
        self.failures += 1
        self._print(f"failed: {reason}")

    def leave(self, reason: str) -> None:
        """End the job that runs, which is neither done nor failed."""
        self.left_out += 1
        self._print(f"left: {reason}")

    def fraction(self, job: float) -> float | None:
        """How much of the sweep is done, if `job` of the job that runs is; from 0 to 1."""
        over = self.done + self.failures + self.left_out
        return (over + job) / self.total if self.total else None

    def left(self, job: float) -> str:
        """The time left, if the other jobs take as long as those that are done, and `job` of the
        one that runs, did; empty if that is not known."""
        fraction, enough = self.fraction(job), self.done + job
        if fraction is None or self.total is None or enough == 0:
            return ""
        each = (self.spent + time.monotonic() - self.started) / enough
        return f"{timedelta(seconds=round(each * self.total * (1 - fraction)))} left"

    def text(self, job: float, room: int) -> str:
        """The job that runs, how many are over, and the time left, in `room` characters if they
        fit; the overrides are cut first."""
        others = [*self._counts, self.left(job)]
        width = len("  ".join(filter(None, [self.number, *others])))
        overrides = shorten(self.overrides, max(room - width - 2, 12))
        return "  ".join(filter(None, [self.number, overrides, *others]))

    @property
    def _counts(self) -> list[str]:
        counts = {"done": self.done, "failed": self.failures}
        return [f"{count} {what}" for what, count in counts.items() if count]

    def _print(self, *parts: str) -> None:
        print("  ".join(filter(None, [self.number, self.overrides, *parts])), flush=True)
