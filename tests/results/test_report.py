import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dqn_cli.results.reader import Run
from dqn_cli.results.report import notes, number
from dqn_cli.results.variants import Variant


def variant(label: str, scores: dict[int, list[float]], threshold: float | None = 8) -> Variant:
    frames = {}
    for seed, values in scores.items():
        episode = np.arange(1, len(values) + 1)
        frames[seed] = pd.DataFrame({"episode": episode, "step": 9 * episode, "score": values})
    run = Run(Path(label), {}, {}, {"threshold": threshold}, frames)
    return Variant(label, (run,), frames, notes=(f"{label}: told",))


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


def test_a_variant_of_two_environments_is_named_once() -> None:
    short, long = variant("a", {1: [1.0]}), variant("b", {1: [1.0] * 50})
    said = [line for line in notes([short, short, long], "score", "step", 2) if "smoothed" in line]
    assert [line.partition(":")[0] for line in said] == ["a"]


@pytest.mark.parametrize("x", ["step", "episode"])
def test_many_variants_whose_seeds_end_at_different_points_are_one_line(x) -> None:
    four = [variant(name, {1: [1.0] * 5, 2: [1.0] * n}) for n, name in enumerate("abcd", 1)]
    few = [line for line in notes(four[:3], "score", x, 1) if "dashed" in line]
    assert [line.partition(":")[0] for line in few] == ["a", "b", "c"]
    many = [line for line in notes(four, "score", x, 1) if "dashed" in line]
    assert many == [f"seeds of 4 variants end at different {x}s; dashed from where some have ended"]


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
