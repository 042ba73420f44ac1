"""How often an interval over seeds holds the truth, by simulation: python -m benchmarks.coverage

A study draws n seeds from a population, and n of another variant from a second one; both are finite
and drawn from with replacement, so that the truth is exact. Prints a table for each pair of them,
of 2,000 studies a cell and 1,000 resamples, in four minutes of one core.

normal: quantiles of N(0, 1); the other variant: of N(-1, 2).
CartPole: 85 % of min(500, N(495, 10)), and 15 % failures spread evenly from 100 to 450; the other
variant has 40 % failures, or 2 %. A seed has failed below 475 (below -1 for the normal one).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from dqn_cli.results.comparison import difference, improvement, superiority
from dqn_cli.results.intervals import Interval, bootstrap, iqm, rate, t_interval, tolerance
from dqn_cli.results.stats import FloatArray

SIZES = (3, 5, 10, 20, 30, 46)
STUDIES, RESAMPLES = 2_000, 1_000
SHARE = 0.9  # what a tolerance interval is to hold


class Pair(NamedTuple):
    """Two variants, and below what a seed of the first has failed."""

    name: str
    ours: FloatArray  # [10,000], in order
    theirs: FloatArray
    failed: float


def normal(mean: float, deviation: float, count: int = 10_000) -> FloatArray:
    quantiles: FloatArray = mean + deviation * ndtri((np.arange(count) + 0.5) / count)
    return quantiles


def cartpole(failures: int) -> FloatArray:
    """Scores of seeds, so many of 10,000 failed."""
    failed = np.linspace(100, 450, failures)
    return np.sort(np.append(np.minimum(500, normal(495, 10, 10_000 - failures)), failed))


PAIRS = [
    Pair("normal", normal(0, 1), normal(-1, 2), -1),
    Pair("CartPole, 40 %", cartpole(1_500), cartpole(4_000), 475),
    Pair("CartPole, 2 %", cartpole(1_500), cartpole(200), 475),
]


def truths(pair: Pair) -> dict[str, float]:
    """What each interval is an interval of."""
    ours, theirs = pair.ours, pair.theirs
    apart = float(ours.mean() - theirs.mean())
    return {
        "t, mean": float(ours.mean()),
        "bootstrap, mean": float(ours.mean()),
        "bootstrap, IQM": float(iqm(ours)),
        "bootstrap, median": float(np.median(ours)),
        "Welch, difference": apart,
        "bootstrap, difference": apart,
        "bootstrap, P(X > Y)": float(superiority(ours, theirs)),
        "Clopper-Pearson, failures": float((ours < pair.failed).mean()),
    }


def intervals(x: FloatArray, y: FloatArray, failed: float, seed: int) -> dict[str, Interval]:
    """All of one study."""

    def resampled(statistic: Callable[..., FloatArray]) -> Interval:
        return bootstrap(x, statistic, resamples=RESAMPLES, seed=seed)

    apart = difference(x, y, resamples=RESAMPLES, seed=seed)
    return {
        "t, mean": t_interval(x),
        "bootstrap, mean": resampled(np.mean),
        "bootstrap, IQM": resampled(iqm),
        "bootstrap, median": resampled(np.median),
        "Welch, difference": apart.welch,
        "bootstrap, difference": apart.bootstrap,
        "bootstrap, P(X > Y)": improvement(x, y, resamples=RESAMPLES, seed=seed).interval,
        "Clopper-Pearson, failures": rate(int((x < failed).sum()), len(x)),
    }


def held(population: FloatArray, low: float, high: float) -> float:
    """The share of a population from low to high, both included."""
    ends = np.searchsorted(population, low, "left"), np.searchsorted(population, high, "right")
    return float(ends[1] - ends[0]) / len(population)


def coverage(pair: Pair, n: int, studies: int = STUDIES) -> dict[str, float]:
    """Share of studies of n seeds in which each interval holds its truth (a tolerance interval:
    the share of the population)."""
    rng = np.random.default_rng(n)
    truth, counts = truths(pair), Counter[str]()
    for study in range(studies):
        x, y = rng.choice(pair.ours, n), rng.choice(pair.theirs, n)
        for name, (low, high) in intervals(x, y, pair.failed, study).items():
            counts[name] += low <= truth[name] <= high
        span = tolerance(x, SHARE)
        counts["tolerance"] += held(pair.ours, span.low, span.high) >= SHARE
    return {name: counts[name] / studies for name in [*truth, "tolerance"]}


def main() -> None:
    for pair in PAIRS:
        columns = [coverage(pair, n) for n in SIZES]
        print(f"\n| {pair.name} | {' | '.join(f'n = {n}' for n in SIZES)} |")
        print("|---" * (len(SIZES) + 1) + "|")
        for name in columns[0]:
            print(f"| {name} | {' | '.join(f'{100 * column[name]:.1f}' for column in columns)} |")
        stated = [100 * tolerance(np.arange(n), SHARE).confidence for n in SIZES]
        print(f"| tolerance, as stated | {' | '.join(f'{share:.1f}' for share in stated)} |")


if __name__ == "__main__":
    main()
