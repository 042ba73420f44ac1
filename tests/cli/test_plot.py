"""dqn-plot as a user meets it: its output, its files, and one line for whatever goes wrong."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dqn_cli.cli.plot import main
from dqn_cli.results import style
from dqn_cli.results.diagnose import PANELS
from dqn_cli.results.figure import draw
from dqn_cli.results.reader import read_run
from dqn_cli.results.schema import DIAGNOSES, DIAGNOSIS_COLUMNS, ResultError
from dqn_cli.results.variants import panels

PNG = b"\x89PNG\r\n"


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
    make, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "sweep/a")
    make(tmp_path / "sweep/b", seeds=(3,))
    make(tmp_path / "sweep/c", "ddqn", episodes=20)
    monkeypatch.chdir(tmp_path)
    main(["sweep", "--smooth", "3", "--title", "CartPole"])
    # dqn, seed s: the last three of 20 e + s are 560, 580, 600 (+ s): 580 + s for s = 1, 2, 3.
    # The mean of three reaches 475 at episode 25 (480 + s). ddqn ends at 400 + s and never does.
    assert capsys.readouterr().out.splitlines() == [
        "variant  seeds  final score [95 % interval]  smallest, largest    IQM   best"
        "  first episode at 475  P(> first)",
        "dqn          3               582 [581, 583]           581, 583    582    602"
        "              25 (3/3)           -",
        "ddqn         2             381.5 [381, 382]           381, 382  381.5  401.5"
        "               - (0/2)        0.00",
    ]
    assert (tmp_path / "comparison.png").read_bytes().startswith(PNG)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["comparison.png", "sweep"]


def test_notes_follow_the_table(make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_bad_arguments_are_one_line(make, tmp_path: Path, refused: Refused) -> None:
    run = make(tmp_path / "run")
    assert "required: DIR" in refused()
    assert refused(run, "-o", "x.jpg") == "x.jpg: a figure is one of .png, .svg, .pdf"
    assert refused(run, "-o", "x") == "x: a figure is one of .png, .svg, .pdf"
    for smooth in ("0", "-1", "1.5", "x", "1" * 5000):
        assert "argument --smooth: expected" in refused(run, "--smooth", smooth)
    assert "invalid choice: 'reward'" in refused(run, "--metric", "reward")
    assert "expected KEY=VALUE, found 'algo'" in refused(run, "--where", "algo")
    assert "expected OLD=NEW, found '=x'" in refused(run, "--label", "=x")
    assert "expected ENV=LOW,HIGH with LOW < HIGH" in refused(run, "--scale", "CartPole-v1=5,1")
    assert "expected inches from 1 to 100" in refused(run, "--width", "0.5")
    assert "expected colours as navy or #1f77b4, found 'bleu'" in refused(run, "--colors", "bleu")
    assert "not allowed with argument" in refused(run, "--bars", "--profile")
    assert "unrecognized arguments" in refused(run, "--a\nb")
    assert not list(Path.cwd().glob("x.jpg"))


def test_bad_directories_are_one_line(make, tmp_path: Path, refused: Refused) -> None:
    out = tmp_path / "x.png"
    run = make(tmp_path / "run")
    assert refused(run, tmp_path / "gone", "-o", out) == f"{tmp_path}/gone: does not exist"
    (tmp_path / "empty").mkdir()
    assert "holds no run" in refused(tmp_path / "empty", "-o", out)
    (run / "scores/seed_1.csv").write_bytes(b"\x00\xff")
    assert "seed_1.csv: line 1: expected the header" in refused(run, "-o", out)
    assert not out.exists()


def test_an_output_that_cannot_be_written_is_one_line(
    make, tmp_path: Path, refused: Refused
) -> None:
    run = make(tmp_path / "run")
    out = tmp_path / "gone/x.png"
    assert refused(run, "-o", out) == f"{out}: cannot be written: No such file or directory"
    (tmp_path / "dir.png").mkdir()
    assert "dir.png: cannot be written: " in refused(run, "-o", tmp_path / "dir.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dir.png", "run"]
    with pytest.raises(ResultError):
        draw(panels([read_run(run)]), out)


def test_runs_without_any_values_are_one_line(make, tmp_path: Path, refused: Refused) -> None:
    out = tmp_path / "x.png"
    run = make(tmp_path / "run", scored=False)
    assert refused(run, "-o", out, "--metric", "score") == (
        f"no score in {run}: try --metric return"
    )
    run = make(tmp_path / "new", episodes=0)
    assert refused(run, "-o", out) == f"no return in {run}: no episode has ended"


def test_runs_without_scores_are_compared_by_their_returns(
    make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.svg"
    main([str(make(tmp_path / "run", scored=False)), "-o", str(out)])
    assert "Training return" in out.read_text(encoding="utf-8")
    head, row = capsys.readouterr().out.splitlines()
    assert "final return" in head
    assert " ".join(row.split()[-9:]) == "5 [5, 5] 5, 5 5 5 - (0/2)"


def test_a_label_that_the_console_cannot_show_is_escaped(
    make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    main([str(make(tmp_path / "run", config="name: ε\n")), "-o", str(tmp_path / "x.png")])
    assert rb"\u03b5" in raw.getvalue()


def test_a_reader_that_has_left_is_no_error(make, tmp_path: Path) -> None:
    make(tmp_path / "run")
    read, write = os.pipe()
    os.close(read)
    code = "from dqn_cli.cli.plot import main; main(['run'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
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
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


def test_a_seed_that_diverged_is_told_in_legend_and_notes(
    make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "a")
    summary = tmp_path / "a/summary.json"
    summary.write_text(summary.read_text().replace('"diverged": false', '"diverged": true', 1))
    make(tmp_path / "b", algo="ddqn")
    main([str(tmp_path), "-o", str(tmp_path / "x.svg")])
    svg = (tmp_path / "x.svg").read_text()
    assert ">dqn, 1 diverged</text>" in svg
    assert ">ddqn</text>" in svg
    assert "note: dqn: seed 1 diverged, and its curve ends there" in capsys.readouterr().out


def words(out: Path) -> str:
    return out.read_text(encoding="utf-8")


@pytest.fixture
def study(make, tmp_path: Path) -> Path:
    """Two variants in two environments, and a swept learning rate."""
    for env in ("CartPole-v1", "Acrobot-v1"):
        for i, algo in enumerate(("dqn", "ddqn")):
            for lr in (1e-4, 1e-3, 1e-2):
                config = f"env: {{id: {env}}}\nalgo: {{double: {i > 0}}}\nlr: {lr}\n"
                make(tmp_path / "study" / env / f"{algo}{lr}", algo, config=config)
    return tmp_path / "study"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (["--bars"], "95 % bootstrap interval"),
        (["--pairwise"], "P(row above column)"),
        (["--profile"], "Normalised greedy evaluation return"),
        (["--profile", "--scale", "CartPole-v1=0,500"], "Share of seeds above"),
        (["--sensitivity", "lr"], "dot: a seed"),
        (["--effects"], "over all other choices"),
        (["--panels", "lr"], "CartPole-v1, lr=0.0001"),
        (["--bars", "--panels", "algo"], "Acrobot-v1, ddqn"),
        (["--seeds"], "and each seed"),
        (["--band", "tolerance"], "90 % of all seeds with 1 % confidence"),
        (["--y", "log", "--metric", "length"], "Steps of a training episode"),
        (["--by", "algo"], "algo=ddqn"),
        (["--where", "lr=0.001", "--label", "dqn=plain", "--title", "A title"], "plain"),
        (["--colors", "navy,#123456"], "#123456"),
        (["--x", "seconds"], "Seconds of the run"),
    ],
)
def test_each_kind_of_figure_says_what_it_is(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: list[str], said: str
) -> None:
    out = tmp_path / "x.svg"
    main([str(study), "-o", str(out), *kind])
    assert said in words(out)
    assert capsys.readouterr().out


def test_panels_of_one_environment_have_one_scale(
    make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[list[tuple[float, float]]] = []
    level = style.level

    def seen(axes, scales, which) -> None:  # type: ignore[no-untyped-def]
        level(axes, scales, which)
        limits.append([getattr(one, f"get_{which}lim")() for one in axes])

    monkeypatch.setattr(style, "level", seen)
    config = "env: {id: CartPole-v1}\n"
    make(tmp_path / "runs/a", episodes=30, config=config)
    make(tmp_path / "runs/b", "ddqn", episodes=20, config=config)
    for kind in ([], ["--bars"]):
        given = (str(tmp_path / "runs"), "-o", str(tmp_path / "x.svg"), "--smooth", "1")
        main([*given, "--panels", "algo", *kind])
    for first, second in limits:  # final scores of 601 and 602, and of 401 and 402
        assert first == second
        assert first[0] < 401 and first[1] > 602


def test_what_there_is_not_is_one_line(study: Path, tmp_path: Path, refused: Refused) -> None:
    out = tmp_path / "x.svg"

    def said(*options: str) -> str:
        return refused(study, "-o", out, *options)

    assert "lr=3: no run has it; there are 0.0001, 0.001, 0.01" in said("--where", "lr=3")
    assert "no such variant; there are ddqn lr=0.0001, " in said("--label", "rainbow=x")
    assert "rate: no run has such a key" in said("--by", "rate")
    assert "rate: no run has such a key" in said("--panels", "rate")
    assert "--effects: the variants of Acrobot-v1 differ in nothing" in said(
        "--effects", "--where", "lr=0.01", "--where", "algo=dqn"
    )
    assert "has no such key" in said("--sensitivity", "rate")
    assert "not a number in " in said("--sensitivity", "env.id")
    assert "every run has the same" in said("--sensitivity", "lr", "--where", "lr=0.01")
    assert "no such environment; there are " in said("--profile", "--scale", "Pong=0,1")
    assert not out.exists()


def test_a_table_is_all_that_is_printed_for_other_programs(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, first in (
        ("csv", "environment,variant,seeds,mean,"),
        ("md", "| environment | variant"),
        ("latex", r"\begin{tabular}"),
    ):
        main([str(study), "-o", str(tmp_path / "x.png"), "--table", kind])
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith(first)
        assert not any(line.startswith("note:") for line in lines)
    main([str(study), "-o", str(tmp_path / "x.png"), "--pairwise", "--table", "csv"])
    assert capsys.readouterr().out.startswith("environment,first,second,difference,low,high,p,")
    main([str(study), "-o", str(tmp_path / "x.png"), "--effects", "--table", "csv"])
    assert capsys.readouterr().out.startswith("environment,factor,option,instead,given,mean,")


def test_curves_are_written_as_they_are_drawn(make, tmp_path: Path) -> None:
    run, out = make(tmp_path / "run", episodes=3), tmp_path / "curves.csv"
    main([str(run), "-o", str(tmp_path / "x.png"), "--smooth", "1", "--curves", str(out)])
    assert out.read_text().splitlines() == [
        "environment,variant,episode,score,low,high,seeds",
        ",dqn uniform mlp hard,1,21.5,21,22,2",
        ",dqn uniform mlp hard,2,41.5,41,42,2",
        ",dqn uniform mlp hard,3,61.5,61,62,2",
    ]


def test_how_other_bands_are_had_is_noted_where_ranges_would_cover_each_other(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [str(study), "-o", str(tmp_path / "x.png")]
    main(line)
    assert "ranges of 6 variants would cover each other" in capsys.readouterr().out
    main([*line, "--band", "minmax"])
    assert "would cover" not in capsys.readouterr().out


DIAGNOSED = "name: null\nenv: {id: CartPole-v1}\n"


def diagnosed(path: Path, *columns: str, make) -> Path:
    """A run with three diagnoses of each seed, in which these columns have values."""
    run = make(path, config=DIAGNOSED)
    (run / "diagnostics").mkdir()
    for seed in (1, 2):
        rows = [",".join(DIAGNOSIS_COLUMNS)]
        for step in (100, 200, 300):
            values = {"step": step, "episode": step // 10} | dict.fromkeys(columns, step * seed)
            rows.append(",".join(str(values.get(name, "")) for name in DIAGNOSIS_COLUMNS))
        (run / f"diagnostics/seed_{seed}.csv").write_text("\n".join(rows) + "\n")
    return run


def test_diagnostics_are_a_sheet_of_the_panels_that_have_values(
    make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = diagnosed(tmp_path / "run", "start_q", "start_return", "td_max", make=make)
    out = tmp_path / "x.svg"
    main(["--diagnose", str(run), "-o", str(out)])
    words = out.read_text()
    for text in (
        "CartPole-v1: dqn uniform mlp hard, 2 seeds",
        "Start value and return",
        "TD error",
    ):
        assert f">{text}</text>" in words
    assert ">realised, discounted</text>" in words
    assert not any(title in words for title in ("Priorities", "Dead units", "Norms"))
    again = tmp_path / "y.svg"
    main(["--diagnose", str(run), "-o", str(again)])
    assert again.read_bytes() == out.read_bytes()
    monkeypatch.chdir(tmp_path)
    main(["--diagnose", "run"])
    assert (tmp_path / "diagnostics.png").read_bytes().startswith(PNG)
    assert capsys.readouterr().out == ""


def test_every_column_is_in_a_panel() -> None:
    drawn = [column for panel in PANELS for column in panel.lines]
    assert sorted(drawn) == sorted(DIAGNOSES)


def test_odd_diagnostics_can_be_drawn(make, tmp_path: Path) -> None:
    """Without a row, of nan alone, infinite, zero where the axis is logarithmic."""
    run = diagnosed(tmp_path / "run", "td_max", "td_90", "dead_units", make=make)
    file = run / "diagnostics/seed_2.csv"
    head = file.read_text().splitlines()[0]
    for value in ("nan", "inf", "0", "-1", "1e300"):
        cells = ["300", "3", *["", value, *[""] * (len(DIAGNOSES) - 2)]]
        cells[2 + DIAGNOSES.index("td_max")] = cells[2 + DIAGNOSES.index("dead_units")] = value
        file.write_text(f"{head}\n{','.join(cells)}\n")
        main(["--diagnose", str(run), "-o", str(tmp_path / "x.png")])
    file.write_text(f"{head}\n")
    main(["--diagnose", str(run), "-o", str(tmp_path / "x.png")])
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)


def test_diagnostics_that_are_not_there_are_one_line(make, tmp_path: Path, refused) -> None:
    run, out = make(tmp_path / "runs/a"), tmp_path / "x.png"
    says = f"{run}: holds no diagnostics (a run makes them with eval.diagnose_every)"
    assert refused("--diagnose", run, "-o", out) == says
    make(tmp_path / "runs/b")
    assert refused("--diagnose", tmp_path / "runs", "-o", out) == "--diagnose: one run, and not 2"
    run = diagnosed(tmp_path / "run", make=make)
    assert refused("--diagnose", run, "-o", out) == says.replace("runs/a", "run")
    assert "x.jpg: a figure is one of" in refused("--diagnose", run, "-o", "x.jpg")
    assert not out.exists()
