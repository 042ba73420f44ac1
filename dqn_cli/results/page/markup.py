"""HTML from text: whatever is not Html already is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from dqn_cli.results.schema import one_line

VOID = frozenset({"img", "meta"})


class Html(str):
    """Markup; any other str is text."""


def escaped(text: str) -> Html:
    """Markup as it is; a text so that it is read as it is, what is unprintable as escapes."""
    if isinstance(text, Html):
        return text
    lines = text.replace("\t", "    ").split("\n")
    return Html(html.escape("\n".join(map(one_line, lines))))


def join(parts: Iterable[str]) -> Html:
    """The parts, one after the other."""
    return Html("".join(map(escaped, parts)))


def element(name: str, /, *content: str, kind: str = "", **attributes: str | float) -> Html:
    """An element of this class (`kind`); an underscore in an attribute's name is a hyphen."""
    given = {"class": kind, **attributes} if kind else attributes
    said = "".join(f' {k.replace("_", "-")}="{escaped(str(v))}"' for k, v in given.items())
    return Html(f"<{name}{said}>" + ("" if name in VOID else f"{join(content)}</{name}>"))


def table(lines: Sequence[Sequence[str]], words: int, kind: str = "") -> Html:
    """Lines of cells, the header first, of which the first `words` columns are words and the others
    numbers; in a box of its own, which scrolls where the page is narrow."""

    def row(cell: str, line: Sequence[str]) -> Html:
        cells = (
            element(cell, text, kind="" if i < words else "number") for i, text in enumerate(line)
        )
        return element("tr", join(cells))

    head, *body = lines
    rows = join(row("td", line) for line in body)
    whole = element("table", element("thead", row("th", head)), element("tbody", rows), kind=kind)
    return element("div", whole, kind="scroll", tabindex=0)
