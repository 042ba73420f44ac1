"""The pictures of the documents are of the commands that the documents show."""

import shlex
from pathlib import Path

import pytest

from benchmarks.images import FIGURES, SWEEP, Screen

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs/comparing.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_figure_is_of_the_command_that_is_shown(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = [
        line for line in text.splitlines() if line.startswith("dqn-train -m buffer=uniform,latest")
    ]
    words = [word for word in shlex.split(line)[2:] if not word.startswith("hydra.")]
    assert words == SWEEP
    assert "dqn-plot outputs/parts --smooth 10 --height 4\n" in text


def test_the_other_figures_are_too() -> None:
    text = PAGES[1].read_text(encoding="utf-8")
    for name, arguments in FIGURES.items():
        line = " ".join(["dqn-plot outputs/parts --smooth 10", *arguments])
        assert line in text and f"images/{name}" in text


def test_a_screen_has_what_a_terminal_would_have() -> None:
    screen = Screen()
    screen.feed(
        "$ a\n 10 %\r\x1b[2K 20 %\r\n  5 %\r\x1b[2K\x1b[1A\x1b[2K\x1b[1mdone\x1b[0m\r\nnext\r\n"
    )
    assert screen.lines == ["$ a", "\x1b[1mdone\x1b[0m", "next", ""]
    assert screen.text == "$ a\ndone\nnext\n"
