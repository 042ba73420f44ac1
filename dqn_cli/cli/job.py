"""One job: a run of its own, or one of a sweep, which goes on with what its directory holds."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.conf import HydraConf
from omegaconf import DictConfig, OmegaConf

from dqn_cli.cli import gpus, sweeps
from dqn_cli.cli.hooks import begin_job, current, is_launched
from dqn_cli.cli.prepare import Prepared, prepare_job
from dqn_cli.events import AllDiverged
from dqn_cli.logger.jobs import Jobs

if TYPE_CHECKING:  # torch and pandas are imported when a run begins
    from dqn_cli.config import Config
    from dqn_cli.results.objective import Objective
    from dqn_cli.training.judge import Judge

SEARCH = "hydra_plugins.dqn_cli_sweeper.SearchSweeper"
log = logging.getLogger("dqn_cli")
NOTHING = "nothing left to do"


def run(
    ready: Prepared,
    settings: HydraConf,
    directory: Path,
    jobs: Jobs | None,
    judge: Judge | None = None,
) -> str | None:
    """Train what may start. Returns the last scores, for people; None if nothing was left to do."""
    from dqn_cli.training.run import train

    with ready.claim:
        if ready.source is None:
            return None
        choices = dict(settings.runtime.choices)
        said = ready.notes, ready.resumed, jobs, judge
        return train(ready.config, ready.source, directory, choices, *said)


def run_of_sweep(composed: DictConfig, settings: HydraConf, directory: Path) -> float:
    """Train a job of a sweep. Whatever happens to it, other jobs go on: it is said at once, in the
    job's log and in its directory. Returns its objective, for whatever sweeper that looks for a
    high one; nan if it has none, because it failed, say."""
    from dqn_cli.results.files import Held
    from dqn_cli.results.objective import Objective
    from dqn_cli.training.signals import warned

    stops = OmegaConf.select(settings.sweeper, "stop_at_failure")
    if stops and sweeps.failed_since(directory.parent):
        log.info("not started, because a job has failed (hydra.sweeper.stop_at_failure)")
        return math.nan
    if is_launched() and composed.device.get("name") in ("auto", "cuda"):
        gpus.take_one()
    objective = Objective(composed.objective, composed.over_seeds)
    searched = settings.sweeper._target_ == SEARCH
    jobs = begin_job(settings, directory)
    with warned() as warnings:
        try:
            ready = prepare_job(composed, directory, settings.overrides.task)
            if warnings:
                raise KeyboardInterrupt
            judge = _judge(ready.config, settings, directory, objective) if searched else None
            outcome = run(ready, settings, directory, jobs, judge)
            jobs.finish(outcome or NOTHING, judge.percent if judge else None)
            sweeps.forget_failures(directory)
        except Held as error:
            jobs.leave(str(error))
        except KeyboardInterrupt:
            if not is_launched():
                raise
            jobs.leave("stopped")  # a launcher would take the exception for its own end
        except Exception as error:
            line = " ".join(str(error).split()) or type(error).__name__
            if searched and isinstance(error, AllDiverged):
                jobs.finish(line)  # which is an answer, and would come again
            else:
                log.exception("failed")
                jobs.fail(line)
                current().failed[directory.name] = line
                sweeps.report_failure(directory, line)
    for call in warnings[:1]:
        try:
            call()
        except Exception as error:  # that it will not be put back into the queue
            log.info("%s", error)
    return _worth(directory, objective)


def _judge(
    config: Config, settings: HydraConf, directory: Path, objective: Objective
) -> Judge | None:
    """Who may give up the run of a trial, if anything does."""
    from dqn_cli.cli.pruner import pruning
    from dqn_cli.cli.trials import Keys
    from dqn_cli.config import validate
    from dqn_cli.training.judge import Judge

    given = OmegaConf.to_container(settings.sweeper)
    assert isinstance(given, dict)
    keys = validate(Keys, {str(k): v for k, v in given.items() if k != "_target_"}, "")
    hopeless = pruning(directory, keys)
    return None if hopeless is None else Judge(config, objective, hopeless)


def _worth(directory: Path, objective: Objective) -> float:
    from dqn_cli.results.objective import of_run
    from dqn_cli.results.reader import read_run
    from dqn_cli.results.schema import ResultError

    try:
        run = read_run(directory)
    except ResultError:  # it has not begun
        return math.nan
    return of_run(run, objective) if run.summary.get("status") == "finished" else math.nan
