"""The table of a comparison: what each variant came to, over its seeds."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal, NamedTuple

import numpy as np

from dqn_cli.results.report import number
from dqn_cli.results.stats import Axis, Metric, finals, summarize
from dqn_cli.results.variants import Panel

Format = Literal["text", "md", "csv", "latex"]
FORMATS: tuple[Format, ...] = ("text", "md", "csv", "latex")


NUMBERS = ("seeds", "difference [95 % interval]")


class Row(NamedTuple):
    """A variant in one environment; None where there is no value. Scores are in the environment's
    unit, those that are not called best are of `stats.finals`. better: how likely a seed of this
    variant is above one of the environment's first, ties counting a half."""

    environment: str
    variant: str
    seeds: int
    mean: float | None
    ci_low: float | None  # 95 % percentile bootstrap interval of the mean
    ci_high: float | None
    smallest: float | None
    largest: float | None
    iqm: float | None  # interquartile mean
    best: float | None  # mean over seeds of the highest value
    fresh: float | None  # what those best networks are worth on episodes they were not chosen by
    first: float | None  # median over seeds of the first `x` at the threshold: see stats.Summary
    x: Axis  # what `first` counts
    reached: int  # seeds that ever came to it
    threshold: float | None
    better: float | None


def rows(panels: Sequence[Panel], metric: Metric, window: int) -> list[Row]:
    """A row for every variant of every panel, in order."""
    from dqn_cli.results.comparison import superiority
    from dqn_cli.results.intervals import bootstrap, iqm

    found = []
    for panel in panels:
        last = [finals(v.rows(panel.x), metric, window) for v in panel.variants]
        for i, (variant, values) in enumerate(zip(panel.variants, last, strict=True)):
            s = summarize(variant.rows(panel.x), metric, window, variant.threshold, panel.x)
            some = len(values) > 0
            low, high = bootstrap(values, np.mean) if some else (None, None)
            compared = i > 0 and some and len(last[0]) > 0
            row = Row(
                environment=panel.env,
                variant=variant.label,
                seeds=s.seeds,
                mean=s.final,
                ci_low=low,
                ci_high=high,
                smallest=s.low,
                largest=s.high,
                iqm=float(iqm(values)) if some else None,
                best=s.best,
                fresh=fmean(variant.fresh.values()) if variant.fresh else None,
                first=s.first,
                x=panel.x,
                reached=s.reached,
                threshold=variant.threshold,
                better=float(superiority(values, last[0])) if compared else None,
            )
            found.append(row)
    return found


def table(panels: Sequence[Panel], metric: Metric, window: int, kind: Format) -> str:
    """All rows as text for people, or as Markdown, LaTeX (booktabs), or CSV in full precision."""
    found = rows(panels, metric, window)
    return as_csv(found) if kind == "csv" else render(cells(found, metric), kind)


def as_csv(found: Sequence[Row]) -> str:
    return csv_text([Row._fields, *found])


def csv_text(lines: Sequence[Sequence[object]]) -> str:
    """The lines as CSV, None as nothing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([["" if cell is None else cell for cell in line] for line in lines])
    return out.getvalue().removesuffix("\n")


def cells(found: Sequence[Row], metric: Metric) -> list[list[str]]:
    """The header and a line per row, for people; columns that no row has a value for are left
    out."""
    goals = {row.threshold for row in found}
    goal = number(goals.pop()) if len(goals) == 1 and None not in goals else "threshold"
    axes = {row.x for row in found}
    mixed = len(axes) > 1
    solved = f"first at {goal}" if mixed else f"first {''.join(axes)} at {goal}"
    columns: list[tuple[str, list[str]]] = [
        ("environment", [row.environment for row in found]),
        ("variant", [row.variant for row in found]),
        ("seeds", [str(row.seeds) for row in found]),
        (f"final {metric} [95 % interval]", [_mean(row) for row in found]),
        ("smallest, largest", [_pair(row.smallest, row.largest) for row in found]),
        ("IQM", [number(row.iqm) for row in found]),
        ("best", [number(row.best) for row in found]),
        ("fresh", [number(row.fresh) for row in found]),
        (solved, [_first(row, mixed) for row in found]),
        ("P(> first)", ["-" if row.better is None else f"{row.better:.2f}" for row in found]),
    ]
    several = len({row.environment for row in found}) > 1
    optional = {"fresh", "P(> first)", solved}
    if metric not in ("score", "return"):
        columns = [c for c in columns if c[0] not in (solved, "best", "fresh")]
    kept = [
        (name, column)
        for name, column in columns
        if (several or name != "environment") and not (name in optional and set(column) <= {"-"})
    ]
    return [list(line) for line in zip(*([name, *column] for name, column in kept), strict=True)]


def _mean(row: Row) -> str:
    if row.mean is None:
        return "-"
    if row.ci_low is None or math.isnan(row.ci_low):  # of one seed there is none
        return number(row.mean)
    return f"{number(row.mean)} [{number(row.ci_low)}, {number(row.ci_high)}]"


def _pair(low: float | None, high: float | None) -> str:
    return "-" if low is None else f"{number(low)}, {number(high)}"


def _first(row: Row, unit: bool) -> str:
    if row.threshold is None:
        return "-"
    of = f" {row.x}s" if unit and row.first is not None else ""
    return f"{number(row.first)}{of} ({row.reached}/{row.seeds})"


def render(lines: Sequence[Sequence[str]], kind: Format) -> str:
    """Lines of cells, the header first, as aligned text, Markdown or LaTeX."""
    words = next(
        (i for i, name in enumerate(lines[0]) if name == "seeds"), 1
    )  # columns to the left
    if kind == "latex":
        return _latex(lines, words)
    if kind == "md":
        lines = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    out = []
    for line in lines:
        aligned = [
            cell.ljust(width) if i < words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        out.append("  ".join(aligned) if kind == "text" else f"| {' | '.join(aligned)} |")
    if kind == "md":
        rule = [
            "-" * width if i < words else "-" * (width - 1) + ":" for i, width in enumerate(widths)
        ]
        out.insert(1, f"| {' | '.join(rule)} |")
    return "\n".join(line.rstrip() for line in out)


def _latex(lines: Sequence[Sequence[str]], words: int) -> str:
    head, *body = [[_escaped(cell) for cell in line] for line in lines]
    columns = "l" * words + "r" * (len(head) - words)
    return "\n".join(
        [
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            " & ".join(head) + r" \\",
            "\\midrule",
            *(" & ".join(line) + r" \\" for line in body),
            "\\bottomrule",
            "\\end{tabular}",
        ]
    )


LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
}


def _escaped(cell: str) -> str:
    text = "".join(LATEX.get(c, c) for c in cell)
    return f"{{{text}}}" if text.startswith("[") else text  # a row must not begin as an option
