"""What each variant of a study came to, in numbers."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dqn_cli.results.comparison import holm, improvement, welch
from dqn_cli.results.intervals import bootstrap, iqm, rate
from dqn_cli.results.schema import ResultError
from dqn_cli.results.stats import FloatArray, finals, sliding_mean
from dqn_cli.results.variants import Panel, Variant

WINDOW = 5  # evaluations in a final score, as the presets say


class Row(NamedTuple):
    """What a variant came to, and how it compares with the first. Of each seed, `final` is the mean
    of its last WINDOW evaluations, and `run` of all. Intervals are of 95 %: of the means by
    bootstrap, of the share of seeds that end below the threshold by Clopper and Pearson, of the
    difference of finals by Welch."""

    variant: str
    seeds: int
    final: float
    final_low: float
    final_high: float
    iqm: float
    lowest: float
    highest: float
    run: float
    run_low: float
    run_high: float
    below: int
    below_low: float
    below_high: float
    first: float  # median over seeds of the first step at the threshold
    reached: int  # seeds that ever came to it
    difference: float = math.nan
    difference_low: float = math.nan
    difference_high: float = math.nan
    p: float = math.nan  # adjusted for all variants after Holm
    better: float = math.nan  # P(a seed is above one of the first)
    better_low: float = math.nan
    better_high: float = math.nan


class Seeds(NamedTuple):
    """Of a variant, [S] in the order of its seeds."""

    final: FloatArray
    run: FloatArray
    first: FloatArray  # inf: never


def of_seeds(variant: Variant) -> Seeds:
    """ResultError unless every seed was trained to its end."""
    for run in variant.runs:
        if run.summary.get("status") != "finished" or run.diverged:
            raise ResultError(run.path, "not trained to its end")
    rows = variant.rows()
    scores = {seed: frame.dropna(subset=["score"]) for seed, frame in rows.items()}
    goal = variant.threshold if variant.threshold is not None else math.inf
    firsts = []
    for frame in scores.values():
        means = sliding_mean(frame["score"].to_numpy(np.float64), WINDOW)
        steps = frame["step"].to_numpy(np.float64)[-len(means) :]
        firsts.append(min(steps[means >= goal], default=math.inf))
    whole = np.array([frame["score"].mean() for frame in scores.values()])
    return Seeds(finals(rows, "score", WINDOW), whole, np.array(firsts))


def rows_of(panel: Panel) -> list[Row]:
    goal = panel.threshold if panel.threshold is not None else math.inf
    found: list[Row] = []
    seeds = [of_seeds(variant) for variant in panel.variants]
    for variant, each in zip(panel.variants, seeds, strict=True):
        below = int((each.final < goal).sum())
        row = Row(
            variant.label,
            len(each.final),
            *(float(each.final.mean()), *bootstrap(each.final, np.mean)),
            *(float(iqm(each.final)), float(each.final.min()), float(each.final.max())),
            *(float(each.run.mean()), *bootstrap(each.run, np.mean)),
            below,
            *rate(below, len(each.final)),
            first=float(np.median(each.first)),
            reached=int(np.isfinite(each.first).sum()),
        )
        if found:
            ends, p = welch(each.final, seeds[0].final)
            better = improvement(each.final, seeds[0].final)
            row = row._replace(
                difference=row.final - found[0].final,
                difference_low=ends.low,
                difference_high=ends.high,
                p=p,
                better=better.probability,
                better_low=better.interval.low,
                better_high=better.interval.high,
            )
        found.append(row)
    adjusted = holm([row.p for row in found[1:]])
    return found[:1] + [r._replace(p=float(p)) for r, p in zip(found[1:], adjusted, strict=True)]
