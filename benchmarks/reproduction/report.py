"""From run directories to docs/reproduction.md and the small files behind it."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.compose import composed
from benchmarks.reproduction.published import (
    ERRATA,
    FAMILY,
    SECTIONS,
    Claim,
    Figure,
    Quantity,
    Section,
    Table,
)
from benchmarks.reproduction.runs import DOCUMENT, RUNS, trained
from dqn_cli.results.figure import draw
from dqn_cli.results.files import write_atomic
from dqn_cli.results.reader import Run, read_run
from dqn_cli.results.stats import curve

FEW = 5  # seeds from which on a mean has an interval
SAME = {"berta/per_as_printed": "berta/ddqn"}  # the same configuration, trained once
TO_COME = "not run yet"
PEER = "stable_baselines3.csv"  # a seed's score, as benchmarks/reproduction/peer.py writes it
Values = NDArray[np.float64]


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a run what it is. The device and the order of its seeds change no byte, nor do
    keys that it may be older than, or the steps of a learning rate that does not fall."""
    kept = {key: value for key, value in config.items() if key != "device"}
    for group, newer in (("eval", ("max_steps", "final_episodes", "envs")), ("env", ("wrappers",))):
        kept[group] = {key: value for key, value in kept[group].items() if key not in newer}
    if kept["optimizer"].get("lr_end") is None:
        kept["optimizer"] = {k: v for k, v in kept["optimizer"].items() if k != "lr_steps"}
    return kept | {"seed": sorted(kept["seed"])}


class Runs:
    """Every run of RUNS, below `root`. ValueError for one that is not what it should be."""

    def __init__(self, root: Path) -> None:
        self.runs = {name: read_run(root / name) for name in RUNS}
        for name, run in self.runs.items():
            if settings(run.config) != settings(composed(*RUNS[name].split()).model_dump()):
                raise ValueError(f"{run.path}: its config.yaml is not that of {trained(name)}")
            if run.summary.get("status") != "finished" or run.diverged:
                raise ValueError(f"{run.path}: not trained to its end; {trained(name)}")

    def __getitem__(self, name: str) -> Run:
        return self.runs[SAME.get(name, name)]

    def of(self, name: str, quantity: Quantity, document: bool) -> Values:
        """The figure of each seed: of those that the document names, or of the others."""
        scores = self[name].scores
        seeds = [seed for seed in scores if (seed in own_seeds(name)) == document]
        return np.array([quantity.of(scores[seed]) for seed in seeds])


def own_seeds(name: str) -> set[int]:
    """The document's own seeds, where it names them."""
    if name == "berta/dqn_first":
        return {34}
    return {int(seed) for seed in DOCUMENT.split(",")} if name.startswith("berta/") else set()


def student(freedom: float) -> float:
    """The 97.5 % quantile of Student's t, within 0.01 from 4 degrees of freedom on (Abramowitz &
    Stegun 1964, 26.7.5)."""
    z = 1.959964
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return sum(term / freedom**i for i, term in enumerate(terms))


def welch(ours: Values, theirs: Values) -> tuple[float, float, float]:
    """The difference of means and its 95 % interval; of unequal variances (Welch 1947)."""
    parts = [values.var(ddof=1) / len(values) for values in (ours, theirs)]
    weights = [part**2 / (len(v) - 1) for part, v in zip(parts, (ours, theirs), strict=True)]
    middle = float(ours.mean() - theirs.mean())
    if not sum(parts):
        return middle, middle, middle
    half = student(sum(parts) ** 2 / sum(weights)) * float(np.sqrt(sum(parts)))
    return middle, middle - half, middle + half


def interval(values: Values) -> tuple[float, float]:
    """The 95 % interval of the mean, by Student's t."""
    half = student(len(values) - 1) * float(np.sqrt(values.var(ddof=1) / len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def figure(value: float) -> str:
    return "never" if np.isinf(value) else f"{value:.1f}".removesuffix(".0")


def cell(values: Values, quantity: Quantity) -> str:
    """The mean (or median) over seeds, the mean's interval, the smallest and largest seed."""
    if not len(values):
        return "none"
    middle = np.median(values) if quantity.median else values.mean()
    text = f"**{figure(middle)}**"
    if len(values) >= FEW and not quantity.median:
        low, high = interval(values)
        text += f" ({figure(low)} to {figure(high)})"
    if len(values) > 1:
        text += f" [{figure(values.min())}, {figure(values.max())}]"
    return text


def difference(runs: Runs, claim: Claim) -> tuple[float, float, float, float]:
    """Run less than, over all seeds of each: the difference of means, its interval, and how often a
    seed of one is above a seed of the other."""
    sides = []
    for name in (claim.run, claim.than):
        scores = runs[name].scores
        sides.append(np.array([claim.quantity.of(scores[seed]) for seed in scores]))
    ours, theirs = sides
    return *welch(ours, theirs), above(ours, theirs)


def above(ours: Values, theirs: Values) -> float:
    """How often one of ours is above one of theirs; a tie counts a half."""
    more, same = ours[:, None] > theirs, ours[:, None] == theirs
    return float(more.mean() + 0.5 * same.mean())


def lower(title: str) -> str:
    return title[0].lower() + title[1:]


def verdict(claim: Claim, low: float, high: float) -> str:
    low, high = sorted((claim.sign * low, claim.sign * high))
    if low > 0:
        return "seen"
    return "the opposite is seen" if high < 0 else "not seen: the interval includes 0"


def table_lines(runs: Runs, table: Table) -> list[str]:
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
        same, fresh = (runs.of(row.run, table.quantity, document) for document in (True, False))
        cells = [f"`{row.run}`", row.published]
        if documents:
            cells.append(f"{len(same)}: {cell(same, table.quantity)}")
        lines.append(row_line([*cells, f"{len(fresh)}: {cell(fresh, table.quantity)}"]))
    return [*lines, ""]


def row_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def claim_lines(runs: Runs, claims: Sequence[Claim], told: bool) -> list[str]:
    """One row for each claim; `told` adds what is to be thought of it."""
    heads = ["", "difference (95 % interval)", "P(a seed is above)", *(["verdict"] if told else [])]
    lines = [row_line(heads), row_line(["---"] * len(heads))]
    for claim in claims:
        middle, low, high, share = difference(runs, claim)
        cells = [
            f"{claim.text}: `{claim.run}` - `{claim.than}`, {lower(claim.quantity.title)}",
            f"{middle:+.1f} ({low:+.1f} to {high:+.1f})",
            f"{share:.2f}",
        ]
        lines.append(row_line([*cells, *([verdict(claim, low, high)] if told else [])]))
    return [*lines, ""]


def draw_figure(runs: Runs, shown: Figure, folder: Path) -> list[str]:
    chosen = []
    for name in shown.runs:
        run = runs[name]
        scores = {
            seed: rows[rows["episode"] <= (shown.episodes or np.inf)]
            for seed, rows in run.scores.items()
            if not own_seeds(name) or (seed in own_seeds(name)) == shown.document
        }
        chosen.append(replace(run, scores=scores))
    out = folder / f"{shown.file}.png"
    out.parent.mkdir(parents=True, exist_ok=True)
    metric: Any = shown.metric
    x: Any = shown.x
    draw(chosen, out, smooth=shown.smooth, x=x, metric=metric, title=shown.title)
    return [f"![{shown.title}](../{out.as_posix()})", ""]


def keep(runs: Runs, name: str, quantities: Sequence[Quantity], folder: Path) -> None:
    """The small files of a run: its configuration, a row per seed, its mean curves."""
    run, place = runs[name], folder / name
    place.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run.path / "config.yaml", place / "config.yaml")
    rows = [
        [seed, len(frame), int(frame["step"].iloc[-1]), *(f"{q.of(frame):.6g}" for q in quantities)]
        for seed, frame in run.scores.items()
    ]
    write_csv(
        place / "seeds.csv", ["seed", "episodes", "steps", *(q.title for q in quantities)], rows
    )
    metrics: tuple[Any, ...] = ("score", "return")
    for metric in metrics:
        line = curve(run.scores, metric, "episode", 1)
        numbers = zip(line.x, line.n, line.mean, line.low, line.high, strict=True)
        body = [[f"{value:.6g}" for value in row] for row in numbers]
        write_csv(place / f"{metric}.csv", ["episode", "seeds", "mean", "min", "max"], body)


def write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    write_atomic(path, text.getvalue().encode())


def peer_lines(runs: Runs, section: Section, folder: Path) -> list[str]:
    """Ours beside the seeds that the other project's own code was trained with, by peer.py."""
    lines: list[str] = []
    for table in section.tables:
        for row in table.rows:
            file = folder / row.run / PEER
            if not file.is_file():
                continue
            head, *body = csv.reader(file.read_text(encoding="utf-8").splitlines())
            theirs = np.array([float(score) for _, score in body])
            ours = runs.of(row.run, table.quantity, False)
            middle, low, high = welch(ours, theirs)
            cells = [
                f"`{row.run}`",
                f"{len(ours)}: {cell(ours, table.quantity)}",
                f"{len(theirs)}: {cell(theirs, table.quantity)}",
                f"{middle:+.1f} ({low:+.1f} to {high:+.1f})",
                f"{above(ours, theirs):.2f}",
            ]
            if not lines:
                heads = ["experiment", "ours", head[1], "difference", "P(a seed is above)"]
                lines = [row_line(heads), row_line(["---"] * len(heads))]
            lines.append(row_line(cells))
    return [*lines, ""] if lines else []


def section_lines(runs: Runs, section: Section, folder: Path) -> list[str]:
    lines = [f"## {section.title}", "", section.text, ""]
    if section.walk:
        heads = ["in the document", "preset", "figure"]
        lines += [row_line(heads), row_line(["---"] * len(heads))]
        for place, presets, picture in section.walk:
            linked = ", ".join(f"[{name}](../conf/experiment/{name}.yaml)" for name in presets)
            link = f"[{picture}](../{folder.as_posix()}/{picture}.png)" if picture else "no figure"
            lines.append(row_line([place, linked, link]))
        lines.append("")
    names = list(dict.fromkeys(row.run for table in section.tables for row in table.rows))
    for table in section.tables:
        lines += table_lines(runs, table)
    if peers := peer_lines(runs, section, folder):
        lines += [section.peers, "", *peers]
    if section.claims:
        lines += ["What is claimed, or shown:", "", *claim_lines(runs, section.claims, told=True)]
    for shown in section.figures:
        lines += draw_figure(runs, shown, folder)
    lines += ["To train each row again:", "", "```sh"]
    for name in names:
        if name not in SAME:
            keep(runs, name, [table.quantity for table in section.tables], folder)
            lines.append(trained(name))
    return [*lines, "```", ""]


def planned_lines(section: Section) -> list[str]:
    """What is published, and the commands, of runs that are not there yet."""
    lines = [f"## {section.title}", "", section.text, ""]
    heads = ["experiment", "published", "fresh seeds"]
    for table in section.tables:
        lines += [f"**{table.quantity.title}**", ""]
        lines += [row_line(heads), row_line(["---"] * len(heads))]
        lines += [row_line([f"`{row.run}`", row.published, TO_COME]) for row in table.rows]
        lines.append("")
    names = [row.run for table in section.tables for row in table.rows]
    return [*lines, "To train each row:", "", "```sh", *map(trained, names), "```", ""]


HEAD = """# The published experiments, again

Made by `make reproduction ARGS=report` from the run directories in outputs/reproduction, which
`make reproduction ARGS=train` makes; do not edit. What is printed in each document and is wrong,
and what it changes, is in [errata.md](errata.md); the settings are the presets in
[conf/experiment](../conf/experiment), value by value with their source.

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
its mean, smallest and largest seed by episode, of all seeds and not smoothed (`score.csv`,
`return.csv`), and its settings (`config.yaml`). The pictures are smoothed, seed by seed.
"""


def write(root: Path, folder: Path, page: Path) -> None:
    """Read every run below root; write the small files into the folder, and the page. ValueError if
    a run is not what it should be; then nothing has been written."""
    runs = Runs(root)
    lines = [HEAD.format(claims=sum(len(section.claims) for section in SECTIONS))]
    for section in SECTIONS:
        lines += section_lines(runs, section, folder)
    lines += [
        *planned_lines(FAMILY),
        "## What the errors change",
        "",
        "As printed - as said, where a key reproduces it; see [errata.md](errata.md).",
        "",
        *claim_lines(runs, ERRATA, told=False),
    ]
    write_atomic(page, "\n".join(lines).rstrip().encode() + b"\n")
