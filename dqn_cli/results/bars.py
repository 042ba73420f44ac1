"""What each variant came to at the end: its seeds, their mean, and the interval of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dqn_cli.results import style
from dqn_cli.results.figure import final_label, seeds_each
from dqn_cli.results.stats import Metric, finals
from dqn_cli.results.style import GREY, Look
from dqn_cli.results.variants import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.34  # inches of a variant
SPREAD = 0.28  # of a row, over which seeds are scattered


def draw_bars(panels: Sequence[Panel], out: Path, metric: Metric, window: int, look: Look) -> None:
    """A panel per environment, in it a row per variant. Raises as style.canvas."""
    most = max((len(panel.variants) for panel in panels), default=1)
    columns = look.columns(len(panels))
    if look.height is None:
        rows = -(-max(len(panels), 1) // columns)
        share = ROW * look.font / 10
        look = look._replace(width=look.size(len(panels))[0], height=rows * (most * share + 1.1))
    with style.canvas(out, look, len(panels)) as (figure, axes):
        for number, (panel, one) in enumerate(zip(panels, axes, strict=False)):
            _draw_panel(one, panel, metric, window, look)
            one.set_title(style.plain(panel.env))
            same = [v.label for v in panel.variants] == [v.label for v in panels[0].variants]
            if number % columns and same:
                one.set_yticklabels([])
        style.level(axes, [panel.scale for panel in panels], "x")
        for one in axes[-columns:]:
            one.set_xlabel(final_label(panels, metric, window))
        figure.supxlabel(
            f"dot: a seed; bar: the mean and its 95 % bootstrap interval; {seeds_each(panels)}",
            fontsize="small",
            color=GREY,
        )


def _draw_panel(axes: Axes, panel: Panel, metric: Metric, window: int, look: Look) -> None:
    from dqn_cli.results.intervals import bootstrap

    for row, variant in enumerate(panel.variants):
        values = finals(variant.rows(), metric, window)
        colour = look.colour(variant.index)
        if not len(values):
            continue
        # Scattered the same way every time, so that equal seeds can be told apart.
        place = row + SPREAD * np.linspace(-1, 1, len(values) + 2)[1:-1]
        axes.plot(np.sort(values), place, "o", color=colour, markersize=3, alpha=0.45, mew=0)
        low, high = bootstrap(values, np.mean)
        if np.isfinite([low, high]).all():
            axes.barh(row, high - low, 0.22, low, color=colour, alpha=0.45)
        axes.plot(values.mean(), row, "|", color=colour, markersize=13, markeredgewidth=2)
    axes.use_sticky_edges = False  # a bar's, which would cut dots in half
    axes.autoscale_view()
    axes.set_yticks(range(len(panel.variants)), [style.plain(v.label) for v in panel.variants])
    axes.set_ylim(len(panel.variants) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    if metric in ("score", "return") and panel.threshold is not None:
        low, high = axes.dataLim.intervalx
        if low - (high - low) <= panel.threshold <= high + (high - low):
            axes.axvline(panel.threshold, color=GREY, linewidth=0.8, zorder=0)
