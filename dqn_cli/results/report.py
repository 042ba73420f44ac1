"""What is said in words under a comparison: what the curves cannot show."""

from __future__ import annotations

from collections.abc import Sequence

from dqn_cli.results.stats import Axis, Metric, curve
from dqn_cli.results.variants import Panel
from dqn_cli.words import counted

FEW = 3  # variants of which each has a line
DASHED = "dashed from where some have ended"
AT: dict[Axis, str] = {"step": "steps", "episode": "episodes", "seconds": "times"}


def notes(panels: Sequence[Panel], metric: Metric, window: int) -> list[str]:
    """One line for everything that makes a curve other than asked for, with whom it concerns; and
    one for all whose seeds end at different points, if they are more than FEW."""
    placed = [(variant, panel.x) for panel in panels for variant in panel.variants]
    lines = list(dict.fromkeys(line for variant, _ in placed for line in variant.notes))
    labels: dict[str, list[str]] = {}  # what is to be said -> of which variants
    uneven: dict[str, Axis] = {}  # a line for each variant whose seeds do not end together
    for variant, x in placed:
        rows = variant.rows(x)
        line = curve(rows, metric, x, window)
        said = []
        if variant.diverged:
            seeds = ", ".join(map(str, variant.diverged))
            said.append(f"seed {seeds} diverged, and its curve ends there")
        if x == "seconds" and (untimed := len(variant.scores) - len(rows)):
            said.append(f"no times in {counted(untimed, 'seed')} (timing.csv)")
        if silent := len(rows) - line.seeds:
            said.append(f"no {metric} in {silent} of {counted(len(rows), 'seed')}")
        if line.window < window:
            said.append(
                f"smoothed over {line.window} instead of {window}, "
                f"because its shortest seed has too few values"
            )
        if len(set(line.ends)) > 1:
            first, last = line.ends.min(), line.ends.max()
            between = f"its seeds end between {x} {first:.0f} and {last:.0f}"
            uneven[f"{variant.label}: {between}; {DASHED}"] = x
        for text in said:
            labels.setdefault(text, []).append(variant.label)
    for text, which in labels.items():
        every = len(which) == len(placed) > 1
        lines.append(f"{'every variant' if every else ', '.join(dict.fromkeys(which))}: {text}")
    if len(uneven) > FEW:
        at = " or ".join(dict.fromkeys(AT[x] for x in uneven.values()))
        return [*lines, f"seeds of {len(uneven)} variants end at different {at}; {DASHED}"]
    return [*lines, *uneven]


def number(value: float | None) -> str:
    """A return or an episode for people: 4 significant digits, whole from 1000 up, None as `-`."""
    if value is None:
        return "-"
    return f"{value:.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"
