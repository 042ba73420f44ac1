"""How every figure looks, and how it gets into its file.

matplotlib is imported when a figure is drawn, because that takes most of a second.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from dqn_cli.results.files import write_atomic
from dqn_cli.results.schema import ResultError, one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
# Okabe-Ito, without the yellow that white paper swallows; told apart by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
Dashes = Literal["-", "-.", ":"]
STYLES: tuple[Dashes, ...] = ("-", "-.", ":")  # rounds of colours; "--": seeds have ended
GREY = "0.45"
Paper = Literal["column", "page"]
WIDTHS: dict[Paper, float] = {"column": 3.25, "page": 6.75}  # inches, of two-column papers
FEW = 3  # columns of panels at most
CHARACTER = 0.55  # width of a letter in units of the font's size
LEGEND_ROWS = 5  # below the panels; a longer legend stands beside them


class Look(NamedTuple):
    """Sizes in inches, of the whole figure; None: by the number of panels, or the paper's."""

    title: str | None = None
    width: float | None = None
    height: float | None = None
    paper: Paper | None = None
    colours: Sequence[str] = COLOURS
    exact: bool = False  # the file has these sizes; else nothing is cut off, and no edge is empty

    @property
    def font(self) -> float:
        """Points; papers are read in print, at the size of a caption."""
        return 7 if self.paper else 10

    def colour(self, index: int) -> str:
        return self.colours[index % len(self.colours)]

    def line(self, index: int) -> Dashes:
        return STYLES[index // len(self.colours) % len(STYLES)]

    def columns(self, panels: int) -> int:
        if self.paper == "column":
            return 1
        return math.ceil(panels / math.ceil(panels / FEW)) if panels else 1

    def size(self, panels: int) -> tuple[float, float]:
        columns = self.columns(panels)
        rows = math.ceil(max(panels, 1) / columns)
        width = self.width or (WIDTHS[self.paper] if self.paper else (8, 10, 13)[columns - 1])
        share = width / columns  # a panel is as high as two thirds of its width
        return width, self.height or rows * (0.66 if columns > 1 or self.paper else 0.6) * share


def image_format(out: Path) -> str:
    """The figure's format by its file name's suffix; ResultError for an unknown one."""
    suffix = out.suffix[1:].lower()
    if suffix not in FORMATS:
        raise ResultError(out, f"a figure is one of {', '.join('.' + f for f in FORMATS)}")
    return suffix


@contextlib.contextmanager
def sheet(
    out: Path, size: tuple[float, float], look: Look, layout: Literal["constrained"] | None
) -> Iterator[Figure]:
    """A figure of this size in inches, which replaces the file `out` atomically when the block
    ends. The same drawing gives the same bytes. Raises ResultError for an unknown suffix or a file
    that cannot be written."""
    kind = image_format(out)
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # the same figure whatever the user's matplotlibrc
        matplotlib.rcParams.update(
            {
                "svg.hashsalt": "dqn-cli",
                "svg.fonttype": "none",  # text that can be found, and edited
                "pdf.fonttype": 42,  # TrueType: papers' checks refuse Type 3
                "font.size": look.font,
                "axes.titlesize": "medium",
                "lines.linewidth": 1.0 if look.paper else 1.6,
            }
        )
        warnings.filterwarnings("ignore", message="Glyph")  # a label in letters the font has not
        figure = Figure(figsize=size, layout=layout)
        yield figure
        data = _bytes(figure, kind, look)
    save(out, data)


@contextlib.contextmanager
def canvas(out: Path, look: Look, panels: int) -> Iterator[tuple[Figure, list[Axes]]]:
    """A sheet with so many panels, and their axes."""
    with sheet(out, look.size(panels), look, "constrained") as figure:
        columns = look.columns(panels)
        grid = figure.subplots(math.ceil(max(panels, 1) / columns), columns, squeeze=False)
        axes = list(grid.flat)
        for spare in axes[max(panels, 1) :]:
            spare.remove()
        for one in axes[:panels]:
            dress(one)
        if look.title:
            figure.suptitle(plain(look.title), fontsize="large")
        yield figure, axes[: max(panels, 1)]


def level(axes: Sequence[Axes], scales: Sequence[str], which: Literal["x", "y"]) -> None:
    """Give axes of one scale the same limits, so that their panels can be compared."""
    for scale in dict.fromkeys(scales):
        alike = [one for one, its in zip(axes, scales, strict=False) if its == scale]
        for one in alike[1:]:
            (one.sharex if which == "x" else one.sharey)(alike[0])
            one.autoscale_view(scalex=which == "x", scaley=which == "y")


def dress(axes: Axes) -> None:
    """A faint grid, and no frame."""
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)


def count_along(axes: Axes) -> None:
    """Whole numbers of episodes, steps or seconds at the bottom: 50k."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.margins(x=0.02)


def save(out: Path, data: bytes) -> None:
    """Replace the file atomically. Raises ResultError if it cannot be written."""
    try:
        write_atomic(out, data)
    except OSError as error:
        raise ResultError(out, f"cannot be written: {error.strerror}") from error


def _bytes(figure: Figure, kind: str, look: Look) -> bytes:
    buffer = io.BytesIO()
    dates = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    box = None if look.exact or look.paper else "tight"
    dpi = 300 if look.paper else 150
    figure.savefig(buffer, format=kind, dpi=dpi, bbox_inches=box, metadata=dates)
    return buffer.getvalue()


def legend(figure: Figure, handles: list[object], title: str | None, look: Look) -> None:
    """Outside of the panels, where it covers nothing: below them, or beside if it is long."""
    if not handles:
        return
    width = figure.get_figwidth()
    names = [str(handle.get_label()) for handle in handles]  # type: ignore[attr-defined]
    longest = max(map(len, names))
    entry = (longest * CHARACTER + 4) * look.font * 0.83 / 72  # inches, with its line
    columns = max(1, min(len(names), int(width / entry)))
    rows = math.ceil(len(names) / columns)
    below = rows <= LEGEND_ROWS or look.paper is not None
    if below and look.height is None:  # the panels keep their size
        figure.set_figheight(figure.get_figheight() + (rows - 1) * look.font * 1.2 / 72)
    figure.legend(
        handles=handles,
        title=title,
        loc="outside lower center" if below else "outside right upper",
        ncols=columns if below else 1,
        fontsize="small",
        title_fontsize="small",
        frameon=False,
        handlelength=2.6,
    )


def colour(text: str) -> str:
    """A colour by matplotlib's name or by #rrggbb, as #rrggbb; ValueError for another."""
    from matplotlib.colors import to_hex

    return to_hex(text)


def plain(text: str) -> str:
    """Escape text so that matplotlib draws it as it is: no formula, not hidden from the legend."""
    return (" " * text.startswith("_") + one_line(text)).replace("$", r"\$")
