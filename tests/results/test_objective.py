"""What a run is worth to a search, with numbers worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest

from dqn_cli.results.intervals import iqm, t_interval
from dqn_cli.results.objective import Curve, Objective, Score, of_curves, of_run, over_seeds
from dqn_cli.results.reader import read_run
from dqn_cli.results.table import rows
from dqn_cli.results.variants import panels


def curve(x: list[float], scores: list[float], end: float, diverged: float | None = None) -> Curve:
    return Curve(np.array(x, float), np.array(scores, float), end, diverged)


def test_final_is_the_mean_of_the_last_scores_as_in_the_table(make, tmp_path: Path) -> None:
    run = read_run(make(tmp_path / "run", episodes=60))
    (row,) = rows(panels([run]), "score", 25)
    assert of_run(run, Objective("final")) == row.mean == 20 * 48 + 1.5
    short = read_run(make(tmp_path / "short", episodes=8))
    assert of_run(short, Objective("final")) == 20 * 7.5 + 1.5  # a quarter of what there is


def test_auc_is_the_mean_height_level_at_both_ends() -> None:
    """10 up to step 20, straight up to 30 at 60, then 30 up to 100."""
    seeds = {1: curve([20, 60], [10, 30], 100)}
    assert of_curves(seeds, Objective("auc")) == (20 * 10 + 40 * 20 + 40 * 30) / 100


def test_best_is_what_the_best_networks_score_on_fresh_episodes() -> None:
    seeds = {1: curve([1, 2], [10, 30], 2), 2: curve([1, 2], [50, 40], 2)}
    assert of_curves(seeds, Objective("best"), {1: 20.0, 2: 45.0}) == 32.5
    assert of_curves(seeds, Objective("best")) == 40  # while it trains: the highest scores
    assert math.isnan(of_curves(seeds, Objective("best"), {1: 20.0}))


def test_seeds_become_one_number() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    assert over_seeds(values, "mean") == 22
    assert over_seeds(values, "iqm") == iqm(values) == 3
    assert over_seeds(values, "lower") == t_interval(values).low < 22
    assert math.isnan(over_seeds(values[:1], "lower"))


@pytest.mark.parametrize(
    ("score", "of_second"),
    # 60 up to step 50, down to 5 at 60, and level: (50 * 60 + 10 * 32.5 + 40 * 5) / 100
    [("final", 5.0), ("auc", 35.25), ("best", 60.0)],
)
def test_trap_a_seed_that_diverged_is_not_left_out(score: Score, of_second: float) -> None:
    """From there on it counts as the lowest score of the run; its best network was there before."""
    seeds = {1: curve([50, 100], [5, 5], 100), 2: curve([50], [60], 100, diverged=60)}
    assert of_curves(seeds, Objective(score)) == pytest.approx((5 + of_second) / 2)


def test_a_seed_that_diverged_before_its_first_score_counts_as_the_lowest() -> None:
    seeds = {1: curve([1, 2], [7, 9], 2), 2: curve([], [], 2, diverged=1)}
    assert of_curves(seeds, Objective("final")) == 8
    assert math.isnan(of_curves({2: seeds[2]}, Objective("final")))
    assert math.isnan(of_curves({1: seeds[1], 2: curve([], [], 2)}, Objective("final")))
