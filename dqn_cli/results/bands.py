"""The band around a curve: what it says of the seeds at each point."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from dqn_cli.results.stats import Curve, FloatArray

Band = Literal["minmax", "ci", "iqr", "tolerance", "none"]
LEVEL = 0.95
RESAMPLES = 2000
ROWS = 200  # of resamples at a time


class Around(NamedTuple):
    """A line and a band, [G] each; without a band, both its ends are the line."""

    line: FloatArray
    low: FloatArray
    high: FloatArray


def around(curve: Curve, band: Band) -> Around:
    """The line that is drawn, and its band:

    minmax     mean; from the smallest to the largest seed
    ci         mean; its 95 % percentile bootstrap interval, at each point by itself
    iqr        median; from the first to the third quartile of seeds
    tolerance  mean; what holds 90 % of all seeds, also of those not trained, with a confidence of
               95 % (of less below 46 seeds: see intervals.tolerance)
    none       mean
    """
    match band:
        case "minmax":
            return Around(curve.mean, curve.low, curve.high)
        case "ci":
            return Around(curve.mean, *bootstrap_band(curve.values))
        case "iqr":
            low, middle, high = quartiles(curve.values)
            return Around(middle, low, high)
        case "tolerance":
            return Around(curve.mean, *tolerance_band(curve.values))
        case "none":
            return Around(curve.mean, curve.mean, curve.mean)


def bootstrap_band(values: FloatArray, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Both ends [G] of the interval of the mean of values [S, G] at each point, where nan is a seed
    that is not there. The same draws of seeds serve all points, so that the band is smooth."""
    seeds, points = values.shape
    if seeds < 2 or not points:
        both = np.nanmean(values, axis=0) if seeds else np.empty(points)
        return both, both
    draw = np.random.default_rng(seed)
    there = ~np.isnan(values)
    means = np.empty((RESAMPLES, points))
    for first in range(0, RESAMPLES, ROWS):
        times = draw.multinomial(seeds, np.full(seeds, 1 / seeds), ROWS).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            means[first : first + ROWS] = times @ np.where(there, values, 0) / (times @ there)
    means.sort(axis=0)  # nan, of draws without any seed that is there, comes last
    count = (~np.isnan(means)).sum(axis=0)
    below = ((count - 1) * ((1 - LEVEL) / 2)).astype(np.int64)
    column = np.arange(points)
    return means[below, column], means[np.maximum(count - 1 - below, 0), column]


def quartiles(values: FloatArray) -> FloatArray:
    """First quartile, median, third quartile [3, G] of values [S, G] that are there."""
    if not values.size:
        return np.empty((3, values.shape[1]))
    with np.errstate(invalid="ignore"):  # between a value and inf there is none
        found: FloatArray = np.nanquantile(values, [0.25, 0.5, 0.75], axis=0)
    return found


def tolerance_band(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both ends [G] of the tolerance interval at each point of values [S, G]."""
    from dqn_cli.results.intervals import tolerance

    found = [tolerance(column[~np.isnan(column)]) for column in values.T]
    return np.array([one.low for one in found]), np.array([one.high for one in found])
