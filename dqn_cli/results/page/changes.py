"""What each choice of a grid changes: a table of the page, where the runs are such a grid."""

from __future__ import annotations

from collections.abc import Sequence

from dqn_cli.results import effects
from dqn_cli.results.figure import View
from dqn_cli.results.page.markup import Html, element, join, table
from dqn_cli.results.schema import ResultError
from dqn_cli.results.variants import Panel, panels


def changes(shown: Sequence[Panel], view: View) -> Html:
    """Of all runs of an environment, however they are divided into panels; nothing where fewer than
    two choices were combined, or not in full."""
    whole = panels([run for panel in shown for v in panel.variants for run in v.runs])
    try:
        if any(len(effects.grid(panel)[0]) < 2 for panel in whole):
            return Html("")
        found = effects.effects(whole, view.metric, view.smooth)
    except ResultError:  # no grid
        return Html("")
    lines = effects.cells(found, f"final {view.metric}")
    words = (
        "Mean over seeds, and over all combinations of the other choices; interval: Student's. "
        "Below the single choices, what two have in common: by how much more the first changes "
        "where the second is chosen, too."
    )
    shown_table = table(lines, words=lines[0].index("mean [95 % interval]"), kind="sortable")
    return join([shown_table, element("p", words, kind="quiet")])
