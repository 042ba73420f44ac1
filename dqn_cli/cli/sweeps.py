"""The failures of a sweep's jobs, and what is said at its end."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dqn_cli.results.schema import FAILURES, REPORT, STUDY, SWEEP, ResultError, one_line
from dqn_cli.results.status import Job, find_jobs, job
from dqn_cli.results.sweep import read_sweep
from dqn_cli.words import counted


def report_failure(place: Path, line: str) -> None:
    """Write down in a job's directory why it failed this time."""
    text = (one_line(line) + "\n").encode(errors="backslashreplace")
    # on a full disk the list of this process must do
    with contextlib.suppress(OSError), (place / FAILURES).open("ab") as file:
        file.write(text)


def forget_failures(place: Path) -> None:
    """A job has done what it should; that it failed before is in its log."""
    with contextlib.suppress(OSError):
        (place / FAILURES).unlink(missing_ok=True)


def failed_since(sweep: Path) -> bool:
    """Whether a job has failed since the sweep was last started."""
    with contextlib.suppress(OSError):
        begun = os.stat(sweep / SWEEP).st_mtime_ns
        return any(file.stat().st_mtime_ns > begun for file in sweep.glob(f"*/{FAILURES}"))
    return False


def remove(sweep: Path, made: Sequence[Path]) -> None:
    """Remove a sweep of which no job began: Hydra's file, and those of the folders `made` for it
    that are empty."""
    if made:
        (sweep / "multirun.yaml").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        for folder in made:
            folder.rmdir()


def conclude(sweep: Path, failed: Mapping[str, str], tries: int | None, stopped: bool) -> int:
    """Draw the comparison of the jobs' runs, name the jobs that failed, and the command that goes
    on with the sweep; returns the exit code: 0 if every job is finished.

    failed: job -> why, of those that failed in this process. tries: how often each is tried, if
    the sweeper counts.
    """
    over: set[str] = set()
    if (sweep / STUDY).exists():
        over = _present(sweep)
    elif any(sweep.glob("*/config.yaml")):
        _compare(sweep, "-o", str(sweep / "comparison.png"))
    try:
        jobs = [job(path) for path in find_jobs([sweep])]
    except ResultError:  # it has no jobs
        jobs = []
    left = [one for one in jobs if one.state != "finished" and one.path.name not in over]
    named = {**failed} | {j.path.name: j.failures[-1] for j in left if j.state == "failed"}
    for name, reason in sorted(named.items()):
        print(f"dqn-train: {name} failed: {reason}", file=sys.stderr)
    if line := "; ".join(_left(sweep, left, len(jobs), tries, stopped)):
        print(f"dqn-train: {line}", file=sys.stderr)
    print(sweep)
    return 1 if left or failed else 0


def _compare(sweep: Path, *words: str) -> None:
    """Draw and print what dqn-plot does with these options."""
    from dqn_cli.cli.plot import main as plot

    asked = any(sweep.glob(f"*/{REPORT}"))  # the runs have theirs
    report = ["--html", str(sweep / REPORT)] if asked else []
    with contextlib.suppress(SystemExit):  # it said why
        plot([str(sweep), *words, *report])


def _present(search: Path) -> set[str]:
    """Draw a search, print its best trials, and write the best one as an experiment. Returns the
    names of the trials that are over, other than by failing."""
    from dqn_cli.cli.best import write_best
    from dqn_cli.results.study import job_of, read_study

    try:
        study = read_study(search)
        if study.best is not None:
            _compare(search, "--search", "-o", str(search / "search.png"))
            print(f"on fresh seeds: {write_best(search, study, study.best)}")
    except (ResultError, OSError) as error:
        print(f"dqn-train: {error}", file=sys.stderr)
        return set()
    return {job_of(t.number) for t in study.trials if t.state not in ("open", "failed")}


def _left(
    sweep: Path, left: Sequence[Job], jobs: int, tries: int | None, stopped: bool
) -> list[str]:
    """What is left to do, and how."""
    words = ["stopped"] if stopped else []
    if not left:
        return words
    are = "is" if len(left) == 1 else "are"
    words.append(f"{len(left)} of {counted(jobs, 'job')} {are} not finished")
    elsewhere = sum(one.state == "running" for one in left)
    spent = sum(one.state == "failed" and len(one.failures) >= (tries or 1) for one in left)
    if elsewhere:
        words.append(f"{elsewhere} in another process")
    if spent and tries:
        words.append(f"{spent} failed {tries} times (hydra.sweeper.tries)")
    if len(left) > elsewhere + (spent if tries else 0):
        words.append(_again(sweep))
    return words


def _again(sweep: Path) -> str:
    try:
        words = ["dqn-train", f"resume={sweep}", *["trust=true"] * read_sweep(sweep).foreign]
    except ResultError:  # another sweeper's
        return "the same command goes on"
    return f"go on with: {shlex.join(words)}"
