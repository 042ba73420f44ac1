"""How far runs and the jobs of sweeps are: finished, waiting, cut, failed, or running."""

from __future__ import annotations

import os
import shlex
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, NamedTuple, get_args

from dqn_cli.results.files import held
from dqn_cli.results.reader import last_row, read_config, read_summary
from dqn_cli.results.schema import (
    COLUMNS,
    CONFIG,
    EVALUATION_COLUMNS,
    FAILURES,
    FIGURE,
    SCORES,
    SUMMARY,
    SWEEP,
    TIMING,
    TIMING_COLUMNS,
    ResultError,
    evaluations_file,
    scores_file,
    shorten,
)
from dqn_cli.results.sweep import read_sweep
from dqn_cli.results.table import render
from dqn_cli.words import counted

# In the order of the table, whose end a terminal shows. Pruned: a search gave it up, so it is over.
# Cut: its process ended before it was done.
State = Literal["finished", "pruned", "waiting", "cut", "failed", "running"]
REASON = 60  # characters of it in the table


class Job(NamedTuple):
    """A run, or the place where a sweep will have one."""

    path: Path
    state: State
    failures: tuple[str, ...] = ()  # why it failed, each time


class Far(NamedTuple):
    """How far a job is."""

    seeds: int | None = None
    fraction: float = 0.0  # of its episodes or env steps, from 0 to 1, by the nearer limit
    seconds: float = 0.0  # that it has trained
    since: float | None = None  # when this process began, in seconds since the epoch, if it runs


def job(path: Path) -> Job:
    """The state of the job in this directory. A file that cannot be read counts as missing: the
    command that resumes the run names it."""
    try:
        summary = read_summary(path)
    except ResultError:
        summary = {}
    failures = _failures(path)
    status = summary.get("status")
    seeds = summary.get("seeds", {}).values()
    diverged = bool(seeds) and all(seed.get("diverged") is True for seed in seeds)
    if status == "finished" and not diverged:
        return Job(path, "finished")
    if status == "pruned" and not held(path):
        return Job(path, "pruned")
    if status != "finished" and held(path):
        return Job(path, "running", failures)
    if failures or diverged or status == "failed":
        reason = "every seed diverged" if diverged else str(summary.get("error"))
        return Job(path, "failed", failures or (reason,))
    return Job(path, "cut" if (path / CONFIG).is_file() else "waiting")


def is_done(path: Path) -> bool:
    """Whether a finished run has all of its files, the figure too, which comes last."""
    return job(path).state == "finished" and (path / FIGURE).exists()


def _failures(path: Path) -> tuple[str, ...]:
    try:
        text = (path / FAILURES).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(text.splitlines())


def find_jobs(directories: Iterable[Path]) -> list[Path]:
    """The jobs of the sweeps that the directories are or contain, and other runs, each once: those
    of a sweep in its order. ResultError for a directory with neither, or a damaged sweep."""
    found: dict[str, Path] = {}
    for top in directories:
        before = len(found)
        for name, folders, files in os.walk(top):
            place = Path(name)
            there: list[Path] = []
            if SWEEP in files:
                there += [place / job for job in read_sweep(place).jobs]
            if FAILURES in files or (SCORES in folders and (CONFIG in files or SUMMARY in files)):
                there.append(place)
                folders.clear()
            for path in there:
                found.setdefault(os.path.realpath(path), path)
            folders.sort()
        if len(found) == before:
            missing = not os.path.lexists(top)
            raise ResultError(top, "does not exist" if missing else "holds no run and no sweep")
    return list(found.values())


def unfinished(directories: Iterable[Path]) -> list[str]:
    """What is to be said of a comparison of these directories, if it is not of all that there
    will be."""
    try:
        jobs = [job(path) for path in find_jobs(directories)]
    except ResultError:  # a damaged record of a sweep, whose runs can be compared
        return []
    if not (left := [one for one in jobs if one.state != "finished"]):
        return []
    what = f"{len(left)} of {counted(len(jobs), 'run')} {'is' if len(left) == 1 else 'are'}"
    return [f"{what} not finished: {_counted(left)} (--status)"]


def status(directories: Sequence[Path]) -> str:
    """The table of all jobs, with a last line that sums up. Raises as `find_jobs`."""
    jobs = [job(path) for path in find_jobs(directories)]
    jobs.sort(key=lambda one: get_args(State).index(one.state))
    far = [_far(one) for one in jobs]
    lines = [["job", "state", "seeds", "done", "trained"]]
    for one, so_far in zip(jobs, far, strict=True):
        percent = f"{100 * so_far.fraction:.0f} %"
        trained = str(timedelta(seconds=round(so_far.seconds))) if so_far.seconds else "-"
        seeds = "-" if so_far.seeds is None else str(so_far.seeds)
        lines.append([_shown(one.path, directories), _state(one, so_far), seeds, percent, trained])
    last = [f"{counted(len(jobs), 'job')}: {_counted(jobs)}", *_left(jobs, far)]
    if "nothing runs" in last and len(directories) == 1 and (directories[0] / SWEEP).exists():
        words = [f"resume={directories[0]}"]
        words += ["trust=true"] * read_sweep(directories[0]).foreign
        last.append(f"{shlex.join(['dqn-train', *words])} goes on")
    return render(lines, "text") + "\n" + "; ".join(last)


def _shown(path: Path, directories: Sequence[Path]) -> str:
    if len(directories) == 1 and path != directories[0]:
        return os.path.relpath(path, directories[0])
    return str(path)


def _state(one: Job, far: Far) -> str:
    if one.state == "failed":
        times = f" {len(one.failures)} times" if len(one.failures) > 1 else ""
        return f"failed{times}: {shorten(one.failures[-1], REASON)}"
    if far.since is not None:
        today = time.time() - far.since < 12 * 3600
        clock = time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", time.localtime(far.since))
        return f"running since {clock}"
    return one.state


def _counted(jobs: Sequence[Job]) -> str:
    count = Counter(one.state for one in jobs)
    return ", ".join(f"{count[state]} {state}" for state in get_args(State) if count[state])


def _left(jobs: Sequence[Job], far: Sequence[Far]) -> list[str]:
    """The time left, if what is left takes as long as what is done; nothing where that is not
    known. Failed jobs count as over."""
    whole = [f.seconds / f.fraction for f in far if f.fraction == 1 and f.seconds]
    whole = whole or [f.seconds / f.fraction for f in far if f.fraction and f.seconds]
    left = [
        1 - f.fraction
        for one, f in zip(jobs, far, strict=True)
        if one.state in ("waiting", "cut", "running")
    ]
    running = sum(one.state == "running" for one in jobs)
    if not whole or not left:
        return []
    seconds = fmean(whole) * max(sum(left) / max(running, 1), max(left))
    text = f"about {timedelta(seconds=round(seconds))} left, {max(running, 1)} at a time"
    return [text] if running else ["nothing runs", text]


def _far(one: Job) -> Far:
    try:
        config = read_config(one.path)
    except ResultError:  # it has not begun
        return Far()
    seeds = _seeds(config)
    try:
        summary = read_summary(one.path)
    except ResultError:
        summary = {}
    over = [str(s) for s, said in summary.get("seeds", {}).items() if said.get("diverged") is True]
    fractions = [1.0 if str(s) in over else _fraction(one.path, s, config) for s in seeds]
    timing = last_row(one.path / TIMING, TIMING_COLUMNS)
    return Far(
        len(seeds),
        1.0 if one.state == "finished" else fmean(fractions or [0.0]),
        timing[-1] if timing else 0.0,
        (one.path / CONFIG).stat().st_mtime if one.state == "running" else None,
    )


def _seeds(config: dict[str, Any]) -> list[int]:
    seeds = config.get("seed")
    return [s for s in (seeds if isinstance(seeds, list) else [seeds]) if type(s) is int]


def _fraction(path: Path, seed: int, config: dict[str, Any]) -> float:
    """How much of a seed is done, as far as its rows say."""
    scored = last_row(path / scores_file(seed), COLUMNS)
    evaluated = last_row(path / evaluations_file(seed), EVALUATION_COLUMNS)
    episode, step = scored[:2] if scored else (0.0, 0.0)
    step = max(step, evaluated[0]) if evaluated else step
    limits = ((episode, config.get("episodes")), (step, config.get("steps")))
    parts = [done / limit for done, limit in limits if type(limit) is int and limit > 0]
    return min(max(parts, default=0.0), 1.0)
