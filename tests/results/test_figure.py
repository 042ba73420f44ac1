"""The figure of some runs: what it shows, and that the same runs give the same bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dqn_cli.cli.plot import main
from dqn_cli.results.figure import draw
from dqn_cli.results.reader import find_runs, read_run
from dqn_cli.results.stats import sliding_mean

PNG = b"\x89PNG\r\n"


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "SVG"])
@pytest.mark.parametrize("x", ["episode", "step"])
def test_the_same_runs_give_the_same_bytes(make, tmp_path: Path, suffix: str, x: str) -> None:
    runs = [read_run(make(tmp_path / "a")), read_run(make(tmp_path / "b", "ddqn"))]
    first, second = tmp_path / f"1.{suffix}", tmp_path / f"2.{suffix}"
    draw(runs, first, x="step" if x == "step" else "episode")
    draw(runs, second, x="step" if x == "step" else "episode")
    assert first.read_bytes() == second.read_bytes()
    assert not any(word in first.read_bytes() for word in (b"dc:date", b"CreationDate"))


def text_of(runs: list[Path], out: Path, **options: str) -> str:
    """The words in the figure: an SVG names each text in a comment above its outlines."""
    metric = options.get("metric")
    draw(
        [read_run(run) for run in find_runs(runs)],
        out,
        smooth=5,
        metric=metric,
        title=options.get("title"),
    )
    return out.read_text()


def test_the_figure_says_what_it_shows(make, tmp_path: Path) -> None:
    runs = [make(tmp_path / "a"), make(tmp_path / "b", "ddqn", seeds=(1,))]
    words = text_of(runs, tmp_path / "x.svg", title="$A title_1")
    for text in (
        "Greedy evaluation return, sliding mean of 5",
        "Training episode",
        "dqn, 2 seeds",
        "ddqn, 1 seed",
        "threshold 475",
        "$A title_1",
        "mean and range of seeds",
    ):
        assert f"<!-- {text} -->" in words
    assert "fewer seeds" not in words
    make(tmp_path / "c", seeds=(3,), episodes=12)
    words = text_of([tmp_path], tmp_path / "x.svg")
    assert "<!-- dqn, 3 seeds -->" in words
    assert "<!-- dashed: fewer seeds left -->" in words


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
    assert x.tolist() == [scale * episode for episode in (25, 26, 27, 28, 29, 30)]
    assert f"<!-- {words} -->" in (tmp_path / "x.svg").read_text()
    # seeds 1 and 2: the mean of 20 e + 1.5 over the last 25 episodes
    expected = sliding_mean(20 * np.arange(1, 31, dtype=np.float64) + 1.5, 25)
    np.testing.assert_allclose(y, expected)


def test_metric_none_is_the_score_or_else_the_return(make, tmp_path: Path) -> None:
    make(tmp_path / "a", scored=False)
    assert "Training return" in text_of([tmp_path / "a"], tmp_path / "x.svg")
    assert "no values yet" in text_of([tmp_path / "a"], tmp_path / "x.svg", metric="score")
    make(tmp_path / "b")
    assert "Greedy evaluation" in text_of([tmp_path / "b"], tmp_path / "x.svg")


@pytest.mark.parametrize("episodes", [0, 1, 2])
def test_few_points_or_none_can_be_drawn(make, tmp_path: Path, episodes: int) -> None:
    runs = [read_run(make(tmp_path / "a", episodes=episodes)), read_run(make(tmp_path / "b", "x"))]
    for pick in (runs[:1], runs, []):
        draw(pick, tmp_path / "x.png")
        assert (tmp_path / "x.png").read_bytes().startswith(PNG)


def test_odd_names_are_drawn_as_they_are(make, tmp_path: Path) -> None:
    names = [r"'$\frac{1'", "_hidden", "'漢字'", '"a\\nb\\ud800"', "'" + "long " * 30 + "'"]
    for i, name in enumerate(names):
        make(tmp_path / f"runs/{i}", config=f"name: {name}\nlr: {i}\n")
    words = text_of([tmp_path / "runs"], tmp_path / "x.svg")
    assert r"$\frac{1, 2 seeds" in words
    assert "_hidden, 2 seeds" in words
    assert r"a\nb\ud800, 2 seeds" in words


def test_twenty_variants_can_be_drawn(make, tmp_path: Path) -> None:
    for i in range(20):
        make(tmp_path / f"runs/{i:02}", f"algo{i}", episodes=3)
    words = text_of([tmp_path / "runs"], tmp_path / "x.svg")
    assert all(f"<!-- algo{i}, 2 seeds -->" in words for i in range(20))
