"""dqn-plot --status: what has become of the jobs of a sweep, and how long the rest will take."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dqn_cli.cli import plot
from dqn_cli.results.files import claimed
from dqn_cli.results.schema import ResultError
from dqn_cli.results.status import find_jobs, job, status, unfinished
from dqn_cli.results.sweep import Sweep, read_sweep, write_sweep

NAMES = ["gamma=0.9_1", "gamma=0.8_2", "gamma=0.7_3", "gamma=0.6_4", "gamma=0.5_5"]


@pytest.fixture
def sweep(make, tmp_path: Path) -> Path:
    """A finished job of 60 s; one that runs, half done; one that was cut; one that failed; one
    that has not begun."""
    top = tmp_path / "sweep"
    top.mkdir()
    write_sweep(top, Sweep(["-m", "gamma=0.9,0.8,0.7,0.6,0.5"], NAMES, None, "", False))
    for name, episodes in zip(NAMES, (20, 10, 5, 5), strict=False):
        run = make(
            top / name, seeds=(1, 2), episodes=episodes, config="episodes: 20\nsteps: null\n"
        )
        seconds = 3 * episodes
        rows = [f"{s},{e},{10 * e},{3 * e}" for e in range(1, episodes + 1) for s in (1, 2)]
        (run / "timing.csv").write_text("\n".join(["seed,episode,step,seconds", *rows]) + "\n")
        assert f",{seconds}\n" in (run / "timing.csv").read_text()
    for name in NAMES[1:3]:
        said(top / name, "running")
    said(top / NAMES[3], "failed")
    (top / NAMES[3] / "failures.txt").write_text("no room\nthe pole broke\n")
    return top


def said(run: Path, status: str) -> None:
    file = run / "summary.json"
    file.write_text(file.read_text().replace('"finished"', f'"{status}"'))


def test_the_state_of_each_job(sweep: Path) -> None:
    with claimed(sweep / NAMES[1]):
        found = [job(path) for path in find_jobs([sweep])]
    assert [one.path.name for one in found] == NAMES
    assert [one.state for one in found] == ["finished", "running", "cut", "failed", "waiting"]
    assert found[3].failures == ("no room", "the pole broke")


def test_a_table_for_people(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = (sweep / NAMES[1] / "config.yaml").stat().st_mtime
    monkeypatch.setenv("TZ", "UTC")
    with claimed(sweep / NAMES[1]):
        os.utime(sweep / NAMES[1] / "config.yaml", (0, begun))
        lines = status([sweep]).splitlines()
    table = [line.split() for line in lines]
    assert table[0] == ["job", "state", "seeds", "done", "trained"]
    assert table[1] == ["gamma=0.9_1", "finished", "2", "100", "%", "0:01:00"]
    assert table[2] == ["gamma=0.5_5", "waiting", "-", "0", "%", "-"]
    assert table[3] == ["gamma=0.7_3", "cut", "2", "25", "%", "0:00:15"]
    failed = "gamma=0.6_4 failed 2 times: the pole broke 2 25 % 0:00:15"
    assert table[4] == failed.split()
    assert table[5][:3] == ["gamma=0.8_2", "running", "since"]
    assert table[5][-4:] == ["2", "50", "%", "0:00:30"]
    # a whole job, three quarters and a half, one after the other
    assert lines[6] == (
        "5 jobs: 1 finished, 1 waiting, 1 cut, 1 failed, 1 running; about 0:02:15 left, 1 at a time"
    )
    last = status([sweep]).splitlines()[-1]
    going_on = f"dqn-train resume={sweep} goes on"
    assert last.endswith(f"; nothing runs; about 0:02:15 left, 1 at a time; {going_on}")


def test_a_reason_is_cut_and_one_line(sweep: Path) -> None:
    (sweep / NAMES[3] / "failures.txt").write_bytes(b"\x1b[31m" + b"x" * 500 + b"\xff\n")
    (line,) = [line for line in status([sweep]).splitlines() if "failed:" in line]
    assert "\\x1b[31mxxx" in line and len(line) < 130


@pytest.mark.parametrize(
    ("rows", "done"),
    [
        ("", "0 %"),
        ("1,10,5,10,,,,\n2,20,5,10,,,,\n", "10 %"),
        ("1,10,5,10,,,,\n2,20,5,1", "5 %"),
        ("1,10,5,10,,,,\n" + "9" * 5000, "0 %"),
        ("x\n", "0 %"),
    ],
    ids=["none", "two", "half a row", "damaged", "no row"],
)
def test_how_far_a_seed_is_by_its_last_whole_row(
    make, tmp_path: Path, rows: str, done: str
) -> None:
    run = make(tmp_path / "run", seeds=(1,), episodes=0, config="episodes: 20\nsteps: null\n")
    said(run, "running")
    with (run / "scores/seed_1.csv").open("a") as file:
        file.write(rows)
    assert done in status([run]).splitlines()[1]


def test_steps_count_where_they_are_nearer(make, tmp_path: Path) -> None:
    run = make(tmp_path / "run", seeds=(1,), episodes=3, config="episodes: 20\nsteps: 100\n")
    said(run, "interrupted")
    assert "30 %" in status([run])
    (run / "evaluations").mkdir()
    (run / "evaluations/seed_1.csv").write_text("step,episode,score\n40,3,7\n")
    assert "40 %" in status([run])


def test_a_seed_that_diverged_is_over_and_if_all_did_the_job_has_failed(
    make, tmp_path: Path
) -> None:
    run = make(tmp_path / "run", episodes=5, config="episodes: 20\nsteps: null\n")
    file = run / "summary.json"
    file.write_text(file.read_text().replace('"diverged": false', '"diverged": true', 1))
    assert job(run).state == "finished"
    file.write_text(file.read_text().replace('"diverged": false', '"diverged": true'))
    assert job(run)[1:] == ("failed", ("every seed diverged",))


def test_a_comparison_says_what_is_not_finished(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the runs that are there, it is right."""
    figure = ["-o", str(tmp_path / "x.png")]
    plot.main([str(sweep), *figure, "--html", str(tmp_path / "x.html")])
    text = "4 of 5 runs are not finished: 1 waiting, 2 cut, 1 failed (--status)"
    assert f"note: {text}\n" in capsys.readouterr().out
    assert text in (tmp_path / "x.html").read_text()
    for name in NAMES[1:]:
        shutil.rmtree(sweep / name, ignore_errors=True)
    write_sweep(sweep, Sweep([], NAMES[:1], None, "", False))
    plot.main([str(sweep), *figure])
    assert "not finished" not in capsys.readouterr().out
    assert unfinished([sweep]) == []


def test_a_sweep_s_variants_are_in_its_order(
    make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not in that of their names: the first is what the others are compared with."""
    for algo in ("ddqn", "dqn", "c51"):
        make(tmp_path / f"algo={algo}", algo)
    write_sweep(tmp_path, Sweep([], ["algo=dqn", "algo=ddqn"], None, "", False))
    plot.main([str(tmp_path), "-o", str(tmp_path / "x.png")])
    rows = capsys.readouterr().out.splitlines()[1:4]
    assert [row.split()[0] for row in rows] == ["dqn", "ddqn", "c51"]


def test_other_runs_have_a_state_too(make, tmp_path: Path, capsys) -> None:
    make(tmp_path / "a/run")
    plot.main([str(tmp_path / "a"), "--status"])
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["run", "finished"]
    assert not list(tmp_path.glob("**/*.png"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere: does not exist"),
        (["."], ".: holds no run and no sweep"),
        ([".", "-o", "x.png"], "--status: it draws nothing; leave out -o and --html"),
    ],
)
def test_what_has_no_state(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        plot.main([*arguments, "--status"])
    assert end.value.code == 2
    assert capsys.readouterr().err == f"dqn-plot: {words}\n"


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", "\xff", "[" * 100_000),
        '{"command": [], "jobs": ["../x"], "seeds_per_job": null, "sources": "", "foreign": false}',
        '{"command": [], "jobs": [".."], "seeds_per_job": null, "sources": "", "foreign": false}',
        '{"command": [], "jobs": [""], "seeds_per_job": null, "sources": "", "foreign": false}',
        '{"command": [], "jobs": [1], "seeds_per_job": null, "sources": "", "foreign": false}',
        '{"command": "x", "jobs": [], "seeds_per_job": null, "sources": "", "foreign": false}',
        '{"command": [], "jobs": [], "seeds_per_job": 0, "sources": "", "foreign": false}',
        '{"command": [], "jobs": [], "seeds_per_job": true, "sources": "", "foreign": false}',
        '{"command": [], "jobs": [], "seeds_per_job": null, "sources": 3, "foreign": false}',
        '{"command": [], "jobs": [], "seeds_per_job": null, "sources": "", "foreign": 0}',
    ],
)
def test_a_damaged_record_is_named_and_its_runs_are_compared(
    make, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "run")
    (tmp_path / "sweep.json").write_bytes(text.encode("latin1"))
    with pytest.raises(ResultError, match=r"sweep\.json: "):
        read_sweep(tmp_path)
    with pytest.raises(SystemExit):
        plot.main([str(tmp_path), "--status"])
    assert capsys.readouterr().err.count("\n") == 1
    plot.main([str(tmp_path), "-o", str(tmp_path / "x.png")])
    assert "dqn" in capsys.readouterr().out


def test_it_is_shown_again_and_again(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether or not a file has changed: a process may have ended."""
    shown: list[Callable[[], str]] = []

    def sleep(_: float) -> None:
        shown.append(status)
        if len(shown) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("dqn_cli.cli.watch.time.sleep", sleep)
    plot.main([str(sweep), "--status", "--watch", "1"])
    assert capsys.readouterr().out.count("5 jobs: 1 finished, 1 waiting, 2 cut, 1 failed") == 3


def test_a_run_that_a_search_gave_up_is_over(sweep: Path) -> None:
    summary = sweep / NAMES[1] / "summary.json"
    summary.write_text(summary.read_text().replace('"running"', '"pruned"'))
    assert job(sweep / NAMES[1]).state == "pruned"
    assert "5 jobs: 1 finished, 1 pruned, 1 waiting, 1 cut, 1 failed" in status([sweep])
