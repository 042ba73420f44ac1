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
from dqn_cli.cli.again import again, without_place
from dqn_cli.cli.console import escape_what_does_not_fit
from dqn_cli.cli.hints import CONF, explain
from dqn_cli.cli.hooks import Session, current, session
from dqn_cli.cli.job import NOTHING, run, run_of_sweep
from dqn_cli.cli.line import arranged, go_on, listed, placed, refuse
from dqn_cli.cli.prepare import prepare
from dqn_cli.events import AllDiverged, RunError

log = logging.getLogger("dqn_cli")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(composed: DictConfig) -> float | None:
    """Train one run in the directory that Hydra chose for it. Returns a sweep's job's objective."""
    from dqn_cli.results.schema import ResultError

    settings = HydraConfig.get()
    directory = Path(settings.runtime.output_dir)
    if settings.mode == RunMode.MULTIRUN:
        return run_of_sweep(composed, settings, directory)
    try:
        ready = current().ready or prepare(composed, directory, settings.overrides.task)
        if run(ready, settings, directory, None) is None:
            print(f"{NOTHING}; episodes=N or steps=N is its length\n{directory}")
        return None
    except KeyboardInterrupt:
        print(f"dqn-train: stopped{go_on(directory)}", file=sys.stderr)
        raise
    except Exception as error:
        log.exception("failed")
        if isinstance(error, ResultError):
            refuse(error)
        if isinstance(error, RunError):
            ending = "" if isinstance(error, AllDiverged) else go_on(directory)
            print(f"dqn-train: {error}{ending}", file=sys.stderr)
            sys.exit(1)
        raise


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 bad input, 130 and 143 stopped by a signal."""
    escape_what_does_not_fit()
    debug = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # has Hydra raise errors, which become one line here
    logging.raiseExceptions = False  # a log that cannot be written is not the problem to report
    code = 0
    with session() as this:
        try:
            arguments, this.recorded = again(arranged(sys.argv[1:]))
            this.command = without_place(arguments)
            sys.argv[1:] = placed(listed(arguments))
            job()
        except KeyboardInterrupt as stop:
            logging.disable(logging.INFO)  # PyTorch's parting words, if it was just being imported
            code = 128 + getattr(stop, "number", signal.SIGINT)
        except Exception as error:
            code = _failed(error, this, debug)
        if this.sweep is not None:
            stopped = code > 2
            code = max(sweeps.conclude(this.sweep, this.failed, this.tries, stopped), code)
    sys.exit(code)


def _failed(error: Exception, this: Session, debug: bool) -> int:
    """The exit code, if a sweep has begun; otherwise ends the process."""
    if debug or this.ready is not None:
        raise error
    if not this.begun:
        if this.sweep is not None:
            sweeps.remove(this.sweep, this.made)
        refuse(explain(error))
    print(f"dqn-train: {' '.join(str(error).split())[:500]}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    from dqn_cli.cli.train import main as run_main  # Hydra looks this module up by its name

    run_main()
