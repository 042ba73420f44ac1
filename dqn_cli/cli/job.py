"""One job: a run of its own, or one of a sweep, which goes on with what its directory holds."""

from __future__ import annotations

import logging
from pathlib import Path

from hydra.conf import HydraConf
from omegaconf import DictConfig, OmegaConf

from dqn_cli.cli import gpus, sweeps
from dqn_cli.cli.hooks import begin_job, current, is_launched
from dqn_cli.cli.prepare import Prepared, prepare_job
from dqn_cli.logger.jobs import Jobs

log = logging.getLogger("dqn_cli")
NOTHING = "nothing left to do"


def run(ready: Prepared, settings: HydraConf, directory: Path, jobs: Jobs | None) -> str | None:
    """Train what may start. Returns the last scores, for people; None if nothing was left to do."""
    from dqn_cli.training.run import train

    with ready.claim:
        if ready.source is None:
            return None
        choices = dict(settings.runtime.choices)
        said = ready.notes, ready.resumed, jobs
        return train(ready.config, ready.source, directory, choices, *said)


def run_of_sweep(composed: DictConfig, settings: HydraConf, directory: Path) -> None:
    """Train a job of a sweep. Whatever happens to it, other jobs go on: it is said at once, in the
    job's log and in its directory."""
    from dqn_cli.results.files import Held
    from dqn_cli.training.signals import warned

    stops = OmegaConf.select(settings.sweeper, "stop_at_failure")
    if stops and sweeps.failed_since(directory.parent):
        log.info("not started, because a job has failed (hydra.sweeper.stop_at_failure)")
        return
    if is_launched() and composed.device.get("name") in ("auto", "cuda"):
        gpus.take_one()
    jobs = begin_job(settings, directory)
    with warned() as warnings:
        try:
            ready = prepare_job(composed, directory, settings.overrides.task)
            if warnings:
                raise KeyboardInterrupt
            jobs.finish(run(ready, settings, directory, jobs) or NOTHING)
            sweeps.forget_failures(directory)
        except Held as error:
            jobs.leave(str(error))
        except KeyboardInterrupt:
            if not is_launched():
                raise
            jobs.leave("stopped")  # a launcher would take the exception for its own end
        except Exception as error:
            log.exception("failed")
            line = " ".join(str(error).split()) or type(error).__name__
            jobs.fail(line)
            current().failed[directory.name] = line
            sweeps.report_failure(directory, line)
    for call in warnings[:1]:
        try:
            call()
        except Exception as error:  # that it will not be put back into the queue
            log.info("%s", error)
