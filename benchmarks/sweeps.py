"""A sweep whose jobs are killed at random, and its bytes.

python -m benchmarks.sweeps [JOBS [KILLS [LAUNCHER]]]
benchmarks/slurm.sh python -m benchmarks.sweeps 96 5 slurm
benchmarks/ray.sh python -m benchmarks.sweeps 96 5 ray

JOBS jobs of one seed each (default 96) run two at a time through LAUNCHER (default processes).
KILLS (default 5) times a process of theirs is killed with SIGKILL, each time at a random instant;
the last time all of them, and dqn-train. What then waits in Slurm's queue stays there. The same
command is given once more. Every seed must have the bytes that it has where all seeds of a variant
train together and nothing is killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

SMALL = (
    *("-m", "algo=dqn,ddqn", "network.hidden=[16]", "learning_starts=50", "batch_size=16"),
    *("eval.episodes=1", "eval.every_episodes=5", "eval.final_episodes=5", "buffer=per"),
    *("episodes=null", "steps=6000", "checkpoint.every_seconds=0.5"),
)
APART = ("device=cpu", "hydra.sweeper.seeds_per_job=1", "hydra.sweep.dir=killed")
# launcher -> its keys, and what the command line of a process with a job has in it
LAUNCHERS = {
    "processes": (("hydra.launcher.n_jobs=2",), b"popen_loky"),
    "slurm": (("hydra.launcher.mem_gb=1",), b"\0submitit.core._submit\0"),
    "ray": (("+hydra.launcher.ray.init.object_store_memory=null",), b"ray::_run_job"),
}
FILES = ("scores/*", "evaluations/*", "diagnostics/*", "checkpoints/*_best.pt", "*/*_last.pt")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dqn_cli.cli.train", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def bytes_of(sweep: Path) -> dict[tuple[str, str], str]:
    """(algorithm, file of a seed) -> its hash."""
    found = {}
    for file in (file for name in FILES for file in sweep.glob(f"*/{name}")):
        run = file.parents[1]
        algo = yaml.safe_load((run / "config.yaml").read_text())["algo"]["double"]
        key = str(algo), file.relative_to(run).as_posix()
        assert key not in found, f"{key} twice"
        found[key] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def members(mark: bytes, folder: Path) -> list[int]:
    """The processes with `mark` in the command line, but srun's, in this folder or below it; Ray's
    run where its workers were started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
            here = (entry.parent / "cwd").resolve().is_relative_to(folder)
        except OSError:  # it has just ended
            continue
        ours = here or mark.startswith(b"ray")
        if mark in line and ours and not line.startswith(b"srun"):
            found.append(int(entry.parent.name))
    return found


def done(sweep: Path) -> int:
    files = sweep.glob("*/summary.json")
    return sum('"status": "finished"' in file.read_text() for file in files)


def wait(process: subprocess.Popen[str], sweep: Path, jobs: int) -> None:
    """Until so many jobs are done, and for a moment more."""
    while process.poll() is None and done(sweep) < jobs:
        time.sleep(0.1)
    time.sleep(random.uniform(0, 2))


def main() -> None:
    words = ["96", "5", "processes"]
    words[: len(sys.argv) - 1] = sys.argv[1:]
    jobs, kills, launcher = int(words[0]), int(words[1]), words[2]
    keys, mark = LAUNCHERS[launcher]
    seeds = f"seed=range(0,{jobs // 2})"
    random.seed(jobs)
    folder = Path(tempfile.mkdtemp(prefix="sweeps-"))
    begun = time.monotonic()
    process = start(folder, *SMALL, seeds, "hydra.sweep.dir=whole")
    out, _ = process.communicate()
    assert process.returncode == 0, out
    print(
        f"undisturbed, all seeds of a variant together: {time.monotonic() - begun:.0f} s",
        flush=True,
    )

    begun = time.monotonic()
    sweep = folder / "killed"
    command = (*SMALL, seeds, *APART, f"hydra/launcher={launcher}", *keys)
    process = start(folder, *command)
    for kill in range(kills):
        wait(process, sweep, jobs * (kill + 1) // (kills + 2))
        last = kill == kills - 1
        while not (victims := members(mark, folder)) and process.poll() is None:
            time.sleep(0.05)  # between two jobs
        assert process.poll() is None, process.communicate()[0]
        if last:
            os.killpg(process.pid, signal.SIGKILL)
        for victim in victims if last else [random.choice(victims)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        print(
            f"kill {kill + 1}, of {'all' if last else 'one'}: {done(sweep)} jobs done", flush=True
        )
    out, _ = process.communicate()
    print(out.partition("\n")[0])
    process = start(folder, *command)
    out, _ = process.communicate()
    print(out.partition("\n")[0])
    assert process.returncode == 0, out
    whole, found = bytes_of(folder / "whole"), bytes_of(sweep)
    wrong = sorted(key for key in whole | found if whole.get(key) != found.get(key))
    left = [path for path in sweep.rglob(".*.tmp")]
    print(
        f"{jobs} jobs, {kills} kills: {time.monotonic() - begun:.0f} s; {len(found)} files, ",
        end="",
    )
    print(f"{len(wrong)} with other bytes {wrong[:3]}{left[:3]}" if wrong or left else "same bytes")
    sys.exit(bool(wrong or left))


if __name__ == "__main__":
    main()
