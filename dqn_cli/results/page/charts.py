"""The numbers that page.js draws: curves, thinned and rounded, with every band."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from dqn_cli.results.bands import Band, around
from dqn_cli.results.figure import AXIS_LABELS, BANDS, View
from dqn_cli.results.stats import Curve, FloatArray, curve
from dqn_cli.results.style import Look
from dqn_cli.results.variants import Panel, Variant
from dqn_cli.words import counted

DIGITS = 4  # of what a panel's values span
SHORT: dict[Band, str] = {  # BANDS, in a row of buttons
    "none": "none",
    "minmax": "range",
    "ci": "95 % interval",
    "iqr": "quartiles",
    "tolerance": "tolerance",
}


class Detail(NamedTuple):
    """How much of the curves is on a page."""

    points: int  # of a curve, at most
    seeds: bool  # a line for each


def curves(panels: Sequence[Panel], view: View) -> list[list[Curve]]:
    """The curve of every variant of every panel."""
    return [[curve(v.rows(p.x), view.metric, p.x, view.smooth) for v in p.variants] for p in panels]


def chart_data(
    panels: Sequence[Panel],
    found: Sequence[Sequence[Curve]],
    view: View,
    look: Look,
    detail: Detail,
) -> dict[str, Any]:
    """All of it, ready for JSON."""
    bands = [b for b in SHORT if b != "tolerance" or view.band == b]
    several = len({line.seeds for lines in found for line in lines}) > 1
    return {
        "yLabel": y_label(view, [line for lines in found for line in lines]),
        "band": view.band,
        "bands": [[band, SHORT[band], BANDS[band]] for band in bands],
        "seeds": view.seeds and detail.seeds,
        "log": view.log,
        "panels": [
            {
                "env": panel.env,
                "x": panel.x,
                "xLabel": AXIS_LABELS[panel.x],
                "threshold": panel.threshold if view.metric in ("score", "return") else None,
                "curves": _panel(panel, lines, bands, look, detail, several),
            }
            for panel, lines in zip(panels, found, strict=True)
        ],
    }


def y_label(view: View, lines: Sequence[Curve]) -> str:
    """What a curve's values are."""
    windows = {line.window for line in lines if line.seeds}
    if not windows - {1}:
        return AXIS_LABELS[view.metric]
    shrunk = "up to " if windows != {view.smooth} else ""
    return f"{AXIS_LABELS[view.metric]}, running mean of {shrunk}{max(windows)}"


def as_json(data: object) -> str:
    """JSON that may stand inside a script element: no `<` ends it, and all of it is ASCII."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def _panel(
    panel: Panel,
    lines: Sequence[Curve],
    bands: Sequence[Band],
    look: Look,
    detail: Detail,
    several: bool,
) -> list[dict[str, Any]]:
    ends = np.array([(line.low.min(), line.high.max()) for line in lines if len(line.x)])
    ends = ends[np.isfinite(ends).all(axis=1)] if len(ends) else ends
    span = float(ends.max() - ends.min()) if len(ends) else 0.0
    places = DIGITS - 1 - math.floor(math.log10(span)) if span else DIGITS
    return [
        {
            "variant": variant.index,
            "look": classes(variant, look),
            "label": variant.label,
            "remark": _remark(variant, line, several),
            **_numbers(_thinned(line, detail.points), bands, places, detail.seeds),
        }
        for variant, line in zip(panel.variants, lines, strict=True)
    ]


def classes(variant: Variant, look: Look) -> str:
    """Of page.css: the variant's colour and dashes."""
    count = len(look.colours)
    return f"c{variant.index % count} d{variant.index // count % 3}"


def _remark(variant: Variant, line: Curve, several: bool) -> str:
    if not line.seeds:
        return "no values"
    said = [counted(line.seeds, "seed")] if several else []
    if variant.diverged:
        said.append(f"{len(variant.diverged)} diverged")
    return ", ".join(said)


def _thinned(line: Curve, points: int) -> Curve:
    """Every so many points, the first and the last among them."""
    count = len(line.x)
    if count <= points:
        return line
    kept = np.linspace(0, count - 1, points).round().astype(np.int64)
    return replace(
        line,
        x=line.x[kept],
        values=line.values[:, kept],
        mean=line.mean[kept],
        low=line.low[kept],
        high=line.high[kept],
        n=line.n[kept],
    )


def _numbers(line: Curve, bands: Sequence[Band], places: int, seeds: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "x": _rounded(line.x, 0 if (line.x == np.floor(line.x)).all() else 2),
        "mean": _rounded(line.mean, places),
        "whole": line.whole,
        "bands": {},
        "seeds": [],
    }
    if line.seeds < 2:
        return found
    for band in bands:
        if band != "none":
            middle, low, high = (_rounded(each, places) for each in around(line, band))
            found["bands"][band] = [low, high]
            if band == "iqr":
                found["median"] = middle
    if seeds:
        found["seeds"] = [_rounded(each, places) for each in line.values]
    return found


def _rounded(values: FloatArray, places: int) -> list[float | int | None]:
    """None for what is no finite number."""
    rounded = np.round(values, places) if places < 300 else values
    return [(int(v) if v == int(v) else v) if math.isfinite(v) else None for v in rounded.tolist()]
