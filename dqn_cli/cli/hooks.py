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

from dqn_cli.cli import naming
from dqn_cli.cli.gpus import visible
from dqn_cli.cli.line import refuse
from dqn_cli.cli.prepare import Prepared, prepare
from dqn_cli.logger.jobs import Jobs
from dqn_cli.results.schema import CONFIG

LOCAL = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


@dataclass
class Session:
    """The state of one call of dqn-train's main()."""

    ready: Prepared | None = None  # the single run that may start
    command: list[str] = field(default_factory=list)  # the arguments, without a sweep's directory
    recorded: Path | None = None  # the sweep whose command they are, if that is not trusted
    sweep: Path | None = None  # the directory of the sweep, if it is one
    made: Sequence[Path] = ()  # it and the folders above it that did not exist, innermost first
    there: frozenset[str] = frozenset()  # what it held before
    tries: int | None = None  # how often a job is tried that fails, if the sweeper counts
    launched: bool = False  # the launcher has its jobs
    swept: frozenset[str] | None = None  # the keys that it varies, if that is known
    jobs: Jobs | None = None  # of it, if they run in this process, one after the other
    failed: dict[str, str] = field(default_factory=dict)  # job -> why, of those in this process

    @property
    def begun(self) -> bool:
        """Whether a job of the sweep did."""
        sweep = self.sweep
        new = sweep is not None and {p.name for p in sweep.glob("*") if p.is_dir()} - self.there
        return self.launched or bool(new)


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


def is_launched() -> bool:
    """Whether this is a process that a Hydra launcher started."""
    return _SESSION.get(None) is None


def begin_job(settings: HydraConf, directory: Path) -> Jobs:
    """Count and show the job of a sweep that is about to begin. Where another launcher has started
    it, maybe several at once, it knows of itself alone."""
    this = current()
    if this.jobs is None and settings.launcher._target_ == LOCAL:
        this.jobs = Jobs(None, live=not is_launched())
    jobs = this.jobs or Jobs(None, live=False)
    words = " ".join(map(naming.short, naming.varied(settings.overrides.task, this.swept)))
    words = directory.name if this.swept is None else words
    again = (directory / CONFIG).is_file()
    jobs.start(settings.job.num, words, "goes on" if again else "starts")
    return jobs


class Hooks(Callback):
    """conf/config.yaml names this class, and Hydra makes an object of it."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Prepare the single run, or refuse it."""
        task = config.hydra.overrides.task
        if "hydra/sweeper=search" in config.hydra.overrides.hydra:
            refuse("hydra/sweeper=search: -m makes a search of it")
        try:
            current().ready = prepare(config, Path(config.hydra.run.dir), task)
        except Exception as error:
            # refuse exits: Hydra would turn an Exception from here into a warning
            known = isinstance(error, ValueError | OSError)
            refuse(error if known else f"{type(error).__name__}: {error}")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note where the sweep lies, and what lies there."""
        sweep = Path(config.hydra.sweep.dir)
        this = current()
        this.sweep = sweep
        this.made = [path for path in (sweep, *sweep.parents) if not path.exists()]
        this.there = frozenset(path.name for path in sweep.glob("*"))
        this.tries = OmegaConf.select(config, "hydra.sweeper.tries")
        if any(o.partition("=")[0] == "resume" for o in config.hydra.overrides.task):
            refuse("resume: not in a sweep; alone it goes on with a run, or with a whole sweep")


def jobs_at_once(device: str) -> int:
    """How many jobs this machine has room for: one on each GPU, or core."""
    from dqn_cli.training.workers import cores

    gpus = len(visible()) if device in ("auto", "cuda") else 0
    return 1 if device == "mps" else gpus or cores()


OmegaConf.register_new_resolver("slug", naming.slug, replace=True)
OmegaConf.register_new_resolver("job_name", naming.job_name, replace=True)
OmegaConf.register_new_resolver("jobs_at_once", jobs_at_once, replace=True)
OmegaConf.register_new_resolver(
    "gpus_per_job", lambda device: 1 if device == "cuda" else None, replace=True
)
