"""dqn-plot: compare run directories as a figure and a table. Needs no torch and no Hydra."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dqn_cli import __version__
from dqn_cli.cli.console import escape_what_does_not_fit
from dqn_cli.results.reader import Run, find_runs, read_run
from dqn_cli.results.report import notes, number, table
from dqn_cli.results.schema import ResultError, one_line
from dqn_cli.results.stats import Axis, Curve, Metric, curve, has_values
from dqn_cli.results.variants import Variant, variants
from dqn_cli.results.writer import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg", "pdf")
# Okabe-Ito, without the yellow that white paper swallows; told apart by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "-.", ":")  # the next round of colours; "--" means that seeds have ended
ENDED_STYLE = (0, (4, 2))
GREY = "0.45"
LEGEND_INSIDE = 6  # variants; more, or longer labels, and the legend moves beside the axes
LABEL_INSIDE = 40  # characters
AXIS_LABELS = {
    "score": "Greedy evaluation return",
    "return": "Training return",
    "episode": "Training episode",
    "step": "Environment steps of a seed",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; a bad argument or a bad file is one line on stderr and exit code 2."""
    escape_what_does_not_fit()
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        image_format(args.output)
        runs = [read_run(path) for path in find_runs(args.directories)]
        pools = variants(runs)
        metric: Metric = args.metric or _usual(pools)
        if not _any_values(pools, metric):
            hint = "try --metric return" if _any_values(pools, "return") else "no episode has ended"
            parser.error(f"no {metric} in {', '.join(map(str, args.directories))}: {hint}")
        x = args.x or usual_axis(pools)
        draw(runs, args.output, smooth=args.smooth, x=x, metric=metric, title=args.title)
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
        default=Path("comparison.png"),
        help="the figure: .png, .svg or .pdf (default: %(default)s)",
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
    parser.add_argument("--title", metavar="TEXT", help="a title above the figure")
    parser.add_argument("--version", action="version", version=f"dqn-cli {__version__}")
    return parser


def _window(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return int(text)


def image_format(out: Path) -> str:
    """The figure's format by its file name's suffix; ResultError for an unknown one."""
    suffix = out.suffix[1:].lower()
    if suffix not in FORMATS:
        raise ResultError(out, f"a figure is one of {', '.join('.' + f for f in FORMATS)}")
    return suffix


def draw(
    runs: Sequence[Run],
    out: Path,
    *,
    smooth: int = 25,
    x: Axis | None = None,
    metric: Metric | None = None,
    title: str | None = None,
) -> None:
    """Draw the runs' curves, pooled into variants, into a file that is replaced in one piece.

    smooth: values in each seed's sliding mean. x None: the step if all runs are limited in steps
    alone. metric None: the score, or the return where there are no scores. Runs without any value
    give empty axes. The same runs give the same bytes. Raises ResultError for an unknown suffix or
    a file that cannot be written.
    """
    kind = image_format(out)
    pools = variants(runs)
    metric, x = metric or _usual(pools), x or usual_axis(pools)
    curves = [curve(variant.rows(metric), metric, x, smooth) for variant in pools]
    data = _render(pools, curves, AXIS_LABELS[x], AXIS_LABELS[metric], smooth, title, kind)
    try:
        write_atomic(out, data)
    except OSError as error:
        raise ResultError(out, f"cannot be written: {error.strerror}") from error


def _usual(pools: list[Variant]) -> Metric:
    return "score" if _any_values(pools, "score") else "return"


def usual_axis(pools: list[Variant]) -> Axis:
    return "step" if all(pool.by_steps for pool in pools) else "episode"


def _any_values(pools: list[Variant], metric: Metric) -> bool:
    return any(has_values(pool.rows(metric), metric) for pool in pools)


def _render(
    pools: list[Variant],
    curves: list[Curve],
    x_label: str,
    y_label: str,
    smooth: int,
    title: str | None,
    kind: str,
) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    buffer = io.BytesIO()
    dates = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # the same figure whatever the user's matplotlibrc
        matplotlib.rcParams["svg.hashsalt"] = "dqn-cli"
        warnings.filterwarnings("ignore", message="Glyph")  # a label in letters the font has not
        figure = Figure(figsize=(8, 5))
        axes = figure.add_subplot()
        for i, (pool, line) in enumerate(zip(pools, curves, strict=True)):
            _draw_curve(axes, line, i, pool, faint=len(pools) > LEGEND_INSIDE)
        _draw_thresholds(axes, pools)
        windows = {line.window for line in curves if line.seeds}
        if windows - {1}:
            shrunk = "up to " if windows != {smooth} else ""
            y_label += f", sliding mean of {shrunk}{max(windows)}"
        _dress(axes, x_label, y_label, title)
        _legend(axes, pools, curves)
        figure.savefig(buffer, format=kind, dpi=150, bbox_inches="tight", metadata=dates)
    return buffer.getvalue()


def _draw_curve(axes: Axes, line: Curve, i: int, pool: Variant, faint: bool) -> None:
    colour, style = COLOURS[i % len(COLOURS)], STYLES[i // len(COLOURS) % len(STYLES)]
    band = 0.06 if faint else 0.2
    whole = int((line.n == line.seeds).sum())  # n only ever drops, so these come first
    seeds = f"{line.seeds} seed{'s' * (line.seeds != 1)}" if line.seeds else "no values"
    if pool.diverged:
        seeds += f", {len(pool.diverged)} diverged"
    marker = "o" if len(line.x) == 1 else None  # a line of one point would not show
    axes.plot(
        line.x[:whole],
        line.mean[:whole],
        color=colour,
        linestyle=style,
        marker=marker,
        label=_plain(f"{pool.label}, {seeds}"),
    )
    axes.fill_between(
        line.x[:whole], line.low[:whole], line.high[:whole], color=colour, alpha=band, linewidth=0
    )
    if whole < len(line.x):
        rest = slice(max(whole - 1, 0), None)  # from the last whole point, so that the line joins
        x, low, high = line.x[rest], line.low[rest], line.high[rest]
        axes.plot(x, line.mean[rest], color=colour, linestyle=ENDED_STYLE, marker=marker, alpha=0.8)
        axes.fill_between(x, low, high, color=colour, alpha=band / 2, linewidth=0)


def _draw_thresholds(axes: Axes, pools: list[Variant]) -> None:
    for value in sorted({pool.threshold for pool in pools if pool.threshold is not None}):
        axes.axhline(value, color=GREY, linestyle="--", linewidth=0.8, zorder=0)
        axes.annotate(
            f"threshold {number(value)}",
            xy=(0, value),
            xycoords=("axes fraction", "data"),
            xytext=(4, 2),
            textcoords="offset points",
            color=GREY,
            fontsize="small",
        )


def _dress(axes: Axes, x_label: str, y_label: str, title: str | None) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 50k
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.02)
    if title:
        axes.set_title(_plain(title))


def _legend(axes: Axes, pools: list[Variant], curves: list[Curve]) -> None:
    from matplotlib.lines import Line2D

    handles, labels = axes.get_legend_handles_labels()
    if any((line.n < line.seeds).any() for line in curves):
        handles.append(Line2D([], [], color=GREY, linestyle=ENDED_STYLE))
        labels.append("dashed: fewer seeds left")
    beside = len(pools) > LEGEND_INSIDE or max(map(len, labels), default=0) > LABEL_INSIDE
    axes.legend(
        handles,
        labels,
        title="mean and range of seeds",
        title_fontsize="small",
        fontsize="small",
        loc="upper left" if beside else "best",
        bbox_to_anchor=(1.01, 1) if beside else None,
        framealpha=0.8,
    )
    if not any(len(line.x) for line in curves):
        axes.text(0.5, 0.5, "no values yet", transform=axes.transAxes, ha="center", color=GREY)


def _plain(text: str) -> str:
    """Text that matplotlib draws as it is: no formula, and not hidden from the legend."""
    return (" " * text.startswith("_") + one_line(text)).replace("$", r"\$")
