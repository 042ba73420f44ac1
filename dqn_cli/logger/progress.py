"""The logger that shows progress: a live bar on a terminal, elsewhere a line every ten seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from statistics import fmean

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column

from dqn_cli.events import Diverged, Episode, Evaluated, Event, Finished, Rescoring, Tick
from dqn_cli.logger.jobs import Jobs
from dqn_cli.words import counted

LINE_SECONDS = 10.0  # between plain lines
BESIDE = 13  # characters of a terminal's line that the percentage and a short bar take
# What the bar's text is made of, and the space before it; and what goes first where there is none.
SPACED = {"episode": "", "step": "  ", "score": "  ", "spread": " ", "speed": "  ", "left": "  "}
DROPPED = ("spread", "speed", "episode", "step", "score")


class Display:
    """Show how far a run is.

    limits: the run's (episodes, env steps) per seed, at least one of them a number. jobs: the sweep
    that the run is a job of, which has no plain lines of its own. done: the (episodes, env steps)
    that seeds of a resumed run have behind them. over: its seeds that are not trained further,
    whatever the limits.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        limits: tuple[int | None, int | None],
        jobs: Jobs | None,
        done: Mapping[int, tuple[int, int]],
        over: Iterable[int] = (),
    ) -> None:
        self.limits = limits
        self.episode = {seed: done.get(seed, (0, 0))[0] for seed in seeds}
        self.seed_step = {seed: done.get(seed, (0, 0))[1] for seed in seeds}
        self.over = set(over)
        self.scores: dict[int, float] = {}
        self.returns: dict[int, float] = {}  # of each seed's last training episode
        self.lane_steps = 0  # since this display was made
        self.evaluation = 0.0  # seconds of it
        self.steps_before = sum(self.seed_step.values())
        self.jobs = jobs
        self.begun = self.fraction
        self.started = self.printed = time.monotonic()
        self.bar: Progress | None = None
        console = Console(file=sys.stdout)
        if jobs.live if jobs else console.is_terminal:
            self.bar = Progress(
                TaskProgressColumn("{task.percentage:>3.0f} %"),
                BarColumn(bar_width=None, table_column=Column(ratio=1)),
                TextColumn("{task.description}", table_column=Column(no_wrap=True), markup=False),
                console=console,
                expand=True,
                transient=True,
            )
            if jobs:  # the row above
                self.sweep = self.bar.add_task("", total=1.0 if jobs.total else None)
            self.task = self.bar.add_task("", total=1.0)
            self._draw("starting", self.fraction)
            self.bar.start()

    def event(self, event: Event) -> None:
        match event:
            case Episode():
                self.episode[event.seed] = event.episode
                self.seed_step[event.seed] = event.step
                self.returns[event.seed] = event.return_
                self._scored(event)
            case Evaluated():
                self._scored(event)
            case Finished():
                self.seed_step[event.seed] = event.step
            case Diverged():
                self._diverged(event)
            case Tick():
                self._advanced(event)
            case Rescoring():
                episodes = counted(event.episodes, "fresh episode")
                self._draw(f"best networks: {episodes} of each", 1.0)

    def _scored(self, event: Episode | Evaluated) -> None:
        if event.score is not None:
            self.scores[event.seed] = event.score

    def _advanced(self, event: Tick) -> None:
        for seed in event.seeds:
            self.seed_step[seed] = event.step
        self.lane_steps += event.lane_steps
        self.evaluation += event.seconds
        now = time.monotonic()
        if self.bar is not None:
            self._draw(self.short(self.room), self.fraction)
        elif self.jobs is None and now - self.printed >= LINE_SECONDS:
            self.printed = now
            left = f"  {self.left}" if self.left else ""
            print(f"{100 * self.fraction:3.0f} %  {self.text}{left}", flush=True)

    def _draw(self, text: str, fraction: float) -> None:
        """Have the bar show it, if there is one."""
        if self.bar is None:
            return
        self.bar.update(self.task, completed=fraction, description=text)
        if self.jobs is not None:
            whole = self.jobs.fraction(fraction) or 0.0
            text = self.jobs.text(fraction, self.room)
            self.bar.update(self.sweep, completed=whole, description=text)

    def _diverged(self, event: Diverged) -> None:
        """Print it above the bar, where it cannot be missed."""
        self.over.add(event.seed)
        line = f"{event.line} (step {event.step})"
        if self.bar is not None:
            self.bar.console.print(line)
        elif self.jobs is None:
            print(line, flush=True)

    def close(self, status: str) -> None:
        if self.bar is not None:
            self.bar.stop()

    @property
    def fraction(self) -> float:
        """How much of the run is done, from 0 to 1, by the nearer limit of each seed."""
        episodes, steps = self.limits
        return fmean(
            seed in self.over
            or max(
                self.episode[seed] / episodes if episodes else 0.0,
                self.seed_step[seed] / steps if steps else 0.0,
            )
            for seed in self.episode
        )

    @property
    def room(self) -> int:
        """Characters that the bar's text may have."""
        assert self.bar is not None
        return self.bar.console.width - BESIDE

    @property
    def text(self) -> str:
        """Episode, steps, score and speed, in one line."""
        episodes = f"/{self.limits[0]}" if self.limits[0] else ""
        episode = f"episode {min(self.episode.values())}{episodes}"
        return "  ".join(filter(None, [episode, self.steps, self.outcome, self.rate]))

    def short(self, room: int) -> str:
        """The same and the time left, without what has no room in so many characters."""
        score, _, spread = self.outcome.partition(" [")
        parts = {
            "episode": f"ep {min(self.episode.values())}",
            "step": self.steps,
            "score": score,
            "spread": spread and f"[{spread}",
            "speed": self.rate,
            "left": self.left,
        }
        for name in ("", *DROPPED):
            parts.pop(name, None)
            line = "".join(SPACED[key] + text for key, text in parts.items() if text).lstrip()
            if len(line) <= room:
                break
        return line

    @property
    def outcome(self) -> str:
        """The seeds' mean last score and its spread, or the training return where there are no
        scores; empty before either."""
        values = (self.scores or self.returns).values()
        if not values:
            return ""
        spread = f" [{min(values):.4g}, {max(values):.4g}]" if len(values) > 1 else ""
        return f"{'score' if self.scores else 'return'} {fmean(values):.4g}{spread}"

    @property
    def rate(self) -> str:
        """The speed, for people."""
        return f"{self.speed:,.0f} steps/s"

    @property
    def speed(self) -> float:
        """Env steps of all seeds per second, without the time of evaluations: as summary.json."""
        return self.lane_steps / (time.monotonic() - self.started - self.evaluation)

    @property
    def steps(self) -> str:
        """The env steps of the slowest seed, if there is a limit; else of all seeds."""
        if limit := self.limits[1]:
            left = [step for seed, step in self.seed_step.items() if seed not in self.over]
            return f"step {min(left, default=limit):,}/{limit:,}"
        return f"{self.steps_before + self.lane_steps:,} steps"

    @property
    def left(self) -> str:
        """The time left, if the rest of the run is as fast as it was so far."""
        done = self.fraction - self.begun
        if done <= 0:
            return ""
        elapsed = time.monotonic() - self.started
        return f"{timedelta(seconds=round(elapsed * (1 - self.fraction) / done))} left"
