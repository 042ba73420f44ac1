"""A sweep, from its command line to its launcher; what is done already is not done again."""

from __future__ import annotations

import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from dqn_cli.cli import sweeps
from dqn_cli.cli.again import not_plain, parsed
from dqn_cli.cli.hooks import LOCAL, current
from dqn_cli.cli.line import divided, quoted
from dqn_cli.cli.planning import Keys, Planned, hash_of_sources, plan
from dqn_cli.cli.prepare import check_unchanged, settled, values_of
from dqn_cli.cli.presets import plain
from dqn_cli.config import BadInput, refuse_foreign, validate
from dqn_cli.logger.jobs import Jobs
from dqn_cli.results.schema import CONFIG, STUDY, SWEEP
from dqn_cli.results.status import Job, is_done, job
from dqn_cli.results.sweep import Sweep, read_sweep, write_sweep
from dqn_cli.training.signals import stopped_by_sigterm
from dqn_cli.words import counted

# Launchers of several jobs at a time on this machine, by their classes' names.
SIDE_BY_SIDE = ("JoblibLauncher", "LocalLauncher")
OVER = ("finished", "pruned", "failed")
SEEDS = re.compile(r"seed=[\d,\[\]]+")
KILLED = "TerminatedWorkerError"  # joblib's, which ends all of its jobs if one is killed


def sweep(
    config: DictConfig,
    launcher: Launcher,
    loader: ConfigLoader,
    given: Mapping[str, Any],
    arguments: Sequence[str],
) -> list[JobReturn]:
    """Run the sweep. BadInput or one of Hydra's exceptions, before anything is written, if it may
    not start.

    config: the composed configuration, without what is swept. given: the keys of hydra.sweeper.
    arguments: the command line's own overrides.
    """
    directory = place(config)
    if (directory / STUDY).exists():
        raise BadInput(f"{directory}: holds a search; another hydra.sweep.dir begins a sweep")
    keys = validate(Keys, {k: plain(v) for k, v in given.items()}, "hydra.sweeper.")
    before = _before(directory)
    own = [f"{key}={value}" for key, value in keys.params.items()]
    planned, size = plan([*own, *arguments], config, keys, before)
    found = {one.name: job(directory / one.name) for one in planned}
    sources = hash_of_sources(config)
    same = before is not None and _tasks(before.command) == _tasks(current().command)
    known = before if before is not None and same and before.sources == sources else None
    longer, foreign = _check(planned, found, config, loader, known is not None)
    for name in longer:
        found[name] = found[name]._replace(state="cut")
    options, overrides = divided(current().command)
    foreign |= (known is not None and known.foreign) or bool(not_plain(options, parsed(overrides)))

    directory.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, directory / "multirun.yaml")
    names = [one.name for one in planned]
    write_sweep(directory, Sweep(current().command, names, size, sources, foreign))
    left = [one for one in planned if _is_left(found[one.name], keys.tries)]
    _announce(directory, found, keys.tries)
    shown_live(config, directory, len(left))
    results: list[JobReturn] = []
    batch = keys.max_batch_size or max(len(left), 1)
    with stopped_by_sigterm():
        for first in range(0, len(left), batch):
            jobs = left[first : first + batch]
            results += launch(jobs, first, directory, config, launcher, keys.tries)
    return results


def place(config: DictConfig) -> Path:
    """The sweep's directory. BadInput if its jobs are to be named otherwise."""
    if any(o.startswith("hydra.sweep.subdir=") for o in config.hydra.overrides.hydra):
        raise BadInput("hydra.sweep.subdir: a job's directory is named by the sweep")
    return Path(config.hydra.sweep.dir)


def shown_live(config: DictConfig, directory: Path, jobs: int) -> None:
    """Have the jobs show how far they are, if they run here one after the other; if not, print how
    to see it."""
    if config.hydra.launcher._target_ == LOCAL:
        current().jobs = Jobs(jobs, live=True)
    elif jobs:
        again = shlex.join(["dqn-plot", str(directory), "--status"])
        print(f"how far they are, and the time left: {again}", flush=True)
    current().launched = True


def _before(directory: Path) -> Sweep | None:
    """The sweep that has begun in this directory, if any. Raises ResultError."""
    sweep = read_sweep(directory) if (directory / SWEEP).exists() else None
    begun = sweep is not None and any((directory / name).is_dir() for name in sweep.jobs)
    return sweep if begun else None


def _tasks(command: Sequence[str]) -> list[str]:
    """What of it its jobs are made of."""
    aside = ("-", "hydra/launcher=", "hydra.launcher.")
    return [word for word in command if not word.startswith(aside)]


def _check(
    planned: Sequence[Planned],
    found: Mapping[str, Job],
    config: DictConfig,
    loader: ConfigLoader,
    known: bool,
) -> tuple[list[str], bool]:
    """Compose every override once, so that what is wrong with one is known before any job begins;
    and every job that has a run, which must be one of the same configuration. Nothing of a sweep
    that is `known`, whose jobs are as they were, but for code that is not trusted. Returns the
    names of finished jobs that are to become longer, and whether one names code from elsewhere.
    """
    seen: set[str] = set()
    longer = []
    foreign = False
    untrusted = current().recorded
    for one in planned:
        path, state, _ = found[one.name]
        there = not known and (path / CONFIG).is_file()
        # there may be ten thousand seeds, at a fifth of a second each, and numbers are only that
        others = [override for override in one.overrides if not SEEDS.fullmatch(override)]
        new = not (known and untrusted is None) and not seen.issuperset(others or one.overrides)
        if not there and not new:
            continue
        seen.update(one.overrides)
        composed = loader.load_sweep_config(config, list(one.overrides))
        try:
            refuse_foreign(untrusted, values_of(composed), "trust=true")
        except BadInput:
            if untrusted is not None:
                raise
            foreign = True
        if there and check_unchanged(path, settled(composed, one.overrides)):
            longer += [one.name] if state == "finished" else []
    return longer, foreign


def _is_left(one: Job, tries: int) -> bool:
    """Whether there is something to do that may be done here."""
    if one.state == "finished":
        return not is_done(one.path)
    return one.state != "running" and len(one.failures) < tries


def _announce(directory: Path, found: Mapping[str, Job], tries: int) -> None:
    """Print how many jobs there are and, if some have begun, what will become of them."""
    words = {"finished": "finished", "running": "running elsewhere", "cut": "to go on"}
    count: Counter[str] = Counter()
    for one in found.values():
        again = "to try again" if len(one.failures) < tries else "failed too often"
        count[again if one.state == "failed" else words.get(one.state, "to begin")] += 1
    parts = ", ".join(f"{number} {what}" for what, number in count.items())
    told = "" if set(count) <= {"to begin"} else f": {parts}"
    print(f"{counted(len(found), 'job')} into {directory}{told}", flush=True)
    for name, one in found.items():
        if one.state == "failed" and len(one.failures) < tries:
            times = f"{len(one.failures)} of {tries} times"
            print(f"{name} failed {times}, and is tried again: {one.failures[-1]}", flush=True)


def launch(
    batch: Sequence[Planned],
    first: int,
    directory: Path,
    config: DictConfig,
    launcher: Launcher,
    most: int,
) -> list[JobReturn]:
    """Have the launcher run the jobs; and those that it gives up because one was killed, again, as
    long as some get done, and otherwise up to `most` times."""
    # a job may run in another folder than this process, as Ray's do
    common = [*_carried_out(config), f"hydra.sweep.dir={quoted(str(directory.absolute()))}"]
    tries = most
    while batch:
        lines = [[*o.overrides, *common, f"hydra.sweep.subdir='{o.name}'"] for o in batch]
        try:
            results = launcher.launch(lines, first)
        except Exception as error:
            if type(error).__name__ != KILLED:
                raise
            left = [o for o in batch if job(directory / o.name).state not in OVER]
            tries = most if len(left) < len(batch) else tries - 1
            if not tries:
                raise
            print(
                "dqn-train: a process was killed (out of memory?); its jobs go on", file=sys.stderr
            )
            batch = left
            continue
        for one, result in zip(batch, results, strict=False):
            if result.status == JobStatus.FAILED:  # before our own code had it
                sweeps.report_failure(directory / one.name, str(result._return_value))
        return list(results)
    return []


def _carried_out(config: DictConfig) -> Iterator[str]:
    """Overrides for how the launcher carries out its jobs."""
    side_by_side = config.hydra.launcher._target_.endswith(SIDE_BY_SIDE)
    if side_by_side and OmegaConf.select(config, "device.workers") == "auto":
        yield "device.workers=1"  # the cores have jobs
