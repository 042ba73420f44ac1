"""The figure of a search: its trials in order, what matters, and the objective over each key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dqn_cli.results import style
from dqn_cli.results.study import Study, Trial, Value
from dqn_cli.results.style import GREY, Look
from dqn_cli.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_TICKS = 8  # values of a choice that are named below its axis
NAME = 14  # characters of one


def draw_search(study: Study, out: Path, look: Look) -> None:
    """Raises as style.canvas."""
    from matplotlib.lines import Line2D

    keys = list(study.importance) or list(study.space)
    panels = 1 + bool(study.importance) + len(keys)
    finished, pruned = with_value(study, "finished", "diverged"), with_value(study, "pruned")
    with style.canvas(out, look, panels) as (figure, axes):
        history, *others = axes
        _history(history, finished, pruned, look)
        history.set_ylabel(f"objective: {study.aim}".replace(", ", ",\n"))
        if study.importance:
            _importance(others.pop(0), study, look)
        for key, one in zip(keys, others, strict=True):
            _slice(one, key, finished, pruned, study, look)
        handles: list[object] = [
            _dot(Line2D, "finished", look, "o"),
            *([_dot(Line2D, "pruned, its value then", look, "x")] if pruned else []),
            Line2D([], [], color=look.colour(1), label="best so far"),
        ]
        said = f"{len(study.trials)} of {counted(study.wanted, 'trial')}"
        style.legend(figure, handles, said, look)


def with_value(study: Study, *states: str) -> list[Trial]:
    """The trials of these states that have a finite value."""
    some = [trial for trial in study.trials if trial.state in states and trial.value is not None]
    return [trial for trial in some if np.isfinite(trial.value or 0.0)]


def places(values: Sequence[Value]) -> tuple[list[float], list[str] | None]:
    """Where on an axis the values of a key are: numbers as they are; the words of a choice side by
    side, in their order, with these names."""
    if all(type(value) in (int, float) for value in values):
        return [float(value) for value in values if isinstance(value, int | float)], None
    names = sorted({str(value) for value in values}, key=_order)
    return [float(names.index(str(value))) for value in values], names


def by_factors(space: str) -> bool:
    """Whether the values of a key with this space are spread by factors."""
    return "log" in space.partition("(")[2].partition("interval")[0]


def values(trials: Sequence[Trial]) -> list[float]:
    return [trial.value or 0.0 for trial in trials]


def best_so_far(trials: Sequence[Trial]) -> list[float]:
    return np.maximum.accumulate(values(trials)).tolist() if trials else []


def _history(axes: Axes, finished: list[Trial], pruned: list[Trial], look: Look) -> None:
    _draw(axes, [float(trial.number) for trial in (*finished, *pruned)], finished, pruned, look)
    numbers = [trial.number for trial in finished]
    axes.step(numbers, best_so_far(finished), where="post", color=look.colour(1))
    style.count_along(axes)
    axes.set_xlabel("trial")


def _draw(
    axes: Axes, at: list[float], finished: list[Trial], pruned: list[Trial], look: Look
) -> None:
    """at: the place of each finished trial, then of each pruned one."""
    count = len(finished)
    axes.plot(at[:count], values(finished), "o", color=look.colour(0), markersize=4, alpha=0.8)
    axes.plot(at[count:], values(pruned), "x", color=GREY, markersize=4, alpha=0.8)


def _importance(axes: Axes, study: Study, look: Look) -> None:
    keys, shares = list(study.importance), list(study.importance.values())
    axes.barh(range(len(keys)), shares, 0.8, color=look.colour(0), alpha=0.35)
    for row, key in enumerate(keys):  # inside, so that the panels stay equally wide
        axes.text(max(shares) / 50, row, style.plain(key), va="center")
    axes.set_yticks([])
    axes.set_ylim(len(keys) - 0.5, -0.5)
    axes.grid(visible=False)
    axes.set_xlabel("importance (PED-ANOVA)")


def _slice(
    axes: Axes, key: str, finished: list[Trial], pruned: list[Trial], study: Study, look: Look
) -> None:
    at, names = places([trial.params.get(key) for trial in (*finished, *pruned)])
    _draw(axes, at, finished, pruned, look)
    if names is not None:
        axes.set_xlim(-0.5, len(names) - 0.5)
        named = names if len(names) <= MOST_TICKS else []
        axes.set_xticks(range(len(named)), [style.plain(name[:NAME]) for name in named])
    elif at and min(at) > 0 and by_factors(study.space.get(key, "")):
        axes.set_xscale("log")
    axes.set_xlabel(style.plain(key))


def _order(text: str) -> tuple[float, str]:
    """Numbers by their size, words after them."""
    try:
        return float(text), ""
    except ValueError:
        return float("inf"), text


def _dot(kind: type, label: str, look: Look, marker: str) -> object:
    colour = look.colour(0) if marker == "o" else GREY
    return kind([], [], linestyle="", marker=marker, color=colour, label=label)
