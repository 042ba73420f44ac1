"""dqn-plot: compare run directories as a figure and a table. Needs no torch and no Hydra."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dqn_cli.cli.console import escape_what_does_not_fit, print_to_reader
from dqn_cli.cli.plot_options import parser
from dqn_cli.cli.watch import watch
from dqn_cli.results import bars, diagnose, effects, pairwise, profile, sensitivity
from dqn_cli.results import study as trials
from dqn_cli.results.curves import write_curves
from dqn_cli.results.figure import View, any_values, draw, usual
from dqn_cli.results.page.page import page_format, write_page
from dqn_cli.results.reader import Run, find_runs, read_run
from dqn_cli.results.report import notes
from dqn_cli.results.schema import STUDY, ResultError
from dqn_cli.results.search_figure import draw_search
from dqn_cli.results.selection import where
from dqn_cli.results.stats import Metric
from dqn_cli.results.status import status, unfinished
from dqn_cli.results.study import Study
from dqn_cli.results.style import Look, image_format
from dqn_cli.results.table import render, table
from dqn_cli.results.variants import Panel, panels


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; a bad argument or a bad file is one line on stderr and exit code 2."""
    escape_what_does_not_fit()
    options = parser()
    args = options.parse_args(argv)
    if args.html and (args.diagnose or (_kind(args) and not args.output)):
        options.error("--html: a report has no such figure; -o FILE writes it, too")
    if args.status and (args.output or args.html):
        options.error("--status: it draws nothing; leave out -o and --html")
    if not args.output and not args.html and not args.status:
        name = "diagnostics" if args.diagnose else "search" if args.search else "comparison"
        args.output = Path(f"{name}.png")
    try:
        if args.output:
            image_format(args.output)
        if args.html:
            page_format(args.html)
        if args.watch is None:
            if text := compare(args):
                print_to_reader(text)
        else:
            watch(lambda: compare(args), args.directories, args.watch, always=args.status)
    except ResultError as error:
        options.error(str(error))


def compare(args: Namespace) -> str:
    """Read the runs and draw the figure; returns what is printed with it. Raises ResultError, also
    for runs that have no values yet."""
    if args.status:
        return status(args.directories)
    study = _study(args)
    if args.search and study is not None:
        draw_search(study, args.output, _look(args))
        if not args.html:
            return _trials(study, args)
    runs = [read_run(path, args.x == "seconds") for path in find_runs(args.directories)]
    if study is not None:
        runs = trials.named(runs, study)
    runs = where(runs, dict(args.where))
    if args.diagnose:
        if len(runs) > 1:
            raise ResultError("--diagnose", f"one run, and not {len(runs)}")
        diagnose.draw(runs[0], args.output)
        return ""
    found = panels(runs, args.by, dict(args.label), args.panels, args.x)
    view = _view(found, args)
    if not any_values(found, view.metric):
        raise _nothing(found, view.metric, args.directories)
    left = unfinished(args.directories)
    if args.output and not args.search:
        _draw(runs, found, view, args)
    if args.html:
        write_page(found, args.html, view, _look(args), left, study)
    if args.curves:
        write_curves(found, view, args.curves)
    return _trials(study, args) if args.search and study else _text(found, view, args, left)


def _trials(study: Study, args: Namespace) -> str:
    shown = trials.table(study, args.table)
    return "\n".join([shown, *trials.summary(study)]) if args.table == "text" else shown


def _study(args: Namespace) -> Study | None:
    """The search that is the one directory given. ResultError if --search is without."""
    if len(args.directories) == 1 and (args.directories[0] / STUDY).exists():
        return trials.read_study(args.directories[0])
    if args.search:
        raise ResultError("--search", f"the directory of one search, which holds {STUDY}")
    return None


def _view(found: list[Panel], args: Namespace) -> View:
    default = usual(found)
    band = args.band or ("none" if args.seeds else default.band)
    metric = args.metric or default.metric
    return View(metric, args.smooth, band, args.seeds, args.y == "log")


def _nothing(found: list[Panel], metric: Metric, directories: Sequence[Path]) -> ResultError:
    what = f"no {metric} in {', '.join(map(str, directories))}"
    by_step = [replace(panel, x="step") for panel in found]
    if any_values(by_step, metric):
        return ResultError(f"{what} with times", "timing.csv is missing; try --x step")
    other = metric != "return" and any_values(by_step, "return")
    return ResultError(what, "try --metric return" if other else "no episode has ended")


def _kind(args: Namespace) -> bool:
    """Whether the figure is another than curves."""
    kinds = args.bars, args.pairwise, args.profile, args.effects, args.sensitivity, args.search
    return any(kinds)


def _look(args: Namespace) -> Look:
    colours = args.colors or Look().colours
    exact = args.width is not None or args.height is not None
    return Look(args.title, args.width, args.height, args.paper, colours, exact)


def _draw(runs: list[Run], found: list[Panel], view: View, args: Namespace) -> None:
    common = view.metric, view.smooth, _look(args)
    if args.bars:
        bars.draw_bars(found, args.output, *common)
    elif args.pairwise:
        pairwise.draw_pairs(found, args.output, *common)
    elif args.profile:
        profile.draw_profile(found, args.output, *common, dict(args.scale))
    elif args.effects:
        effects.draw_effects(found, args.output, *common)
    elif args.sensitivity:
        sensitivity.draw_sensitivity(runs, args.sensitivity, args.output, *common)
    else:
        draw(found, args.output, view, _look(args))


def _text(found: list[Panel], view: View, args: Namespace, left: list[str]) -> str:
    """What is printed: the table, and notes where it is for people."""
    as_csv = args.table == "csv"
    if args.pairwise:
        pairs = pairwise.pairs(found, view.metric, view.smooth)
        shown = pairwise.as_csv(pairs) if as_csv else render(pairwise.cells(pairs), args.table)
    elif args.effects:
        changes = effects.effects(found, view.metric, view.smooth)
        lines = effects.cells(changes, f"final {view.metric}")
        shown = effects.as_csv(changes) if as_csv else render(lines, args.table)
    else:
        shown = table(found, view.metric, view.smooth, args.table)
    if args.table != "text":
        return shown
    remarks = notes(found, view.metric, view.smooth)
    curves = args.output and not _kind(args)
    most = max(len(panel.variants) for panel in found)
    if curves and args.band is None and not args.seeds and view.band != "minmax":
        remarks.append(
            f"ranges of {most} variants would cover each other and are not drawn: --band minmax "
            "draws them, --bars compares the ends"
        )
    return "\n".join([shown, *(f"note: {remark}" for remark in [*remarks, *left])])
