"""Statistics between the seeds of two variants on one environment: [N] values of one, [K] of the
other. What nan, inf, a single seed and no seed do is said in intervals.py.

The same seed numbers on both sides make no pairs: from the first different action on, two variants
see different episodes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dqn_cli.results.intervals import (
    NAN,
    Interval,
    percentile_interval,
    quiet,
    seeds,
    tail,
    variance,
)
from dqn_cli.results.stats import FloatArray


class Difference(NamedTuple):
    """Mean of one variant less mean of the other, with two intervals and Welch's p value."""

    mean: float
    welch: Interval
    p: float
    bootstrap: Interval


class Improvement(NamedTuple):
    """P(X > Y), ties counting a half, with its bootstrap interval."""

    probability: float
    interval: Interval


@quiet
def superiority(x: FloatArray, y: FloatArray) -> Any:
    """P(X > Y) + P(X = Y) / 2 over all pairs of a value of x and one of y, [..., N] and [..., K]
    -> [...]. It is the U of Mann and Whitney (1947) / NK."""
    halves = np.zeros(x.shape[:-1])
    for j in range(y.shape[-1]):  # not all pairs at once, which may be too many to hold
        one = y[..., j, None]
        halves += (x > one).sum(axis=-1) + (x >= one).sum(axis=-1)
    missing = np.isnan(x).any(axis=-1) | np.isnan(y).any(axis=-1)
    return np.where(missing, np.nan, halves / (2 * x.shape[-1] * y.shape[-1]))[()]


@quiet
def welch(a: npt.ArrayLike, b: npt.ArrayLike, level: float = 0.95) -> tuple[Interval, float]:
    """Interval of mean(a) - mean(b), and two-sided p value of no difference, without assuming equal
    variances (Welch 1947).

    Both are nan where a side has one seed. Where neither side has any spread, the interval has none
    either, and p is nan.
    """
    from scipy.special import stdtr, stdtrit

    x, y, upper = seeds(a), seeds(b), 1 - tail(level)
    middle = float(x.mean() - y.mean())
    squares = [variance(side) / len(side) for side in (x, y)]
    error = float(np.sqrt(sum(squares)))
    if not error:
        return Interval(middle, middle), NAN
    part = squares[0] / sum(squares)
    freedom = 1 / (part**2 / max(1, len(x) - 1) + (1 - part) ** 2 / max(1, len(y) - 1))
    half = float(stdtrit(freedom, upper)) * error
    p = 2 * float(stdtr(freedom, -abs(middle) / error))
    return Interval(middle - half, middle + half), p


@quiet
def difference(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """mean(a) - mean(b), with Welch's and a percentile bootstrap interval."""
    x, y = seeds(a), seeds(b)

    def of(x: FloatArray, y: FloatArray) -> FloatArray:
        return np.asarray(x.mean(axis=-1) - y.mean(axis=-1))

    resampled = percentile_interval([x, y], of, level, resamples, seed)
    return Difference(float(x.mean() - y.mean()), *welch(x, y, level), resampled)


def improvement(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Improvement:
    """How likely a seed of a is above one of b, with a bootstrap interval over both (Agarwal et al.
    2021, section 4). It says nothing about by how much."""
    x, y = seeds(a), seeds(b)
    interval = percentile_interval([x, y], superiority, level, resamples, seed)
    return Improvement(float(superiority(x, y)), interval)


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Holm's (1979) adjusted p values, [M] -> [M]: to reject every hypothesis at 0.05 or less is to
    reject any true one with a chance of at most 5 %. nan stays nan, and counts among the M."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p)  # nan comes last
    adjusted = np.empty(len(p))
    factors = np.arange(len(p), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return adjusted
