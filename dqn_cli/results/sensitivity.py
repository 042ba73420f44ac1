"""How much a swept number matters: what was reached at the end, over the number's values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dqn_cli.results import style
from dqn_cli.results.figure import draw_threshold, final_label, seeds_each
from dqn_cli.results.labels import flatten
from dqn_cli.results.reader import Run
from dqn_cli.results.report import number
from dqn_cli.results.schema import ResultError
from dqn_cli.results.selection import without
from dqn_cli.results.stats import Metric, finals
from dqn_cli.results.style import Look
from dqn_cli.results.variants import Variant, panels


def values_of(runs: Sequence[Run], key: str) -> list[float]:
    """The different numbers that the runs have for a key, in order. ResultError unless there are at
    least two."""
    texts = {run.path: flatten(run.config).get(key) for run in runs}
    found = set()
    for path, text in texts.items():
        try:
            found.add(float(text or ""))
        except ValueError:
            problem = f"not a number in {path}: {text}" if text else f"{path} has no such key"
            raise ResultError(f"--sensitivity {key}", problem) from None
    if len(found) < 2:
        raise ResultError(f"--sensitivity {key}", "every run has the same; nothing was swept")
    return sorted(found)


def draw_sensitivity(
    runs: Sequence[Run], key: str, out: Path, metric: Metric, window: int, look: Look
) -> None:
    """A panel per environment; a line per variant, which the key does not tell apart. Raises as
    style.canvas, and as values_of."""
    from matplotlib.lines import Line2D

    from dqn_cli.results.intervals import bootstrap

    places = values_of(runs, key)
    found = panels(without(runs, key))
    with style.canvas(out, look, len(found)) as (figure, axes):
        for panel, one in zip(found, axes, strict=False):
            for variant in panel.variants:
                colour, dashes = look.colour(variant.index), look.line(variant.index)
                points = []  # where, the mean, both ends of its interval
                for place, part in _parts(variant, runs, key):
                    last = finals(part.rows(), metric, window)
                    if not len(last):
                        continue
                    ends = bootstrap(last, np.mean) if len(last) > 1 else (last[0], last[0])
                    points.append((place, last.mean(), *ends))
                    one.plot(np.full(len(last), place), last, ".", color=colour, alpha=0.35)
                at, middle, low, high = np.array(points).reshape(-1, 4).T
                one.plot(at, middle, color=colour, linestyle=dashes, marker="o", markersize=4)
                one.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
            if spread_by_factors(places):
                one.set_xscale("log")
            one.set_xticks(places, [number(place) for place in places])
            one.minorticks_off()
            one.set_title(style.plain(panel.env))
            if metric in ("score", "return") and panel.threshold is not None:
                draw_threshold(one, panel.threshold)
        for one in axes:
            one.set_xlabel(style.plain(key))
        axes[0].set_ylabel(final_label(panels(runs), metric, window).replace(", ", ",\n"))
        handles: list[object] = [
            Line2D([], [], color=look.colour(i), linestyle=look.line(i), label=style.plain(label))
            for label, i in {v.label: v.index for p in found for v in p.variants}.items()
        ]
        each = seeds_each(panels(runs))
        title = f"dot: a seed; band: 95 % bootstrap interval of the mean; {each}"
        style.legend(figure, handles if len(handles) > 1 else handles[:1], title, look)


def _parts(variant: Variant, runs: Sequence[Run], key: str) -> list[tuple[float, Variant]]:
    """The variant's runs apart by their number, each pooled over seeds."""
    at = {run.path: float(flatten(run.config)[key]) for run in runs}
    groups: dict[float, list[Run]] = {}
    for run in variant.runs:
        groups.setdefault(at[run.path], []).append(run)
    return [(place, panels(group)[0].variants[0]) for place, group in sorted(groups.items())]


def spread_by_factors(places: Sequence[float]) -> bool:
    """Whether the numbers were swept by factors and not by steps: the factors between neighbours
    are more alike than the steps are."""
    x = np.array(places)
    if x[0] <= 0 or len(x) < 3:
        return bool(x[0] > 0 and x[-1] / x[0] >= 8)
    factors, steps = np.diff(np.log(x)), np.diff(x)
    return bool(factors.std() / factors.mean() < steps.std() / steps.mean())
