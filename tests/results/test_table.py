import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dqn_cli.results.reader import Run
from dqn_cli.results.table import Row, render, rows, table
from dqn_cli.results.variants import Panel, Variant


def variant(label: str, scores: dict[int, list[float]], threshold: float | None = 8) -> Variant:
    frames = {}
    for seed, values in scores.items():
        episode = np.arange(1, len(values) + 1)
        frames[seed] = pd.DataFrame({"episode": episode, "step": 9 * episode, "score": values})
    run = Run(Path(label), {}, {}, {"threshold": threshold}, frames)
    return Variant(label, (run,), frames)


def text(*panels: Panel, window: int = 2, kind: str = "text") -> list[str]:
    shown = table(panels, "score", window, kind)  # type: ignore[arg-type]
    return shown.splitlines()


# Last two: 6 and 10 -> 8, 1000 and 2001 -> 1500.5; mean 754.25, of which the bootstrap gives 8 and
# 1500.5 at its ends. Best 10 and 2001, mean 1005.5. The mean of two is at 8 or more in episode 3
# and in episode 2, 2.5 in the middle.
DQN = variant("dqn", {1: [1, 6, 10], 2: [9, 1000, 2001]})
# 9 in all three, above one of the two others and below the other
LEVEL = variant("a longer label", {1: [9, 9, 9]})


def test_the_table_is_aligned_and_counts_who_reached_the_threshold() -> None:
    assert text(Panel("CartPole-v1", [DQN, LEVEL])) == [
        "variant         seeds  final score [95 % interval]  smallest, largest    IQM  best"
        "  first episode at 8  P(> first)",
        "dqn                 2              754.2 [8, 1500]            8, 1500  754.2  1006"
        "           2.5 (2/2)           -",
        "a longer label      1                            9               9, 9      9     9"
        "             2 (1/1)        0.50",
    ]


def test_of_several_environments_each_row_names_its_own() -> None:
    lines = text(Panel("A-v1", [DQN]), Panel("B-v1", [DQN, LEVEL]))
    assert [line.split()[0] for line in lines] == ["environment", "A-v1", "B-v1", "B-v1"]
    assert lines[2].split()[-1] == "-"  # compared with the first of its own environment
    assert lines[3].split()[-1] == "0.50"


def test_of_environments_on_different_axes_each_row_says_what_it_counts() -> None:
    never = variant("never", {1: [1, 1, 1]})
    panels = Panel("A-v1", [DQN]), Panel("B-v1", [DQN, never], "step")
    head, *lines = [line.split("  ") for line in text(*panels)]
    assert "first at 8" in head and "first episode at 8" not in head
    assert [next(cell for cell in line if "/" in cell).strip() for line in lines] == [
        *("2.5 episodes (2/2)", "22.5 steps (2/2)", "- (0/1)"),
    ]
    found = [row.x for row in rows(panels, "score", 2)]
    assert found == ["episode", "step", "step"]


def test_the_table_says_what_best_networks_are_worth_where_that_is_known() -> None:
    known = replace(variant("known", {1: [9], 2: [8]}), fresh={1: 6.0, 2: 7.0})
    first, second = rows([Panel("E", [known, variant("not", {1: [9]})], "step")], "score", 2)
    assert (first.best, first.fresh, first.first, first.reached) == (8.5, 6.5, 9, 2)
    assert (second.best, second.fresh) == (9, None)
    lines = text(Panel("E", [known]))
    assert lines[0].split("  ")[-2:] == ["fresh", "first episode at 8"]
    assert "fresh" not in text(Panel("E", [DQN]))[0]


def test_the_table_without_thresholds_or_values() -> None:
    lines = text(Panel("E", [variant("x", {1: [math.nan]}, threshold=None)]))
    assert "threshold" not in lines[0]
    assert lines[1].split() == ["x", "1", "-", "-", "-", "-"]
    two = [variant("x", {1: [1]}, threshold=1), variant("y", {1: [1]}, threshold=2)]
    assert "first episode at threshold" in text(Panel("E", two))[0]


def test_csv_has_all_digits_and_a_column_for_everything() -> None:
    lines = list(csv.reader(text(Panel("E, with a comma", [DQN, LEVEL]), kind="csv")))
    assert lines[0] == list(Row._fields)
    found = dict(zip(*lines[:2], strict=True))
    assert found["environment"] == "E, with a comma"
    assert (found["mean"], found["ci_low"], found["ci_high"]) == ("754.25", "8.0", "1500.5")
    assert (found["reached"], found["threshold"], found["better"]) == ("2", "8", "")


def test_markdown_and_latex_escape_what_they_would_read() -> None:
    odd = variant("a|b_c & 50%", {1: [9, 9, 9]})
    head, rule, row = text(Panel("E", [odd]), kind="md")
    assert row.startswith(r"| a\|b_c & 50% |")
    assert rule.startswith("| ---") and rule.endswith("-: |")
    assert head.count("|") == rule.count("|")
    latex = text(Panel("E", [odd]), kind="latex")
    assert latex[0] == r"\begin{tabular}{lrrrrrr}"
    assert latex[4].startswith(r"a|b\_c \& 50\% & 1 & 9 & 9, 9 & 9 & 9 & 2 (1/1) \\")
    assert latex[2].count(r"\%") == 1


@pytest.mark.parametrize("cell", ["\\", "~", "^", "#", "$", "{}", "[1]"])
def test_latex_of_odd_cells(cell: str) -> None:
    line = render([["variant", "seeds"], [cell, "1"]], "latex").splitlines()[4]
    assert not line.startswith(f"{cell} ")
