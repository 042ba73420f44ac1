"""What a run is worth to a search: one number, from the scores of its seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from dqn_cli.results.intervals import iqm, t_interval
from dqn_cli.results.reader import Run
from dqn_cli.results.stats import FloatArray
from dqn_cli.results.variants import variants

Score = Literal["final", "auc", "best"]
Over = Literal["mean", "iqm", "lower"]

WINDOW = 25  # scores in the mean at the end, as in the table of a comparison


class Objective(NamedTuple):
    """score: final, the mean of a seed's last scores; auc, its mean score over the whole training,
    by the area under its curve; best, what its best network scores on fresh episodes. over: the
    seeds' mean, interquartile mean, or the lower end of the mean's 95 % Student interval."""

    score: Score = "final"
    over: Over = "mean"


class Curve(NamedTuple):
    """The scores of a seed in order, none of them nan."""

    x: FloatArray  # [N], the env steps (or episodes) after which it was scored
    scores: FloatArray  # [N], undiscounted returns
    end: float  # of the training, in the unit of x
    diverged: float | None = None  # where it did


def of_run(run: Run, objective: Objective) -> float:
    """The objective of a run that is over. nan if a seed has no score, or its best network none on
    fresh episodes, or if a lower bound is asked of one seed."""
    axis = axis_of(run.config)
    curves = {}
    for seed, frame in variants([run])[0].rows().items():
        last = float(frame[axis].iloc[-1]) if len(frame) else 0.0
        ended = seed in run.diverged
        rows = frame[frame["score"].notna()]
        curves[seed] = Curve(
            rows[axis].to_numpy(np.float64),
            rows["score"].to_numpy(np.float64),
            float(run.config[axis + "s"]) if ended else last,
            last if ended else None,
        )
    return of_curves(curves, objective, run.fresh)


def axis_of(config: Mapping[str, Any]) -> Literal["step", "episode"]:
    """By what a run of this configuration is long."""
    return "step" if config.get("steps") is not None else "episode"


def of_curves(
    curves: Mapping[int, Curve], objective: Objective, fresh: Mapping[int, float] | None = None
) -> float:
    """The objective of these seeds, nan if there is none.

    A seed that diverged counts from there on as the lowest score that any seed of the run had:
    there is no network to play with, and to leave it out would be to choose seeds by how they
    ended. fresh: seed -> the score of its best network on fresh episodes; None: it is not known
    yet, and the highest score stands for it.
    """
    scored = [curve.scores for curve in curves.values() if len(curve.scores)]
    if not scored:
        return math.nan
    lowest = float(min(scores.min() for scores in scored))
    window = _window([len(c.scores) for c in curves.values() if c.diverged is None])
    values = []
    for seed, curve in curves.items():
        if not len(curve.scores):
            values.append(lowest if curve.diverged is not None else math.nan)
        elif objective.score == "best":
            best = float(curve.scores.max())
            values.append(best if fresh is None else fresh.get(seed, math.nan))
        elif objective.score == "auc":
            values.append(_height(curve, lowest))
        else:
            last = float(curve.scores[-window:].mean())
            values.append(last if curve.diverged is None else lowest)
    return over_seeds(np.array(values), objective.over)


def over_seeds(values: FloatArray, over: Over) -> float:
    """One number for [N] seeds; nan if one of them is, or for a bound of one seed."""
    if over == "iqm":
        return float(iqm(values))
    return t_interval(values).low if over == "lower" else float(values.mean())


def _height(curve: Curve, lowest: float) -> float:
    """The mean height of a curve from 0 to its end: straight between scores, level before the first
    and after the last."""
    x, y = [0.0, *curve.x], [curve.scores[0], *curve.scores]
    if curve.diverged is not None:
        x, y = [*x, curve.diverged], [*y, lowest]
    x, y = [*x, max(curve.end, x[-1])], [*y, y[-1]]
    with np.errstate(invalid="ignore", over="ignore"):  # infinite returns
        area = float(np.trapezoid(y, x))
    return area / float(x[-1])


def _window(lengths: list[int]) -> int:
    """As stats.window_in_effect, of seeds with so many scores."""
    shortest = min(filter(None, lengths), default=1)
    return WINDOW if shortest > WINDOW else max(1, shortest // 4)
