"""The diagnostics of one run on a sheet: a panel for each question, all seeds and their mean."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dqn_cli.results import style
from dqn_cli.results.reader import Run
from dqn_cli.results.schema import ResultError
from dqn_cli.results.stats import curve, has_values
from dqn_cli.results.style import COLOURS, GREY, Look, image_format, plain
from dqn_cli.results.variants import env_of, variants
from dqn_cli.words import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

PANEL = (4.2, 3.7)  # inches, with the sentence below
WIDTH = 66  # characters of that
DECADES = 1.5  # between the smallest and the largest value, from which an axis is logarithmic
LARGEST = 1e100  # that is drawn; a network's numbers end at 3e38, or are infinite


class Panel(NamedTuple):
    title: str
    lines: dict[str, str]  # column -> what it is
    healthy: str  # what it looks like if learning goes well, and what else it means
    log: bool = False  # if the values are far apart


PANELS = (
    Panel(
        "Start value and return",
        {"start_q": "predicted: max Q", "start_return": "realised, discounted"},
        "Healthy: the prediction meets the return. A prediction that stays above it is "
        "over-estimation, which Double DQN is to lessen; one below it is catching up.",
    ),
    Panel(
        "Max Q of replayed states",
        {"q_mean": "mean", "q_max": "largest"},
        "Healthy: rises with the returns, then levels off within what the discount allows. "
        "Growth without an end is divergence.",
    ),
    Panel(
        "TD error",
        {"td_median": "median", "td_90": "90th percentile", "td_max": "largest"},
        "Of a distribution: the loss. Healthy: falls, or stays small against Q. A rise with flat "
        "returns: the learning rate is too high, or the target follows too fast.",
        log=True,
    ),
    Panel(
        "Norms",
        {"grad_norm": "gradient", "param_norm": "parameters"},
        "Healthy: the gradient has no trend upwards, the parameters grow ever more slowly. "
        "Peaks of the gradient by tens: clip it, or use the Huber loss.",
        log=True,
    ),
    Panel(
        "Priorities",
        {
            "priority_max": "largest",
            "priority_median": "median",
            "ess": "effective sample size",
        },
        "Relative to their mean; the size, to the rows drawn. Healthy: a median not far below 1, "
        "a size above 0.5. Less: few rows count; lower alpha or beta.",
        log=True,
    ),
    Panel(
        "Age of a sampled row",
        {"age": "env steps, expected"},
        "Uniform replay: half of the rows held, then level. Far below that, the newest rows "
        "are preferred; far above, old ones that are never learned.",
    ),
    Panel(
        "Dead units",
        {"dead_units": "share of ReLU units"},
        "Units that none of the drawn states activates. Healthy: level, and far from 1. A steady "
        "rise costs capacity: lower the learning rate.",
    ),
    Panel(
        "Entropy of the return's distribution",
        {"entropy": "nats, of the best action"},
        "Healthy: falls from the log of the number of atoms, and levels off above 0. At 0 the "
        "distribution has collapsed onto one atom.",
    ),
)


def draw(run: Run, out: Path) -> None:
    """Draw the run's diagnostics, and replace the file `out` atomically. The same run gives the
    same bytes. Raises ResultError for a run without any, an unknown suffix, or a file that cannot
    be written."""
    image_format(out)  # a wrong one is told first
    seeds = {seed: frame.where(frame.abs() < LARGEST) for seed, frame in run.diagnostics.items()}
    panels = [panel for panel in PANELS if any(has_values(seeds, name) for name in panel.lines)]
    if not panels:
        problem = "holds no diagnostics (a run makes them with eval.diagnose_every)"
        raise ResultError(run.path, problem)
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    name = f"{variants([run])[0].label}, {counted(len(seeds), 'seed')}"
    if env := env_of(run):
        name = f"{env}: {name}"
    height = rows * PANEL[1]
    with style.sheet(out, (columns * PANEL[0], height), Look(), None) as figure:
        figure.suptitle(plain(name), x=0.01, y=1 - 0.1 / height, ha="left", fontsize=14)
        legend = (
            "Over env steps of a seed. Thin: each seed; thick: their mean, while all are there."
        )
        figure.text(0.01, 1 - 0.4 / height, legend, ha="left", va="top", color=GREY)
        for place, panel in enumerate(panels, 1):
            _panel(figure.add_subplot(rows, columns, place), panel, seeds)
        figure.subplots_adjust(
            left=0.05,
            right=0.99,
            top=1 - 1.15 / height,
            bottom=0.9 / height,
            wspace=0.2,
            hspace=0.75,
        )


def _panel(axes: Axes, panel: Panel, seeds: Mapping[int, pd.DataFrame]) -> None:
    import pandas as pd
    from matplotlib.ticker import FuncFormatter

    style.dress(axes)
    style.count_along(axes)
    axes.set_title(panel.title, loc="left", fontsize="medium", fontweight="bold", pad=20)
    for (column, label), colour in zip(panel.lines.items(), COLOURS, strict=False):
        for frame in seeds.values():
            axes.plot(frame["step"], frame[column], color=colour, linewidth=0.5, alpha=0.3)
        mean = curve(seeds, column, "step", 1)
        whole = slice(mean.whole)  # a mean of the seeds that are left would jump where one ends
        axes.plot(mean.x[whole], mean.mean[whole], color=colour, linewidth=1.8, label=label)
    values = pd.concat([frame[list(panel.lines)].stack() for frame in seeds.values()])
    smallest = values[values > 0].min()
    if panel.log and values.max() > smallest * 10**DECADES:
        axes.set_yscale("log", nonpositive="mask")
    elif values.min() >= 0:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: short(y)))
    axes.legend(
        **{"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3, "borderaxespad": 0},
        **{"fontsize": "small", "frameon": False, "columnspacing": 1, "handlelength": 1.2},
    )
    sentence = textwrap.fill(panel.healthy, WIDTH)
    axes.text(0, -0.16, sentence, transform=axes.transAxes, va="top", fontsize=8, color="0.3")


def short(value: float) -> str:
    """The number as an axis has it: 0.05, 250, 40k."""
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:g}"
