import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dqn_cli.results.reader import Run
from dqn_cli.results.report import notes, number
from dqn_cli.results.stats import Axis
from dqn_cli.results.variants import Panel, Variant


def variant(label: str, scores: dict[int, list[float]], threshold: float | None = 8) -> Variant:
    frames = {}
    for seed, values in scores.items():
        episode = np.arange(1, len(values) + 1)
        frames[seed] = pd.DataFrame({"episode": episode, "step": 9 * episode, "score": values})
    run = Run(Path(label), {}, {}, {"threshold": threshold}, frames)
    return Variant(label, (run,), frames, notes=(f"{label}: told",))


def said(variants: list[Variant], window: int, x: Axis = "episode") -> list[str]:
    return notes([Panel("E", variants, x)], "score", window)


def test_notes_say_what_is_not_as_asked_for() -> None:
    odd = variant("odd", {1: [1, 2, 3], 2: [1, 2], 3: [math.nan]})
    assert said([odd], 25) == [
        "odd: told",
        "odd: no score in 1 of 3 seeds",
        "odd: smoothed over 1 instead of 25, because its shortest seed has too few values",
        "odd: its seeds end between episode 2 and 3; dashed from where some have ended",
    ]
    even = variant("even", {1: [1, 2, 3], 2: [1, 2, 3]})
    assert said([even], 2) == ["even: told"]
    empty = variant("empty", {1: []})
    assert said([empty], 3) == ["empty: told", "empty: no score in 1 of 1 seed"]


def test_a_variant_of_two_environments_is_named_once() -> None:
    short, long = variant("a", {1: [1.0]}), variant("b", {1: [1.0] * 50})
    lines = notes([Panel("E", [short, long]), Panel("F", [short])], "score", 2)
    assert [line.partition(":")[0] for line in lines if "smoothed" in line] == ["a"]


@pytest.mark.parametrize("x", ["step", "episode"])
def test_many_variants_whose_seeds_end_at_different_points_are_one_line(x) -> None:
    four = [variant(name, {1: [1.0] * 5, 2: [1.0] * n}) for n, name in enumerate("abcd", 1)]
    few = [line for line in said(four[:3], 1, x) if "dashed" in line]
    assert [line.partition(":")[0] for line in few] == ["a", "b", "c"]
    many = [line for line in said(four, 1, x) if "dashed" in line]
    assert many == [f"seeds of 4 variants end at different {x}s; dashed from where some have ended"]


def test_where_seeds_end_is_said_in_the_unit_of_each_environment() -> None:
    uneven = [variant(name, {1: [1.0] * 5, 2: [1.0] * 2}) for name in "abcd"]
    few = notes([Panel("E", uneven[:1], "episode"), Panel("F", uneven[1:2], "step")], "score", 1)
    assert [line.partition(";")[0] for line in few if "dashed" in line] == [
        "a: its seeds end between episode 2 and 5",
        "b: its seeds end between step 18 and 45",
    ]
    many = notes([Panel("E", uneven[:2], "episode"), Panel("F", uneven[2:], "step")], "score", 1)
    assert many[-1].startswith("seeds of 4 variants end at different episodes or steps; dashed")


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
