"""Every variant against every other: how likely a seed of one is above a seed of the other."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dqn_cli.results import style
from dqn_cli.results.figure import final_label, seeds_each
from dqn_cli.results.report import number
from dqn_cli.results.stats import Metric, finals
from dqn_cli.results.style import GREY, Look
from dqn_cli.results.variants import Panel

CELL = 0.62  # inches of a square of the matrix


class Pair(NamedTuple):
    """Two variants of an environment, by their finals: how far the mean of the first is above that
    of the second with Welch's 95 % interval, the p value of no difference (Welch's, adjusted for
    all pairs of the environment after Holm), and P(first > second) with its bootstrap interval."""

    environment: str
    first: str
    second: str
    difference: float
    low: float
    high: float
    p: float
    better: float
    better_low: float
    better_high: float


def pairs(panels: Sequence[Panel], metric: Metric, window: int) -> list[Pair]:
    """All pairs of variants with values, of each environment; the first is the one listed later."""
    from dqn_cli.results.comparison import holm, improvement, welch

    found = []
    for panel in panels:
        values = [(v.label, finals(v.rows(), metric, window)) for v in panel.variants]
        there = [(label, each) for label, each in values if len(each)]
        of_panel = []
        for (second, b), (first, a) in combinations(there, 2):
            (low, high), p = welch(a, b)
            better = improvement(a, b)
            mean = float(a.mean() - b.mean())
            of_panel.append(
                Pair(
                    *(panel.env, first, second, mean, low, high, p),
                    *(better.probability, *better.interval),
                )
            )
        adjusted = holm([pair.p for pair in of_panel])
        found += [pair._replace(p=float(p)) for pair, p in zip(of_panel, adjusted, strict=True)]
    return found


def cells(found: Sequence[Pair]) -> list[list[str]]:
    """The header and a line per pair, for people."""
    several = len({pair.environment for pair in found}) > 1
    head = ["variant", "against", "difference [95 % interval]", "p (Holm)", "P(better) [95 %]"]
    lines = [["environment", *head] if several else head]
    for pair in found:
        ends = f" [{number(pair.low)}, {number(pair.high)}]" if math.isfinite(pair.low) else ""
        sure = (
            f" [{pair.better_low:.2f}, {pair.better_high:.2f}]"
            if math.isfinite(pair.better_low)
            else ""
        )
        line = [
            *(pair.first, pair.second, f"{number(pair.difference)}{ends}"),
            *("-" if math.isnan(pair.p) else f"{pair.p:.3g}", f"{pair.better:.2f}{sure}"),
        ]
        lines.append([pair.environment, *line] if several else line)
    return lines


def as_csv(found: Sequence[Pair]) -> str:
    lines = [Pair._fields, *found]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue().removesuffix("\n")


def draw_pairs(panels: Sequence[Panel], out: Path, metric: Metric, window: int, look: Look) -> None:
    """A matrix per environment: P(row > column), bold where its interval leaves 0.5 out. Raises as
    style.canvas."""
    found = {(p.environment, p.first, p.second): p for p in pairs(panels, metric, window)}
    most = max((len(panel.variants) for panel in panels), default=1)
    if look.width is None and look.paper is None:
        columns = look.columns(len(panels))
        longest = max((len(v.label) for p in panels for v in p.variants), default=0)
        names = min(longest, 40) * style.CHARACTER * look.font / 72
        rows = math.ceil(len(panels) / columns)
        side = max(most * CELL, 1.5)
        look = look._replace(
            width=columns * (side + names) + 0.8,
            height=look.height or rows * (side + names * 0.75 + 0.9),
        )
    with style.canvas(out, look, len(panels)) as (figure, axes):
        image = None
        for panel, one in zip(panels, axes, strict=False):
            labels = [variant.label for variant in panel.variants]
            numbers = np.full((len(labels), len(labels)), np.nan)
            for i, first in enumerate(labels):
                for j, second in enumerate(labels):
                    pair = found.get((panel.env, first, second))
                    mirror = found.get((panel.env, second, first))
                    if pair:
                        numbers[i, j] = pair.better
                    elif mirror:
                        numbers[i, j] = 1 - mirror.better
                    known = pair or mirror
                    if known:
                        sure = known.better_low > 0.5 or known.better_high < 0.5
                        one.text(
                            *(j, i, f"{numbers[i, j]:.2f}"),
                            ha="center",
                            va="center",
                            fontsize="small" if most <= 8 else "x-small",
                            fontweight="bold" if sure else "normal",
                            color="white" if abs(numbers[i, j] - 0.5) > 0.35 else "black",
                        )
            image = one.imshow(numbers, cmap="RdBu", vmin=0, vmax=1, aspect="equal")
            ticks = range(len(labels))
            one.set_xticks(
                ticks, map(style.plain, labels), rotation=40, ha="right", fontsize="small"
            )
            one.set_yticks(ticks, map(style.plain, labels), fontsize="small")
            one.set_title(style.plain(panel.env))
            one.grid(False)
            one.spines[:].set_visible(False)
            one.tick_params(length=0)
        figure.supxlabel(
            f"{final_label(panels, metric, window)}; {seeds_each(panels)}",
            fontsize="small",
            color=GREY,
        )
        if image is not None:
            bar = figure.colorbar(image, ax=axes, shrink=0.6, ticks=[0, 0.25, 0.5, 0.75, 1])
            what = "P(row above column), ties a half; bold: 0.5\nis outside of the 95 % interval"
            bar.set_label(what, fontsize="small")
