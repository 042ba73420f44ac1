import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dqn_cli.results.reader import Run
from dqn_cli.results.report import notes, number, table
from dqn_cli.results.variants import Variant


def variant(label: str, scores: dict[int, list[float]], threshold: float | None = 8) -> Variant:
    frames = {}
    for seed, values in scores.items():
        episode = np.arange(1, len(values) + 1)
        frames[seed] = pd.DataFrame({"episode": episode, "step": 9 * episode, "score": values})
    run = Run(Path(label), {}, {}, {"threshold": threshold}, frames)
    return Variant(label, (run,), frames, notes=(f"{label}: told",))


def test_the_table_is_aligned_and_counts_who_reached_the_threshold() -> None:
    # dqn: last two 6 and 10 -> 8, 1000 and 2001 -> 1500.5; mean 754.25. Best 10 and 2001, mean
    # 1005.5. The mean of two is at 8 or more in episode 3 and in episode 2, 2.5 in the middle.
    dqn = variant("dqn", {1: [1, 6, 10], 2: [9, 1000, 2001]})
    none = variant("a longer label", {1: [1.23456]})
    assert table([dqn, none], "score", 2).splitlines() == [
        "variant         seeds  final mean score [min, max]  mean best  first episode at 8",
        "dqn                 2              754.2 [8, 1500]       1006           2.5 (2/2)",
        "a longer label      1         1.235 [1.235, 1.235]      1.235             - (0/1)",
    ]


def test_the_table_says_what_best_networks_are_worth_where_that_is_known() -> None:
    known = replace(variant("known", {1: [9], 2: [8]}), fresh={1: 6.0, 2: 7.0})
    lines = table([known, variant("not", {1: [9]})], "score", 2, "step").splitlines()
    assert lines[0].split("  ")[-3:] == ["mean best", "fresh", "first step at 8"]
    assert lines[1].split()[-4:] == ["8.5", "6.5", "9", "(2/2)"]
    assert lines[2].split()[-4:-2] == ["9", "-"]


def test_the_table_without_thresholds_or_values() -> None:
    lines = table([variant("x", {1: [math.nan]}, threshold=None)], "score", 2).splitlines()
    assert lines[0].endswith("first episode at threshold")
    assert lines[1].split() == ["x", "1", "-", "-", "-"]
    two = [variant("x", {1: [1]}, threshold=1), variant("y", {1: [1]}, threshold=2)]
    assert table(two, "score", 2).splitlines()[0].endswith("at threshold")


def test_notes_say_what_is_not_as_asked_for() -> None:
    odd = variant("odd", {1: [1, 2, 3], 2: [1, 2], 3: [math.nan]})
    assert notes([odd], "score", "episode", 25) == [
        "odd: told",
        "odd: no score in 1 of 3 seeds",
        "odd: smoothed over 1 instead of 25, because its shortest seed has too few values",
        "odd: its seeds end between episode 2 and 3; dashed from where some have ended",
    ]
    even = variant("even", {1: [1, 2, 3], 2: [1, 2, 3]})
    assert notes([even], "score", "step", 2) == ["even: told"]
    empty = variant("empty", {1: []})
    assert notes([empty], "score", "step", 3) == ["empty: told", "empty: no score in 1 of 1 seeds"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (491.54, "491.5"),
        (500.0, "500"),
        (-194.951, "-195"),
        (12345.6, "12346"),
        (0.012345, "0.01235"),
        (1e20, "1e+20"),
        (math.inf, "inf"),
    ],
)
def test_numbers_for_people(value: float | None, text: str) -> None:
    assert number(value) == text
