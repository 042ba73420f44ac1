"""dqn-plot as a user meets it: its output, its files, and one line for whatever goes wrong."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dqn_cli.cli.plot import main
from dqn_cli.results.figure import draw
from dqn_cli.results.reader import find_runs, read_run
from dqn_cli.results.schema import ResultError
from dqn_cli.results.stats import sliding_mean
from dqn_cli.results.writer import RunWriter

PNG = b"\x89PNG\r\n"


def make(
    path: Path,
    algo: str = "dqn",
    seeds: tuple[int, ...] = (1, 2),
    episodes: int = 30,
    scored: bool = True,
    config: str = "",
) -> Path:
    """A run directory whose scores rise by 20 in each episode, and by 1 from seed to seed."""
    with RunWriter(
        path,
        config=f"seed: {list(seeds)}\nalgo: {{kind: {algo}}}\n{config}",
        choices={"algo": algo, "buffer": "uniform", "network": "mlp", "target": "hard"},
        seeds=seeds,
        threshold=475.0,
        versions={},
    ) as run:
        for seed in seeds:
            for episode in range(1, episodes + 1):
                score = 20.0 * episode + seed
                row: dict[str, float | None] = {
                    "episode": episode,
                    "step": 10 * episode,
                    "return": 5.0,
                    "length": 10,
                }
                row |= {"score": score if scored else None, "epsilon": 0.1}
                run.episode(seed, row, 0.0)
        run.finish("finished", env_steps_per_second=1.0)
    return path


Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs dqn-plot and gives its one line on stderr, without the program's name."""

    def call(*args: str | Path) -> str:
        with pytest.raises(SystemExit) as caught:
            main([str(arg) for arg in args])
        shown = capsys.readouterr()
        assert caught.value.code == 2
        assert shown.out == ""
        assert shown.err.count("\n") == 1
        return shown.err.removeprefix("dqn-plot: ").rstrip("\n")

    return call


def test_a_comparison_is_a_figure_and_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "sweep/a")
    make(tmp_path / "sweep/b", seeds=(3,))
    make(tmp_path / "sweep/c", "ddqn", episodes=20)
    monkeypatch.chdir(tmp_path)
    main(["sweep", "--smooth", "3", "--title", "CartPole"])
    # dqn, seed s: the last three of 20 e + s are 560, 580, 600 (+ s): 580 + s for s = 1, 2, 3.
    # The mean of three reaches 475 at episode 25 (480 + s). ddqn ends at 400 + s and never does.
    assert capsys.readouterr().out.splitlines() == [
        "variant  seeds  final mean score [min, max]  mean best  first episode at 475",
        "dqn          3               582 [581, 583]        602              25 (3/3)",
        "ddqn         2             381.5 [381, 382]      401.5               - (0/2)",
    ]
    assert (tmp_path / "comparison.png").read_bytes().startswith(PNG)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["comparison.png", "sweep"]


def test_notes_follow_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [make(tmp_path / "a"), make(tmp_path / "b", seeds=(2, 3), episodes=20)]
    main([*map(str, runs), "-o", str(tmp_path / "x.png")])
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")] == [
        f"note: dqn uniform mlp hard: seed 2 counted once, from {runs[0]} and not from {runs[1]}, "
        "which has no more episodes",
        "note: dqn uniform mlp hard: smoothed over 5 instead of 25, because its shortest seed "
        "has too few values",
        "note: dqn uniform mlp hard: its seeds end between episode 20 and 30; dashed from where "
        "some have ended",
    ]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "SVG"])
@pytest.mark.parametrize("x", ["episode", "step"])
def test_the_same_runs_give_the_same_bytes(tmp_path: Path, suffix: str, x: str) -> None:
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


def test_the_figure_says_what_it_shows(tmp_path: Path) -> None:
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


def test_metric_none_is_the_score_or_else_the_return(tmp_path: Path) -> None:
    make(tmp_path / "a", scored=False)
    assert "Training return" in text_of([tmp_path / "a"], tmp_path / "x.svg")
    assert "no values yet" in text_of([tmp_path / "a"], tmp_path / "x.svg", metric="score")
    make(tmp_path / "b")
    assert "Greedy evaluation" in text_of([tmp_path / "b"], tmp_path / "x.svg")


@pytest.mark.parametrize("episodes", [0, 1, 2])
def test_few_points_or_none_can_be_drawn(tmp_path: Path, episodes: int) -> None:
    runs = [read_run(make(tmp_path / "a", episodes=episodes)), read_run(make(tmp_path / "b", "x"))]
    for pick in (runs[:1], runs, []):
        draw(pick, tmp_path / "x.png")
        assert (tmp_path / "x.png").read_bytes().startswith(PNG)


def test_odd_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    names = [r"'$\frac{1'", "_hidden", "'漢字'", '"a\\nb\\ud800"', "'" + "long " * 30 + "'"]
    for i, name in enumerate(names):
        make(tmp_path / f"runs/{i}", config=f"name: {name}\nlr: {i}\n")
    words = text_of([tmp_path / "runs"], tmp_path / "x.svg")
    assert r"$\frac{1, 2 seeds" in words
    assert "_hidden, 2 seeds" in words
    assert r"a\nb\ud800, 2 seeds" in words


def test_twenty_variants_can_be_drawn(tmp_path: Path) -> None:
    for i in range(20):
        make(tmp_path / f"runs/{i:02}", f"algo{i}", episodes=3)
    words = text_of([tmp_path / "runs"], tmp_path / "x.svg")
    assert all(f"<!-- algo{i}, 2 seeds -->" in words for i in range(20))


def test_bad_arguments_are_one_line(tmp_path: Path, refused: Refused) -> None:
    run = make(tmp_path / "run")
    assert "required: DIR" in refused()
    assert refused(run, "-o", "x.jpg") == "x.jpg: a figure is one of .png, .svg, .pdf"
    assert refused(run, "-o", "x") == "x: a figure is one of .png, .svg, .pdf"
    for smooth in ("0", "-1", "1.5", "x", "1" * 5000):
        assert "argument --smooth: expected" in refused(run, "--smooth", smooth)
    assert "invalid choice: 'loss'" in refused(run, "--metric", "loss")
    assert "unrecognized arguments" in refused(run, "--a\nb")
    assert not list(Path.cwd().glob("x.jpg"))


def test_bad_directories_are_one_line(tmp_path: Path, refused: Refused) -> None:
    out = tmp_path / "x.png"
    run = make(tmp_path / "run")
    assert refused(run, tmp_path / "gone", "-o", out) == f"{tmp_path}/gone: does not exist"
    (tmp_path / "empty").mkdir()
    assert "holds no run" in refused(tmp_path / "empty", "-o", out)
    (run / "scores/seed_1.csv").write_bytes(b"\x00\xff")
    assert "seed_1.csv: line 1: expected the header" in refused(run, "-o", out)
    assert not out.exists()


def test_an_output_that_cannot_be_written_is_one_line(tmp_path: Path, refused: Refused) -> None:
    run = make(tmp_path / "run")
    out = tmp_path / "gone/x.png"
    assert refused(run, "-o", out) == f"{out}: cannot be written: No such file or directory"
    (tmp_path / "dir.png").mkdir()
    assert "dir.png: cannot be written: " in refused(run, "-o", tmp_path / "dir.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dir.png", "run"]
    with pytest.raises(ResultError):
        draw([read_run(run)], out)


def test_runs_without_any_values_are_one_line(tmp_path: Path, refused: Refused) -> None:
    out = tmp_path / "x.png"
    run = make(tmp_path / "run", scored=False)
    assert refused(run, "-o", out, "--metric", "score") == (
        f"no score in {run}: try --metric return"
    )
    run = make(tmp_path / "new", episodes=0)
    assert refused(run, "-o", out) == f"no return in {run}: no episode has ended"


def test_runs_without_scores_are_compared_by_their_returns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.svg"
    main([str(make(tmp_path / "run", scored=False)), "-o", str(out)])
    assert "Training return" in out.read_text(encoding="utf-8")
    head, row = capsys.readouterr().out.splitlines()
    assert "final mean return" in head
    assert row.endswith("5 [5, 5]          5               - (0/2)")


def test_a_label_that_the_console_cannot_show_is_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    main([str(make(tmp_path / "run", config="name: ε\n")), "-o", str(tmp_path / "x.png")])
    assert rb"\u03b5" in raw.getvalue()


def test_a_reader_that_has_left_is_no_error(tmp_path: Path) -> None:
    make(tmp_path / "run")
    read, write = os.pipe()
    os.close(read)
    code = "from dqn_cli.cli.plot import main; main(['run'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_starting_up_is_cheap() -> None:
    code = (
        "import sys, dqn_cli.cli.plot; "
        "print(*{'torch', 'hydra', 'omegaconf', 'gymnasium', 'pandas', 'matplotlib'} "
        "& set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


def test_a_seed_that_diverged_is_told_in_legend_and_notes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "a")
    summary = tmp_path / "a/summary.json"
    summary.write_text(summary.read_text().replace('"diverged": false', '"diverged": true', 1))
    make(tmp_path / "b", algo="ddqn")
    main([str(tmp_path), "-o", str(tmp_path / "x.svg")])
    svg = (tmp_path / "x.svg").read_text()
    assert "<!-- dqn, 2 seeds, 1 diverged -->" in svg
    assert "<!-- ddqn, 2 seeds -->" in svg
    assert "note: dqn: seed 1 diverged, and its curve ends there" in capsys.readouterr().out
