"""The table under a comparison, and the notes that say what the curves cannot show."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from dqn_cli.results.stats import Axis, Metric, curve, summarize
from dqn_cli.results.variants import Variant


def table(variants: Sequence[Variant], metric: Metric, window: int, x: Axis = "episode") -> str:
    """One line per variant, columns aligned; see stats.Summary for what the figures mean. `fresh`:
    the mean over seeds of what their best networks score on episodes they were not chosen by.
    """
    thresholds = {variant.threshold for variant in variants}
    goal = thresholds.pop() if len(thresholds) == 1 else None
    at = "threshold" if goal is None else number(goal)
    final = f"final mean {metric} [min, max]"
    rescored = metric == "score" and any(variant.fresh for variant in variants)
    best = ["mean best", *(["fresh"] if rescored else [])]
    rows = [["variant", "seeds", final, *best, f"first {x} at {at}"]]
    for variant in variants:
        s = summarize(variant.rows(metric), metric, window, variant.threshold, x)
        spread = (
            "-" if s.final is None else f"{number(s.final)} [{number(s.low)}, {number(s.high)}]"
        )
        first = "-" if variant.threshold is None else f"{number(s.first)} ({s.reached}/{s.seeds})"
        bests = [number(s.best)]
        if rescored:
            bests.append(number(fmean(variant.fresh.values()) if variant.fresh else None))
        rows.append([variant.label, str(s.seeds), spread, *bests, first])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for name, *cells in rows:
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *aligned]))
    return "\n".join(lines)


def notes(variants: Sequence[Variant], metric: Metric, x: Axis, window: int) -> list[str]:
    """One line for everything that makes a curve other than asked for, with whom it concerns."""
    lines = [line for variant in variants for line in variant.notes]
    labels: dict[str, list[str]] = {}  # what is to be said -> of which variants
    for variant in variants:
        line = curve(variant.rows(metric), metric, x, window)
        said = []
        if variant.diverged:
            seeds = ", ".join(map(str, variant.diverged))
            said.append(f"seed {seeds} diverged, and its curve ends there")
        if silent := len(variant.scores) - line.seeds:
            said.append(f"no {metric} in {silent} of {len(variant.scores)} seeds")
        if line.window < window and line.seeds:
            said.append(
                f"smoothed over {line.window} instead of {window}, "
                f"because its shortest seed has too few values"
            )
        if len(set(line.ends)) > 1:
            first, last = line.ends.min(), line.ends.max()
            said.append(
                f"its seeds end between {x} {first:.0f} and {last:.0f}; "
                f"dashed from where some have ended"
            )
        for text in said:
            labels.setdefault(text, []).append(variant.label)
    for text, which in labels.items():
        every = len(which) == len(variants) > 1
        lines.append(f"{'every variant' if every else ', '.join(which)}: {text}")
    return lines


def number(value: float | None) -> str:
    """A return or an episode for people: 4 significant digits, whole from 1000 up, None as `-`."""
    if value is None:
        return "-"
    return f"{value:.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"
