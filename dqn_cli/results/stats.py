"""Curves and summary figures over seeds. A value is the return in a CSV's `score` or `return`
column; NaN means that there is none, and such rows do not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Scores = Mapping[int, "pd.DataFrame"]  # seed -> CSV, as in reader.Run.scores
Metric = Literal["score", "return", "loss", "q", "epsilon", "length"]
Axis = Literal["step", "episode", "seconds"]

GRID_POINTS = 1000

# An environment may pay infinite returns; their means are then nan or inf, and that is the answer.
_quiet = np.errstate(invalid="ignore", over="ignore")


@dataclass(frozen=True, eq=False)
class Curve:
    """What S seeds are worth at each of G points; n of them have come so far.

    seeds counts those with a value, window is the smoothing in effect (at most the one asked for).
    ends: where each of these seeds ends, in the unit of x.
    """

    x: FloatArray  # [G], strictly increasing; of a seed: episode, env steps or seconds
    values: FloatArray  # [seeds, G], smoothed; nan from where a seed has ended
    mean: FloatArray  # [G]
    low: FloatArray  # [G], the smallest seed
    high: FloatArray  # [G]
    n: IntArray  # [G], from 1 to seeds
    seeds: int
    window: int
    ends: FloatArray  # [seeds]

    @property
    def whole(self) -> int:
        """Points at which every seed is there; they come first, since n only ever drops."""
        return int((self.n == self.seeds).sum())


@dataclass(frozen=True)
class Summary:
    """One line of the table; returns are in the environment's unit, None where there is no value.

    final and its range: over seeds, of `finals`.
    best: the mean over seeds of each one's highest value. first: the median over all seeds of the
    first episode (or step) at which the mean of the last values is at the threshold, None
    unless more than half of them came to it (the others count as later than any that did); reached
    says how many.
    """

    seeds: int
    final: float | None
    low: float | None
    high: float | None
    best: float | None
    first: float | None
    reached: int


@_quiet
def sliding_mean(values: FloatArray, window: int) -> FloatArray:
    """Mean of every `window` consecutive values, [T] -> [T - window + 1] ("valid" mode: no padding;
    250 values and a window of 25 give 226). A window longer than the values shrinks to them.
    """
    if window < 1:
        raise ValueError(f"window must be at least 1, not {window}")
    if not len(values):
        return values
    views = np.lib.stride_tricks.sliding_window_view(values, min(window, len(values)))
    means: FloatArray = views.mean(axis=-1)
    return means


@_quiet
def running_mean(values: FloatArray, window: int) -> FloatArray:
    """Mean of the last `window` values at each, [T] -> [T]; near the beginning, of as many as there
    are."""
    head = values[: window - 1]
    return np.concatenate([head.cumsum() / np.arange(1, len(head) + 1), _full(values, window)])


def _full(values: FloatArray, window: int) -> FloatArray:
    return sliding_mean(values, window) if len(values) >= window else np.empty(0)


def has_values(scores: Scores, metric: str) -> bool:
    """Whether any seed has any value in this column."""
    return any(frame[metric].notna().any() for frame in scores.values())


def window_in_effect(scores: Scores, metric: str, window: int) -> int:
    """The window, or a quarter of the shortest seed's values if those are no more than it: a mean
    of all there is would hide what was learned. Seeds without any value do not count."""
    lengths = [count for frame in scores.values() if (count := int(frame[metric].count()))]
    shortest = min(lengths, default=window + 1)
    return window if shortest > window else max(1, shortest // 4)


@_quiet
def curve(scores: Scores, metric: str, x: Axis, window: int) -> Curve:
    """The learning curve over seeds, of the column `metric`.

    Each seed is smoothed first, by the mean of its last values, as many as the window in effect, or
    as there are so far. A seed then holds its latest value up to its
    own last row, never beyond: where seeds end, n drops. The grid is the episodes (steps, seconds)
    at which any seed has a value, from where all have one; except for episodes it is thinned to
    GRID_POINTS evenly spaced points if there are more.
    """
    frames = [frame for frame in scores.values() if frame[metric].notna().any()]
    ends = np.array([frame[x].iloc[-1] for frame in frames], dtype=np.float64)
    rows = [frame.loc[frame[metric].notna(), [x, metric]].to_numpy(np.float64) for frame in frames]
    window = window_in_effect(scores, metric, window)
    places = [row[:, 0] for row in rows]
    smooth = [running_mean(row[:, 1], window) for row in rows]
    grid = _grid(places, x)
    held = np.full((len(rows), len(grid)), np.nan)
    there = np.zeros(held.shape, dtype=np.bool_)
    for i, (place, value) in enumerate(zip(places, smooth, strict=True)):
        latest = np.searchsorted(place, grid, side="right") - 1  # right-continuous
        there[i] = (latest >= 0) & (grid <= ends[i])
        held[i, there[i]] = value[latest[there[i]]]
    n = there.sum(axis=0)
    mean = held.sum(axis=0, where=there) / n
    low = held.min(axis=0, where=there, initial=np.inf)
    high = held.max(axis=0, where=there, initial=-np.inf)
    return Curve(grid, held, mean, low, high, n, len(frames), window, ends)


def _grid(places: list[FloatArray], x: Axis) -> FloatArray:
    if not places:
        return np.empty(0)
    grid = np.unique(np.concatenate(places))
    grid = grid[grid >= max(place[0] for place in places)]
    if x != "episode" and len(grid) > GRID_POINTS:
        grid = np.linspace(grid[0], grid[-1], GRID_POINTS)
    return grid


@_quiet
def finals(scores: Scores, metric: Metric, window: int) -> FloatArray:
    """Each seed's mean of its last values, as many as the window in effect, [seeds with any]: what
    is compared at the end of training."""
    window = window_in_effect(scores, metric, window)
    values = [frame[metric].dropna().to_numpy(np.float64) for frame in scores.values()]
    return np.array([each[-window:].mean() for each in values if len(each)])


@_quiet
def summarize(
    scores: Scores, metric: Metric, window: int, threshold: float | None, x: Axis = "episode"
) -> Summary:
    """Final, best and first-at-threshold of a variant; see Summary."""
    bests, firsts = [], []
    last = finals(scores, metric, window)
    window = window_in_effect(scores, metric, window)
    limit = np.nan if threshold is None else threshold  # no value is >= nan
    for frame in scores.values():
        rows = frame[frame[metric].notna()]
        if rows.empty:
            firsts.append(np.inf)
            continue
        values = rows[metric].to_numpy(np.float64)
        bests.append(float(values.max()))
        means = sliding_mean(values, window)
        above = rows[x].to_numpy(np.float64)[-len(means) :][means >= limit]
        firsts.append(above[0] if len(above) else np.inf)
    reached = int(np.isfinite(firsts).sum())
    middle = float(np.median(firsts)) if firsts else np.inf
    return Summary(
        seeds=len(scores),
        final=float(last.mean()) if len(last) else None,
        low=float(last.min()) if len(last) else None,
        high=float(last.max()) if len(last) else None,
        best=float(np.mean(bests)) if bests else None,
        first=middle if np.isfinite(middle) else None,
        reached=reached,
    )
