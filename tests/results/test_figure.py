"""The figure of some runs: what it shows, and that the same runs give the same bytes."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dqn_cli.cli.plot import main
from dqn_cli.results.figure import AXIS_LABELS, View, draw, usual, usual_band
from dqn_cli.results.reader import find_runs, read_run
from dqn_cli.results.stats import running_mean
from dqn_cli.results.style import Look
from dqn_cli.results.variants import panels

PNG = b"\x89PNG\r\n"


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "SVG"])
@pytest.mark.parametrize("x", ["episode", "step"])
def test_the_same_runs_give_the_same_bytes(make, tmp_path: Path, suffix: str, x: Any) -> None:
    runs = [read_run(make(tmp_path / "a")), read_run(make(tmp_path / "b", "ddqn"))]
    found = panels(runs, x=x)
    first, second = tmp_path / f"1.{suffix}", tmp_path / f"2.{suffix}"
    for out in (first, second):
        draw(found, out, View("score"))
    assert first.read_bytes() == second.read_bytes()
    assert not any(word in first.read_bytes() for word in (b"dc:date", b"CreationDate"))


def words_of(out: Path) -> list[str]:
    """The lines of text in an SVG, which are text there."""
    return [html.unescape(text) for text in re.findall(r"<text[^>]*>(.*?)</text>", out.read_text())]


def text_of(runs: list[Path], out: Path, title: str | None = None, **changes: Any) -> list[str]:
    found = panels([read_run(run) for run in find_runs(runs)])
    draw(found, out, usual(found)._replace(smooth=5, **changes), Look(title))
    return words_of(out)


def test_the_figure_says_what_it_shows(make, tmp_path: Path) -> None:
    runs = [make(tmp_path / "a"), make(tmp_path / "b", "ddqn", seeds=(1,))]
    words = text_of(runs, tmp_path / "x.svg", title="$A title_1")
    for text in (
        "Greedy evaluation return,",
        "running mean of 5",
        "Training episode",
        "dqn, 2 seeds",
        "ddqn, 1 seed",
        "solved at",
        "475",
        "$A title_1",
        "mean and range of the seeds",
    ):
        assert text in words
    assert not any("fewer seeds" in word for word in words)
    make(tmp_path / "c", seeds=(3,), episodes=12)
    words = text_of([tmp_path], tmp_path / "x.svg")
    assert "dqn, 3 seeds" in words
    assert "dashed: fewer seeds left" in words


def test_seeds_are_counted_once_where_all_have_as_many(make, tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b", "ddqn")
    words = text_of([tmp_path], tmp_path / "x.svg")
    assert {"dqn", "ddqn", "mean and range of 2 seeds"} <= set(words)
    words = text_of([make(tmp_path / "c", seeds=(1,))], tmp_path / "x.svg")
    assert "1 seed" in words
    assert not any("range" in word for word in words)  # of one there is none


@pytest.mark.parametrize(
    ("x_axis", "scale", "words"),
    [
        ((), 1, "Training episode"),
        (("--x", "episode"), 1, "Training episode"),
        (("--x", "step"), 10, "Environment steps of a seed"),  # of 10 steps an episode
    ],
)
def test_the_drawn_line_is_the_mean_of_smoothed_seeds(
    make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    x_axis: tuple[str, ...],
    scale: int,
    words: str,
) -> None:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    drawn = []
    plot = Axes.plot

    def spy(self: Axes, x: Any, y: Any, **style: Any) -> list[Line2D]:
        drawn.append((np.array(x), np.array(y)))
        return plot(self, x, y, **style)

    monkeypatch.setattr(Axes, "plot", spy)
    main([str(make(tmp_path / "a")), "-o", str(tmp_path / "x.svg"), *x_axis])
    ((x, y),) = drawn
    assert x.tolist() == [scale * episode for episode in range(1, 31)]
    assert words in words_of(tmp_path / "x.svg")
    # seeds 1 and 2: the mean of 20 e + 1.5 over the last 25 episodes, of fewer at the beginning
    expected = running_mean(20 * np.arange(1, 31, dtype=np.float64) + 1.5, 25)
    np.testing.assert_allclose(y, expected)


def test_the_usual_metric_is_the_score_or_else_the_return(make, tmp_path: Path) -> None:
    make(tmp_path / "a", scored=False)
    assert "Training return," in text_of([tmp_path / "a"], tmp_path / "x.svg")
    assert "no values yet" in text_of([tmp_path / "a"], tmp_path / "x.svg", metric="score")
    make(tmp_path / "b")
    assert "Greedy evaluation return," in text_of([tmp_path / "b"], tmp_path / "x.svg")


@pytest.mark.parametrize(
    ("limits", "axis"),
    [
        ("episodes: 30\nsteps: null\n", "episode"),
        ("episodes: null\nsteps: 300\n", "step"),
        ("episodes: 30\nsteps: 300\n", "step"),
        ("", "episode"),
    ],
)
def test_the_usual_axis_is_the_run_s_limit(make, tmp_path: Path, limits: str, axis: str) -> None:
    found = panels([read_run(make(tmp_path / str(i), config=f"{limits}lr: {i}\n")) for i in (1, 2)])
    assert [panel.x for panel in found] == [axis]


def two_limits(make: Callable[..., Path], folder: Path) -> list[Path]:
    """A run of 30 episodes, and one of 300 steps in another environment."""
    limits = {"E-v1": "episodes: 30\nsteps: null\n", "S-v1": "episodes: null\nsteps: 300\n"}
    return [
        make(folder / env, config=f"{limit}env: {{id: {env}}}\n") for env, limit in limits.items()
    ]


def test_each_environment_has_the_axis_of_its_runs_limit(make, tmp_path: Path) -> None:
    runs = [read_run(path) for path in two_limits(make, tmp_path / "runs")]
    assert [(p.env, p.x) for p in panels(runs)] == [("E-v1", "episode"), ("S-v1", "step")]
    words = text_of([tmp_path / "runs"], tmp_path / "x.svg")
    assert words.count("Training episode") == 1
    assert words.count("Environment steps of a seed") == 1
    for x, label in (("step", "Environment steps of a seed"), ("episode", "Training episode")):
        main([str(tmp_path / "runs"), "--x", x, "-o", str(tmp_path / "x.svg")])
        words = words_of(tmp_path / "x.svg")
        shown = [word for word in words if word in AXIS_LABELS.values()]
        assert set(shown) == {label}


def test_panels_of_one_environment_have_one_axis(make, tmp_path: Path) -> None:
    for limit, lr in (("episodes: 30\nsteps: null\n", 1), ("episodes: null\nsteps: 300\n", 2)):
        make(tmp_path / str(lr), config=f"{limit}lr: {lr}\nenv: {{id: E-v1}}\n")
    found = panels([read_run(run) for run in find_runs([tmp_path])], each=["lr"])
    assert [panel.x for panel in found] == ["episode", "episode"]


def test_curves_over_different_axes_have_a_column_for_each(make, tmp_path: Path) -> None:
    two_limits(make, tmp_path / "runs")
    out = tmp_path / "curves.csv"
    main([str(tmp_path / "runs"), "-o", str(tmp_path / "x.png"), "--curves", str(out)])
    head, *lines = [line.split(",") for line in out.read_text().splitlines()]
    assert head == ["environment", "variant", "episode", "step", "score", "low", "high", "seeds"]
    places = {(line[0], line[2] != "", line[3] != "") for line in lines}
    assert places == {("E-v1", True, False), ("S-v1", False, True)}
    assert [line[2:4] for line in (lines[0], lines[-1])] == [["1", ""], ["", "300"]]


@pytest.mark.parametrize(("count", "band"), [(1, "minmax"), (3, "minmax"), (4, "ci"), (7, "none")])
def test_bands_that_would_cover_each_other_are_not_usual(
    make, tmp_path: Path, count: int, band: str
) -> None:
    for i in range(count):
        make(tmp_path / str(i), f"algo{i}", episodes=3)
    assert usual_band(panels([read_run(run) for run in find_runs([tmp_path])])) == band


@pytest.mark.parametrize("episodes", [0, 1, 2])
def test_few_points_or_none_can_be_drawn(make, tmp_path: Path, episodes: int) -> None:
    runs = [read_run(make(tmp_path / "a", episodes=episodes)), read_run(make(tmp_path / "b", "x"))]
    for pick in (runs[:1], runs, []):
        draw(panels(pick), tmp_path / "x.png")
        assert (tmp_path / "x.png").read_bytes().startswith(PNG)


def test_odd_names_are_drawn_as_they_are(make, tmp_path: Path) -> None:
    names = [r"'$\frac{1'", "_hidden", "'漢字'", '"a\\nb\\ud800"', "'" + "long " * 30 + "'"]
    for i, name in enumerate(names):
        make(tmp_path / f"runs/{i}", config=f"name: {name}\nlr: {i}\n")
    words = [word.strip() for word in text_of([tmp_path / "runs"], tmp_path / "x.svg")]
    assert {r"$\frac{1", "_hidden", r"a\nb\ud800"} <= set(words)


def test_twenty_variants_can_be_drawn(make, tmp_path: Path) -> None:
    for i in range(20):
        make(tmp_path / f"runs/{i:02}", f"algo{i}", episodes=3)
    assert {f"algo{i}" for i in range(20)} <= set(text_of([tmp_path / "runs"], tmp_path / "x.svg"))


def test_each_environment_has_a_panel_and_a_threshold_of_its_own(make, tmp_path: Path) -> None:
    for env in ("CartPole-v1", "Acrobot-v1"):
        for algo in ("dqn", "ddqn"):
            config = f"env:\n  id: {env}\nalgo:\n  kind: {algo}\n"
            make(tmp_path / env / algo, algo, config=config)
    words = text_of([tmp_path], tmp_path / "x.svg")
    assert {"CartPole-v1", "Acrobot-v1"} <= set(words)
    assert words.count("475") == 2  # in `make`, every environment's
    assert words.count("dqn") == 1  # one legend for both


def test_a_threshold_far_away_is_said_and_squeezes_nothing(
    make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    kept = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (kept.append(self), save(self, *a, **k))[1]
    )
    words = text_of([make(tmp_path / "a", episodes=3)], tmp_path / "x.svg")  # 21 to 62, of 475
    assert "475 ↑" in words
    assert kept[0].axes[0].get_ylim()[1] < 100


def test_a_paper_has_its_width_and_its_fonts(make, tmp_path: Path) -> None:
    """TrueType in a PDF, and no Type 3, which papers' checks refuse."""
    found = panels([read_run(make(tmp_path / "a"))])
    draw(found, tmp_path / "x.pdf", None, Look(paper="column"))
    data = (tmp_path / "x.pdf").read_bytes()
    assert b"/CIDFontType2" in data or b"/TrueType" in data
    assert b"/Type3" not in data
    width = float(re.search(rb"/MediaBox \[ ?0 0 ([0-9.]+)", data)[1])  # type: ignore[index]
    assert width == pytest.approx(3.25 * 72)


@pytest.mark.parametrize("band", ["minmax", "ci", "iqr", "tolerance", "none"])
def test_every_band_can_be_drawn_also_where_seeds_have_ended(
    make, tmp_path: Path, band: Any
) -> None:
    runs = [make(tmp_path / "a", seeds=(1, 2, 3)), make(tmp_path / "b", seeds=(4,), episodes=9)]
    text_of(runs, tmp_path / "x.svg", band=band, seeds=True)


@pytest.mark.parametrize("metric", ["return", "loss", "q", "epsilon", "length"])
def test_every_metric_can_be_drawn(make, tmp_path: Path, metric: Any) -> None:
    text_of([make(tmp_path / "a")], tmp_path / "x.svg", metric=metric, log=True)
