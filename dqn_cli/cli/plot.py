"""dqn-plot: compare run directories as a figure and a table. Needs no torch and no Hydra."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from dqn_cli import __version__
from dqn_cli.cli.console import escape_what_does_not_fit
from dqn_cli.results import diagnose
from dqn_cli.results.figure import any_values, draw, image_format, usual_axis, usual_metric
from dqn_cli.results.reader import find_runs, read_run
from dqn_cli.results.report import notes, table
from dqn_cli.results.schema import ResultError, one_line
from dqn_cli.results.stats import Metric
from dqn_cli.results.variants import variants


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; a bad argument or a bad file is one line on stderr and exit code 2."""
    escape_what_does_not_fit()
    parser = _parser()
    args = parser.parse_args(argv)
    out = args.output or Path("diagnostics.png" if args.diagnose else "comparison.png")
    try:
        image_format(out)
        runs = [read_run(path) for path in find_runs(args.directories)]
        if args.diagnose:
            if len(runs) > 1:
                parser.error(f"--diagnose: one run, and not {len(runs)}")
            diagnose.draw(runs[0], out)
            return
        pools = variants(runs)
        metric: Metric = args.metric or usual_metric(pools)
        if not any_values(pools, metric):
            hint = "try --metric return" if any_values(pools, "return") else "no episode has ended"
            parser.error(f"no {metric} in {', '.join(map(str, args.directories))}: {hint}")
        x = args.x or usual_axis(pools)
        draw(runs, out, smooth=args.smooth, x=x, metric=metric, title=args.title)
    except ResultError as error:
        parser.error(str(error))
    remarks = [f"note: {note}" for note in notes(pools, metric, x, args.smooth)]
    _print("\n".join([table(pools, metric, args.smooth, x), *remarks]))


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the other end, such as `head`, has left; Python flushes again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {one_line(message)}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dqn-plot",
        description="Compare training runs: mean over seeds with the range from the smallest to "
        "the largest. Runs whose configs differ only in the seed are pooled.",
    )
    parser.add_argument(
        "directories",
        metavar="DIR",
        nargs="+",
        type=Path,
        help="a run directory, or a directory that holds some",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="the figure: .png, .svg or .pdf (default: comparison.png, or diagnostics.png)",
    )
    parser.add_argument(
        "--smooth",
        metavar="N",
        type=_window,
        default=25,
        help="values in the sliding mean of each seed, and in the table's final mean "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--x",
        choices=("episode", "step"),
        help="default: the step if all runs are limited in steps alone, else the episode",
    )
    parser.add_argument(
        "--metric",
        choices=("score", "return"),
        help="score: greedy evaluation; return: training episodes (default: the score, or the "
        "return where there are no scores)",
    )
    parser.add_argument(
        "--diagnose",
        action="store_true",
        help="draw the diagnostics of one run instead: Q against returns, TD errors, norms, "
        "priorities, dead units, with what to look for",
    )
    parser.add_argument("--title", metavar="TEXT", help="a title above the figure")
    parser.add_argument("--version", action="version", version=f"dqn-cli {__version__}")
    return parser


def _window(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return int(text)
