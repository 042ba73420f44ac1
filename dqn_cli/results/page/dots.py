"""Final scores: a row per variant, its seeds as dots, their mean and its interval. SVG whose places
are percentages fits any width without a script."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dqn_cli.results.figure import View
from dqn_cli.results.page.charts import classes
from dqn_cli.results.page.markup import Html, element, join
from dqn_cli.results.report import number
from dqn_cli.results.stats import FloatArray, finals
from dqn_cli.results.style import Look
from dqn_cli.results.variants import Panel, Variant

HEIGHT = 26  # pixels of a row
SPREAD = 7  # over which seeds are scattered, so that equal ones can be told apart
EDGE = 2  # percent at each end, so that no dot is cut


class Scale:
    """From values to percent of the width."""

    def __init__(self, values: FloatArray) -> None:
        low, high = float(values.min()), float(values.max())
        if low == high:
            low, high = low - 0.5, high + 0.5
        self.low, self.high = low, high

    def __call__(self, value: float) -> str:
        share = (value - self.low) / (self.high - self.low)
        return f"{EDGE + (100 - 2 * EDGE) * share:.2f}%"

    def ticks(self, count: int = 5) -> list[float]:
        """About so many round numbers, or fewer."""
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def dot_plot(panel: Panel, panels: Sequence[Panel], view: View, look: Look) -> Html:
    """The final scores of one of the panels, on the scale of those of the same environment."""
    from dqn_cli.results.intervals import bootstrap

    def ends(variant: Variant) -> FloatArray:
        return finals(variant.rows(), view.metric, view.smooth)

    last = [ends(variant) for variant in panel.variants]
    alike = [ends(v) for p in panels if p.scale == panel.scale for v in p.variants]
    finite = np.concatenate([values[np.isfinite(values)] for values in alike] or [np.empty(0)])
    if not len(finite):
        return element("p", "No values yet.", kind="quiet")
    goal = panel.threshold if view.metric in ("score", "return") else None
    span = float(finite.max() - finite.min())
    if goal is not None and finite.min() - span <= goal <= finite.max() + span:
        scale = Scale(np.append(finite, goal))  # near enough not to squeeze the rest
    else:
        scale, goal = Scale(finite), None
    ground = [_upright(scale(tick), "grid") for tick in scale.ticks()]
    ground += [_upright(scale(goal), "goal")] if goal is not None else []
    rows = []
    for variant, values in zip(panel.variants, last, strict=True):
        marks = list(ground)
        if len(values):
            low, high = bootstrap(values, np.mean)
            marks += _marks(values[np.isfinite(values)], low, high, float(values.mean()), scale)
        label = element("span", variant.label, kind="label")
        track = element("svg", join(marks), kind=classes(variant, look), height=HEIGHT)
        mean = number(float(values.mean()) if len(values) else None)
        rows.append(element("div", label, track, element("span", mean, kind="value"), kind="row"))
    texts = [
        element("text", _tick(tick), x=scale(tick), y=14, text_anchor="middle")
        for tick in scale.ticks()
        if goal is None or abs(tick - goal) > (scale.high - scale.low) / 12
    ]
    if goal is not None:
        texts.append(element("text", number(goal), x=scale(goal), y=14, kind="goal"))
    axis = element(
        "div",
        element("span", kind="label"),
        element("svg", join(texts), height=18),
        element("span"),
        kind="row axis",
    )
    return element("div", join(rows), axis, kind="dots")


def _upright(place: str, kind: str) -> Html:
    return element("line", x1=place, x2=place, y1=0, y2="100%", kind=kind)


def _tick(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e5 else f"{value:.3g}"


def _marks(
    values: FloatArray, low: float, high: float, mean: float, scale: Scale
) -> Sequence[Html]:
    middle = HEIGHT / 2
    marks = []
    if math.isfinite(low) and math.isfinite(high):
        ends = {"x1": scale(low), "x2": scale(high)}
        marks.append(element("line", **ends, y1=middle, y2=middle, kind="ci"))
    places = middle + SPREAD * np.linspace(-1, 1, len(values) + 2)[1:-1]
    marks += [
        element("circle", cx=scale(value), cy=f"{y:.1f}", r=3)
        for value, y in zip(np.sort(values).tolist(), places.tolist(), strict=True)
    ]
    if math.isfinite(mean):
        marks.append(
            element("line", x1=scale(mean), x2=scale(mean), y1=4, y2=HEIGHT - 4, kind="mean")
        )
    return marks
