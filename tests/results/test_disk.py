"""A disk that is full or read-only, and a directory that vanishes, while a run is written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dqn_cli.saving.checkpoint import load_lane
from dqn_cli.training.learner import Learner

pytestmark = pytest.mark.usefixtures("undrawn")
SMALL = (
    *("network.hidden=[9]", "learning_starts=30", "batch_size=16", "eval.episodes=2"),
    *("hydra.run.dir=run", "checkpoint.every_seconds=1e-9"),  # at every tick
)
EPISODES = ("episodes=40",)


def limited(arguments: list[str], size: int, cwd: Path) -> subprocess.CompletedProcess[str]:
    """dqn-train where no file may grow past `size` bytes, as on a disk that is full."""
    code = (
        "import resource, sys; from dqn_cli.cli.train import main;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size})); main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True
    )


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_on_a_full_disk_one_line_says_so_and_what_was_there_stays(
    contents, dqn_train, tmp_path: Path
) -> None:
    line = (*SMALL, *EPISODES, "seed=[1,2]")
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    done = limited(list(line), 25_000, tmp_path)  # the first checkpoints fit, the next do not
    assert done.returncode == 1
    assert done.stderr == (
        f"dqn-train: {tmp_path}/run/checkpoints: cannot be written: File too large; "
        f"go on with: dqn-train resume={tmp_path}/run\n"
    )
    assert load_lane(tmp_path / "run/checkpoints/seed_1_resume.pt").step == 256
    assert not list(tmp_path.glob("run/checkpoints/.*"))
    assert dqn_train("resume=run").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_row_that_does_not_fit_on_the_disk_is_one_line(
    contents, dqn_train, tmp_path: Path
) -> None:
    line = (*SMALL, *EPISODES, "seed=[1,2]", "checkpoint.every_seconds=null")
    done = limited(list(line), 1300, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"dqn-train: {tmp_path}/run: cannot be written: File too large")
    assert done.stderr.count("\n") == 1
    assert dqn_train("resume=run").code == 0
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_directory_that_vanishes_is_one_line(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = Learner.learn

    def learned(self: Learner, step: int) -> None:
        learn(self, step)
        if step == 200:
            shutil.rmtree(tmp_path / "run")

    monkeypatch.setattr(Learner, "learn", learned)
    done = dqn_train(*SMALL, *EPISODES, "seed=1")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "cannot be written: No such file or directory" in done.err
    assert "go on with" not in done.err


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may write anywhere")
def test_a_directory_that_is_read_only_is_one_line(dqn_train, finished: Path) -> None:
    finished.chmod(0o555)
    try:
        done = dqn_train("resume=run", "episodes=12")
    finally:
        finished.chmod(0o755)
    assert (done.code, done.err) == (2, "dqn-train: run: cannot be written: Permission denied\n")
