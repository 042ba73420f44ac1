"""hydra/launcher=slurm without Slurm: its commands are scripts here. benchmarks/slurm.sh has it."""

import json
import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus

from dqn_cli.cli import slurm
from dqn_cli.training import workers

submitit = pytest.importorskip("submitit")

# Jobs of an array run at once, but for the second, of which squeue says that it had no memory left.
SBATCH = """#!{python}
import os, re, subprocess, sys
script = open(sys.argv[1]).read()
last = int(re.search(r"--array='?0-(\\d+)", script)[1])
for task in set(range(last + 1)) - {{1}}:
    ids = dict(SLURM_JOB_ID=str(7 + task), SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID=str(task))
    env = {{**os.environ, **ids}}
    subprocess.Popen(["bash", "-c", script], env=env, stdout=subprocess.DEVNULL)
print("Submitted batch job 7")
"""
SRUN = """#!/bin/sh
while [ "$1" != -u ]; do command="$1"; shift; done
exec "$command" "$@" > /dev/null 2>&1
"""
SQUEUE = "#!/bin/sh\ncat {folder}/queue\n"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose file `queue` is what squeue prints."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    (folder / "queue").touch()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("squeue", SQUEUE)):
        (folder / name).write_text(text.format(python=sys.executable, folder=folder))
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(slurm, "ASK_SECONDS", 0.05)
    return folder


@pytest.fixture
def jobs(tmp_path: Path) -> Any:
    """jobs(3): three of an array, none of which has a result."""

    def made(count: int) -> list[Any]:
        place = tmp_path / "submitit/%j"
        found = [submitit.SlurmJob(place, f"7_{number}") for number in range(count)]
        for job in found:
            job.paths.folder.mkdir(parents=True)
        return found

    return made


def return_(job: Any, outcome: str, value: object) -> None:
    job.paths.result_pickle.write_bytes(pickle.dumps((outcome, value)))


@pytest.mark.parametrize(
    ("queue", "said"),
    [("7_0 RUNNING\n7_1 OUT_OF_MEMORY\n", "ended as OUT_OF_MEMORY"), ("", "is not in the queue")],
)
def test_a_job_that_slurm_ended_is_named_and_the_others_are_waited_for(
    cluster: Path, jobs: Any, capsys: pytest.CaptureFixture[str], queue: str, said: str
) -> None:
    first, second, third = array = jobs(3)
    (cluster / "queue").write_text(queue + "7_2 RUNNING\n")
    return_(first, "success", JobReturn(status=JobStatus.COMPLETED))
    look, lines = slurm.time.sleep, ""

    def sleep(seconds: float) -> None:
        nonlocal lines
        look(seconds)
        lines += capsys.readouterr().err
        if lines:
            return_(third, "success", JobReturn(status=JobStatus.COMPLETED))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slurm.time, "sleep", sleep)
        results = slurm.wait(array)
    assert [one.status.name for one in results] == ["COMPLETED", "UNKNOWN", "COMPLETED"]
    assert lines == f"dqn-train: Slurm's job 7_1 {said}; see {second.paths.stderr}\n"


def test_a_job_that_goes_back_into_the_queue_is_waited_for(
    cluster: Path, jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one of which squeue says nothing, because it does not answer."""
    (job,) = jobs(1)
    asked: list[str] = []
    answers = ["7_0 NODE_FAIL", "7_0 PENDING", None, "7_0 PREEMPTED", "7_0 RUNNING"]

    def run(command: list[str], **_: Any) -> Any:
        answer = answers[len(asked)]
        asked.append(str(answer))
        if len(asked) == len(answers):
            return_(job, "success", JobReturn(status=JobStatus.COMPLETED))
        if answer is None:
            raise subprocess.TimeoutExpired(command, 60)
        return subprocess.CompletedProcess(command, 0, f"{answer}\n")

    monkeypatch.setattr(slurm.subprocess, "run", run)
    assert [one.status for one in slurm.wait([job])] == [JobStatus.COMPLETED]
    assert len(asked) == len(answers)


def test_why_a_job_could_not_begin_is_the_last_line_of_its_trace(cluster: Path, jobs: Any) -> None:
    (job,) = jobs(1)
    return_(job, "error", 'Traceback:\n  File "x.py"\nModuleNotFoundError: No module named mine\n')
    (result,) = slurm.wait([job])
    assert result.status == JobStatus.FAILED
    assert str(result._return_value) == "ModuleNotFoundError: No module named mine"


@pytest.mark.long
def test_a_sweep_of_which_slurm_ended_a_job_goes_on(dqn_train, cluster: Path) -> None:
    (cluster / "queue").write_text("7_0 RUNNING\n7_1 OUT_OF_MEMORY\n7_2 RUNNING\n")
    tiny = ("episodes=2", "network.hidden=[8]", "eval.episodes=1", "eval.final_episodes=null")
    line = ("-m", *tiny, "gamma=0.9,0.8,0.7", "hydra.sweep.dir=sweep")
    done = dqn_train(*line, "hydra/launcher=slurm", "hydra.launcher.partition=small")
    script = next(Path("sweep/.submitit").rglob("*submission.sh")).read_text()
    for flag in ("array=0-2%3", "partition=small", "time=240", "cpus-per-task=1", "mem=4GB"):
        assert f"#SBATCH --{flag}" in script
    first, last = done.err.splitlines()
    assert first.startswith("dqn-train: Slurm's job 7_1 ended as OUT_OF_MEMORY; see ")
    assert last.endswith("1 of 3 jobs is not finished; go on with: dqn-train resume=sweep")
    assert done.code == 1
    states = [json.loads(f.read_text())["status"] for f in Path("sweep").glob("*/summary.json")]
    assert states == ["finished"] * 2
    assert dqn_train("resume=sweep", "hydra/launcher=basic").code == 0


@pytest.mark.parametrize(("asked", "expected"), [("2", 2), ("64", 8), ("0", 1), ("", 8)])
def test_a_job_uses_no_more_cores_than_it_asked_slurm_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str, expected: int
) -> None:
    """Not every cluster binds it to them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(workers, "QUOTA", tmp_path / "none")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", asked)
    assert workers.cores() == expected
