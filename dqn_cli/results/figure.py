"""The figure of some runs: a panel per environment, in it one curve per variant, and around it what
its seeds did.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dqn_cli.results import style
from dqn_cli.results.bands import Band, around
from dqn_cli.results.intervals import tolerance
from dqn_cli.results.report import number
from dqn_cli.results.stats import Axis, Curve, Metric, curve, has_values, window_in_effect
from dqn_cli.results.style import GREY, Look
from dqn_cli.results.variants import Panel, Variant
from dqn_cli.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

ENDED_STYLE = (0, (4, 2))
AXIS_LABELS: dict[Metric | Axis, str] = {
    "score": "Greedy evaluation return",
    "return": "Training return",
    "loss": "Loss",
    "q": "Mean Q-value of what is learned from",
    "epsilon": "Epsilon",
    "length": "Steps of a training episode",
    "episode": "Training episode",
    "step": "Environment steps of a seed",
    "seconds": "Seconds of the run",
}
BANDS: dict[Band, str] = {
    "minmax": "mean and range of {seeds}",
    "ci": "mean of {seeds} and its 95 % bootstrap interval",
    "iqr": "median and quartiles of {seeds}",
    "tolerance": "mean of {seeds}; band: 90 % of all seeds with {confidence:.0f} % confidence",
    "none": "mean of {seeds}",
}


class View(NamedTuple):
    """What of the runs is shown. smooth: values in each seed's running mean."""

    metric: Metric
    smooth: int = 25
    band: Band = "minmax"
    seeds: bool = False  # a thin line for each
    log: bool = False  # the y axis


def usual_metric(panels: Sequence[Panel]) -> Metric:
    """The score, or the return where there are no scores."""
    return "score" if any_values(panels, "score") else "return"


def usual_band(panels: Sequence[Panel]) -> Band:
    """Ranges of up to three variants can be told apart, intervals of up to six."""
    most = max((len(panel.variants) for panel in panels), default=0)
    return "minmax" if most <= 3 else "ci" if most <= 6 else "none"


def usual(panels: Sequence[Panel]) -> View:
    """With the usual metric and band."""
    return View(usual_metric(panels), band=usual_band(panels))


def any_values(panels: Sequence[Panel], metric: Metric) -> bool:
    """Whether any seed of any variant has a value of this metric, and a place for it."""
    return any(has_values(v.rows(p.x), metric) for p in panels for v in p.variants)


def draw(
    panels: Sequence[Panel], out: Path, view: View | None = None, look: Look | None = None
) -> None:
    """Draw the curves of every panel, and replace the file `out` atomically.

    view None: `usual`. Runs without any value give empty axes. The same
    runs give the same bytes. Raises ResultError for an unknown suffix or a file that cannot be
    written.
    """
    look = look or Look()
    view = view or usual(panels)
    drawn: list[tuple[Variant, Curve]] = []
    with style.canvas(out, look, len(panels)) as (figure, axes):
        for panel, one in zip(panels, axes, strict=False):
            drawn += _draw_panel(one, panel, view, look)
            one.set_title(style.plain(panel.env))
        if not panels:
            _empty(axes[0])
        style.level(axes, [panel.scale for panel in panels], "y")
        _label_below(axes, panels, look)
        for one in axes[:: look.columns(len(panels))]:
            one.set_ylabel(_y_label(view, [line for _, line in drawn]))
        style.legend(figure, _handles(panels, drawn, look), _title(drawn, view), look)


def _draw_panel(axes: Axes, panel: Panel, view: View, look: Look) -> list[tuple[Variant, Curve]]:
    drawn = []
    for variant in panel.variants:
        line = curve(variant.rows(panel.x), view.metric, panel.x, view.smooth)
        _draw_curve(axes, line, variant, view, look)
        drawn.append((variant, line))
    style.count_along(axes)
    if view.log:
        axes.set_yscale("log")
    if view.metric in ("score", "return") and panel.threshold is not None:
        draw_threshold(axes, panel.threshold)
    if not any(len(line.x) for _, line in drawn):
        _empty(axes)
    return drawn


def _draw_curve(axes: Axes, curve: Curve, variant: Variant, view: View, look: Look) -> None:
    colour, dashes = look.colour(variant.index), look.line(variant.index)
    line, low, high = around(curve, view.band)
    marker = "o" if len(curve.x) == 1 else None  # a line of one point would not show
    whole = curve.whole
    axes.plot(
        curve.x[:whole], line[:whole], color=colour, linestyle=dashes, marker=marker, zorder=3
    )
    rest = slice(max(whole - 1, 0), None)  # from the last whole point, so that the line joins
    if whole < len(curve.x):
        axes.plot(
            curve.x[rest], line[rest], color=colour, linestyle=ENDED_STYLE, marker=marker, zorder=3
        )
    if view.seeds:
        for seed in curve.values:
            axes.plot(curve.x, seed, color=colour, linewidth=0.5, alpha=0.4, zorder=1)
    if view.band == "none" or curve.seeds < 2:
        return
    for part, alpha in ((slice(whole), 0.2), (rest, 0.1)):
        if part.start is None or whole < len(curve.x):
            axes.fill_between(
                curve.x[part], low[part], high[part], color=colour, alpha=alpha, linewidth=0
            )


def draw_threshold(axes: Axes, threshold: float) -> None:
    """A line where it is near what is drawn; a return far below it would else be squeezed flat."""
    low, high = axes.dataLim.intervaly
    near = np.isfinite([low, high]).all() and (
        low - (high - low) <= threshold <= high + (high - low)
    )
    above = threshold > high
    if near:
        axes.axhline(threshold, color=GREY, linewidth=0.8, zorder=0)
    axes.annotate(
        f"solved at\n{number(threshold)}" + ("" if near else " ↑" if above else " ↓"),
        xy=(1, threshold if near else float(above)),
        xycoords=("axes fraction", "data" if near else "axes fraction"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center" if near else "top" if above else "bottom",
        color=GREY,
        fontsize="small",
        annotation_clip=False,
    )


def _label_below(axes: Sequence[Axes], panels: Sequence[Panel], look: Look) -> None:
    """What the panels are drawn over: under the lowest, or under each where they differ."""
    same = len({panel.x for panel in panels}) == 1
    for one, panel in zip(axes, panels, strict=False):
        if not same or one in axes[-look.columns(len(panels)) :]:
            one.set_xlabel(AXIS_LABELS[panel.x])


def _empty(axes: Axes) -> None:
    axes.text(0.5, 0.5, "no values yet", transform=axes.transAxes, ha="center", color=GREY)


def _y_label(view: View, curves: list[Curve]) -> str:
    windows = {line.window for line in curves if line.seeds}
    if not windows - {1}:
        return AXIS_LABELS[view.metric]
    shrunk = "up to " if windows != {view.smooth} else ""
    return f"{AXIS_LABELS[view.metric]},\nrunning mean of {shrunk}{max(windows)}"


def final_label(panels: Sequence[Panel], metric: Metric, window: int) -> str:
    """What `stats.finals` are, on an axis."""
    windows = {
        window_in_effect(rows, metric, window)
        for panel in panels
        for variant in panel.variants
        if (rows := variant.rows()) and has_values(rows, metric)
    }
    count = f"up to {max(windows)}" if len(windows) > 1 else str(max(windows, default=window))
    return f"{AXIS_LABELS[metric]}, mean of a seed's last {count}"


def seeds_each(panels: Sequence[Panel]) -> str:
    """How many seeds variants have, for a caption."""
    counts = sorted({len(variant.scores) for panel in panels for variant in panel.variants})
    if len(counts) > 1:
        return f"{counts[0]} to {counts[-1]} seeds each"
    return f"{counted(counts[0], 'seed')} each" if counts else "no seeds"


def _title(drawn: list[tuple[Variant, Curve]], view: View) -> str | None:
    """What line and band are; and of how many seeds, if all have as many."""
    seeds = {line.seeds for _, line in drawn if line.seeds}
    if not seeds or seeds == {1}:
        return "1 seed" if seeds else None
    count = f"{min(seeds)} seeds" if len(seeds) == 1 else "the seeds"
    confidence = 100 * tolerance(np.zeros(min(seeds))).confidence
    text = BANDS[view.band].format(seeds=count, confidence=confidence)
    return text + (", and each seed" if view.seeds else "")


def _handles(
    panels: Sequence[Panel], drawn: list[tuple[Variant, Curve]], look: Look
) -> list[object]:
    from matplotlib.lines import Line2D

    seeds = {line.seeds for _, line in drawn}
    handles: list[Line2D] = []
    of_label: dict[int, list[tuple[Variant, Curve]]] = {}
    for variant, line in drawn:
        of_label.setdefault(variant.index, []).append((variant, line))
    for index, parts in of_label.items():
        label = _named(parts, len(seeds) > 1)
        handles.append(
            Line2D([], [], color=look.colour(index), linestyle=look.line(index), label=label)
        )
    if any((line.n < line.seeds).any() for _, line in drawn):
        label = "dashed: fewer seeds left"
        handles.append(Line2D([], [], color=GREY, linestyle=ENDED_STYLE, label=label))
    return list(handles)


def _named(parts: list[tuple[Variant, Curve]], count: bool) -> str:
    """A variant's label; with its number of seeds, where that is not the same for all."""
    label = parts[0][0].label
    numbers = sorted({line.seeds for _, line in parts})
    if numbers == [0]:
        label += ", no values"
    elif count:
        label += f", {'-'.join(map(str, numbers))} seed{'s' * (numbers[-1] != 1)}"
    diverged = sum(len(variant.diverged) for variant, _ in parts)
    return style.plain(label + (f", {diverged} diverged" if diverged else ""))
