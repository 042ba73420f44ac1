import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from dqn_cli.results.stats import curve, finals, has_values, running_mean, sliding_mean, summarize

NAN = math.nan


def seed(score: Sequence[float], length: int = 10) -> pd.DataFrame:
    """Episodes 1, 2, ... of equal length, with these scores; the return is a tenth of the score."""
    episode = np.arange(1, len(score) + 1)
    values = np.array(score, dtype=np.float64)
    return pd.DataFrame(
        {"episode": episode, "step": length * episode, "return": values / 10, "score": values}
    )


def test_sliding_mean_by_hand() -> None:
    # (1+2+6)/3 = 3, (2+6+1)/3 = 3, (6+1+2)/3 = 3
    assert sliding_mean(np.array([1.0, 2, 6, 1, 2]), 3).tolist() == [3, 3, 3]
    assert sliding_mean(np.array([1.0, 2]), 1).tolist() == [1, 2]
    assert sliding_mean(np.array([1.0, 2, 6]), 25).tolist() == [3]  # shrunk to all three
    assert sliding_mean(np.array([]), 25).tolist() == []
    assert len(sliding_mean(np.zeros(250), 25)) == 226
    with pytest.raises(ValueError, match="at least 1"):
        sliding_mean(np.zeros(3), 0)


def test_a_running_mean_has_fewer_values_at_the_beginning() -> None:
    # 1, (1+2)/2, (1+2+6)/3, (2+6+1)/3, (6+1+2)/3
    assert running_mean(np.array([1.0, 2, 6, 1, 2]), 3).tolist() == [1, 1.5, 3, 3, 3]
    assert running_mean(np.array([1.0, 2, 6]), 25).tolist() == [1, 1.5, 3]
    assert running_mean(np.array([4.0, 2]), 1).tolist() == [4, 2]
    assert running_mean(np.array([]), 3).tolist() == []


def test_a_curve_is_smoothed_before_the_seeds_are_joined() -> None:
    line = curve({1: seed([0, 10, 20]), 2: seed([20, 10, 30])}, "score", "episode", 2)
    # The first value alone, then means of two: seed 1 -> 0, 5, 15; seed 2 -> 20, 15, 20.
    assert line.x.tolist() == [1, 2, 3]
    assert line.mean.tolist() == [10, 10, 17.5]
    assert line.low.tolist() == [0, 5, 15]
    assert line.high.tolist() == [20, 15, 20]
    assert line.values.tolist() == [[0, 5, 15], [20, 15, 20]]
    assert (line.n.tolist(), line.whole) == ([2, 2, 2], 3)
    assert (line.seeds, line.window, line.ends.tolist()) == (2, 2, [3, 3])


def test_n_drops_where_a_seed_ends() -> None:
    line = curve({1: seed([1, 2]), 2: seed([3, 4, 5, 6])}, "score", "episode", 1)
    assert line.x.tolist() == [1, 2, 3, 4]
    assert line.n.tolist() == [2, 2, 1, 1]
    assert line.mean.tolist() == [2, 3, 5, 6]  # the short seed's 2 is not carried on
    assert (line.ends.tolist(), line.whole) == ([2, 4], 2)
    assert np.isnan(line.values).tolist() == [[False, False, True, True], [False] * 4]


def test_only_rows_with_a_score_count() -> None:
    scores = {1: seed([NAN, 4, NAN, 8]), 2: seed([NAN, 6, NAN, 2, NAN])}
    line = curve(scores, "score", "episode", 25)
    # evaluations at episodes 2 and 4: (4 + 6) / 2 = 5, (8 + 2) / 2 = 5, too few to smooth
    assert (line.x.tolist(), line.mean.tolist(), line.window) == ([2, 4], [5, 5], 1)
    assert curve(scores, "score", "episode", 1).x.tolist() == [2, 4]


def test_a_seed_holds_its_score_until_its_own_last_episode() -> None:
    scores = {1: seed([4, NAN, NAN]), 2: seed([2, 6, NAN, 8])}
    line = curve(scores, "score", "episode", 1)
    assert line.x.tolist() == [1, 2, 4]
    assert line.mean.tolist() == [3, 5, 8]  # at 2: (4 held + 6)/2; at 4 seed 1 is gone
    assert line.n.tolist() == [2, 2, 1]


def test_over_steps_each_seed_is_a_staircase() -> None:
    scores = {1: seed([1, 2], length=10), 2: seed([10, 20, 30], length=15)}
    line = curve(scores, "score", "step", 1)
    # seed 1: 1 from step 10, 2 from and until 20; seed 2: 10 from 15, 20 from 30, 30 from 45
    assert line.x.tolist() == [15, 20, 30, 45]
    assert line.mean.tolist() == [5.5, 6, 20, 30]
    assert line.low.tolist() == [1, 2, 20, 30]
    assert line.n.tolist() == [2, 2, 1, 1]


def test_over_steps_the_grid_has_at_most_1000_points() -> None:
    line = curve({1: seed(range(3000)), 2: seed(range(2000))}, "score", "step", 1)
    assert (len(line.x), line.x[0], line.x[-1]) == (1000, 10, 30_000)
    assert (np.diff(line.n) <= 0).all()
    assert line.n.min() == 1


def test_as_many_values_as_the_window_are_too_few() -> None:
    """They would be one point: a quarter of them is the window, so that a curve is left."""
    line = curve({1: seed([1, 2, 3, 4, 5, 6, 7, 8])}, "score", "episode", 8)
    assert (line.window, line.mean.tolist()) == (2, [1, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5])
    assert curve({1: seed([1, 2, 3])}, "score", "episode", 2).window == 2


def test_seeds_without_values_and_no_values_at_all() -> None:
    line = curve({1: seed([NAN, NAN]), 2: seed([5, 7]), 3: seed([])}, "score", "episode", 1)
    assert (line.seeds, line.n.tolist(), line.mean.tolist()) == (1, [1, 1], [5, 7])
    for scores in ({}, {1: seed([])}, {1: seed([NAN])}):
        for x in ("episode", "step"):
            assert len(curve(scores, "score", x, 25).x) == 0
        assert not has_values(scores, "score")
    assert has_values({1: seed([NAN]), 2: seed([1])}, "score")


def test_infinite_returns_stay_infinite() -> None:
    line = curve({1: seed([math.inf, 1]), 2: seed([-math.inf, 3])}, "score", "episode", 1)
    assert math.isnan(line.mean[0])
    assert line.mean[1] == 2
    assert summarize({1: seed([math.inf, 1, 1])}, "score", 2, 3.0).best == math.inf
    assert summarize({1: seed([1, math.inf, 1])}, "score", 2, 3.0).final == math.inf


def test_a_summary_by_hand() -> None:
    scores = {1: seed([1, 9, 5, 7]), 2: seed([2, 3, 4, 8]), 3: seed([0, 0, 0, 0])}
    s = summarize(scores, "score", 2, threshold=8.0)
    # last two: (5+7)/2 = 6, (4+8)/2 = 6, 0 -> mean 4
    assert (s.seeds, s.final, s.low, s.high) == (3, 4, 0, 6)
    assert s.best == pytest.approx((9 + 8 + 0) / 3)
    # The means of two: 5, 7, 6 and 2.5, 3.5, 6 and 0. None is at 8; at 6 they are in episodes 3, 4
    # and never, and the middle one is 4, though single scores of 9 came in episode 2.
    assert (s.first, s.reached) == (None, 0)
    s = summarize(scores, "score", 2, threshold=6.0)
    assert (s.first, s.reached) == (4, 2)
    assert summarize(scores, "score", 2, 6.0, "step").first == 40


def test_the_median_episode_needs_more_than_half_of_the_seeds() -> None:
    scores = {1: seed([9]), 2: seed([0])}
    s = summarize(scores, "score", 25, threshold=9.0)
    assert (s.first, s.reached) == (None, 1)
    assert summarize({1: seed([9]), 2: seed([0, 9])}, "score", 25, 9.0).first == 1.5
    assert summarize(scores, "score", 25, None).reached == 0
    # A seed without any value has not come to it either.
    assert summarize({1: seed([9]), 2: seed([NAN])}, "score", 25, 9.0).first is None


def test_finals_are_of_as_many_values_as_a_curve_is_smoothed_over() -> None:
    """Eight values and a window of 25: the last two, and not the mean of all that was learned."""
    scores = {1: seed(range(8)), 2: seed([0] * 7 + [10]), 3: seed([NAN])}
    assert finals(scores, "score", 25).tolist() == [6.5, 5]
    assert finals(scores, "score", 7).tolist() == [4, 10 / 7]
    assert summarize(scores, "score", 25, 5.0).first == 8  # 7 and 8, and seed 3 never


def test_a_summary_of_another_metric_and_of_nothing() -> None:
    scores = {1: seed([10, 30])}
    assert summarize(scores, "return", 1, None).final == 3
    s = summarize({1: seed([NAN])}, "score", 25, 1.0)
    assert (s.seeds, s.final, s.low, s.high, s.best, s.first) == (1, None, None, None, None, None)
    assert summarize({}, "score", 25, 1.0).reached == 0
