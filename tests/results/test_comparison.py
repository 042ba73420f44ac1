"""Two variants, by hand."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from dqn_cli.results.comparison import difference, holm, improvement, superiority, welch

NAN, INF = math.nan, math.inf
whole = st.lists(st.integers(-100, 100), min_size=2, max_size=12)


def test_welch_s_interval_of_a_difference() -> None:
    """Equal variances of 2.5 and five each: 8 degrees of freedom, 2.3060, standard error 1."""
    interval, _ = welch(range(11, 16), range(1, 6))
    assert interval == pytest.approx((10 - 2.3060, 10 + 2.3060), abs=1e-4)


def test_welch_s_degrees_of_freedom() -> None:
    """1 .. 5 and 3, 4, 5: variances 2.5 and 1, the squared standard error 1/2 + 1/3, the freedom
    (5/6)^2 / (1/16 + 1/18) = 5.88, whose quantile lies between 2.571 (5) and 2.447 (6)."""
    (low, high), _ = welch(range(1, 6), [3, 4, 5])
    assert (low + high) / 2 == pytest.approx(-1)
    assert (high - low) / 2 / math.sqrt(5 / 6) == pytest.approx(2.459, abs=1e-3)


def test_welch_s_p_value() -> None:
    """1, 3 and 0, 2: t = 1 / sqrt(2) with 2 degrees of freedom, for which P(|T| > t) is
    1 - t / sqrt(2 + t^2) = 1 - sqrt(0.5 / 2.5)."""
    assert welch([1, 3], [0, 2])[1] == pytest.approx(1 - math.sqrt(0.2))
    assert welch([0, 2], [1, 3])[1] == pytest.approx(1 - math.sqrt(0.2))
    assert welch([1, 3], [3, 1])[1] == pytest.approx(1)


@given(whole, whole)
def test_it_is_scipy_s_test(a: list[int], b: list[int]) -> None:
    if len(set(a)) > 1 < len(set(b)):
        theirs = scipy.stats.ttest_ind(a, b, equal_var=False)
        interval, p = welch(a, b, 0.9)
        assert p == pytest.approx(theirs.pvalue)
        assert interval == pytest.approx(tuple(theirs.confidence_interval(0.9)))


def test_welch_without_spread_or_without_an_answer() -> None:
    interval, p = welch([0.1, 0.1, 0.1], [0.3, 0.3])
    assert interval == pytest.approx((-0.2, -0.2))
    assert interval.low == interval.high
    assert math.isnan(p)
    assert welch([1, 1, 1], [2, 3])[0] == pytest.approx((-1.5 - 6.3531, -1.5 + 6.3531), abs=1e-4)
    for a, b in [([1], [1, 2]), ([1, 2], [1]), ([1, NAN], [1, 2]), ([1, 2], [INF, 2])]:
        interval, p = welch(a, b)
        assert np.isnan([*interval, p]).all()


def test_a_bootstrapped_difference_draws_both_sides_on_their_own() -> None:
    """0, 1 less 0, 1: -1, -1/2, 0, 1/2, 1 in 1, 4, 6, 4, 1 of 16 resamples; pairs would have 0."""
    both = difference([0, 1], [1, 0])
    assert (both.mean, both.bootstrap) == (0, (-1, 1))  # 2.5 % is below 1/16
    assert difference([0, 1], [0, 1], level=0.8).bootstrap == (-0.5, 0.5)
    assert difference([0, 1], [0, 1], level=0.3).bootstrap == (0, 0)  # 35 % is above 5/16
    assert both.welch == pytest.approx((-4.3027 / 2**0.5, 4.3027 / 2**0.5), abs=1e-4)
    assert both.p == 1
    assert difference([3, 3], [1, 1]).bootstrap == (2, 2)
    assert difference([0, 1], [0, 1, 2, 3], level=0.9).welch == welch([0, 1], range(4), 0.9)[0]


def test_a_difference_without_an_answer() -> None:
    for a in ([1], [NAN, 1], [INF, -INF]):
        found = difference(a, [1, 2, 3])
        assert np.isnan([*found.welch, found.p, *found.bootstrap]).all()
    assert difference([1], [3, 5]).mean == -3
    assert math.isnan(difference([NAN, 1], [1]).mean)
    found = difference([INF, 1], [1, 2])
    assert (found.mean, found.bootstrap.high) == (INF, INF)
    assert found.bootstrap.low == -1  # 1, 1 less 2, 2, with a chance of 1/16


def test_how_often_one_is_above_another() -> None:
    """Of 2 x 3 pairs: 1 > 0; 3 > 0, 1, 2; and 1 = 1 is a half."""
    assert superiority(np.array([1.0, 3.0]), np.array([0.0, 1.0, 2.0])) == pytest.approx(4.5 / 6)
    rows = superiority(np.array([[1.0, 1], [0, 2]]), np.array([[1.0, 1, 1], [1, 1, 3]]))
    assert rows.tolist() == pytest.approx([0.5, 1 / 3])
    assert superiority(np.array([INF, 1]), np.array([INF, 2])) == pytest.approx(1.5 / 4)
    assert math.isnan(superiority(np.array([NAN, 1]), np.array([1.0, 2])))


@given(whole, whole)
def test_it_is_scipy_s_u(a: list[int], b: list[int]) -> None:
    u = scipy.stats.mannwhitneyu(a, b).statistic
    assert improvement(a, b, resamples=1).probability == pytest.approx(u / (len(a) * len(b)))


def test_the_interval_of_an_improvement() -> None:
    """0, 2 against 1, 1: 0, 1/2 or 1 in 1, 2, 1 of 4 resamples, and turned round likewise."""
    assert improvement([0, 2], [1, 1]) == (0.5, (0, 1))
    assert improvement([0, 2], [1, 1], level=0.4) == (0.5, (0.5, 0.5))
    assert improvement([1, 1], [0, 2], level=0.4) == (0.5, (0.5, 0.5))
    assert improvement([1, 1], [0, 2]) == (0.5, (0, 1))
    assert improvement([5, 6, 7], [1, 2]) == (1, (1, 1))
    assert improvement([4, 4], [4, 4]) == (0.5, (0.5, 0.5))


def test_an_improvement_without_an_answer() -> None:
    found = improvement([2], [1, 3])
    assert found.probability == 0.5
    assert np.isnan(found.interval).all()
    found = improvement([2, NAN], [1, 3])
    assert np.isnan([found.probability, *found.interval]).all()


@given(whole, whole, st.randoms(use_true_random=False))
def test_order_shift_and_scale(a: list[int], b: list[int], random) -> None:
    x, y = random.sample(a, len(a)), random.sample(b, len(b))
    first = difference(a, b, resamples=50)
    assert difference(x, y, resamples=50).bootstrap == first.bootstrap
    other = difference([4 * v + 3 for v in x], [4 * v + 3 for v in y], resamples=50)
    assert other.bootstrap == pytest.approx([4 * end for end in first.bootstrap])
    assert other.welch == pytest.approx([4 * end for end in first.welch])
    assert other.p == pytest.approx(first.p, nan_ok=True)
    better = improvement(a, b, resamples=50)
    assert improvement([v**3 for v in x], [v**3 for v in y], resamples=50) == better


def test_holm_s_adjusted_p_values() -> None:
    """In order 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, and 0.04 is not below
    the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1, 1]
    assert holm([0.04]).tolist() == [0.04]
    assert holm([0.02, 0.02, 0.02]) == pytest.approx([0.06, 0.06, 0.06])
    # what has no p value was tested, too
    assert holm([0.01, NAN, 0.04]) == pytest.approx([0.03, NAN, 0.08], nan_ok=True)
    assert holm([]).tolist() == []
