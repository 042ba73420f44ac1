"""Judging a run while it goes on: its objective at every twentieth of its length."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dqn_cli.config import Config
from dqn_cli.events import Diverged, Episode, Evaluated, Event
from dqn_cli.results.objective import Curve, Objective, axis_of, of_curves
from dqn_cli.results.reader import read_run

LOOKS = range(5, 100, 5)  # percent of a run


class Judge:
    """Follow the scores of a run's seeds, and say when it is to be given up.

    hopeless(percent, value): whether to, at so many percent of the run, if the objective of what
    there is up to there has this value. It is asked at each of LOOKS once all seeds have come to
    it, whatever their order, so that runs of different lengths of episodes are compared at the same
    place.
    """

    def __init__(
        self, config: Config, objective: Objective, hopeless: Callable[[int, float], bool]
    ) -> None:
        self.objective = objective
        self.hopeless = hopeless
        self.limits = (config.episodes, config.steps)
        self.axis = axis_of({"steps": config.steps})
        self.done = dict.fromkeys(config.seeds, 0.0)  # percent of each seed that has its scores
        self.diverged: dict[int, float] = {}  # seed -> where, in percent
        # of each seed: (percent, x, score)
        self.rows: dict[int, list[tuple[float, float, float]]] = {s: [] for s in config.seeds}
        self.looks = list(LOOKS)
        self.percent: int | None = None  # at which the run was given up

    def recall(self, directory: Path) -> None:
        """Take in the rows of a run that goes on. ResultError."""
        run = read_run(directory)
        for seed in self.rows:
            frames = [run.scores.get(seed), run.evaluations.get(seed)]
            rows = [row for f in frames if f is not None for row in f.to_dict("records")]
            for row in sorted(rows, key=lambda row: row["step"]):
                self._add(seed, row["episode"], row["step"], row["score"])
            if seed in run.diverged:
                self.diverged[seed] = self.done[seed]

    def gives_up(self, event: Event) -> bool:
        """Take in an event; whether the run is to be given up, which is said once."""
        match event:
            case Episode() | Evaluated():
                self._add(event.seed, event.episode, event.step, event.score)
            case Diverged():
                self.diverged[event.seed] = self.done[event.seed]
            case _:
                return False
        done = min((d for s, d in self.done.items() if s not in self.diverged), default=100.0)
        while self.percent is None and self.looks and self.looks[0] <= done < 100:
            percent = self.looks.pop(0)
            value = self._value(percent)
            if not math.isnan(value) and self.hopeless(percent, value):
                self.percent = percent
                return True
        return False

    def _add(self, seed: int, episode: int, step: int, score: float | None) -> None:
        episodes, steps = self.limits
        parts = (episode / episodes if episodes else 0.0, step / steps if steps else 0.0)
        self.done[seed] = 100 * max(parts)
        if score is not None and not math.isnan(score):
            x = step if self.axis == "step" else episode
            self.rows[seed].append((self.done[seed], x, score))

    def _value(self, percent: int) -> float:
        """The objective, had the run ended at so many percent."""
        curves = {}
        for seed, rows in self.rows.items():
            known = np.array([row[1:] for row in rows if row[0] <= percent]).reshape(-1, 2)
            last = float(known[-1, 0]) if len(known) else 0.0
            ended = self.diverged.get(seed, math.inf) <= percent
            limit = self.limits[self.axis == "step"] or 0
            end = limit * percent / 100 if ended else last
            x, scores = known.T
            curves[seed] = Curve(x, scores, end, last if ended else None)
        return of_curves(curves, self.objective)
