"""Performance profiles: which share of a variant's seeds comes above each score, in all
environments together (Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the
Statistical Precipice", section 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dqn_cli.results import style
from dqn_cli.results.figure import final_label, seeds_each
from dqn_cli.results.schema import ResultError
from dqn_cli.results.stats import FloatArray, Metric, finals
from dqn_cli.results.style import Look
from dqn_cli.results.variants import Panel

MARGIN = 0.03  # of the scores' range, drawn on either side
FEW = 4  # variants whose bands can be told apart
Scale = tuple[float, float]  # the scores that count as 0 and as 1


def normalised(
    panels: Sequence[Panel], metric: Metric, window: int, scales: Mapping[str, Scale]
) -> dict[str, list[FloatArray]]:
    """Each variant's finals by environment, 0 and 1 being those of its scale: the smallest and the
    largest of all the environment's runs, where none is given. ResultError for a scale of an
    environment that there is not, or of no width."""
    from dqn_cli.results.environments import normalise

    if unknown := set(scales) - {panel.env for panel in panels}:
        there = ", ".join(panel.env for panel in panels)
        raise ResultError(f"--scale {min(unknown)}", f"no such environment; there are {there}")
    found: dict[str, list[FloatArray]] = {}
    for panel in panels:
        values = {v.label: finals(v.rows(), metric, window) for v in panel.variants}
        every = np.concatenate([each for each in values.values() if len(each)] or [np.zeros(1)])
        low, high = scales.get(panel.env, (float(every.min()), float(every.max())))
        if not low < high:
            low, high = low - 0.5, low + 0.5  # all are equal
        for label, each in values.items():
            if len(each):
                found.setdefault(label, []).append(normalise(each, low, high))
    return found


def draw_profile(
    panels: Sequence[Panel],
    out: Path,
    metric: Metric,
    window: int,
    look: Look,
    scales: Mapping[str, Scale],
) -> None:
    """One panel for all environments; in the environment's own unit if there is only one. Variants
    that are missing in an environment are left out. Raises as style.canvas, and as normalised."""
    from matplotlib.lines import Line2D

    from dqn_cli.results.environments import profile

    if alone := len(panels) == 1 and not scales:
        values = {v.label: [finals(v.rows(), metric, window)] for v in panels[0].variants}
        values = {label: each for label, each in values.items() if len(each[0])}
    else:
        values = normalised(panels, metric, window, scales)
        values = {label: each for label, each in values.items() if len(each) == len(panels)}
    index = {v.label: v.index for panel in panels for v in panel.variants}
    every = np.concatenate([part for each in values.values() for part in each] or [np.zeros(1)])
    margin = MARGIN * (every.max() - every.min() or 1)
    # It changes at these scores only, so that nothing lies between.
    tau = np.unique([every.min() - margin, *every, every.max() + margin])
    with style.canvas(out, look, 1) as (figure, (axes,)):
        handles: list[object] = []
        for label, parts in values.items():
            found = profile(parts, tau, resamples=2000)
            colour, dashes = look.colour(index[label]), look.line(index[label])
            axes.step(tau, found.share, where="post", color=colour, linestyle=dashes)
            if len(values) <= FEW:
                axes.fill_between(
                    tau,
                    found.low,
                    found.high,
                    step="post",
                    color=colour,
                    alpha=0.15,
                    linewidth=0,
                )
            name = style.plain(label)
            handles.append(Line2D([], [], color=colour, linestyle=dashes, label=name))
        axes.set_ylim(-0.02, 1.02)
        axes.set_ylabel("Share of seeds above")
        unit = final_label(panels, metric, window)
        ends = "" if scales else "\n(0 and 1: the smallest and the largest of these runs)"
        axes.set_xlabel(unit if alone else f"Normalised {unit[0].lower()}{unit[1:]}{ends}")
        axes.set_title(style.plain(", ".join(panel.env for panel in panels)))
        band = ", with a 95 % bootstrap interval at each point" if len(values) <= FEW else ""
        style.legend(figure, handles, seeds_each(panels) + band, look)
