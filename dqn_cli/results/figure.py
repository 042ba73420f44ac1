"""The figure of some runs: one curve per variant, with the range of its seeds.

matplotlib is imported when a figure is drawn, because that takes most of a second.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dqn_cli.results.files import write_atomic
from dqn_cli.results.reader import Run
from dqn_cli.results.report import number
from dqn_cli.results.schema import ResultError, one_line
from dqn_cli.results.stats import Axis, Curve, Metric, curve, has_values
from dqn_cli.results.variants import Variant, variants

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    """Draw the runs' curves, pooled into variants, and replace the file `out` atomically.

    smooth: values in each seed's sliding mean. x None: the step if all runs are limited in steps
    alone. metric None: the score, or the return where there are no scores. Runs without any value
    give empty axes. The same runs give the same bytes. Raises ResultError for an unknown suffix or
    a file that cannot be written.
    """
    kind = image_format(out)
    pools = variants(runs)
    metric, x = metric or usual_metric(pools), x or usual_axis(pools)
    curves = [curve(variant.rows(metric), metric, x, smooth) for variant in pools]
    data = _render(pools, curves, AXIS_LABELS[x], AXIS_LABELS[metric], smooth, title, kind)
    try:
        write_atomic(out, data)
    except OSError as error:
        raise ResultError(out, f"cannot be written: {error.strerror}") from error


def usual_metric(pools: list[Variant]) -> Metric:
    """The score, or the return where there are no scores."""
    return "score" if any_values(pools, "score") else "return"


def usual_axis(pools: list[Variant]) -> Axis:
    """The step if all runs are limited in steps alone, else the episode."""
    return "step" if all(pool.by_steps for pool in pools) else "episode"


def any_values(pools: list[Variant], metric: Metric) -> bool:
    """Whether any seed of any variant has a value of this metric."""
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
    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for i, (pool, line) in enumerate(zip(pools, curves, strict=True)):
            _draw_curve(axes, line, i, pool, faint=len(pools) > LEGEND_INSIDE)
        _draw_thresholds(axes, pools)
        windows = {line.window for line in curves if line.seeds}
        smoothed = ""
        if windows - {1}:
            shrunk = "up to " if windows != {smooth} else ""
            smoothed = f", sliding mean of {shrunk}{max(windows)}"
        _dress(axes, x_label, y_label + smoothed, title)
        _legend(axes, pools, curves)

    return rendered(paint, (8, 5), kind)


def rendered(paint: Callable[[Figure], None], size: tuple[float, float], kind: str) -> bytes:
    """The file of a figure of this size in inches and of this format, with what `paint` draws."""
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    buffer = io.BytesIO()
    dates = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # the same figure whatever the user's matplotlibrc
        matplotlib.rcParams["svg.hashsalt"] = "dqn-cli"
        warnings.filterwarnings("ignore", message="Glyph")  # a label in letters the font has not
        figure = Figure(figsize=size)
        paint(figure)
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
        label=plain(f"{pool.label}, {seeds}"),
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
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    dress(axes)
    if title:
        axes.set_title(plain(title))


def dress(axes: Axes) -> None:
    """Whole numbers of episodes or steps at the bottom, a faint grid, no frame."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 50k
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.02)


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


def plain(text: str) -> str:
    """Escape text so that matplotlib draws it as it is: no formula, not hidden from the legend."""
    return (" " * text.startswith("_") + one_line(text)).replace("$", r"\$")
