"""The pictures of the documents are of the commands that the documents show."""

import shlex
from pathlib import Path

import pytest

from benchmarks.images import FIGURES, SWEEP, Screen

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs/comparing.md")


def commands(page: Path) -> list[list[str]]:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.startswith("dqn-")]
    return [shlex.split(line.replace("--label ", "--label=")) for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_figure_is_of_the_command_that_is_shown(page: Path) -> None:
    shown = commands(page)
    assert ["dqn-train", "-m", *SWEEP, "hydra.sweep.dir=outputs/parts"] in shown
    wanted = ["dqn-plot", "outputs/parts", "--smooth", "10", *FIGURES["comparison.png"]]
    assert wanted in shown


@pytest.mark.parametrize("name", sorted(set(FIGURES) - {"comparison.png"}))
def test_the_other_figures_are_too(name: str) -> None:
    wanted = ["dqn-plot", "outputs/parts", "--smooth", "10", *FIGURES[name], "-o", name]
    assert wanted in commands(PAGES[1])


def test_a_screen_has_what_a_terminal_would_have() -> None:
    screen = Screen()
    screen.feed(
        "$ a\n 10 %\r\x1b[2K 20 %\r\n  5 %\r\x1b[2K\x1b[1A\x1b[2K\x1b[1mdone\x1b[0m\r\nnext\r\n"
    )
    assert screen.lines == ["$ a", "\x1b[1mdone\x1b[0m", "next", ""]
    assert screen.text == "$ a\ndone\nnext\n"
