"""What Hydra calls before it makes a directory, and what one dqn-train command knows meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from dqn_cli.cli import sweeps
from dqn_cli.cli.line import refuse
from dqn_cli.cli.prepare import Prepared, prepare
from dqn_cli.logger.jobs import Jobs

LOCAL = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


@dataclass
class Session:
    """The state of one call of dqn-train's main()."""

    ready: Prepared | None = None  # the single run that may start
    sweep: Path | None = None  # the directory of the sweep, if it is one
    made: Sequence[Path] = ()  # it and the folders above it that did not exist, innermost first
    swept: frozenset[str] = frozenset()  # the keys that it varies
    jobs: Jobs | None = None  # of it, if they run in this process, one after the other
    failed: dict[str, str] = field(default_factory=dict)  # job -> why, of those in this process


_SESSION: ContextVar[Session] = ContextVar("session")


@contextlib.contextmanager
def session() -> Iterator[Session]:
    """Have `current` return a new session within the context."""
    token = _SESSION.set(Session())
    try:
        yield _SESSION.get()
    finally:
        _SESSION.reset(token)


def current() -> Session:
    """The session of main(), or an empty one in a process that a Hydra launcher started."""
    return _SESSION.get(None) or Session()


def begin_job(settings: HydraConf) -> Jobs:
    """Count and show the job of a sweep that is about to begin. Where another launcher has started
    it, maybe several at once, it knows of itself alone."""
    this = current()
    jobs = this.jobs or Jobs(None, live=False)
    if this.jobs and settings.job.num == 0:
        many = "" if jobs.total is None else f"{jobs.total} "
        print(f"{many}job{'s' * (jobs.total != 1)} into {settings.sweep.dir}", flush=True)
    jobs.start(settings.job.num, " ".join(sweeps.varied(settings.overrides.task, this.swept)))
    return jobs


class Hooks(Callback):
    """conf/config.yaml names this class, and Hydra makes an object of it."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Prepare the single run, or refuse it."""
        task = config.hydra.overrides.task
        try:
            current().ready = prepare(config, Path(config.hydra.run.dir), task)
        except Exception as error:
            # refuse exits: Hydra would turn an Exception from here into a warning
            known = isinstance(error, ValueError | OSError)
            refuse(error if known else f"{type(error).__name__}: {error}")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note where the sweep lies, what it varies and how many jobs it has, and spell out its
        globs."""
        sweep = Path(config.hydra.sweep.dir)
        this = current()
        this.sweep = sweep
        this.made = [path for path in (sweep, *sweep.parents) if not path.exists()]
        sweeps.forget_failures(sweep)
        this.swept = sweeps.spell_out(config)
        if config.hydra.launcher._target_ == LOCAL:
            this.jobs = Jobs(sweeps.count(config), live=True)


OmegaConf.register_new_resolver("slug", sweeps.slug, replace=True)
OmegaConf.register_new_resolver(
    "job_name",
    lambda number, overrides: sweeps.job_name(number, overrides, current().swept),
    replace=True,
)
