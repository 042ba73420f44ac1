"""The options of dqn-plot."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import NoReturn, get_args

from dqn_cli import __version__
from dqn_cli.results.bands import Band
from dqn_cli.results.schema import one_line
from dqn_cli.results.stats import Axis, Metric
from dqn_cli.results.style import Paper
from dqn_cli.results.table import FORMATS


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {one_line(message)}\n")


def parser() -> Parser:
    found = Parser(
        prog="dqn-plot",
        description="Compare training runs: a figure with a panel per environment, and a table. "
        "Runs whose configs differ only in the seed are pooled into a variant.",
    )
    found.add_argument(
        "directories",
        metavar="DIR",
        nargs="+",
        type=Path,
        help="a run directory, or a directory that holds some",
    )
    found.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="the figure: .png, .svg or .pdf (default: comparison.png, search.png or "
        "diagnostics.png; none with --html)",
    )
    found.add_argument(
        "--html",
        metavar="FILE",
        type=Path,
        help="a report: one page with curves, tables and where they come from, to send and to keep",
    )
    found.add_argument(
        "--watch",
        metavar="SECONDS",
        nargs="?",
        const=10.0,
        type=_seconds,
        help="draw and print again whenever a run has changed, until Ctrl-C; SECONDS between looks "
        "(default: %(const)g)",
    )
    found.add_argument("--version", action="version", version=f"dqn-cli {__version__}")
    _kinds(found)
    _what(found)
    _which(found)
    _looks(found)
    return found


def _kinds(found: argparse.ArgumentParser) -> None:
    group = found.add_argument_group("kinds of figures, instead of curves")
    kinds = group.add_mutually_exclusive_group()
    kinds.add_argument(
        "--bars", action="store_true", help="final scores: seeds, mean and its interval"
    )
    kinds.add_argument(
        "--pairwise", action="store_true", help="every variant against every other, and a table"
    )
    kinds.add_argument(
        "--profile",
        action="store_true",
        help="share of seeds above each score, over all environments",
    )
    kinds.add_argument(
        "--effects",
        action="store_true",
        help="of a full grid: what each choice changes on average over all others, and a table",
    )
    kinds.add_argument(
        "--sensitivity", metavar="KEY", help="final scores over the values of a swept number"
    )
    kinds.add_argument(
        "--diagnose",
        action="store_true",
        help="how one run learned: Q against returns, TD errors, norms, priorities, dead units, "
        "with what to look for",
    )
    kinds.add_argument(
        "--search",
        action="store_true",
        help="the trials of a search: the objective over them and over each key, which keys "
        "matter, and the best trials",
    )
    kinds.add_argument(
        "--status",
        action="store_true",
        help="no figure: how far runs and jobs of sweeps are, what failed and why, the time left",
    )
    group.add_argument(
        "--scale",
        metavar="ENV=LOW,HIGH",
        action="append",
        type=_scale,
        default=[],
        help="--profile: the scores that count as 0 and 1 there (default: the smallest and the "
        "largest final score of these runs)",
    )


def _what(found: argparse.ArgumentParser) -> None:
    group = found.add_argument_group("what is shown")
    group.add_argument(
        "--metric",
        choices=get_args(Metric),
        help="score: greedy evaluation; return: training episodes (default: the score, or the "
        "return where there are no scores)",
    )
    group.add_argument(
        "--x",
        choices=get_args(Axis),
        help="default: the step in environments whose runs are all limited in steps, else the "
        "episode",
    )
    group.add_argument("--y", choices=("linear", "log"), default="linear")
    group.add_argument(
        "--smooth",
        metavar="N",
        type=_window,
        default=25,
        help="values in the running mean of each seed, and in the table's final mean "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--band",
        choices=get_args(Band),
        help="around a curve: the range of seeds, the 95 %% bootstrap interval of the mean, "
        "quartiles around the median, or what holds 90 %% of seeds (default: minmax for up to "
        "three variants, ci for up to six, else none)",
    )
    group.add_argument("--seeds", action="store_true", help="a thin line for each seed")
    group.add_argument(
        "--table",
        choices=FORMATS,
        default="text",
        help="how the table is printed (default: %(default)s)",
    )
    group.add_argument(
        "--curves", metavar="FILE", type=Path, help="write the curves' numbers, too, as CSV"
    )


def _which(found: argparse.ArgumentParser) -> None:
    group = found.add_argument_group("which runs, and what they are called")
    group.add_argument(
        "--where",
        metavar="KEY=VALUE",
        action="append",
        type=_pair,
        default=[],
        help="only runs that have it: algo=ddqn, optimizer.lr=0.001; several hold together",
    )
    group.add_argument(
        "--by",
        metavar="KEY",
        action="append",
        default=[],
        help="a key or a group that alone tells variants apart; all else is pooled",
    )
    group.add_argument(
        "--panels",
        metavar="KEY",
        action="append",
        default=[],
        help="a panel for each value of a key or a group, as each environment has one",
    )
    group.add_argument(
        "--label",
        metavar="OLD=NEW",
        action="append",
        type=_label,
        default=[],
        help="call a variant otherwise",
    )


def _looks(found: argparse.ArgumentParser) -> None:
    group = found.add_argument_group("looks")
    group.add_argument("--title", metavar="TEXT", help="a title above the figure")
    group.add_argument(
        "--colors",
        metavar="C,C,...",
        type=_colours,
        help="by name (navy) or as #rrggbb, in the order of the table",
    )
    group.add_argument(
        "--paper",
        choices=get_args(Paper),
        help="as wide as a column or a page of a two-column paper, with its letters",
    )
    group.add_argument("--width", metavar="INCHES", type=_inches)
    group.add_argument("--height", metavar="INCHES", type=_inches)


def _window(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.1 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"expected seconds from 0.1 to 86400, found {text!r}")
    return seconds


def _inches(text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if not 1 <= size <= 100:
        raise argparse.ArgumentTypeError(f"expected inches from 1 to 100, found {text!r}")
    return size


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, found {text!r}")
    return key, value


def _label(text: str) -> tuple[str, str]:
    """Labels have = themselves: the last one divides."""
    old, equals, new = text.rpartition("=")
    if not (old and equals and new):
        raise argparse.ArgumentTypeError(f"expected OLD=NEW, found {text!r}")
    return old, new


def _scale(text: str) -> tuple[str, tuple[float, float]]:
    name, _, ends = text.partition("=")
    try:
        low, high = map(float, ends.split(","))
    except ValueError:
        low = high = math.nan
    if not (name and math.isfinite(low) and math.isfinite(high) and low < high):
        raise argparse.ArgumentTypeError(f"expected ENV=LOW,HIGH with LOW < HIGH, found {text!r}")
    return name, (low, high)


def _colours(text: str) -> list[str]:
    from dqn_cli.results.style import colour

    names = re.split(r",\s*", text)
    for name in names:
        try:
            colour(name)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"expected colours as navy or #1f77b4, found {name!r}"
            ) from None
    return [colour(name) for name in names]
