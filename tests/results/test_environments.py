"""Several environments, by hand."""

import math

import numpy as np
import pytest

from dqn_cli.results.comparison import improvement
from dqn_cli.results.environments import mean_improvement, normalise, profile, stratified
from dqn_cli.results.intervals import bootstrap, iqm

NAN, INF = math.nan, math.inf


def test_scores_on_one_scale() -> None:
    assert normalise([22, 475, 500, 0], 22, 475) == pytest.approx([0, 1, 478 / 453, -22 / 453])
    assert normalise([[-200], [-110]], -200, -110).tolist() == [[0], [1]]
    assert normalise([INF], 0, 1).tolist() == [INF]
    for low, high in [(1, 1), (2, 1), (0, INF), (-INF, 0), (NAN, 1)]:
        with pytest.raises(ValueError, match="low must be below high"):
            normalise([1.0], low, high)


def test_every_environment_is_drawn_from_on_its_own() -> None:
    """0, 2 and 10, 12: the mean of a resample is 5, 5.5, 6, 6.5 or 7 in 1, 4, 6, 4, 1 of 16. Drawn
    from as one, they would be apart from 0 to 12."""
    envs = [[2, 0], [10, 12]]
    assert stratified(envs, np.mean) == (5, 7)
    assert stratified(envs, np.mean, level=0.8) == (5.5, 6.5)
    assert stratified(envs, np.mean, level=0.3) == (6, 6)
    assert stratified([[1, 1], [5, 5, 5]], np.mean) == (3.4, 3.4)  # (2 + 15) / 5: all runs as one
    # the middle two of four are 1, 5 whatever is drawn
    assert stratified([[1, 1], [5, 5]], iqm) == (3, 3)


def test_one_environment_is_a_plain_bootstrap() -> None:
    values = np.random.default_rng(0).normal(size=20)
    assert stratified([values], iqm) == bootstrap(values, iqm)
    assert mean_improvement([values], [values + 1]) == improvement(values, values + 1)


def test_a_profile_counts_what_is_above_and_weighs_environments_alike() -> None:
    """Above 0, 1, 2 and 3 (not at them): of 0, 1 a half and then none; of 1, 3 both, one, one and
    none; of three 3s all but at 3."""
    found = profile([[0, 1], [3, 1], [3, 3, 3]], [0, 1, 2, 3])
    assert found.tau.tolist() == [0, 1, 2, 3]
    assert found.share == pytest.approx([2.5 / 3, 1.5 / 3, 1.5 / 3, 0])
    # the first environment's share above 0 and the second's above 1 and 2 are 0, 1/2 or 1
    assert found.low == pytest.approx([2 / 3, 1 / 3, 1 / 3, 0])
    assert found.high == pytest.approx([1, 2 / 3, 2 / 3, 0])
    narrow = profile([[0, 1], [3, 1], [3, 3, 3]], [0, 1, 2, 3], level=0.4)
    assert narrow.low == pytest.approx(found.share)
    assert narrow.high == pytest.approx(found.share)


def test_the_improvement_is_averaged_over_environments() -> None:
    """4.5 of 6 pairs, and none of 4."""
    found = mean_improvement([[1, 3], [0, 0]], [[0, 1, 2], [1, 1]])
    assert found.probability == pytest.approx((0.75 + 0) / 2)
    # 0, 2 against 1, 1 is 0, 1/2 or 1 in each: the mean of two of them
    twice = [[0, 2], [0, 2]], [[1, 1], [1, 1]]
    assert mean_improvement(*twice) == (0.5, (0, 1))  # 1 of 16
    assert mean_improvement(*twice, level=0.8).interval == (0.25, 0.75)
    assert mean_improvement(*twice, level=0.3).interval == (0.5, 0.5)


def test_environments_without_an_answer() -> None:
    assert np.isnan(stratified([[1, 2], [3]], np.mean)).all()
    assert np.isnan(stratified([[1, 2], [NAN, 3]], iqm)).all()
    one = profile([[1, 2], [3]], [1.5])
    assert one.share.tolist() == [0.75]
    assert np.isnan([one.low, one.high]).all()
    none = profile([[1, 2], [NAN, 3]], [1.5, 9])
    assert np.isnan([none.share, none.low, none.high]).all()
    lost = mean_improvement([[1, 2], [NAN, 3]], [[1, 2], [1, 3]])
    assert np.isnan([lost.probability, *lost.interval]).all()
    assert profile([[INF, -INF]], [0, INF]).share.tolist() == [0.5, 0]
    for call in (
        lambda: stratified([], np.mean),
        lambda: stratified([[1], []], np.mean),
        lambda: profile([], [0]),
        lambda: mean_improvement([], []),
        lambda: mean_improvement([[1, 2]], [[1, 2], [3, 4]]),
    ):
        with pytest.raises(ValueError, match=r"no environment|one value per seed|1 and 2 env"):
            call()


def test_the_order_of_the_seeds_does_not_count() -> None:
    envs = [np.array([3.0, 1, 2]), np.array([5.0, 9, 7, 7])]
    turned = [env[::-1] for env in envs]
    assert stratified(envs, np.mean) == stratified(turned, np.mean)
    low, high = stratified(envs, np.mean)
    assert stratified([4 * env + 3 for env in envs], np.mean) == (
        pytest.approx(4 * low + 3),
        pytest.approx(4 * high + 3),
    )
