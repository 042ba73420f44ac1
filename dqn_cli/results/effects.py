"""What each choice of a full grid changes, on average over all the others.

In a grid every option of a factor was trained with every combination of the others' options, by
the same seeds. An effect is a number per seed: its mean over all variants that have the option,
less that over those that have the first option instead. Its interval is Student's, over seeds. So
it holds whether or not a seed's variants are alike, and a mean of many variants is nearer to a
normal distribution than the finals of one.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from dqn_cli.results import style
from dqn_cli.results.figure import final_label, seeds_each
from dqn_cli.results.labels import MAIN_GROUPS, flatten
from dqn_cli.results.report import number
from dqn_cli.results.schema import ResultError
from dqn_cli.results.stats import FloatArray, IntArray, Metric, finals
from dqn_cli.results.style import GREY, Look
from dqn_cli.results.variants import NOT_COMPARED, Panel, Variant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.3  # inches of an effect
SURE = 0.05  # p values below it have filled dots
Options = tuple[str, ...]  # of a variant, one of each factor


class Effect(NamedTuple):
    """What an option changes, in the unit of the values, with its 95 % interval and the p value of
    no change (Student's; adjusted for all effects of the environment after Holm).

    With `given`, an interaction: by how much more the option changes where the other factor has
    that option, and not its first.
    """

    environment: str
    factor: str
    option: str
    instead: str  # the factor's first option
    given: str | None
    mean: float
    low: float
    high: float
    p: float

    @property
    def label(self) -> str:
        if self.given is not None:
            return f"{self.option} with {self.given}"
        return f"{self.option}, not {self.instead.removeprefix(f'{self.factor}=')}"


def effects(panels: Sequence[Panel], metric: Metric, window: int) -> list[Effect]:
    """Those of each environment, on its seeds' finals. ResultError for what is no grid."""
    found = []
    for panel in panels:
        values = [_by_seed(variant, metric, window) for variant in panel.variants]
        found += contrasts(panel.env, *grid(panel), values)
    return found


def _by_seed(variant: Variant, metric: Metric, window: int) -> dict[int, float]:
    rows = variant.rows()
    with_values = [seed for seed, frame in rows.items() if frame[metric].notna().any()]
    return dict(zip(with_values, finals(rows, metric, window).tolist(), strict=True))


def grid(panel: Panel) -> tuple[list[str], list[Options]]:
    """The factors in which the panel's variants differ, and the options of each variant.
    ResultError unless there is one variant for every combination."""
    names, rows = _differing(panel.variants)
    options = list(zip(*rows, strict=True)) if names else []
    if not names:
        raise ResultError("--effects", f"the variants of {panel.env} differ in nothing")
    there = set(options)
    for wanted in itertools.product(*(dict.fromkeys(row) for row in rows)):
        if wanted not in there:
            raise ResultError(
                "--effects", f"no full grid in {panel.env}: no variant is {' '.join(wanted)}"
            )
    return names, options


def _differing(variants: Sequence[Variant]) -> tuple[list[str], list[list[str]]]:
    """Groups and keys, and for each the option or value of every variant. A group's keys count
    where they differ among variants that chose the same option there."""
    choices = [variant.runs[0].choices for variant in variants]
    configs = [flatten(variant.runs[0].config) for variant in variants]
    groups = dict.fromkeys(g for c in choices for g in c if g not in ("storage", "env"))
    found = {g: [c.get(g, "-") for c in choices] for g in groups}
    names = [group for group in groups if len(set(found[group])) > 1]
    for key in dict.fromkeys(key for config in configs for key in config):
        group = key.split(".")[0]
        if key in NOT_COMPARED or key == "name" or key.endswith("_target_"):
            continue
        values: dict[str | None, set[str | None]] = {}
        for choice, config in zip(choices, configs, strict=True):
            values.setdefault(choice.get(group), set()).add(config.get(key))
        if any(len(each) > 1 for each in values.values()):
            names.append(key)
            found[key] = [f"{key}={config.get(key, '-')}" for config in configs]
    names.sort(key=lambda name: name not in MAIN_GROUPS)  # the others keep their order
    return _told_apart({name: found[name] for name in names})


def _told_apart(found: Mapping[str, list[str]]) -> tuple[list[str], list[list[str]]]:
    """The factors without those that another one decides, such as the exploration that a network
    chooses: they are named with it."""
    rows: dict[str, list[str]] = {}
    for name, row in found.items():
        for other, decided in rows.items():
            if len(set(zip(decided, row, strict=True))) == len(set(decided)):
                rows[other] = [f"{a} {b}" for a, b in zip(decided, row, strict=True)]
                break
        else:
            rows[name] = row
    return list(rows), list(rows.values())


def contrasts(
    environment: str,
    names: Sequence[str],
    options: Sequence[Options],
    values: Sequence[Mapping[int, float]],
) -> list[Effect]:
    """All effects, then all interactions of two factors.

    names: the factors. options, values: of each variant, its option of each factor, and
    seed -> value. ResultError unless all variants have the same seeds.
    """
    from dqn_cli.results.comparison import holm
    from dqn_cli.results.intervals import t_interval, t_test

    seeds = sorted(values[0])
    if any(sorted(of) != seeds for of in values) or len(seeds) < 2:
        raise ResultError(
            "--effects", f"the variants of {environment} do not have the same two seeds or more"
        )
    scores = np.array([[of[seed] for seed in seeds] for of in values])  # [variants, seeds]
    found = []
    for factor, option, given, signs in _signs(names, options):
        per_seed = _mean_of(scores, signs > 0) - _mean_of(scores, signs < 0)
        if given is not None:
            per_seed = 2 * per_seed
        first = options[0][names.index(factor)]
        ends = t_interval(per_seed)
        mean, p = float(per_seed.mean()), t_test(per_seed)
        found.append(Effect(environment, factor, option, first, given, mean, *ends, p))
    adjusted = holm([effect.p for effect in found])
    return [e._replace(p=float(p)) for e, p in zip(found, adjusted, strict=True)]


def _mean_of(scores: FloatArray, chosen: npt.NDArray[np.bool_]) -> FloatArray:
    mean: FloatArray = scores[chosen].mean(axis=0)
    return mean


def _signs(
    names: Sequence[str], options: Sequence[Options]
) -> Iterator[tuple[str, str, str | None, IntArray]]:
    """Of each effect: the factor, its option, the other's for an interaction, and of each variant 1
    or -1, or 0 if it has no part in it."""
    ways: list[tuple[int, str, IntArray]] = []  # factor's place, option, of each variant a sign
    for place in range(len(names)):
        column = [of[place] for of in options]
        for option in list(dict.fromkeys(column))[1:]:
            signs = np.array([(o == option) - (o == column[0]) for o in column])
            ways.append((place, option, signs))
    for place, option, signs in ways:
        yield names[place], option, None, signs
    for (a, option, signs), (b, given, others) in itertools.combinations(ways, 2):
        if a != b:
            yield names[a], option, given, signs * others


def cells(found: Sequence[Effect], what: str) -> list[list[str]]:
    """The header and a line per effect, for people. what: the values, in words."""
    several = len({effect.environment for effect in found}) > 1
    head = [f"change of the {what}", "mean [95 % interval]", "p (Holm)"]
    lines = [["environment", *head] if several else head]
    for effect in found:
        ends = f"{number(effect.mean)} [{number(effect.low)}, {number(effect.high)}]"
        line = [effect.label, ends, "-" if math.isnan(effect.p) else f"{effect.p:.3g}"]
        lines.append([effect.environment, *line] if several else line)
    return lines


def as_csv(found: Sequence[Effect]) -> str:
    """All fields in full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(Effect._fields)
    writer.writerows([["" if cell is None else cell for cell in effect] for effect in found])
    return out.getvalue().removesuffix("\n")


def draw_effects(
    panels: Sequence[Panel], out: Path, metric: Metric, window: int, look: Look
) -> None:
    """A panel per environment, in it a row per effect, interactions below. Raises as style.canvas,
    and as `effects`."""
    found = effects(panels, metric, window)
    most = max(sum(effect.environment == panel.env for effect in found) for panel in panels)
    if look.height is None:
        rows = math.ceil(len(panels) / look.columns(len(panels)))
        height = rows * (most * ROW * look.font / 10 + 1.3)
        look = look._replace(width=look.size(len(panels))[0], height=height)
    with style.canvas(out, look, len(panels)) as (figure, axes):
        for panel, one in zip(panels, axes, strict=False):
            _draw_panel(one, [e for e in found if e.environment == panel.env], look)
            one.set_title(style.plain(panel.env))
        for one in axes[-look.columns(len(panels)) :]:
            one.set_xlabel(f"Change of: {final_label(panels, metric, window)}")
        figure.supxlabel(
            "dot: mean over seeds and over all other choices; bar: its 95 % interval (Student's)\n"
            f"filled: p < 0.05 after Holm; {seeds_each(panels)}",
            fontsize="small",
            color=GREY,
        )


def _draw_panel(axes: Axes, found: Sequence[Effect], look: Look) -> None:
    for row, effect in enumerate(found):
        colour = look.colour(0 if effect.given is None else 6)
        axes.plot([effect.low, effect.high], [row, row], color=colour, linewidth=2.5, alpha=0.55)
        fill = colour if effect.p < SURE else "white"
        axes.plot(effect.mean, row, "o", color=colour, markerfacecolor=fill, markersize=6)
    mains = sum(effect.given is None for effect in found)
    if mains < len(found):
        axes.axhline(mains - 0.5, color=GREY, linewidth=0.5)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(found)), [style.plain(effect.label) for effect in found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
