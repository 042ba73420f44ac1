"""From run directories to docs/reproduction.md and the small files behind it."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.compose import composed
from benchmarks.reproduction.published import (
    BERTA,
    ERRATA,
    INDEPENDENT,
    PAGE,
    SCORE_25,
    SECTIONS,
    Claim,
    Figure,
    Quantity,
    Section,
    Table,
    returns_between,
)
from benchmarks.reproduction.runs import DOCUMENT, PLANNED, RUNS, trained
from dqn_cli.results.comparison import superiority, welch
from dqn_cli.results.figure import AXIS_LABELS, View, draw
from dqn_cli.results.files import write_atomic
from dqn_cli.results.intervals import t_interval
from dqn_cli.results.reader import Run, read_run
from dqn_cli.results.stats import curve
from dqn_cli.results.style import Look, canvas, count_along, legend
from dqn_cli.results.variants import panels, variants
from dqn_cli.words import counted

FEW = 5  # seeds from which on a mean has an interval
SAME = {"berta/per_as_printed": "berta/ddqn"}  # the same configuration, trained once
TO_COME = "not run yet"
SEEDS = "seeds.csv"  # the figures of every seed of a run
PEER = "stable_baselines3.csv"  # a seed's score, as benchmarks/reproduction/peer.py writes it
LOOP = "independent_loop.csv"  # variant, seed, final score, as benchmarks/oracle.py prints them
Values = NDArray[np.float64]


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a run what it is. The storage, checkpoints and the order of its seeds change no
    byte, the device at most the last bits; nor do keys that it may be older than, unless they say
    something new, or the steps of a learning rate that does not fall."""
    free = ("device", "report", "storage", "checkpoint")
    kept = {key: value for key, value in config.items() if key not in free}
    evaluation = ("max_steps", "final_episodes", "envs", "diagnose_every")
    newer_keys = (
        *(("eval", evaluation), ("env", ("wrappers",)), ("network", ("convolutions",))),
        *(("exploration", ("delay_steps",)), ("optimizer", ("eps_in_root", "centered"))),
    )
    for group, newer in newer_keys:
        kept[group] = {key: value for key, value in kept[group].items() if key not in newer}
    kept["network"] = {"init": "torch"} | kept["network"]
    if kept["optimizer"].get("lr_end") is None:
        kept["optimizer"] = {k: v for k, v in kept["optimizer"].items() if k != "lr_steps"}
    return kept | {"seed": sorted(kept["seed"])}


def runs_below(root: Path) -> dict[str, Run]:
    """The runs of RUNS that lie below `root`. ValueError for one that is not what it should be."""
    runs = {name: read_run(root / name) for name in RUNS if (root / name).is_dir()}
    for name, run in runs.items():
        if settings(run.config) != settings(composed(*RUNS[name].split()).model_dump()):
            raise ValueError(f"{run.path}: its config.yaml is not that of {trained(name)}")
        if run.summary.get("status") != "finished" or run.diverged:
            raise ValueError(f"{run.path}: not trained to its end; {trained(name)}")
    return runs


class Kept:
    """The figures of every seed, from the small files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.read: dict[str, dict[str, dict[int, float]]] = {}

    def scores(self, name: str, quantity: Quantity) -> dict[int, float]:
        """The figure of each seed."""
        name = SAME.get(name, name)
        if name not in self.read:
            with (self.folder / name / SEEDS).open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            self.read[name] = {
                title: {int(row["seed"]): float(row[title]) for row in rows} for title in rows[0]
            }
        return self.read[name][quantity.title]

    def of(self, name: str, quantity: Quantity, document: bool) -> Values:
        """Of the seeds that the document names, or of the others."""
        scores = self.scores(name, quantity)
        return np.array([scores[s] for s in scores if (s in own_seeds(name)) == document])


def own_seeds(name: str) -> set[int]:
    """The document's own seeds, where it names them."""
    if name == "berta/dqn_first":
        return {34}
    return {int(seed) for seed in DOCUMENT.split(",")} if name.startswith("berta/") else set()


def figure(value: float) -> str:
    return "never" if np.isinf(value) else f"{value:.1f}".removesuffix(".0")


def cell(values: Values, quantity: Quantity) -> str:
    """The mean (or median) over seeds, the mean's interval, the smallest and largest seed."""
    if not len(values):
        return "none"
    middle = np.median(values) if quantity.median else values.mean()
    text = f"**{figure(middle)}**"
    if len(values) >= FEW and not quantity.median:
        low, high = t_interval(values)
        text += f" ({figure(low)} to {figure(high)})"
    if len(values) > 1:
        text += f" [{figure(values.min())}, {figure(values.max())}]"
    return text


def compared(ours: Values, theirs: Values) -> tuple[float, float, float, float]:
    """The difference of means, its interval, and how often one of ours is above one of theirs."""
    middle = float(ours.mean() - theirs.mean())
    (low, high), _ = welch(ours, theirs)
    return middle, low, high, superiority(ours, theirs)


def difference(kept: Kept, claim: Claim) -> tuple[float, float, float, float]:
    """Run less than, compared over all seeds of each."""
    ours, theirs = (
        np.array(list(kept.scores(name, claim.quantity).values()))
        for name in (claim.run, claim.than)
    )
    return compared(ours, theirs)


def lower(title: str) -> str:
    return title[0].lower() + title[1:]


def verdict(claim: Claim, low: float, high: float) -> str:
    low, high = sorted((claim.sign * low, claim.sign * high))
    if low > 0:
        return "seen"
    return "the opposite is seen" if high < 0 else "not seen: the interval includes 0"


def table_lines(kept: Kept, table: Table) -> list[str]:
    documents = any(own_seeds(row.run) for row in table.rows)
    heads = [
        "experiment",
        "published",
        *(["the document's seeds"] if documents else []),
        "fresh seeds",
    ]
    title = table.quantity.title + ", median" * table.quantity.median
    lines = [f"**{title}**", "", row_line(heads), row_line(["---"] * len(heads))]
    for row in table.rows:
        if row.run in PLANNED:
            nothing = [TO_COME] * (len(heads) - 2)
            lines.append(row_line([f"`{row.run}`", row.published, *nothing]))
            continue
        same, fresh = (kept.of(row.run, table.quantity, document) for document in (True, False))
        cells = [f"`{row.run}`", row.published]
        if documents:
            cells.append(f"{len(same)}: {cell(same, table.quantity)}")
        lines.append(row_line([*cells, f"{len(fresh)}: {cell(fresh, table.quantity)}"]))
    return [*lines, ""]


def row_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def claim_lines(kept: Kept, claims: Sequence[Claim], verdicts: bool) -> list[str]:
    """One row for each claim; `verdicts` adds whether ours confirm it."""
    heads = [
        "",
        "difference (95 % interval)",
        "P(a seed is above)",
        *(["verdict"] if verdicts else []),
    ]
    lines = [row_line(heads), row_line(["---"] * len(heads))]
    for claim in claims:
        middle, low, high, share = difference(kept, claim)
        cells = [
            f"{claim.text}: `{claim.run}` - `{claim.than}`, {lower(claim.quantity.title)}",
            f"{middle:+.1f} ({low:+.1f} to {high:+.1f})",
            f"{share:.2f}",
        ]
        lines.append(row_line([*cells, *([verdict(claim, low, high)] if verdicts else [])]))
    return [*lines, ""]


def draw_figure(runs: Mapping[str, Run], shown: Figure, folder: Path) -> None:
    out = picture(shown, folder)
    out.parent.mkdir(parents=True, exist_ok=True)
    if shown.beside:
        (name,) = shown.runs
        return draw_beside(runs[name], shown, out)
    chosen = []
    for name in shown.runs:
        run = runs[name]
        scores = {
            seed: rows[rows["episode"] <= (shown.episodes or np.inf)]
            for seed, rows in run.scores.items()
            if not own_seeds(name) or (seed in own_seeds(name)) == shown.document
        }
        chosen.append(replace(run, scores=scores))
    metric: Any = shown.metric
    x: Any = shown.x
    view = View(metric, shown.smooth)
    draw(panels(chosen, x=x), out, view, Look(shown.title))


def draw_beside(run: Run, shown: Figure, out: Path) -> None:
    """The training returns of a run by step, and others' means over stretches of steps, with ours
    over those that the run has been through."""
    (pool,) = variants([run])
    line = curve(pool.rows(), "return", "step", shown.smooth)
    look = Look(shown.title)
    with canvas(out, look, 1) as (figure, (axes,)):
        label = f"ours, {counted(line.seeds, 'seed')}, running mean of {shown.smooth} episodes"
        (curved,) = axes.plot(line.x, line.mean, color=look.colour(0), label=label)
        for first, last, low, high in shown.beside:
            theirs = axes.fill_between(
                *([first, last], low, high),
                color=look.colour(1),
                linewidth=1,
                label=shown.whose,
            )
            if last > run.config["steps"]:
                continue  # the mean of a part of them would stand beside that of all
            of = returns_between(first, last)
            mean = np.mean([of(rows) for rows in run.scores.values()])
            (level,) = axes.plot(
                *([first, last], [mean, mean]),
                color=look.colour(0),
                linestyle=(0, (1, 1)),
                label="ours, mean",
            )
        count_along(axes)
        axes.set(xlabel=AXIS_LABELS["step"], ylabel=AXIS_LABELS["return"])
        legend(figure, [curved, level, theirs], None, look)


def picture(shown: Figure, folder: Path) -> Path:
    return folder / f"{shown.file}.png"


def keep(run: Run, place: Path, section: Section) -> None:
    """The small files of a run: its configuration, a row per seed, its mean curves."""
    quantities = [table.quantity for table in section.tables]
    x: Any = section.x
    place.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run.path / "config.yaml", place / "config.yaml")
    (pool,) = variants([run])
    scored = pool.rows()  # with the evaluations by step
    rows = [
        [seed, len(frame), int(frame["step"].iloc[-1])]
        + [f"{q.of(scored[seed] if q.scored else frame):.6g}" for q in quantities]
        for seed, frame in run.scores.items()
    ]
    write_csv(place / SEEDS, ["seed", "episodes", "steps", *(q.title for q in quantities)], rows)
    metrics: tuple[Any, ...] = ("score", "return")
    for metric in metrics:
        line = curve(pool.rows(), metric, x, 1)
        numbers = zip(line.x, line.n, line.mean, line.low, line.high, strict=True)
        body = [[f"{value:.6g}" for value in row] for row in numbers]
        write_csv(place / f"{metric}.csv", [x, "seeds", "mean", "min", "max"], body)


def write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    write_atomic(path, text.getvalue().encode())


def beside(ours: Values, theirs: Values, quantity: Quantity) -> list[str]:
    """The cells of both, and of their difference."""
    middle, low, high, share = compared(ours, theirs)
    return [
        f"{len(ours)}: {cell(ours, quantity)}",
        f"{len(theirs)}: {cell(theirs, quantity)}",
        f"{middle:+.1f} ({low:+.1f} to {high:+.1f})",
        f"{share:.2f}",
    ]


def peer_lines(kept: Kept, section: Section) -> list[str]:
    """Ours beside the seeds that the other project's own code was trained with, by peer.py."""
    lines: list[str] = []
    for table in section.tables:
        for row in table.rows:
            file = kept.folder / row.run / PEER
            if not file.is_file():
                continue
            head, *body = csv.reader(file.read_text(encoding="utf-8").splitlines())
            theirs = np.array([float(score) for _, score in body])
            ours = kept.of(row.run, table.quantity, False)
            if not lines:
                heads = ["experiment", "ours", head[1], "difference", "P(a seed is above)"]
                lines = [row_line(heads), row_line(["---"] * len(heads))]
            lines.append(row_line([f"`{row.run}`", *beside(ours, theirs, table.quantity)]))
    return [*lines, ""] if lines else []


def section_lines(kept: Kept, section: Section) -> list[str]:
    lines = [f"## {section.title}", "", section.text, ""]
    if section.walk:
        heads = ["in the document", "preset", "figure"]
        lines += [row_line(heads), row_line(["---"] * len(heads))]
        for place, presets, file in section.walk:
            linked = ", ".join(f"[{name}](../conf/experiment/{name}.yaml)" for name in presets)
            link = f"[{file}](../{kept.folder.as_posix()}/{file}.png)" if file else "no figure"
            lines.append(row_line([place, linked, link]))
        lines.append("")
    for table in section.tables:
        lines += table_lines(kept, table)
    if section.notes:
        lines += [section.notes, ""]
    if peers := peer_lines(kept, section):
        lines += [section.peers, "", *peers]
    if section.claims:
        lines += [
            "What is claimed, or shown:",
            "",
            *claim_lines(kept, section.claims, verdicts=True),
        ]
    for shown in section.figures:
        lines += [f"![{shown.title}](../{picture(shown, kept.folder).as_posix()})", ""]
    names = [name for name in rows_of(section) if name not in PLANNED and name not in SAME]
    if names:
        lines += ["To train each row again:", "", *shell(map(trained, names))]
    return [*lines, *planned_lines(section)]


def planned_lines(section: Section) -> list[str]:
    """How to train what is not trained yet."""
    names = [name for name in rows_of(section) if name in PLANNED]
    return ["To train what is not run yet:", "", *shell(map(trained, names))] if names else []


def rows_of(section: Section) -> list[str]:
    """The runs of its tables, each once."""
    return list(dict.fromkeys(row.run for table in section.tables for row in table.rows))


def shell(commands: Iterable[str]) -> list[str]:
    return ["```sh", *commands, "```", ""]


def loop_scores(file: Path) -> dict[str, dict[int, float]]:
    """Variant -> seed -> final score of the independent loop."""
    scores: dict[str, dict[int, float]] = {}
    for variant, seed, score in list(csv.reader(file.read_text(encoding="utf-8").splitlines()))[1:]:
        scores.setdefault(variant, {})[int(seed)] = float(score)
    return scores


def independent_lines(kept: Kept) -> list[str]:
    """Ours beside the seeds of benchmarks/oracle.py."""
    loop = loop_scores(kept.folder / LOOP)
    lines = [f"## {INDEPENDENT.title}", "", INDEPENDENT.text, ""]
    heads = ["", "ours", "the independent loop", "difference", "P(a seed is above)"]
    lines += [f"**{SCORE_25.title}**", "", row_line(heads), row_line(["---"] * len(heads))]
    for variant, name, label in INDEPENDENT.rows:
        theirs = np.array(list(loop[variant].values()))
        cells = beside(kept.of(name, SCORE_25, False), theirs, SCORE_25)
        lines.append(row_line([f"{label}: `{name}`, `{variant}`", *cells]))
    lines += ["", INDEPENDENT.notes, "", "To train both again:", ""]
    names = [name for _, name, _ in INDEPENDENT.rows if name in INDEPENDENT.runs]
    again = [f"python -m benchmarks.oracle {v} {' '.join(map(str, loop[v]))}" for v in loop]
    return [*lines, *shell([*again, *map(trained, names)])]


HEAD = """# The published experiments, again

Made by `make reproduction ARGS=report` from the run directories in outputs/reproduction, which
`make reproduction ARGS=train` makes, or in another place (`ARGS="report --runs DIR"`); do not edit.
A run whose directory is not there is shown from its small files, as it was. What is printed in each
document and is wrong, and what it changes, is in [errata.md](errata.md); the settings are the
presets in [conf/experiment](../conf/experiment), value by value with their source.

A cell is the number of seeds, their mean in bold (or the median, without an interval), the mean's
95 % interval in round brackets, and the smallest and largest seed in square ones. Intervals are
Student's and, for differences, Welch's. They hold what they promise for figures that scatter
evenly; where most seeds are near the top and some fail, as on CartPole, an interval of five seeds
holds the true mean in about half of all cases, one of thirty in nine of ten: look at the smallest
seed, too. `return` is that of training episodes, with exploration; `score` the mean of greedy
episodes in environments of their own. Fresh seeds begin at 2001 and had no part in any choice.

A difference is taken over all seeds of both sides; `P(a seed is above)` is how often a seed of the
first is above one of the second, ties counting a half. There are {claims} claims; where nothing
is different, about one in twenty would still come out as seen, or as the opposite.

[outputs/reference](../outputs/reference) has for each run the figures of every seed (`seeds.csv`),
its mean, smallest and largest seed by episode (of MinAtar and Atari by step, a thousand of them),
of all seeds and not smoothed (`score.csv`, `return.csv`), and its settings (`config.yaml`). The
pictures are smoothed, seed by seed.

[reproduction.html](../outputs/reference/reproduction.html) shows all of it but MinAtar and Atari on
one page, to be looked at in a browser (`dqn-plot outputs/reproduction --html FILE`): curves with
values, what differs, and the command of each run. Its runs were trained another time, with the
first three of the fresh seeds, and twelve of Lange's rows with the first alone; the figures to
quote are those below.
"""


def page_lines(kept: Kept) -> list[str]:
    lines = [HEAD.format(claims=sum(len(section.claims) for section in PAGE))]
    for section in PAGE:
        lines += section_lines(kept, section)
    return [
        *lines,
        *independent_lines(kept),
        "## What the errors change",
        "",
        "As printed - as said, where a key reproduces it; see [errata.md](errata.md).",
        "",
        *claim_lines(kept, ERRATA, verdicts=False),
    ]


def write(root: Path, folder: Path, page: Path) -> list[str]:
    """Read the runs below root, and renew their small files in the folder and the pictures all of
    whose runs are there; then write the page from the small files. What has been read.

    ValueError if a run is not what it should be, or there is nothing to show for one; then nothing
    has been written."""
    runs = runs_below(root)
    if not runs:
        raise ValueError(f"{root}: holds no run of the report")
    figures = [shown for section in SECTIONS for shown in section.figures]
    drawn = [shown for shown in figures if runs.keys() >= set(shown.runs)]
    needed = [(name, folder / name / SEEDS) for name in RUNS if name not in runs]
    needed += [(shown.runs[0], picture(shown, folder)) for shown in figures if shown not in drawn]
    for name, file in needed:
        if not file.is_file():
            raise ValueError(f"{file}: is not there, and no run to make it from; {trained(name)}")
    for section in SECTIONS:
        for name in runs.keys() & set(rows_of(section)):
            keep(runs[name], folder / name, section)
    for name in runs.keys() & set(INDEPENDENT.runs):
        keep(runs[name], folder / name, BERTA)
    for shown in drawn:
        draw_figure(runs, shown, folder)
    write_atomic(page, "\n".join(page_lines(Kept(folder))).rstrip().encode() + b"\n")
    return list(runs)
