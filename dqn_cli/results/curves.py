"""Curves as numbers, for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from dqn_cli.results.bands import around
from dqn_cli.results.figure import View
from dqn_cli.results.schema import format_number
from dqn_cli.results.stats import curve
from dqn_cli.results.style import save
from dqn_cli.results.variants import Panel


def write_curves(panels: Sequence[Panel], view: View, out: Path) -> None:
    """A row for every point of every curve, as it is drawn: environment, variant, x, the line,
    both ends of its band, and how many seeds are there. Where environments differ in their x, each
    has its own column, which is empty in the others' rows. ResultError if it cannot be written."""
    axes = list(dict.fromkeys(panel.x for panel in panels))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["environment", "variant", *axes, view.metric, "low", "high", "seeds"])
    for panel in panels:
        for variant in panel.variants:
            rows = variant.rows(panel.x)
            line = curve(rows, view.metric, panel.x, view.smooth)
            for x, *ends, n in zip(line.x, *around(line, view.band), line.n, strict=True):
                place, *numbers = (format_number(float(value)) for value in (x, *ends))
                places = [place if axis == panel.x else "" for axis in axes]
                writer.writerow([panel.env, variant.label, *places, *numbers, int(n)])
    save(out, text.getvalue().encode())
