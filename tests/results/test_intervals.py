"""Statistics of one variant, by hand."""

import math
import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from dqn_cli.results import intervals
from dqn_cli.results.intervals import bootstrap, iqm, rate, t_interval, t_test, tolerance

NAN, INF = math.nan, math.inf
STATISTICS = [np.mean, np.median, iqm]
whole = st.lists(st.integers(-100, 100), min_size=2, max_size=12)  # exact when scaled


def test_the_mean_of_the_middle_half() -> None:
    assert iqm([1, 2, 9]) == 4  # of three none is left out
    assert iqm([100, 2, 1, 3]) == 2.5
    assert iqm([5, 1, 100, 3, 4]) == 4  # int(5 / 4) = 1 at each end
    assert iqm([0, 0, 1, 2, 3, 6, 50, 60]) == 3  # (1 + 2 + 3 + 6) / 4
    assert iqm([7]) == 7
    assert iqm([[1, 2, 3, 8], [0, 4, 6, 9]]).tolist() == [2.5, 5]
    assert iqm([[1, 2], [3, 8]], axis=0).tolist() == [2, 5]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_it_is_scipy_s_trimmed_mean(values: list[float]) -> None:
    assert iqm(values) == pytest.approx(scipy.stats.trim_mean(values, 0.25), abs=1e-6)


def test_what_is_infinite_or_missing_in_the_middle_half() -> None:
    assert iqm([INF, 2, 1, 3]) == 2.5
    assert iqm([-INF, 2, INF, 4]) == 3
    assert iqm([INF, INF, 1, 3]) == INF
    assert math.isnan(iqm([-INF, INF]))
    assert math.isnan(iqm([NAN, 2, 1, 3]))  # though the highest of four is left out
    with pytest.raises(ValueError, match="no value"):
        iqm([])


def test_a_p_value_goes_with_the_t_interval() -> None:
    """Of two values: 1 - 2 / pi atan(t), with t = 1 for 0 and 2. At p = 0.05 the interval ends at
    zero."""
    assert t_test([0, 2]) == pytest.approx(0.5)
    assert t_test([0, -2]) == pytest.approx(0.5)
    assert t_test([-1, 1]) == 1
    values = np.array([1.0, 2.0, 4.0, 3.0])
    ends = t_interval(values)
    assert t_test(values - ends.low) == pytest.approx(0.05)
    assert math.isnan(t_test([3]))
    assert math.isnan(t_test([3, 3]))
    assert math.isnan(t_test([1, math.nan]))


def test_the_t_interval_of_a_mean() -> None:
    """0, 2: variance 2, standard error 1, and with one degree of freedom (a Cauchy distribution)
    the quantile is tan(pi (0.975 - 0.5)) = 12.7062. 1 .. 5: variance 2.5, standard error
    sqrt(0.5), and the table's 2.7764 for four degrees."""
    assert t_interval([0, 2]) == pytest.approx((1 - 12.7062, 1 + 12.7062), abs=1e-4)
    assert t_interval([0, 2], 0.5) == pytest.approx((0, 2))  # tan(pi / 4) = 1
    half = 2.7764 * math.sqrt(0.5)
    assert t_interval(range(1, 6)) == pytest.approx((3 - half, 3 + half), abs=1e-4)


def test_t_intervals_without_spread_or_without_an_answer() -> None:
    low, high = t_interval([0.1, 0.1, 0.1])
    assert low == high == pytest.approx(0.1)
    for values in ([3], [1, NAN, 2], [1, INF], [INF, INF]):
        assert np.isnan(t_interval(values)).all()


def test_a_bootstrap_interval_holds_the_level() -> None:
    """0, 0, 3: of 27 resamples 8 have a mean of 0, 12 of 1, 6 of 2 and one of 3: up to 0 are 29.6 %
    of them, up to 1 74.1 %, up to 2 96.3 %. The median is 3 in 7 of 27, or 25.9 %."""
    values = [0, 3, 0]
    assert bootstrap(values, np.mean) == (0, 3)  # 2.5 % and 97.5 %
    assert bootstrap(values, np.mean, 0.9) == (0, 2)
    assert bootstrap(values, np.mean, 0.5) == (0, 2)  # 25 % and 75 %
    assert bootstrap(values, np.mean, 0.3) == (1, 1)
    assert bootstrap(values, np.median) == (0, 3)
    assert bootstrap(values, np.median, 0.4) == (0, 0)
    assert bootstrap(values, iqm, 0.9) == (0, 2)  # of three it is the mean


@pytest.mark.parametrize("statistic", STATISTICS)
def test_it_is_scipy_s_percentile_bootstrap(statistic) -> None:
    """The ends have a Monte Carlo error of about a hundredth of the interval."""
    values = np.random.default_rng(1).gamma(2, 50, 30)
    kwargs = {"method": "percentile", "n_resamples": 10_000, "rng": np.random.default_rng(2)}
    theirs = scipy.stats.bootstrap([values], statistic, **kwargs).confidence_interval
    width = theirs.high - theirs.low
    assert bootstrap(values, statistic) == pytest.approx(theirs, abs=0.06 * width)


def test_a_bootstrap_is_repeatable_and_its_seed_and_resamples_count() -> None:
    values = np.random.default_rng(0).normal(size=20)
    first = bootstrap(values, np.mean)
    assert bootstrap(values, np.mean) == first
    assert bootstrap(values, np.mean, seed=1) != first
    assert bootstrap(values, np.mean, resamples=100) != first
    low, high = bootstrap(values, np.mean, resamples=1)
    assert low == high


@pytest.mark.parametrize("statistic", STATISTICS)
@given(whole, st.randoms(use_true_random=False))
def test_the_order_of_the_seeds_does_not_count(statistic, values: list[int], random) -> None:
    mixed = random.sample(values, len(values))
    assert bootstrap(mixed, statistic, resamples=50) == bootstrap(values, statistic, resamples=50)
    assert tolerance(mixed) == tolerance(values)
    assert iqm(mixed) == iqm(values)


@pytest.mark.parametrize("statistic", STATISTICS)
@given(whole)
def test_an_interval_moves_and_grows_with_the_values(statistic, values: list[int]) -> None:
    other = [4 * value + 3 for value in values]
    low, high = bootstrap(values, statistic, resamples=50)
    expected = pytest.approx((4 * low + 3, 4 * high + 3))
    assert bootstrap(other, statistic, resamples=50) == expected
    low, high = t_interval(values)
    assert t_interval(other) == pytest.approx((4 * low + 3, 4 * high + 3))
    low, high, confidence = tolerance(values)
    assert tolerance(other) == (4 * low + 3, 4 * high + 3, confidence)
    mirrored = tolerance([-value for value in values])
    assert mirrored == (-high, -low, confidence)


def test_draws_are_held_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=1000)
    tracemalloc.start()
    try:
        whole = bootstrap(values, np.mean)  # ten million draws, 80 MB
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()
    monkeypatch.setattr(intervals, "CHUNK", 7_000)  # and in the last part there are fewer
    assert bootstrap(values, np.mean) == pytest.approx(whole, abs=0.005)
    monkeypatch.setattr(intervals, "CHUNK", 1)  # one at a time
    assert np.isfinite(bootstrap(values, np.mean, resamples=20)).all()


def test_bootstraps_without_spread_or_without_an_answer() -> None:
    assert bootstrap([2, 2], np.mean) == (2, 2)
    assert np.isnan(bootstrap([2], np.mean)).all()
    for statistic in STATISTICS:
        assert np.isnan(bootstrap([*range(30), NAN], statistic)).all()
    for seed in range(30):  # though one draw of four is 1, 1
        assert np.isnan(bootstrap([1, NAN], np.mean, resamples=1, seed=seed)).all()


def test_infinite_values_in_a_bootstrap() -> None:
    """1, 2, inf: a resample without inf has a chance of 8/27, and the least of them is 1, 1, 1 with
    1/27. With both infinities some resample is inf - inf."""
    assert bootstrap([1, 2, INF], np.mean) == (1, INF)
    assert bootstrap([1, 2, INF], np.mean, 0.2) == (INF, INF)
    assert bootstrap([1, 2, INF], np.median, 0.2) == (2, 2)
    assert np.isnan(bootstrap([-INF, 1, INF], np.mean)).all()


@pytest.mark.parametrize(
    ("n", "confidence"),
    [
        # 1 - 0.9^n - n 0.1 0.9^(n - 1): neither none nor one of n outside of the 90 %
        (1, 0),
        (2, 0.01),  # 1 - 0.81 - 0.18
        (3, 0.028),  # 1 - 0.729 - 0.243
        (10, 0.263901),  # 1 - 0.348678 - 0.387420
        (30, 0.816305),  # 1 - 0.042391 - 0.141304
        (45, 0.947632),  # 1 - 0.008728 - 0.043640
        (46, 0.951996),  # 1 - 0.007855 - 0.040149
    ],
)
def test_the_lowest_and_highest_seed_hold_a_share_with_a_confidence(
    n: int, confidence: float
) -> None:
    low, high, attained = tolerance(np.arange(n, 0, -1))
    assert (low, high) == (1, n)
    assert attained == pytest.approx(confidence, abs=2e-6)


@pytest.mark.parametrize(
    ("n", "dropped"), [(46, 0), (60, 0), (61, 0), (75, 0), (76, 1), (102, 1), (103, 2)]
)
def test_as_many_seeds_are_dropped_as_the_confidence_allows(n: int, dropped: int) -> None:
    """Printed tables of 95 % confidence for 90 %: 46, 61, 76, 89, 103 seeds for two, three, four,
    five and six order statistics outside; an odd one is not dropped on either side."""
    low, high, confidence = tolerance(np.arange(1, n + 1))
    assert (low, high) == (1 + dropped, n - dropped)
    assert confidence >= 0.95
    outside = scipy.stats.binom.cdf(2 * dropped + 1, n, 0.1)
    assert confidence == pytest.approx(1 - outside)


def test_another_share_and_confidence() -> None:
    """Half of the distribution, of three seeds: 1 - (1 + 3) / 8. Of eight, with one dropped at each
    end, 0 to 4 of them inside: (1 + 8 + 28 + 56 + 70) / 256."""
    assert tolerance([3, 1, 2], share=0.5) == pytest.approx((1, 3, 0.5))
    assert tolerance(range(8), 0.5, 0.6) == pytest.approx((1, 6, 163 / 256))
    assert tolerance(range(8), 0.5, 0.65)[:2] == (0, 7)


def test_what_is_infinite_or_missing_in_a_tolerance_interval() -> None:
    assert tolerance([1, INF, 2])[:2] == (1, INF)
    assert tolerance([5] * 60)[:2] == (5, 5)
    assert np.isnan(tolerance([1, NAN, 2])).all()


def test_the_interval_of_a_failure_rate() -> None:
    """None of ten: the p with (1 - p)^10 = 0.025. One of one: p = 0.025. 3 of 10 is in every
    table: 6.67 % to 65.25 %."""
    assert rate(0, 10) == pytest.approx((0, 1 - 0.025**0.1))
    assert rate(10, 10) == pytest.approx((0.025**0.1, 1))
    assert rate(0, 10, level=0.9) == pytest.approx((0, 1 - 0.05**0.1))
    assert rate(1, 1) == pytest.approx((0.025, 1))
    assert rate(3, 10) == pytest.approx((0.0667, 0.6525), abs=5e-5)
    for k, n in [(0, 1), (1, 3), (5, 46), (45, 46)]:
        assert rate(k, n) == pytest.approx(
            tuple(scipy.stats.binomtest(k, n).proportion_ci(method="exact"))
        )


def test_what_is_not_a_level_a_count_or_a_row_of_seeds() -> None:
    for level in (0, 1, 95):
        for call in (
            lambda level: t_interval([1, 1], level),
            lambda level: bootstrap([1, 2], np.mean, level),
            lambda level: tolerance([1, 2], confidence=level),
            lambda level: tolerance([1, 2], share=level),
            lambda level: rate(1, 2, level),
        ):
            with pytest.raises(ValueError, match="between 0 and 1, not"):
                call(level)
    for failures, n in [(3, 2), (-1, 2), (0, 0)]:
        with pytest.raises(ValueError, match="failures must be between"):
            rate(failures, n)
    for values in ([], [[1, 2]]):
        for function in (t_interval, tolerance, lambda values: bootstrap(values, np.mean)):
            with pytest.raises(ValueError, match="one value per seed"):
                function(values)
