"""The report's figures, by hand."""

import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from benchmarks.reproduction import report
from benchmarks.reproduction.__main__ import command
from benchmarks.reproduction.published import (
    EARLY,
    Claim,
    Quantity,
    final_return,
    final_score,
    final_tenth,
    first_episode_at,
    mean_return,
    solved_at,
)
from benchmarks.reproduction.report import (
    above,
    cell,
    interval,
    own_seeds,
    student,
    verdict,
    welch,
)
from benchmarks.reproduction.runs import ROOT, RUNS, trained
from dqn_cli.results.reader import read_config
from dqn_cli.results.schema import COLUMNS

KEPT = Path(__file__).parents[1] / "outputs/reference"


def rows(scores: list[float | None], returns: list[float]) -> pd.DataFrame:
    columns = {"episode": range(1, len(returns) + 1), "score": scores, "return": returns}
    return pd.DataFrame(columns).astype({"score": float, "return": float})


SIX = rows([1, None, 3, 5, None, 4], [10, 20, 30, 40, 50, 60])


def test_a_final_score_is_of_evaluations_and_not_of_episodes() -> None:
    assert final_score(2)(SIX) == 4.5
    assert final_score(25)(SIX) == 3.25


def test_a_last_tenth_is_of_steps() -> None:
    """Of 1000 steps those after 900, whatever has no evaluation there."""
    run = rows([1, 2, 3, None, 5], [0] * 5).assign(step=[100, 900, 901, 950, 1000])
    assert final_tenth(run) == 4


def test_returns_are_of_these_episodes() -> None:
    assert mean_return()(SIX) == 35
    assert mean_return(2, 3)(SIX) == 25
    assert mean_return(5)(SIX) == 55
    long = rows([None] * 150, [0.0] * 50 + [1.0] * 100)
    assert final_return(long) == 1
    assert EARLY.of(long) == 0.5


def test_an_episode_is_the_first_one_that_reached_it_or_none() -> None:
    assert first_episode_at(3)(SIX) == 3
    assert first_episode_at(5)(SIX) == 4
    assert first_episode_at(5.1)(SIX) == float("inf")


def test_solved_is_a_mean_of_a_hundred_above_the_level() -> None:
    """After 60 episodes of 0, the mean of the last 100 is k / 100 after k more of 1."""
    run = rows([None] * 200, [0.0] * 60 + [1.0] * 140)
    assert solved_at(0.5)(run) == 60 + 51
    assert solved_at(0.3)(run) == 100  # not before there are a hundred
    assert solved_at(1.0)(run) == float("inf")


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    # a table of Student's t
    [(4, 2.776), (5, 2.571), (9, 2.262), (29, 2.045), (100, 1.984), (10**6, 1.960)],
)
def test_student_s_quantile(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, abs=0.01)


def test_the_interval_of_a_mean() -> None:
    """1 .. 5: mean 3, variance 2.5, standard error sqrt(0.5), 4 degrees of freedom."""
    low, high = interval(np.arange(1.0, 6.0))
    assert (low, high) == pytest.approx((3 - 2.776 * 0.5**0.5, 3 + 2.776 * 0.5**0.5), abs=0.01)


def test_welch_s_interval_of_a_difference() -> None:
    """Equal variances of 2.5 and five each: 8 degrees of freedom, 2.306, standard error 1."""
    ours, theirs = np.arange(11.0, 16.0), np.arange(1.0, 6.0)
    assert welch(ours, theirs) == pytest.approx((10, 10 - 2.306, 10 + 2.306), abs=0.01)
    assert welch(np.ones(5), np.zeros(5)) == (1, 1, 1)


def test_how_often_one_is_above_another() -> None:
    """Of 2 x 3 pairs: 1 > 0; 3 > 0, 1, 2; and 1 = 1 is a half."""
    assert above(np.array([1.0, 3.0]), np.array([0.0, 1.0, 2.0])) == pytest.approx(4.5 / 6)


@pytest.mark.parametrize(
    ("sign", "low", "high", "said"),
    [
        (1, 0.1, 2.0, "seen"),
        (1, -0.1, 2.0, "not seen: the interval includes 0"),
        (1, -2.0, -0.1, "the opposite is seen"),
        (-1, -2.0, -0.1, "seen"),
        (-1, 0.1, 2.0, "the opposite is seen"),
    ],
)
def test_what_an_interval_says_of_a_claim(sign: int, low: float, high: float, said: str) -> None:
    assert verdict(Claim("", "", "", EARLY, sign), low, high) == said


def test_a_cell_has_an_interval_of_a_mean_of_enough_seeds() -> None:
    mean, median = EARLY, Quantity("", mean_return(), median=True)
    assert cell(np.arange(1.0, 6.0), mean) == "**3** (1 to 5) [1, 5]"
    assert cell(np.array([1.0, 2, 9]), mean) == "**4** [1, 9]"
    assert cell(np.array([1.0, 2, np.inf, 3, 4]), median) == "**3** [1, never]"
    assert cell(np.array([]), mean) == "none"


def test_the_document_s_seeds_are_told_from_fresh_ones() -> None:
    assert own_seeds("berta/dqn") == {12, 34, 56, 78, 90}
    assert own_seeds("berta/dqn_first") == {34}
    assert own_seeds("lange/dqn") == set()


NAME = "carayol/online"


@pytest.mark.parametrize(
    ("change", "status", "problem"),
    [
        ({}, "finished", None),
        ({"device": {"name": "cpu"}, "seed": list(range(2010, 2000, -1))}, "finished", None),
        ({"gamma": 0.5}, "finished", "its config.yaml is not that of dqn-train experiment=carayol"),
        ({"seed": [2001]}, "finished", "its config.yaml is not that of"),
        ({}, "interrupted", "not trained to its end"),
    ],
)
def test_a_run_that_is_not_what_it_should_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change, status: str, problem: str | None
) -> None:
    monkeypatch.setattr(report, "RUNS", {NAME: RUNS[NAME]})
    place = tmp_path / NAME
    (place / "scores").mkdir(parents=True)
    (place / "config.yaml").write_text(yaml.safe_dump(read_config(KEPT / NAME) | change))
    (place / "summary.json").write_text(json.dumps({"status": status}))
    (place / "scores/seed_2001.csv").write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(ValueError, match=problem) if problem else nullcontext():
        report.Runs(tmp_path)


def test_a_run_that_is_there_goes_on_to_what_the_report_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("berta/nfq_1500") == trained("berta/nfq_1500")
    place = ROOT / "berta/nfq_1500"
    place.mkdir(parents=True)
    (place / "config.yaml").touch()
    first, resume, seeds, episodes = command("berta/nfq_1500").split()
    assert (first, resume, episodes) == ("dqn-train", f"resume={place}", "episodes=1500")
    assert seeds.startswith("seed=[12,34,")
