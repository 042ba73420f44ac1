"""The report: one HTML file with the charts, the tables and where they come from. It asks nothing
of a network, and a Content-Security-Policy sees to it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from dqn_cli.results import pairwise
from dqn_cli.results import table as tables
from dqn_cli.results.figure import AXIS_LABELS, View, final_label, usual
from dqn_cli.results.files import write_atomic
from dqn_cli.results.page import charts, colours
from dqn_cli.results.page.changes import changes
from dqn_cli.results.page.charts import Detail, chart_data, classes
from dqn_cli.results.page.dots import dot_plot
from dqn_cli.results.page.markup import Html, element, escaped, join, table
from dqn_cli.results.page.runs import differences, provenance, recordings
from dqn_cli.results.page.search import search_section
from dqn_cli.results.report import notes
from dqn_cli.results.schema import ResultError
from dqn_cli.results.study import Study
from dqn_cli.results.style import Look
from dqn_cli.results.variants import Panel, Variant
from dqn_cli.words import counted

BYTES = 1_900_000  # of a page, so that it can be sent and opened anywhere
DETAILS = (
    *(Detail(points, True) for points in (300, 150, 75, 40)),
    *(Detail(points, False) for points in (300, 150, 75, 40, 20)),
)
PAIRS = 500  # rows, of variants against each other
PLAIN_NOTES = 5  # the others are folded away
MEANINGS = {  # of the table's columns
    "IQM": "interquartile mean of seeds",
    "best": "mean over seeds of the highest value",
    "fresh": "what those best networks reach on episodes that did not choose them",
    "P(> first)": "how likely a seed is above one of the first variant",
}


def write_page(
    panels: Sequence[Panel],
    out: Path,
    view: View | None = None,
    look: Look | None = None,
    said: Sequence[str] = (),
    study: Study | None = None,
) -> None:
    """Write the report of these panels, and replace the file `out` atomically. view None: `usual`.
    Of the look, the title and the colours count. said: notes of the caller's. study: the search
    whose trials the runs are. The same runs give the same bytes. ResultError for an unknown suffix
    or a file that cannot be written."""
    page_format(out)
    data = page(panels, view or usual(panels), look or Look(), said, study).encode()
    try:
        write_atomic(out, data)
    except OSError as error:
        raise ResultError(out, f"cannot be written: {error.strerror}") from error


def page_format(out: Path) -> None:
    """ResultError for a file name that browsers would not open as a page."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise ResultError(out, "a report is .html")


def page(
    panels: Sequence[Panel],
    view: View,
    look: Look,
    said: Sequence[str] = (),
    study: Study | None = None,
) -> str:
    """The whole page, with as much of the curves as there is room for."""
    rows = _with_rows(panels)
    found = charts.curves(rows, view)
    longest = max((len(line.x) for lines in found for line in lines), default=0)
    search = _section("Search", search_section(study)) if study else Html("")
    sections = join([search, _sections(rows, view, look)])
    title = look.title or ", ".join(panel.env for panel in panels if panel.env) or "Runs"
    for detail in DETAILS:
        data = charts.as_json(chart_data(panels, found, view, look, detail))
        remarks = [*said, *_remarks(panels, view, detail, longest)]
        text = _document(title, look, panels, view, remarks, sections, data)
        if len(text) <= BYTES:
            break
    return text


def _with_rows(panels: Sequence[Panel]) -> list[Panel]:
    """The panels with evaluations among the rows of scores, so that they are joined once."""

    def joined(variant: Variant) -> Variant:
        return replace(variant, scores=variant.rows(), evaluations={})

    return [replace(panel, variants=list(map(joined, panel.variants))) for panel in panels]


def _document(
    title: str,
    look: Look,
    panels: Sequence[Panel],
    view: View,
    remarks: Sequence[str],
    sections: Html,
    data: str,
) -> str:
    style = colours.css(look.colours) + _file("page.css")
    script = _file("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    head = join(
        [
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=policy),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", title),
            element("style", Html(style)),
        ]
    )
    body = join(
        [
            element("header", element("h1", title), element("p", _compared(panels, view))),
            _notes(remarks),
            sections,
            element("script", Html(data), type="application/json", id="data"),
            element("script", Html(script)),
        ]
    )
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}</head>\n<body>{body}</body>\n</html>\n'


def _file(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _compared(panels: Sequence[Panel], view: View) -> str:
    """What is compared, in a line."""
    names = list(dict.fromkeys(panel.scale for panel in panels if panel.scale))
    divided = len(names) < len(panels)  # each panel has variants of its own
    indices = [variant.index for panel in panels for variant in panel.variants]
    variants = len(indices if divided else set(indices))
    counts = sorted({len(variant.scores) for panel in panels for variant in panel.variants})
    seeds = "-".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else "0"
    where = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    what = counted(variants, "variant") + (f" in {where}" if where else "")
    each = f"{seeds} seed{'s' * (seeds != '1')}{' each' * (variants > 1 or len(panels) > 1)}"
    return f"{what}, {each}. {AXIS_LABELS[view.metric]}."


def _remarks(panels: Sequence[Panel], view: View, detail: Detail, longest: int) -> list[str]:
    said = notes(panels, view.metric, view.smooth)
    if detail.points < min(longest, DETAILS[0].points):
        said.append(f"to keep this page small, curves have {detail.points} points at most")
    if not detail.seeds:
        said.append("to keep this page small, there are no curves of single seeds")
    if _pair_count(panels) > PAIRS:
        said.append(
            f"to keep this page small, {_pair_count(panels)} pairs of variants are left out: "
            "dqn-plot --pairwise --table csv has them"
        )
    return said


def _notes(remarks: Sequence[str]) -> Html:
    if not remarks:
        return Html("")
    items = [element("li", remark) for remark in remarks]
    plain, more = items[:PLAIN_NOTES], items[PLAIN_NOTES:]
    parts = [element("ul", *plain)]
    if more:
        parts.append(
            element("details", element("summary", f"{len(more)} more"), element("ul", *more))
        )
    return element("div", *parts, kind="notes")


def _pair_count(panels: Sequence[Panel]) -> int:
    return sum(len(p.variants) * (len(p.variants) - 1) // 2 for p in panels)


def _sections(panels: Sequence[Panel], view: View, look: Look) -> Html:
    runs = [run for panel in panels for variant in panel.variants for run in variant.runs]
    parts = [
        _section("Learning curves", _charts(panels)),
        _section(f"Final {view.metric}", _dots(panels, view, look)),
        _section("Table", _table(panels, view, look), _pairs(panels, view)),
        _section("What each choice changes", changes(panels, view)),
        _section("What differs", differences(panels)),
        _section("Recordings", recordings(runs)),
        _section(f"Run{'s' * (len(runs) != 1)}", provenance(panels)),
    ]
    return join(parts)


def _section(title: str, *content: Html) -> Html:
    """Nothing if it has no content."""
    return element("section", element("h2", title), *content) if any(content) else Html("")


def _heading(panel: Panel, panels: Sequence[Panel]) -> Html:
    return element("h3", panel.env) if len(panels) > 1 else Html("")


def _charts(panels: Sequence[Panel]) -> Html:
    """Where page.js draws."""
    figures = [
        element(
            "figure",
            _heading(panel, panels),
            element("div", element("svg"), element("div", kind="legend"), kind="chart"),
        )
        for panel in panels
    ]
    hint = element("p", "The curves are drawn by JavaScript, which is off.", kind="quiet")
    return join(
        [
            element("noscript", hint),
            element("p", id="problem", hidden=""),
            element("div", id="tools", kind="tools"),
            *figures,
        ]
    )


def _dots(panels: Sequence[Panel], view: View, look: Look) -> Html:
    said = final_label(panels, view.metric, view.smooth)
    words = f"{said}. Dot: a seed; bar: the mean and its 95 % bootstrap interval."
    figures = [
        element("figure", _heading(panel, panels), dot_plot(panel, panels, view, look))
        for panel in panels
    ]
    return join([element("p", words, kind="quiet"), *figures])


def _table(panels: Sequence[Panel], view: View, look: Look) -> Html:
    rows = tables.rows(panels, view.metric, view.smooth)
    head, *body = tables.cells(rows, view.metric)
    place = head.index("variant")
    looks = [classes(variant, look) for panel in panels for variant in panel.variants]
    marked = [
        [*line[:place], _named(line[place], kind), *line[place + 1 :]]
        for line, kind in zip(body, looks, strict=True)
    ]
    said = [f"{name}: {meaning}" for name, meaning in MEANINGS.items() if name in head]
    words = element("p", "Interval: bootstrap, of the mean. " + "; ".join(said) + ".", kind="quiet")
    return join([table([head, *marked], words=place + 1, kind="sortable"), words])


def _named(label: str, kind: str) -> Html:
    """A variant with a piece of its line."""
    line = element("line", x1=1, x2=21, y1=5, y2=5)
    return join([element("svg", line, kind=f"key {kind}", width=22, height=10), escaped(label)])


def _pairs(panels: Sequence[Panel], view: View) -> Html:
    if not 0 < _pair_count(panels) <= PAIRS:
        return Html("")
    pairs = pairwise.pairs(panels, view.metric, view.smooth)
    if not pairs:
        return Html("")
    lines = pairwise.cells(pairs)
    shown = table(lines, words=lines[0].index("against") + 1, kind="sortable")
    return element(
        "details", element("summary", f"Variants against each other ({len(pairs)})"), shown
    )
