"""dqn-plot --watch: another figure and another table after each change, until Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from dqn_cli.cli import watch
from dqn_cli.cli.plot import main
from dqn_cli.results.schema import ResultError

ROW = "{},{},5,10,100,0.1,,\n"


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float]]:
    """sleeps(a, b): the first sleep calls a, the second b; in the one after them comes Ctrl-C.
    Returns how long the sleeps were to be."""

    def plan(*happen: Callable[[], object]) -> list[float]:
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) > len(happen):
                raise KeyboardInterrupt
            happen[len(slept) - 1]()

        clock = SimpleNamespace(sleep=sleep, strftime=lambda _: "12:34:56")
        monkeypatch.setattr(watch, "time", clock)
        return slept

    return plan


def nothing() -> None:
    """Happens."""


def append(file: Path, text: str) -> Callable[[], object]:
    def write() -> None:
        with file.open("a") as rows:
            rows.write(text)

    return write


def test_only_a_change_is_shown(
    make, tmp_path: Path, sleeps, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make(tmp_path / "run", seeds=(1,))
    (tmp_path / "run/notes.txt").write_text("not read")
    texts = iter("abcdef")
    slept = sleeps(
        nothing,
        append(run / "scores/seed_1.csv", ROW.format(31, 310)),
        append(run / "notes.txt", "nor does this matter"),
        lambda: make(tmp_path / "another"),
    )
    watch.watch(lambda: next(texts), [tmp_path], 3.0)
    assert capsys.readouterr().out == "a\nb\nc\nstopped watching\n"
    assert slept == [3.0] * 5


def test_what_cannot_be_compared_yet_is_waited_for(
    tmp_path: Path, make, sleeps, capsys: pytest.CaptureFixture[str]
) -> None:
    def compare() -> str:
        if not (tmp_path / "runs").exists():
            raise ResultError(tmp_path / "runs", "does not exist")
        return "table"

    sleeps(nothing, lambda: make(tmp_path / "runs/a"))
    watch.watch(compare, [tmp_path / "runs"], 1.0)
    waiting, table, stopped = capsys.readouterr().out.splitlines()
    assert waiting == f"waiting: {tmp_path}/runs: does not exist"
    assert (table, stopped) == ("table", "stopped watching")


def test_a_run_that_is_being_written_is_drawn_as_it_grows(
    make, tmp_path: Path, sleeps, capsys: pytest.CaptureFixture[str]
) -> None:
    """From no episode to some, with a line that is half written; and the figure in the directory
    that is watched is no change of it."""
    run = make(tmp_path / "run", seeds=(1,), episodes=0)
    summary = run / "summary.json"
    summary.write_text(summary.read_text().replace('"finished"', '"running"'))
    scores, figure = run / "scores/seed_1.csv", tmp_path / "run/x.png"
    figures: list[bytes] = []
    sleeps(
        append(scores, ROW.format(1, 10)),
        lambda: figures.append(figure.read_bytes()),
        append(scores, ROW.format(2, 20) + "3,3"),
        lambda: figures.append(figure.read_bytes()),
        append(scores, "0,5,10,400,0.1,,\n"),
    )
    main([str(run), "-o", str(figure), "--watch", "--smooth", "1", "--table", "csv"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"waiting: no return in {run}: no episode has ended"
    assert lines[-1] == "stopped watching"
    means = [line.split(",")[3] for line in lines if ",dqn uniform mlp hard," in line]
    assert means == ["100.0", "100.0", "400.0"]
    assert figures[0] != figures[1]


def test_a_terminal_is_cleared_and_has_the_time(
    make, tmp_path: Path, sleeps, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    sleeps()
    watch.watch(lambda: "table", [tmp_path], 1.0)
    assert capsys.readouterr().out == (
        "\x1b[2J\x1b[H" + "table\n12:34:56  Ctrl-C ends\n" + "\rstopped watching\n"
    )


def test_seconds_are_a_positive_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seconds in ("0", "-1", "x", "nan", "inf"):
        with pytest.raises(SystemExit) as end:
            main([str(tmp_path), "--watch", seconds])
        assert end.value.code == 2
        assert "expected seconds from 0.1 to 86400, found" in capsys.readouterr().err


def test_ctrl_c_is_the_usual_end(make, tmp_path: Path) -> None:
    make(tmp_path / "run", episodes=0)
    running = subprocess.Popen(
        [
            sys.executable,
            "-c",
            # A shell that starts tests in the background has them ignore Ctrl-C.
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
            "from dqn_cli.cli.plot import main; main()",
            "run",
            "--watch",
            "0.1",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert "no episode has ended" in running.stdout.readline()
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out, err) == (0, "stopped watching\n", "")
