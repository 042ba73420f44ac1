import numpy as np
import pytest

from dqn_cli.results.bands import Band, around, bootstrap_band
from dqn_cli.results.intervals import bootstrap
from dqn_cli.results.stats import Curve


def curve(values: list[list[float]]) -> Curve:
    held = np.array(values, np.float64)
    there = ~np.isnan(held)
    x = np.arange(held.shape[1], dtype=np.float64)
    low, high = np.nanmin(held, axis=0), np.nanmax(held, axis=0)
    ends = there.sum(axis=1).astype(np.float64)
    mean = np.nanmean(held, axis=0)
    return Curve(x, held, mean, low, high, there.sum(axis=0), len(held), 1, ends)


NAN = np.nan
# Four seeds; one ends after the first point.
FOUR = curve([[1.0, 1.0], [2.0, NAN], [3.0, 5.0], [10.0, 6.0]])


@pytest.mark.parametrize(
    ("band", "line", "low", "high"),
    [
        ("minmax", [4, 4], [1, 1], [10, 6]),
        ("none", [4, 4], [4, 4], [4, 4]),
        # of 1, 2, 3, 10: quartiles 1.75, 2.5, 4.75; of 1, 5, 6: 3, 5, 5.5
        ("iqr", [2.5, 5], [1.75, 3], [4.75, 5.5]),
        # below 46 seeds it is the smallest and the largest
        ("tolerance", [4, 4], [1, 1], [10, 6]),
    ],
)
def test_bands_by_hand(band: Band, line: list[float], low: list[float], high: list[float]) -> None:
    found = around(FOUR, band)
    assert [part.tolist() for part in found] == [line, low, high]


def test_an_interval_is_as_wide_as_that_of_the_statistics() -> None:
    draw = np.random.default_rng(3)
    values = draw.normal(100, 20, (12, 5))
    low, high = bootstrap_band(values)
    for point in range(5):
        expected = bootstrap(values[:, point], np.mean)
        assert low[point] == pytest.approx(expected.low, abs=1.5)
        assert high[point] == pytest.approx(expected.high, abs=1.5)


def test_an_interval_is_of_the_seeds_that_are_there() -> None:
    low, high = bootstrap_band(np.array([[1.0, 7.0], [3.0, NAN], [5.0, NAN]]))
    assert (low[1], high[1]) == (7, 7)
    assert low[0] < 3 < high[0]


def test_of_one_seed_or_none_there_is_no_interval() -> None:
    low, high = bootstrap_band(np.array([[4.0, 5.0]]))
    assert low.tolist() == high.tolist() == [4, 5]
    assert [len(end) for end in bootstrap_band(np.empty((0, 0)))] == [0, 0]
