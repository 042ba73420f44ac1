"""What a page says of a search: its trials in order, what matters, and the objective over each key.
SVG whose places are percentages across fits any width without a script."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dqn_cli.results.page.dots import Scale
from dqn_cli.results.page.markup import Html, element, join, table
from dqn_cli.results.report import number
from dqn_cli.results.search_figure import best_so_far, by_factors, places, values, with_value
from dqn_cli.results.study import Study, Trial, lines, summary

HEIGHT, LOW, HIGH = 190, 170, 14  # pixels of a plot; where its smallest and largest value are
NAMES = 8  # values of a choice that are named


def search_section(study: Study) -> Html:
    """All of it, below a heading."""
    finished, pruned = with_value(study, "finished", "diverged"), with_value(study, "pruned")
    said = summary(study._replace(importance={}))  # which has a heading of its own
    words = [element("p", line, kind="quiet") for line in said]
    if not finished:
        return join(words)
    best, ring = lines(study), "ring: pruned, its value then; " if pruned else ""
    parts = [
        *words,
        element("h3", "Best trials"),
        table(best, words=1, kind="sortable"),
        element("h3", "Objective over trials"),
        element("p", f"Dot: a finished trial; {ring}line: best so far.", kind="quiet"),
        element("figure", _history(finished, pruned)),
        _importance(study),
        element("h3", "Objective over each key"),
        element(
            "div", *(_slice(study, key, finished, pruned) for key in _keys(study)), kind="slices"
        ),
    ]
    return element("div", *parts, kind="search")


def _keys(study: Study) -> list[str]:
    return list(dict.fromkeys([*study.importance, *study.space]))


def _history(finished: list[Trial], pruned: list[Trial]) -> Html:
    numbers = [float(trial.number) for trial in (*finished, *pruned)]
    along, up = Scale(np.array(numbers)), _up(finished, pruned)
    line = []
    ends = [*[trial.number for trial in finished[1:]], max(numbers)]
    before = None
    for trial, end, value in zip(finished, ends, best_so_far(finished), strict=True):
        x, y = along(trial.number), up(value)
        if before is not None and before != y:
            line.append(element("line", x1=x, x2=x, y1=before, y2=y, kind="best"))
        line.append(element("line", x1=x, x2=along(end), y1=y, y2=y, kind="best"))
        before = y
    marks = _marks([along(t.number) for t in finished], finished, up, pruned=False)
    marks += _marks([along(t.number) for t in pruned], pruned, up, pruned=True)
    ticks = [t for t in along.ticks() if t == int(t)]
    names = [(along(tick), f"{tick:.0f}") for tick in ticks]
    return _plot(up, [*line, *marks], names)


def _importance(study: Study) -> Html:
    if not study.importance:
        return Html("")
    most = max(study.importance.values()) or 1.0
    rows = []
    for key, share in study.importance.items():
        bar = element("rect", width=f"{100 * share / most:.1f}%", height=14, y=3)
        track = element("svg", bar, kind="c0", height=20)
        value = element("span", f"{share:.0%}", kind="value")
        rows.append(element("div", element("span", key, kind="label"), track, value, kind="row"))
    words = (
        "Share of what tells good trials from others, by PED-ANOVA, over finished trials. It says "
        "nothing of a key outside the values that were tried."
    )
    heading = element("h3", "Importance")
    return join([heading, element("p", words, kind="quiet"), element("div", *rows, kind="dots")])


def _slice(study: Study, key: str, finished: list[Trial], pruned: list[Trial]) -> Html:
    trials = [*finished, *pruned]
    at, names = places([trial.params.get(key) for trial in trials])
    factors = names is None and min(at) > 0 and by_factors(study.space.get(key, ""))
    spread = [math.log10(x) for x in at] if factors else at
    along, up = Scale(np.array(spread)), _up(finished, pruned)
    where = [along(x) for x in spread]
    marks = _marks(where[: len(finished)], finished, up, pruned=False)
    marks += _marks(where[len(finished) :], pruned, up, pruned=True)
    if names is not None:
        shown = names if len(names) <= NAMES else []
        under = [(along(i), name) for i, name in enumerate(shown)]
    elif factors:
        under = [(along(math.log10(x)), number(x)) for x in (min(at), max(at))]
    else:
        under = [(along(tick), number(tick)) for tick in along.ticks(4)]
    return element("figure", element("figcaption", key), _plot(up, marks, under))


def _plot(up: _Up, marks: Sequence[Html], under: Sequence[tuple[str, str]]) -> Html:
    """The marks on a grid of round values, with names below."""
    ground = []
    for tick in up.ticks:
        ground.append(element("line", x1=0, x2="100%", y1=up(tick), y2=up(tick), kind="grid"))
        ground.append(element("text", number(tick), x=0, y=up(tick) - 3))
    names = []
    for i, (place, name) in enumerate(under):
        side = "start" if i == 0 else "end" if i == len(under) - 1 else "middle"
        names.append(element("text", name, x=place, y=HEIGHT - 2, text_anchor=side))
    svg = element("svg", join([*ground, *marks, *names]), kind="c0", height=HEIGHT)
    return element("div", svg, kind="trials")


class _Up:
    """From values to pixels from the top."""

    def __init__(self, heights: Sequence[float]) -> None:
        scale = Scale(np.array(heights))
        self.low, self.high, self.ticks = scale.low, scale.high, scale.ticks(4)

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(LOW - share * (LOW - HIGH), 1)


def _up(finished: list[Trial], pruned: list[Trial]) -> _Up:
    return _Up(values([*finished, *pruned]))


def _marks(at: Sequence[str], trials: Sequence[Trial], up: _Up, pruned: bool) -> list[Html]:
    kind = "pruned" if pruned else ""
    return [
        element(
            "circle",
            element("title", f"trial {trial.number}: {number(trial.value)}"),
            kind=kind,
            cx=x,
            cy=up(trial.value or 0.0),
            r=3.5,
        )
        for x, trial in zip(at, trials, strict=True)
    ]
