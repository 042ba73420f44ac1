"""What a run's summary says about a seed: its final and its best score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dqn_cli.results.rows import whole


@dataclass
class Outcome:
    """What summary.json says about one seed; the fields are the JSON's keys."""

    final_score: float | None = None  # the last score there was, whatever its episode
    final_episode: int | None = None
    final_step: int | None = None
    best_score: float | None = None  # the last of the highest scores
    best_episode: int | None = None
    best_step: int | None = None
    best_fresh_score: float | None = None  # of that network, over episodes it was not chosen by
    diverged: bool = False

    def add(self, row: Mapping[str, int | float | None]) -> None:
        """A row of scores/, or of evaluations/."""
        episode, step = whole(row["episode"]), whole(row["step"])
        if "return" in row and episode <= (self.final_episode or 0):
            raise ValueError(f"episode {episode} comes after episode {self.final_episode or 0}")
        if "return" in row:
            self.final_episode = episode
        self.final_step = step
        score = finite(row.get("score"))
        if score is None:
            return
        self.final_score = score
        if self.best_score is None or score >= self.best_score:
            self.best_score, self.best_episode, self.best_step = score, episode, step


def finite(value: float | None) -> float | None:
    """The value as a float; None for nan and inf, which JSON cannot say."""
    return None if value is None or not math.isfinite(value) else float(value)
