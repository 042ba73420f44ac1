"""From a study's sweep to its small files, figures and page, and to the tables of docs/study.md."""

from __future__ import annotations

import csv
import io
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.study.rows import WINDOW, Row, Seeds, of_seeds, rows_of
from benchmarks.study.studies import STUDIES, runs_of
from dqn_cli.results.bars import draw_bars
from dqn_cli.results.curves import write_curves
from dqn_cli.results.effects import Effect, as_csv, contrasts, draw_effects, effects, grid
from dqn_cli.results.figure import View, draw
from dqn_cli.results.files import write_atomic
from dqn_cli.results.page.page import write_page
from dqn_cli.results.report import number
from dqn_cli.results.style import Look
from dqn_cli.results.table import render
from dqn_cli.results.variants import Panel, panels

VIEW = View("score", WINDOW, "ci")


def write(name: str, root: Path, out: Path, page: Path) -> None:
    """The small files of a study, its figures and page into `out`/name, and its tables into the
    marked places of the page. ResultError if a run is missing or not what it should be."""
    study = STUDIES[name]
    runs = runs_of(name, root)
    (panel,) = panels(runs, names=study.labels)
    found = rows_of(panel)
    look = Look(study.title)
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(runs[0].path / "config.yaml", folder / "config.yaml")
    write_csv(folder / "variants.csv", Row._fields, found)
    write_csv(folder / "seeds.csv", ("variant", "seed", *Seeds._fields), seed_rows(panel))
    write_curves([panel], VIEW, folder / "curves.csv")
    shown = panels(runs, names=study.labels, each=study.each)
    view = VIEW if study.each else VIEW._replace(band="none")
    draw(shown, folder / "curves.png", view, look)
    draw_bars(shown, folder / "bars.png", "score", WINDOW, look)
    write_page(shown, folder / "report.html", VIEW, look)
    goal = number(panel.threshold)
    blocks = {"reached": reached_table(found, goal), "compared": compared_table(found)}
    if study.each:
        final, speed = effects([panel], "score", WINDOW), speed_effects(panel)
        write_atomic(folder / "effects.csv", f"{as_csv(final)}\n".encode())
        write_atomic(folder / "effects_of_the_run.csv", f"{as_csv(speed)}\n".encode())
        draw_effects([panel], folder / "effects.png", "score", WINDOW, look)
        blocks["effects"] = effects_table(final, speed)
    text = page.read_text(encoding="utf-8")
    for block, lines in blocks.items():
        text = replaced(text, f"{name} {block}", render(lines, "md"))
    write_atomic(page, text.encode())


def speed_effects(panel: Panel) -> list[Effect]:
    """As `effects`, of the mean over the run."""
    values = [
        dict(zip(variant.scores, of_seeds(variant).run.tolist(), strict=True))
        for variant in panel.variants
    ]
    return contrasts(panel.env, *grid(panel), values)


def reached_table(found: Sequence[Row], goal: str) -> list[list[str]]:
    head = [
        *("variant", "seeds", "final score", "IQM", "lowest, highest", "mean of the run"),
        *(f"below {goal}", f"first step at {goal}"),
    ]
    return [head] + [
        [
            *(row.variant, str(row.seeds)),
            ends(row.final, row.final_low, row.final_high),
            number(row.iqm),
            f"{number(row.lowest)}, {number(row.highest)}",
            ends(row.run, row.run_low, row.run_high),
            f"{row.below} ({100 * row.below_low:.0f} to {100 * row.below_high:.0f} %)",
            f"{number(row.first) if math.isfinite(row.first) else 'never'} ({row.reached})",
        ]
        for row in found
    ]


def compared_table(found: Sequence[Row]) -> list[list[str]]:
    head = ["variant", f"final score less that of {found[0].variant}", "p (Holm)", "P(better)"]
    return [head] + [
        [
            *(row.variant, ends(row.difference, row.difference_low, row.difference_high)),
            *("-" if math.isnan(row.p) else f"{row.p:.2g}",),
            f"{row.better:.2f} ({row.better_low:.2f} to {row.better_high:.2f})",
        ]
        for row in found[1:]
    ]


def effects_table(final: Sequence[Effect], speed: Sequence[Effect]) -> list[list[str]]:
    head = ["change", "of the final score", "p (Holm)", "of the mean of the run", "p (Holm)"]
    return [head] + [
        [
            *(a.label, ends(a.mean, a.low, a.high), f"{a.p:.2g}"),
            *(ends(b.mean, b.low, b.high), f"{b.p:.2g}"),
        ]
        for a, b in zip(final, speed, strict=True)
    ]


def ends(middle: float, low: float, high: float) -> str:
    return f"{number(middle)} ({number(low)} to {number(high)})"


def seed_rows(panel: Panel) -> list[list[object]]:
    return [
        [variant.label, seed, *(f"{value:.6g}" for value in values)]
        for variant in panel.variants
        for seed, *values in zip(variant.scores, *of_seeds(variant), strict=True)
    ]


def write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    write_atomic(path, text.getvalue().encode())


def replaced(text: str, block: str, content: str) -> str:
    """The page with what stands between the marks of a block replaced. ValueError without them."""
    marks = re.compile(f"(<!-- made: {block} -->\n).*?(<!-- end -->)", re.DOTALL)
    text, count = marks.subn(lambda found: f"{found[1]}{content}\n{found[2]}", text)
    if count != 1:
        raise ValueError(f"{block}: marked {count} times, not once")
    return text
