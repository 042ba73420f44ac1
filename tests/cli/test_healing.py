"""A sweep that was cut goes on: the same command, or resume=DIR, to the bytes of one left alone."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dqn_cli.env.gym_row import GymRow
from dqn_cli.results.files import claimed
from dqn_cli.results.style import save

pytestmark = pytest.mark.usefixtures("undrawn")
TINY = (
    *("seed=[1,2]", "episodes=5", "network.hidden=[8]", "learning_starts=8", "batch_size=8"),
    *("eval.episodes=1", "eval.final_episodes=null", "checkpoint.every_seconds=0.01"),
)
SWEEP = ("-m", *TINY, "gamma=0.9,0.8,0.7", "hydra.sweep.dir=sweep")
Bytes = dict[str, dict[str, str]]


@pytest.fixture(autouse=True)
def uncompared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figure at the end of a sweep is an empty file."""
    monkeypatch.setattr("dqn_cli.cli.plot.draw", lambda _, out, *more: save(out, b""))


@pytest.fixture
def every(contents) -> Callable[[str], Bytes]:
    """every("sweep"): job -> the hashes of its files that must be the same bytes."""
    return lambda sweep: {p.name: contents(p) for p in Path(sweep).iterdir() if p.is_dir()}


@pytest.fixture
def whole(dqn_train, every) -> Bytes:
    """Of an undisturbed sweep."""
    assert dqn_train(*SWEEP[:-1], "hydra.sweep.dir=whole").code == 0
    return every("whole")


def states(sweep: str) -> list[str]:
    found = [
        json.loads(p.read_text())["status"] for p in sorted(Path(sweep).glob("*/summary.json"))
    ]
    return found


def job(words: str, sweep: str = "sweep") -> Path:
    (found,) = Path(sweep).glob(f"{words}_*")
    return found


def test_a_finished_sweep_is_left_as_it_is(dqn_train) -> None:
    assert dqn_train(*SWEEP).code == 0
    files = [path for path in Path("sweep").glob("*/**/*") if path.is_file()]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    done = dqn_train(*SWEEP)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "3 jobs into sweep: 3 finished"
    assert done.out.splitlines()[-1] == "sweep"
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before


@pytest.mark.long
@pytest.mark.parametrize("again", [SWEEP, ("resume=sweep",)], ids=["the command", "resume"])
@pytest.mark.parametrize("steps", [0, 20, 150])
def test_a_killed_sweep_goes_on_to_the_same_bytes(
    dqn_train, killed_at, every, whole: Bytes, again: tuple[str, ...], steps: int
) -> None:
    """Whether a job was finished, was cut, or has not begun."""
    killed_at(steps, *SWEEP)
    assert "finished" not in states("sweep")[-1:]
    done = dqn_train(*again)
    assert (done.code, done.err) == (0, "")
    assert every("sweep") == whole
    assert states("sweep") == ["finished"] * 3


def cut(run: Path) -> None:
    """As if its process had been killed after its last checkpoint."""
    summary = run / "summary.json"
    summary.write_text(summary.read_text().replace('"finished"', '"running"'))


@pytest.mark.long
def test_what_happens_to_each_job_is_said(dqn_train) -> None:
    assert dqn_train(*SWEEP).code == 0
    cut(job("gamma=0.8"))
    shutil.rmtree(job("gamma=0.7"))
    done = dqn_train(*SWEEP)
    lines = done.out.splitlines()
    assert lines[0] == "3 jobs into sweep: 1 finished, 1 to go on, 1 to begin"
    said = [line.partition("  score")[0].partition(" in 0:")[0] for line in lines[1:5]]
    assert said[0] == "job 1/2  gamma=0.8  goes on"
    assert said[1].startswith("job 1/2  gamma=0.8  finished")
    assert said[2].startswith("job 2/2  gamma=0.7  starts  1 done")
    assert said[3].startswith("job 2/2  gamma=0.7  finished")


@pytest.mark.long
def test_a_job_that_was_killed_before_it_wrote_anything(dqn_train, every, whole: Bytes) -> None:
    assert dqn_train(*SWEEP).code == 0
    shutil.rmtree(job("gamma=0.8"))
    job("gamma=0.7").joinpath("config.yaml").unlink()
    for path in job("gamma=0.7").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert dqn_train(*SWEEP).code == 0
    assert every("sweep") == whole


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """breaking(3): the environment raises in three runs of those that follow, at its 30th step."""

    def plan(runs: int) -> None:
        step = GymRow.step
        count, broken = 0, 0

        def failing(self, rows, action):
            nonlocal count, broken
            count += 1
            if count >= 30 and broken < runs:
                count, broken = 0, broken + 1
                raise RuntimeError("the pole broke")
            return step(self, rows, action)

        monkeypatch.setattr("dqn_cli.env.gym.row_for", lambda env: None)
        monkeypatch.setattr(GymRow, "step", failing)

    return plan


@pytest.mark.long
def test_a_failed_job_is_tried_again_and_told(dqn_train, breaking, every, whole: Bytes) -> None:
    breaking(1)
    first = dqn_train(*SWEEP)
    name = job("gamma=0.9").name
    assert first.code == 1
    assert f"dqn-train: {name} failed: the pole broke\n" in first.err
    assert job("gamma=0.9").joinpath("failures.txt").read_text() == "the pole broke\n"
    assert states("sweep").count("finished") == 2
    second = dqn_train(*SWEEP)
    assert second.code == 0
    assert second.out.splitlines()[:2] == [
        "3 jobs into sweep: 1 to try again, 2 finished",
        f"{name} failed 1 of 3 times, and is tried again: the pole broke",
    ]
    assert every("sweep") == whole
    assert not job("gamma=0.9").joinpath("failures.txt").exists()


@pytest.mark.long
def test_a_job_that_fails_each_time_is_tried_so_often(dqn_train) -> None:
    line = ("-m", *TINY, "batch_size=0", "hydra.sweep.dir=sweep", "hydra.sweeper.tries=2")
    name = ""
    for number in range(4):
        done = dqn_train(*line)
        (file,) = Path("sweep").glob("*/failures.txt")
        name, failures = file.parent.name, file.read_text().splitlines()
        assert len(failures) == min(number + 1, 2)
        assert done.code == 1
        reason = "batch_size=0: input should be greater than or equal to 1"
        assert f"dqn-train: {name} failed: {reason}" in done.err
        assert ("go on with" in done.err) == (number == 0)
    assert done.out.splitlines()[0] == "1 job into sweep: 1 failed too often"
    assert "1 failed 2 times (hydra.sweeper.tries)" in done.err
    more = dqn_train("resume=sweep", "hydra.sweeper.tries=3")
    assert f"{name} failed 2 of 3 times, and is tried again" in more.out


@pytest.mark.long
def test_no_job_starts_after_a_failure_if_that_is_asked_for(dqn_train) -> None:
    stop = (*SWEEP, "batch_size=0,8", "hydra.sweeper.stop_at_failure=true")
    done = dqn_train(*stop)
    assert done.code == 1
    assert done.out.count("starts") == 1
    assert not list(Path("sweep").glob("*/scores"))
    assert "6 of 6 jobs are not finished; go on with: dqn-train resume=sweep" in done.err
    more = dqn_train("resume=sweep", "hydra.sweeper.stop_at_failure=false")
    assert more.code == 1
    assert states("sweep") == ["finished"] * 3


@pytest.mark.long
def test_a_sweep_becomes_longer_and_has_the_bytes_of_a_long_one(dqn_train, every) -> None:
    short = ("-m", *TINY[2:], "gamma=0.9,0.8", "hydra.sweep.dir=sweep")
    assert dqn_train(*short, "episodes=3", "seed=[1]").code == 0
    assert dqn_train(*short, "episodes=5", "seed=[1,2]").code == 0
    assert dqn_train(*short[:-1], "episodes=5", "seed=[1,2]", "hydra.sweep.dir=long").code == 0
    assert every("sweep") == every("long")
    done = dqn_train(*short, "episodes=4", "seed=[1,2]")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "episodes=4: the run in sweep/gamma=0.9_" in done.err
    assert "has 5; it may become longer only" in done.err


def test_a_run_of_other_settings_under_the_same_name_is_refused(dqn_train, tmp_path: Path) -> None:
    mine = tmp_path / "conf/experiment/mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("# @package _global_\ntarget:\n  every_steps: 50\n")
    line = ("--config-dir", "conf", *SWEEP, "experiment=mine")
    assert dqn_train(*line).code == 0
    mine.write_text("# @package _global_\ntarget:\n  every_steps: 60\n")
    before = Path("sweep/sweep.json").stat().st_mtime_ns
    done = dqn_train(*line)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "target.every_steps=60: the run in sweep/gamma=0.9_" in done.err
    assert "has 50, and is another one; another hydra.sweep.dir begins anew" in done.err
    assert Path("sweep/sweep.json").stat().st_mtime_ns == before


@pytest.mark.long
def test_a_job_that_another_process_has_is_left_to_it(dqn_train, every, whole: Bytes) -> None:
    assert dqn_train(*SWEEP).code == 0
    cut(job("gamma=0.8"))
    with claimed(job("gamma=0.8")):
        done = dqn_train(*SWEEP)
    assert done.code == 1
    assert done.out.splitlines()[0] == "3 jobs into sweep: 2 finished, 1 running elsewhere"
    assert done.err == ("dqn-train: 1 of 3 jobs is not finished; 1 in another process\n")
    assert dqn_train(*SWEEP).code == 0
    assert every("sweep") == whole


@pytest.mark.long
def test_a_job_that_another_process_takes_meanwhile_is_left_to_it(
    dqn_train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sweeps of one directory share its jobs."""
    monkeypatch.setattr("dqn_cli.cli.prepare.ENDING_SECONDS", 0.1)
    monkeypatch.setattr("dqn_cli.results.status.held", lambda _: False)
    assert dqn_train(*SWEEP[:-2], "gamma=0.8", "hydra.sweep.dir=sweep").code == 0
    (made,) = (path for path in Path("sweep").iterdir() if path.is_dir())
    shutil.rmtree(made)
    other = ("-m", *TINY, "gamma=0.9,0.8", "hydra.sweep.dir=sweep")
    assert dqn_train(*other).code == 0
    shutil.rmtree(job("gamma=0.8") / "scores")
    (job("gamma=0.8") / "summary.json").unlink()
    with claimed(job("gamma=0.8")):
        done = dqn_train(*other)
    left = f"gamma=0.8  left: {job('gamma=0.8').absolute()}: another process is training in it"
    assert left in done.out
    assert done.code == 1 and not list(Path("sweep").glob("*/failures.txt"))


@pytest.mark.long
def test_a_finished_run_needs_no_checkpoints_to_be_left_alone(
    dqn_train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where another sweeper launches it again."""
    assert dqn_train(*SWEEP).code == 0
    for path in Path("sweep").glob("*/checkpoints/*_resume.pt"):
        path.unlink()
    monkeypatch.setattr("dqn_cli.cli.sweeper._is_left", lambda *_: True)
    before = {path: path.stat().st_mtime_ns for path in Path("sweep").glob("*/scores/*")}
    done = dqn_train(*SWEEP)
    assert (done.code, done.err) == (0, "")
    assert done.out.count("nothing left to do") == 3
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="Windows has no such signal")
def test_a_job_that_is_warned_of_its_time_limit_stops_and_then_its_launcher_is_called(
    dqn_train, every, whole: Bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """submitit handles SIGUSR2: it puts the job back into the queue, and ends the process. In the
    middle of an update that would tear it."""
    seen: list[str] = []
    requeued = ValueError("not requeued")

    def theirs(number: int, _: object) -> None:
        seen.append(json.loads((job("gamma=0.9") / "summary.json").read_text())["status"])
        raise requeued

    step, count = GymRow.step, 0

    def warned(self, rows, action):
        nonlocal count
        count += 1
        if count == 100:
            signal.raise_signal(signal.SIGUSR2)
        return step(self, rows, action)

    before = signal.signal(signal.SIGUSR2, theirs)
    try:
        with monkeypatch.context() as patch:
            patch.setattr("dqn_cli.env.gym.row_for", lambda env: None)
            patch.setattr("dqn_cli.cli.job.is_launched", lambda: True)
            patch.setattr(GymRow, "step", warned)
            done = dqn_train(*SWEEP)
        assert signal.getsignal(signal.SIGUSR2) is theirs
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert "gamma=0.9  left: stopped" in done.out
    assert seen == ["interrupted"]
    assert sorted(states("sweep")) == ["finished", "finished", "interrupted"]
    assert not list(Path("sweep").glob("*/failures.txt"))
    assert dqn_train(*SWEEP).code == 0
    assert every("sweep") == whole


@pytest.mark.slow
def test_two_machines_share_a_sweep(tmp_path: Path, contents) -> None:
    """The same command in two processes: each takes the jobs that the other has not."""
    line = ("-m", *TINY, "episodes=300", "checkpoint.every_seconds=60", "gamma=0.9,0.8,0.7,0.6")
    command = [sys.executable, "-m", "dqn_cli.cli.train", *line]
    together = [
        subprocess.Popen(
            [*command, "hydra.sweep.dir=sweep"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate()[0] for process in together]
    assert all(" left: " in out for out in said)
    assert all(" finished in " in out for out in said)
    last = subprocess.run([*command, "hydra.sweep.dir=sweep"], cwd=tmp_path, capture_output=True)
    assert last.returncode == 0
    assert b"4 jobs into sweep: 4 finished" in last.stdout
    subprocess.run([*command, "hydra.sweep.dir=whole"], cwd=tmp_path, check=True)
    found, whole = (
        {run.name: contents(run) for run in (tmp_path / name).iterdir() if run.is_dir()}
        for name in ("sweep", "whole")
    )
    assert found == whole


@pytest.mark.long
def test_a_sweep_that_was_moved_goes_on(dqn_train, killed_at, every, whole: Bytes) -> None:
    killed_at(150, *SWEEP)
    Path("sweep").rename("it's, moved")
    assert dqn_train("resume=it's, moved").code == 0
    assert every("it's, moved") == whole
    assert not Path("sweep").exists()


@pytest.mark.long
def test_what_may_change_when_a_sweep_goes_on(dqn_train) -> None:
    assert dqn_train(*SWEEP).code == 0
    done = dqn_train("resume=sweep", "gamma=0.5")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith("dqn-train: gamma=0.5: the sweep in sweep keeps its own")
    assert "steps" in done.err and "hydra/launcher" in done.err
    more = dqn_train("resume=sweep", "episodes=6")
    assert more.code == 0
    assert more.out.splitlines()[0] == "3 jobs into sweep: 3 to go on"
    rows = (job("gamma=0.9") / "scores/seed_1.csv").read_text().count("\n")
    assert rows == 7
    command = json.loads(Path("sweep/sweep.json").read_text())["command"]
    assert "episodes=6" in command and "episodes=5" not in command


def recorded(*more: str) -> None:
    path = Path("sweep/sweep.json")
    record = json.loads(path.read_text())
    record["command"] += more
    path.write_text(json.dumps(record))


@pytest.mark.long
@pytest.mark.parametrize(
    "more",
    [
        *("hydra.launcher._target_=os.system", "+hydra.callbacks.x._target_=os.system"),
        *("hydra.launcher.setup=[touch evil]", "hydra.job_logging.version=2"),
        "--config-dir=elsewhere",
        "env.import=evil",
        "env.id=evil:Evil-v0",
        "env._target_=evil.Evil",
    ],
)
def test_a_command_that_is_found_in_a_directory_runs_no_code_from_elsewhere(
    dqn_train, tmp_path: Path, more: str
) -> None:
    (tmp_path / "evil.py").write_text("import pathlib\npathlib.Path('evil').touch()\n")
    assert dqn_train(*SWEEP).code == 0
    shutil.rmtree(job("gamma=0.9"))
    recorded(more)
    done = dqn_train("resume=sweep")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "trust=true allows it" in done.err
    assert more.split("=")[0] in done.err
    assert not Path("evil").exists() and not list(Path("sweep").glob("gamma=0.9*"))


def test_the_command_that_goes_on_has_the_trust_that_it_needs(dqn_train, tmp_path: Path) -> None:
    (tmp_path / "of_test_healing.py").write_text(
        "import gymnasium\nfrom gymnasium.envs import classic_control\n"
    )
    line = (*SWEEP[:-2], "gamma=0.9", "batch_size=0,8", "hydra.sweep.dir=sweep")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        done = dqn_train(*line, "env.import=of_test_healing")
        assert done.err.endswith("go on with: dqn-train resume=sweep trust=true\n")
        again = dqn_train("resume=sweep", "trust=true")
        assert again.err.endswith("go on with: dqn-train resume=sweep trust=true\n")


def test_a_damaged_record_is_named(dqn_train) -> None:
    assert dqn_train(*SWEEP).code == 0
    Path("sweep/sweep.json").write_text("{")
    for line in (SWEEP, ("resume=sweep",)):
        done = dqn_train(*line)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "sweep/sweep.json: not JSON" in done.err


def test_keys_of_the_sweeper_are_checked(dqn_train, tmp_path: Path) -> None:
    for key, words in (
        ("hydra.sweeper.tries=0", "hydra.sweeper.tries=0: input should be greater than"),
        ("hydra.sweeper.seeds_per_job=x", "hydra.sweeper.seeds_per_job=x: "),
        ("hydra.sweeper.stop_at_failure=1", "hydra.sweeper.stop_at_failure=1: "),
        ("hydra.sweep.subdir=x", "hydra.sweep.subdir: a job's directory is named by"),
        ("resume=other", "resume: not in a sweep"),
    ):
        done = dqn_train(*SWEEP, key)
        assert (done.code, done.err.count("\n")) == (2, 1), key
        assert words in done.err
        assert not list(tmp_path.iterdir())
