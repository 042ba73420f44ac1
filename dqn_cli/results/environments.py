"""Statistics over several environments (Agarwal et al. 2021, "Deep reinforcement learning at the
edge of the statistical precipice"): one array of seeds per environment, [N_m] for m in M.

Scores of different environments must first be brought to one scale. nan, inf, a single seed and no
seed do what they do in intervals.py; they concern the result over all environments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dqn_cli.results.comparison import Improvement, superiority
from dqn_cli.results.intervals import (
    Interval,
    Statistic,
    percentile_ends,
    percentile_interval,
    seeds,
)
from dqn_cli.results.stats import FloatArray


class Profile(NamedTuple):
    """Share of runs above each of T scores, and its pointwise interval."""

    tau: FloatArray  # [T]
    share: FloatArray  # [T]
    low: FloatArray  # [T]
    high: FloatArray  # [T]


def normalise(scores: npt.ArrayLike, low: float, high: float) -> FloatArray:
    """(scores - low) / (high - low), any shape: 0 at low (a random policy's mean return, say) and 1
    at high (a person's, or the threshold); outside of them below 0 and above 1. ValueError unless
    low < high and both are finite."""
    if not 0 < high - low < np.inf:
        raise ValueError(f"low must be below high, and both finite: {low}, {high}")
    return (np.asarray(scores, np.float64) - low) / (high - low)


def stratified(
    scores_by_env: Sequence[npt.ArrayLike],
    statistic: Statistic,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Interval of a statistic of all runs taken together, np.concatenate(scores_by_env): the
    bootstrap draws each environment's seeds independently, and as many as it has (section 4).

    An environment with more seeds weighs more in the statistic.
    """

    def of(*draws: FloatArray) -> FloatArray:
        return np.asarray(statistic(np.concatenate(draws, axis=-1), axis=-1))

    return percentile_interval(_environments(scores_by_env), of, level, resamples, seed)


def profile(
    scores_by_env: Sequence[npt.ArrayLike],
    tau: npt.ArrayLike,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Profile:
    """Run-score distribution: at each score of tau, [T], the share of runs above it (not at it),
    averaged over environments, with a stratified bootstrap band (section 4).

    The band is pointwise: it holds each point with the level's probability, not all at once.
    """
    envs, grid = _environments(scores_by_env), np.asarray(tau, np.float64)

    def above(*draws: FloatArray) -> FloatArray:
        missing = np.sum([np.isnan(x).any(axis=-1) for x in draws], axis=0) > 0
        shares = [np.mean([(x > t).mean(axis=-1) for x in draws], axis=0) for t in grid]
        return np.stack([np.where(missing, np.nan, share) for share in shares], axis=-1)

    low, high = percentile_ends(envs, above, level, resamples, seed)
    return Profile(grid, above(*envs), low, high)


def mean_improvement(
    a_by_env: Sequence[npt.ArrayLike],
    b_by_env: Sequence[npt.ArrayLike],
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Improvement:
    """P(X > Y) of each environment, averaged over environments, with a stratified bootstrap
    interval over both variants (section 4). ValueError unless both have the same environments.
    """
    a, b = _environments(a_by_env), _environments(b_by_env)
    if len(a) != len(b):
        raise ValueError(f"the variants have {len(a)} and {len(b)} environments")

    def of(*draws: FloatArray) -> FloatArray:
        pairs = zip(draws[: len(a)], draws[len(a) :], strict=True)
        return np.asarray(np.mean([superiority(x, y) for x, y in pairs], axis=0))

    interval = percentile_interval([*a, *b], of, level, resamples, seed)
    return Improvement(float(of(*a, *b)), interval)


def _environments(scores_by_env: Sequence[npt.ArrayLike]) -> list[FloatArray]:
    if not len(scores_by_env):
        raise ValueError("no environment")
    return [seeds(values) for values in scores_by_env]
