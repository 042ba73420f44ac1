"""How a run is going: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from statistics import fmean

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

LINE_SECONDS = 10.0  # between plain lines


class Display:
    """Fed with what happens in a run; prints nothing if `quiet`.

    `limits` are the run's (episodes, steps) per seed, at least one of them a number; `done` are
    the (episodes, steps) that seeds come with.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        limits: tuple[int | None, int | None],
        quiet: bool,
        done: Mapping[int, tuple[int, int]],
    ) -> None:
        self.limits = limits
        self.episode = {seed: done.get(seed, (0, 0))[0] for seed in seeds}
        self.seed_step = {seed: done.get(seed, (0, 0))[1] for seed in seeds}
        self.over: set[int] = set()  # seeds that go no further, whatever the limits
        self.scores: dict[int, float] = {}
        self.lane_steps = 0  # since this display was made
        self.steps_before = sum(self.seed_step.values())
        self.quiet = quiet
        self.begun = self.fraction
        self.started = self.told = time.monotonic()
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

    def episode_ended(self, seed: int, episode: int, step: int) -> None:
        self.episode[seed] = episode
        self.seed_step[seed] = step

    def scored(self, seed: int, score: float | None) -> None:
        if score is not None:
            self.scores[seed] = score

    def busy(self, what: str) -> None:
        """Training is over, and this takes a while."""
        if self.bar is not None:
            self.bar.update(self.task, completed=1.0, description=what)

    def advanced(self, step: int, lane_steps: int, running: Sequence[int]) -> None:
        """`running` seeds have done `step` env steps, all seeds together `lane_steps`."""
        for seed in running:
            self.seed_step[seed] = step
        self.lane_steps = lane_steps
        now = time.monotonic()
        if self.bar is not None:
            self.bar.update(self.task, completed=self.fraction, description=self.short)
        elif not self.quiet and now - self.told >= LINE_SECONDS:
            self.told = now
            print(f"{100 * self.fraction:3.0f} %  {self.text}{self.left}", flush=True)

    def diverged(self, seed: int, line: str) -> None:
        """A seed goes no further; the line says so where it cannot be missed."""
        self.over.add(seed)
        if self.bar is not None:
            self.bar.console.print(line)
        elif not self.quiet:
            print(line, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()

    @property
    def fraction(self) -> float:
        """How much of the run is done, by whichever limit is nearer."""
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
        elapsed = time.monotonic() - self.started
        episodes = f"/{self.limits[0]}" if self.limits[0] else ""
        parts = [f"episode {min(self.episode.values())}{episodes}", self.steps]
        if self.scores:
            values = self.scores.values()
            spread = f" [{min(values):.4g}, {max(values):.4g}]" if len(values) > 1 else ""
            parts.append(f"score {fmean(values):.4g}{spread}")
        parts.append(f"{self.lane_steps / elapsed:,.0f} steps/s")
        return "  ".join(parts)

    @property
    def short(self) -> str:
        """For beside a bar: it leaves one of 80 columns some room."""
        number, score = min(self.episode.values()), "-"
        if self.scores:
            values = self.scores.values()
            score = f"{fmean(values):.4g} [{min(values):.4g}, {max(values):.4g}]"
        speed = self.lane_steps / (time.monotonic() - self.started)
        return f"ep {number}  {self.steps}  {score}  {speed:,.0f}/s{self.left}"

    @property
    def steps(self) -> str:
        """Of the seed furthest behind, if they have a limit; else of all together."""
        if limit := self.limits[1]:
            left = [step for seed, step in self.seed_step.items() if seed not in self.over]
            return f"step {min(left, default=limit):,}/{limit:,}"
        return f"{self.steps_before + self.lane_steps:,} steps"

    @property
    def left(self) -> str:
        """The time left, if the rest of the run goes like what is done of it."""
        done = self.fraction - self.begun
        if done <= 0:
            return ""
        elapsed = time.monotonic() - self.started
        return f"  {timedelta(seconds=round(elapsed * (1 - self.fraction) / done))} left"
