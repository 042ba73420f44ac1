"""The logger that shows progress: a live bar on a terminal, elsewhere a line every ten seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from statistics import fmean

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from dqn_cli.events import Diverged, Episode, Evaluated, Event, Finished, Rescoring, Tick

LINE_SECONDS = 10.0  # between plain lines


class Display:
    """Show how far a run is, unless `quiet`.

    limits: the run's (episodes, env steps) per seed, at least one of them a number. done: the
    (episodes, env steps) that seeds of a resumed run have behind them. over: its seeds that are
    not trained further, whatever the limits.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        limits: tuple[int | None, int | None],
        quiet: bool,
        done: Mapping[int, tuple[int, int]],
        over: Iterable[int] = (),
    ) -> None:
        self.limits = limits
        self.episode = {seed: done.get(seed, (0, 0))[0] for seed in seeds}
        self.seed_step = {seed: done.get(seed, (0, 0))[1] for seed in seeds}
        self.over = set(over)
        self.scores: dict[int, float] = {}
        self.lane_steps = 0  # since this display was made
        self.evaluation = 0.0  # seconds of it
        self.steps_before = sum(self.seed_step.values())
        self.quiet = quiet
        self.begun = self.fraction
        self.started = self.printed = time.monotonic()
        self.bar: Progress | None = None
        console = Console(file=sys.stdout)
        if console.is_terminal and not quiet:
            self.bar = Progress(
                TextColumn("{task.percentage:>3.0f} %"),
                BarColumn(bar_width=None, table_column=Column(ratio=1)),
                TextColumn("{task.description}", table_column=Column(no_wrap=True)),
                console=console,
                expand=True,
                transient=True,
            )
            self.task = self.bar.add_task("starting", total=1.0)
            self.bar.start()

    def event(self, event: Event) -> None:
        match event:
            case Episode():
                self.episode[event.seed] = event.episode
                self.seed_step[event.seed] = event.step
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
                if self.bar is not None:
                    what = f"best networks: {event.episodes} fresh episodes of each"
                    self.bar.update(self.task, completed=1.0, description=what)

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
            self.bar.update(self.task, completed=self.fraction, description=self.short)
        elif not self.quiet and now - self.printed >= LINE_SECONDS:
            self.printed = now
            print(f"{100 * self.fraction:3.0f} %  {self.text}{self.left}", flush=True)

    def _diverged(self, event: Diverged) -> None:
        """Print it above the bar, where it cannot be missed."""
        self.over.add(event.seed)
        line = f"{event.line} (step {event.step})"
        if self.bar is not None:
            self.bar.console.print(line)
        elif not self.quiet:
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
    def text(self) -> str:
        """Episode, steps, score and speed, in one line."""
        episodes = f"/{self.limits[0]}" if self.limits[0] else ""
        parts = [f"episode {min(self.episode.values())}{episodes}", self.steps]
        if self.scores:
            values = self.scores.values()
            spread = f" [{min(values):.4g}, {max(values):.4g}]" if len(values) > 1 else ""
            parts.append(f"score {fmean(values):.4g}{spread}")
        parts.append(f"{self.speed:,.0f} steps/s")
        return "  ".join(parts)

    @property
    def short(self) -> str:
        """The same, short enough to leave a bar some room in 80 columns."""
        number, score = min(self.episode.values()), "-"
        if self.scores:
            values = self.scores.values()
            score = f"{fmean(values):.4g} [{min(values):.4g}, {max(values):.4g}]"
        return f"ep {number}  {self.steps}  {score}  {self.speed:,.0f}/s{self.left}"

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
        return f"  {timedelta(seconds=round(elapsed * (1 - self.fraction) / done))} left"
