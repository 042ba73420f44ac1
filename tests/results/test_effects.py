"""What a choice changes in a full grid, by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dqn_cli.results.effects import as_csv, cells, contrasts, effects, grid
from dqn_cli.results.reader import Run
from dqn_cli.results.schema import ResultError
from dqn_cli.results.variants import Panel, panels

NAMES = ["algo", "buffer"]
OPTIONS = [("dqn", "uniform"), ("dqn", "per"), ("ddqn", "uniform"), ("ddqn", "per")]
VALUES = [{1: 10.0, 2: 20.0}, {1: 12.0, 2: 24.0}, {1: 20.0, 2: 26.0}, {1: 30.0, 2: 40.0}]


def run(
    choices: dict[str, str], score: float, seeds: tuple[int, ...] = (1, 2), **config: Any
) -> Run:
    frames = {
        seed: pd.DataFrame({"episode": [1, 2], "step": [5, 10], "score": [0.0, score + seed]})
        for seed in seeds
    }
    place = Path("-".join(map(str, (*choices.values(), *config.values()))))
    config = {"env": {"id": "E"}, "name": "x", "seed": list(seeds), **config}
    return Run(place, config, choices, {}, frames)


def panel(*runs: Run) -> Panel:
    (found,) = panels(runs)
    return found


def test_an_effect_is_a_difference_of_means_over_all_other_choices_seed_by_seed() -> None:
    """Double DQN: 25 - 11 of seed 1 and 33 - 22 of seed 2, so 12.5, and half of 14 - 11 is its
    standard error; t of one degree of freedom is 12.706 at 97.5 %. PER: 21 - 15 and 32 - 23. The
    two together: 10 - 2 and 14 - 4."""
    double, per, both = contrasts("E", NAMES, OPTIONS, VALUES)
    assert double[:5] == ("E", "algo", "ddqn", "dqn", None)
    assert double.mean == 12.5
    assert (double.low, double.high) == pytest.approx((12.5 - 19.059, 12.5 + 19.059), abs=1e-3)
    assert per[1:6] == ("buffer", "per", "uniform", None, 7.5)
    assert both[1:6] == ("algo", "ddqn", "dqn", "per", 9)
    # p of one degree of freedom: 1 - 2 / pi atan(t), for t = 12.5 / 1.5, 7.5 / 1.5 and 9 / 1
    raw = 1 - 2 / np.pi * np.arctan([25 / 3, 5, 9])
    assert both.p == pytest.approx(3 * raw[2])
    assert double.p == pytest.approx(3 * raw[2])  # 2 * raw[0], but not below the one before it
    assert per.p == pytest.approx(3 * raw[2])


def test_an_effect_does_not_care_how_unlike_seeds_are() -> None:
    """What a seed has in all variants is no part of any difference."""
    apart = [{1: of[1], 2: of[2] + 1000} for of in VALUES]
    assert contrasts("E", NAMES, OPTIONS, apart) == contrasts("E", NAMES, OPTIONS, VALUES)


def test_of_three_options_each_is_compared_with_the_first() -> None:
    options = [(a, b) for a in ("dqn", "ddqn", "c51") for b in ("mlp", "dueling")]
    values = [{1: float(v), 2: float(v) + 1} for v in (0, 2, 10, 12, 20, 22)]
    found = contrasts("E", ["algo", "network"], options, values)
    assert [(e.label, e.mean) for e in found] == [
        ("ddqn, not dqn", 10),
        ("c51, not dqn", 20),
        ("dueling, not mlp", 2),
        ("ddqn with dueling", 0),
        ("c51 with dueling", 0),
    ]


def test_a_grid_is_found_in_groups_and_keys() -> None:
    found = panel(
        *(
            run({"algo": algo, "buffer": "uniform"}, 0, algo={"double": algo == "ddqn"}, lr=lr)
            for algo in ("dqn", "ddqn")
            for lr in (1, 2)
        )
    )
    names, options = grid(found)
    assert names == ["algo", "lr"]  # and not algo.double, which is what the choice is
    assert options == [("dqn", "lr=1"), ("dqn", "lr=2"), ("ddqn", "lr=1"), ("ddqn", "lr=2")]
    assert [e.label for e in effects([found], "score", 1)] == [
        "ddqn, not dqn",
        "lr=2, not 1",
        "ddqn with lr=2",
    ]


def test_what_another_choice_decides_is_named_with_it() -> None:
    """A noisy network chooses exploration=greedy, and no variant has one without the other."""
    found = panel(
        *(
            run({"exploration": explored, "algo": algo, "network": network}, 0, n=network, a=algo)
            for algo in ("dqn", "c51")
            for network, explored in (("mlp", "linear"), ("noisy", "greedy"))
        )
    )
    names, options = grid(found)
    assert names == ["algo", "network"]
    assert [e.label for e in effects([found], "score", 1)] == [
        "c51 a=c51, not dqn a=dqn",
        "noisy greedy n=noisy, not mlp linear n=mlp",
        "c51 a=c51 with noisy greedy n=noisy",
    ]
    assert options[0] == ("dqn a=dqn", "mlp linear n=mlp")


def test_what_is_no_grid_is_one_line() -> None:
    corner = [
        run({"algo": "dqn", "buffer": "uniform"}, 1),
        run({"algo": "dqn", "buffer": "per"}, 2, buffer={"alpha": 0.6}),
        run({"algo": "ddqn", "buffer": "uniform"}, 3, algo={"double": True}),
    ]
    with pytest.raises(ResultError, match="no full grid in E: no variant is ddqn per"):
        effects([panel(*corner)], "score", 1)
    with pytest.raises(ResultError, match="the variants of E differ in nothing"):
        effects([panel(corner[0])], "score", 1)
    other = run({"algo": "dqn", "buffer": "per"}, 2, seeds=(1, 3), buffer={"alpha": 0.6})
    with pytest.raises(ResultError, match="do not have the same two seeds or more"):
        effects([panel(corner[0], other)], "score", 1)


def test_effects_are_of_finals_and_printed_for_people_and_programs() -> None:
    runs = [run({"algo": "dqn"}, 10), run({"algo": "ddqn"}, 13, algo={"double": True})]
    found = effects([panel(*runs)], "score", 1)
    assert cells(found, "final score") == [
        ["change of the final score", "mean [95 % interval]", "p (Holm)"],
        ["ddqn, not dqn", "3 [3, 3]", "-"],  # both seeds by as much: no p value
    ]
    assert as_csv(found).splitlines() == [
        "environment,factor,option,instead,given,mean,low,high,p",
        "E,algo,ddqn,dqn,,3.0,3.0,3.0,nan",
    ]
