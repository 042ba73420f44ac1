"""Intervals hold the truth as often as they should: simulated studies, within four standard errors
of what theory says (a level of 90 % instead of 95 would be ten off)."""

import numpy as np
import pytest
from scipy.stats import binom, norm, t

from benchmarks.coverage import PAIRS, cartpole, coverage, held, intervals, normal, truths
from dqn_cli.results.intervals import bootstrap, rate, t_interval, tolerance


def test_the_populations() -> None:
    assert (len(normal(1, 2)), len(cartpole(1_500))) == (10_000, 10_000)
    assert normal(1, 2).mean() == pytest.approx(1)
    assert normal(1, 2).std() == pytest.approx(2, abs=0.001)
    scores = cartpole(1_500)
    assert (scores.min(), scores.max()) == (100, 500)
    # 15 % spread to 450, and of the others those 2 deviations below: 15 + 85 * 2.275 %
    assert (scores < 475).mean() == pytest.approx(0.15 + 0.85 * norm.cdf(-2), abs=1e-4)
    # half a deviation above: 85 * 30.85 %
    assert (scores == 500).mean() == pytest.approx(0.85 * norm.cdf(-0.5), abs=1e-4)
    assert held(np.array([1.0, 2, 2, 3]), 2, 2.5) == 0.5


def share_near(hits: list[bool], expected: float) -> bool:
    error = np.sqrt(expected * (1 - expected) / len(hits))
    return abs(np.mean(hits) - expected) < 4 * error


def test_t_and_tolerance_intervals_hold_what_they_state() -> None:
    rng, population = np.random.default_rng(0), PAIRS[0].ours
    means, shares = [], []
    for _ in range(4_000):
        low, high = t_interval(rng.choice(population, 10))
        means.append(low <= 0 <= high)
        low, high, confidence = tolerance(rng.choice(population, 46))
        shares.append(held(population, low, high) >= 0.9)
    assert share_near(means, 0.95)
    assert share_near(shares, confidence)


def test_a_bootstrap_interval_of_a_normal_mean_is_as_narrow_as_it_is() -> None:
    """Its resamples have a standard deviation of s sqrt((n - 1) / n) / sqrt(n), and no quantile of
    Student's: of 20 seeds it holds the mean in 93 % of all studies."""
    n, rng = 20, np.random.default_rng(0)
    hits = []
    for study in range(1_000):
        low, high = bootstrap(rng.normal(size=n), np.mean, resamples=500, seed=study)
        hits.append(low <= 0 <= high)
    expected = 1 - 2 * t.sf(norm.ppf(0.975) * np.sqrt((n - 1) / n), n - 1)
    assert expected == pytest.approx(0.929, abs=0.001)
    assert share_near(hits, expected)


def test_the_interval_of_a_rate_holds_it_at_least_as_often_as_stated() -> None:
    """The exact chance of each count, for rates between 0 and 1."""
    for n in (3, 10, 46):
        ends = np.array([rate(k, n) for k in range(n + 1)])
        for p in np.linspace(0.01, 0.99, 99):
            inside = (ends[:, 0] <= p) & (p <= ends[:, 1])
            assert binom.pmf(np.arange(n + 1), n, p)[inside].sum() >= 0.95 - 1e-9


def test_a_study_has_an_interval_for_every_truth() -> None:
    pair = PAIRS[1]
    found = coverage(pair, 3, studies=20)
    assert list(found) == [*truths(pair), "tolerance"]
    assert list(intervals(pair.ours[:3], pair.theirs[:3], 475, 0)) == list(truths(pair))
    assert found["Clopper-Pearson, failures"] >= 0.8 > found["t, mean"]
