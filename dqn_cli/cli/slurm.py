"""Jobs in Slurm's queue, by submitit: hand them in, then wait until all are over.

The plugin's own launcher stops waiting at the first job that Slurm ended, and where Slurm keeps no
accounts (sacct) never learns of that. squeue is in every Slurm.
"""

from __future__ import annotations

import getpass
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

if TYPE_CHECKING:
    from submitit import Job

LOOK_SECONDS = 1.0  # between looks for results
ASK_SECONDS = 60.0  # between calls of squeue; a network file system may show a result so late
# What squeue calls a job that will not run again; one that goes back into the queue is not among
# them for long.
OVER = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "REVOKED", "TIMEOUT"),
}
RULE = "-" * 22 + "\n"  # around the trace in what submitit raises


def submit(
    function: Callable[..., JobReturn],
    keys: Mapping[str, Any],
    overrides: Sequence[Sequence[str]],
    first: int,
) -> list[Job[JobReturn]]:
    """Hand the jobs in, several as one array. RuntimeError with what sbatch says against it.

    function: what a job calls. keys: those of hydra.launcher. first: the number of the first job.
    """
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
    from submitit import AutoExecutor

    shared = set(OmegaConf.structured(BaseQueueConf))  # not Slurm's alone
    named = {key if key in shared else f"slurm_{key}": value for key, value in keys.items()}
    folder, requeued = named.pop("submitit_folder"), named.pop("slurm_max_num_timeout")
    executor = AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=requeued)
    executor.update_parameters(**named)
    state = Singleton.get_state()
    calls = [(list(o), "hydra.sweep.dir", n, str(n), state) for n, o in enumerate(overrides, first)]
    jobs: list[Job[JobReturn]] = executor.map_array(function, *zip(*calls, strict=True))
    return jobs


def wait(jobs: Sequence[Job[JobReturn]]) -> list[JobReturn]:
    """What each returned, when all are over: UNKNOWN for one that Slurm ended, of which stderr has
    a line at once."""
    results: dict[str, JobReturn] = {}
    over: dict[str, str] = {}
    asked = time.monotonic()
    while left := [job for job in jobs if job.job_id not in results]:
        for job in left:
            if job.paths.result_pickle.exists():
                results[job.job_id] = _result(job)
        if time.monotonic() - asked > ASK_SECONDS:
            before, over = over, _over([job.job_id for job in left])
            for job in left:  # over twice, so that its result would be there
                if job.job_id in before.keys() & over.keys() - results.keys():
                    line = f"Slurm's job {job.job_id} {over[job.job_id]}; see {job.paths.stderr}"
                    print(f"dqn-train: {line}", file=sys.stderr, flush=True)
                    results[job.job_id] = JobReturn()
            asked = time.monotonic()
        time.sleep(LOOK_SECONDS)
    return [results[job.job_id] for job in jobs]


def _over(jobs: Sequence[str]) -> dict[str, str]:
    """Those of the jobs that will not run again -> how they ended."""
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i %T"]
    command.append(f"--user={getpass.getuser()}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):  # it does not answer just now
        return {}
    states = dict(line.split() for line in done.stdout.splitlines())
    ended = {job: f"ended as {states[job]}" for job in jobs if states.get(job) in OVER}
    return {job: "is not in the queue" for job in jobs if job not in states} | ended


def _result(job: Job[JobReturn]) -> JobReturn:
    """What it returned, or FAILED with the reason, if it could not begin."""
    try:
        result: JobReturn = job.result()
        return result
    except Exception as error:
        trace = str(error).split(RULE)[1:2]
        reason = RuntimeError("".join(trace or [str(error)]).strip().splitlines()[-1])
        return JobReturn(status=JobStatus.FAILED, _return_value=reason)
