"""Statistics over the seeds of one variant on one environment.

A value is what one seed reached (say its final score), in the environment's unit; one-dimensional
arrays, the order of the seeds does not matter. In every function, here and in comparison.py and
environments.py:

- No value at all is a ValueError.
- nan stands for a seed without a value, as one that diverged, and makes the result nan. To leave
  the seed out would be to choose seeds by their outcome, and what it is worth instead is for the
  caller to say: the lowest return of the environment, for example.
- inf is a value like any other, above all finite ones: order statistics and medians take it as it
  comes; a mean with it is infinite, and a t interval is nan.

A single seed shows no spread, and its interval is (nan, nan). Equal seeds have an interval of no
width, which says that they were equal, and nothing about the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from dqn_cli.results.stats import FloatArray

# scipy.special is imported where it is called: it takes as long to import as pandas.

NAN = float("nan")
CHUNK = 1 << 20  # values drawn at a time by the bootstrap: 8 MB

# inf - inf is nan, and that is the answer.
quiet = np.errstate(invalid="ignore", over="ignore")


class Interval(NamedTuple):
    """In the unit of the values; both ends are nan where there is no interval."""

    low: float
    high: float


class Tolerance(NamedTuple):
    """An interval that holds a share of all seeds, the ones not trained included."""

    low: float
    high: float
    confidence: float  # that it does, at least


class Statistic(Protocol):
    """np.mean, np.median or iqm: [..., N] -> [...] for axis=-1."""

    def __call__(self, x: FloatArray, /, *, axis: int) -> Any: ...


@quiet
def iqm(x: npt.ArrayLike, axis: int = -1) -> Any:
    """Interquartile mean: of the middle half of the values along the axis, [..., N] -> [...].

    int(N / 4) values are left out at each end, so that three have their plain mean, five that of
    the middle three (Agarwal et al. 2021, section 4; scipy.stats.trim_mean(x, 0.25)).
    """
    ordered = np.sort(np.moveaxis(np.asarray(x, np.float64), axis, -1), axis=-1)
    n = ordered.shape[-1]
    if not n:
        raise ValueError("no value to take the mean of")
    middle = ordered[..., n // 4 : n - n // 4].mean(axis=-1)
    # Sorted to the end, nan would be left out with the highest.
    return np.where(np.isnan(ordered[..., -1]), np.nan, middle)[()]


@quiet
def t_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Student's t interval of the mean, [N]. It assumes values near a normal distribution, and
    holds the mean less often than it says where a few seeds fail."""
    from scipy.special import stdtrit

    x, upper = seeds(values), 1 - tail(level)
    mean, half = float(x.mean()), float(np.sqrt(variance(x) / len(x)))
    if half:
        half *= float(stdtrit(len(x) - 1, upper))
    return Interval(mean - half, mean + half)


@quiet
def t_test(values: npt.ArrayLike) -> float:
    """Two-sided p value of a mean of 0, by Student's test of [N] values; nan of one value, or where
    all are equal."""
    from scipy.special import stdtr

    x = seeds(values)
    error = float(np.sqrt(variance(x) / len(x)))
    return 2 * float(stdtr(len(x) - 1, -abs(float(x.mean())) / error)) if error else NAN


def bootstrap(
    values: npt.ArrayLike,
    statistic: Statistic,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of a statistic of [N] seeds (Efron 1979).

    With ten seeds or fewer it is too narrow, as docs/statistics.md shows.
    """

    def of(x: FloatArray) -> FloatArray:
        return np.asarray(statistic(x, axis=-1))

    return percentile_interval([seeds(values)], of, level, resamples, seed)


def percentile_interval(
    groups: Sequence[FloatArray], statistic: Any, level: float, resamples: int, seed: int
) -> Interval:
    """percentile_ends of a statistic that is one number."""
    low, high = percentile_ends(groups, statistic, level, resamples, seed)
    return Interval(float(low), float(high))


@quiet
def percentile_ends(
    groups: Sequence[FloatArray], statistic: Any, level: float, resamples: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Both ends of a percentile bootstrap interval over groups of seeds, [N_1], [N_2] and so on.

    Each group is drawn from with replacement and independently of the others, and the statistic
    maps the draws [R, N_1], [R, N_2], ... to [R, ...]. The ends are the resampled statistics next
    outside the percentiles: interpolating would make nan of infinite ones.
    """
    groups = [_resampled(group) for group in groups]
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK // sum(map(len, groups)))
    parts = []
    for first in range(0, resamples, rows):
        count = min(rows, resamples - first)
        draws = [group[rng.integers(len(group), size=(count, len(group)))] for group in groups]
        parts.append(statistic(*draws))
    found = np.sort(np.concatenate(parts), axis=0)  # nan comes last
    below = int((resamples - 1) * tail(level))
    ends = found[[below, -1 - below]]
    ends[:, np.isnan(found[-1])] = np.nan
    return ends[0], ends[1]


def _resampled(group: FloatArray) -> FloatArray:
    """What is drawn from: nan if there is no interval. In order, so that the order in which the
    seeds came changes nothing."""
    if len(group) < 2 or np.isnan(group).any():
        return np.full(len(group), np.nan)
    return np.sort(group)


def tolerance(values: npt.ArrayLike, share: float = 0.9, confidence: float = 0.95) -> Tolerance:
    """An interval that holds at least `share` of the distribution the [N] seeds come from, with at
    least this confidence where the seeds suffice; of whatever distribution (Wilks 1941).

    From order statistic r to s of N, it does so with a probability of P(Bin(N, share) <= s - r - 1)
    or more. As many seeds are dropped at each end as the confidence allows, none below 46 seeds
    (for 90 % and 95 %); lowest and highest seed then have the confidence that is returned.
    """
    from scipy.special import bdtr

    for part in (share, confidence):
        tail(part)  # refuses what is not between 0 and 1
    x = np.sort(seeds(values))
    n = len(x)
    dropped = np.arange((n + 1) // 2)  # at each end: r = dropped + 1, s = n - dropped
    between = n - 2 - 2 * dropped
    attained = np.where(between < 0, 0.0, bdtr(np.maximum(between, 0), n, share))
    k = max(0, int((attained >= confidence).sum()) - 1)
    if np.isnan(x[-1]):
        return Tolerance(NAN, NAN, NAN)
    return Tolerance(float(x[k]), float(x[n - 1 - k]), float(attained[k]))


def rate(failures: int, n: int, level: float = 0.95) -> Interval:
    """Interval of the share of seeds that fail, `failures` of `n` having failed (Clopper & Pearson
    1934). It holds the share at least as often as it says."""
    from scipy.special import betaincinv

    if not 0 <= failures <= n or n < 1:
        raise ValueError(f"failures must be between 0 and n, and n at least 1: {failures} of {n}")
    low = betaincinv(failures, n - failures + 1, tail(level)) if failures else 0.0
    high = betaincinv(failures + 1, n - failures, 1 - tail(level)) if failures < n else 1.0
    return Interval(float(low), float(high))


def seeds(values: npt.ArrayLike) -> FloatArray:
    """The values as [N] floats. ValueError if there is none, or more than one axis."""
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or not len(x):
        raise ValueError(f"one value per seed is needed, not an array of shape {x.shape}")
    return x


def tail(level: float) -> float:
    """What is left on each side of an interval: 0.025 for 0.95."""
    if not 0 < level < 1:
        raise ValueError(f"a level or a share must be between 0 and 1, not {level}")
    return (1 - level) / 2


def variance(x: FloatArray) -> float:
    """With N - 1; nan of one seed or an infinite one. Equal values have exactly none (0.1 three
    times would have 3e-34)."""
    if len(x) < 2 or not np.isfinite(x).all():
        return NAN
    return 0.0 if (x == x[0]).all() else float(x.var(ddof=1))
