"""dqn-train: compose a configuration, train, record."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from dqn_cli.cli import sweeps
from dqn_cli.cli.console import escape_what_does_not_fit
from dqn_cli.cli.hints import CONF, explain
from dqn_cli.cli.hooks import begin_job, current, session
from dqn_cli.cli.line import arranged, go_on, placed, refuse
from dqn_cli.cli.prepare import prepare
from dqn_cli.events import AllDiverged, RunError

log = logging.getLogger("dqn_cli")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(composed: DictConfig) -> None:
    """Train one run in the directory that Hydra chose for it."""
    from dqn_cli.results.files import claimed
    from dqn_cli.results.schema import ResultError
    from dqn_cli.training.run import train

    settings = HydraConfig.get()
    directory = Path(settings.runtime.output_dir)
    jobs = begin_job(settings) if settings.mode == RunMode.MULTIRUN else None
    try:
        run = current().ready or prepare(composed, directory, settings.overrides.task)
        with run.claim as claim:
            if run.resumed is None:
                claim.enter_context(claimed(directory))
            if run.source is None:
                print(f"nothing left to do; episodes=N or steps=N is its length\n{directory}")
                return
            choices = dict(settings.runtime.choices)
            outcome = train(run.config, run.source, directory, choices, run.resumed, jobs)
        if jobs is not None:
            jobs.finish(outcome)
    except KeyboardInterrupt:
        print(f"dqn-train: stopped{go_on(directory)}", file=sys.stderr)
        raise
    except Exception as error:
        log.exception("failed")
        if jobs is None and isinstance(error, ResultError):
            refuse(error)
        if jobs is None and isinstance(error, RunError):
            ending = "" if isinstance(error, AllDiverged) else go_on(directory)
            print(f"dqn-train: {error}{ending}", file=sys.stderr)
            sys.exit(1)
        if jobs is None:
            raise
        # The other jobs go on, and the sweep names this one at its end.
        line = " ".join(str(error).split()) or type(error).__name__
        jobs.fail(line)
        current().failed[directory.name] = line
        sweeps.report_failure(directory, line)


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 bad input, 130 and 143 stopped by a signal."""
    escape_what_does_not_fit()
    debug = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # has Hydra raise errors, which become one line here
    logging.raiseExceptions = False  # a log that cannot be written is not the problem to report
    code = 0
    with session() as this:
        try:
            sys.argv[1:] = placed(arranged(sys.argv[1:]))
            job()
        except KeyboardInterrupt as stop:
            logging.disable(logging.INFO)  # PyTorch's parting words, if it was just being imported
            code = 128 + getattr(stop, "number", signal.SIGINT)
        except Exception as error:
            code = 1
            if debug or this.ready is not None:
                raise
            if this.sweep is None or not sweeps.began(this.sweep):
                if this.sweep is not None:
                    sweeps.remove(this.sweep, this.made)
                refuse(explain(error))
        if this.sweep is not None:
            code = max(sweeps.conclude(this.sweep, this.failed), code)
    sys.exit(code)


if __name__ == "__main__":
    from dqn_cli.cli.train import main as run  # Hydra looks this module up by its name

    run()
