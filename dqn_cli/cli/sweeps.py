"""A sweep: the names of its jobs, its globs, and what it reports at its end."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.errors import HydraException
from omegaconf import DictConfig, read_write

from dqn_cli.cli.line import refuse
from dqn_cli.results.schema import REPORT

BASIC = f"{BasicSweeper.__module__}.{BasicSweeper.__qualname__}"
FAILED = ".error.txt"  # the ending of a file named after a job's directory: why the job failed


def slug(text: str) -> str:
    """Make a readable file name of a text: no slash, no space, at most 120 characters."""
    return re.sub(r"[^\w=,.+-]+", "-", text).strip("-.")[:120]


def job_name(number: int, overrides: Sequence[str], swept: Collection[str]) -> str:
    """Name a job's directory: its number makes it unique, the keys that are swept describe it."""
    return f"{number:03d}_{slug(','.join(varied(overrides, swept)))}"


def varied(overrides: Sequence[str], swept: Collection[str]) -> Sequence[str]:
    """The overrides that tell a job from the others; all of them if none does."""
    return [o for o in overrides if o.partition("=")[0] in swept] or overrides


def count(config: DictConfig) -> int | None:
    """How many jobs Hydra's own sweeper will make; of another one that is not known."""
    sweeper = config.hydra.sweeper
    if sweeper._target_ != BASIC:
        return None
    own = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
    overrides = OverridesParser.create().parse_overrides([*own, *config.hydra.overrides.task])
    try:
        return len(BasicSweeper.split_arguments(overrides, None)[0])
    except HydraException:  # such as interval(0,1), which it will refuse
        return None


def spell_out(config: DictConfig) -> frozenset[str]:
    """Replace the globs among the overrides by the choices they match. Returns the keys that the
    sweep varies. Exits with code 2 for a glob without a match, and for `resume`."""
    overrides = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    swept = frozenset(o.get_key_element() for o in overrides if o.is_sweep_override())
    with read_write(config):
        sources = config.hydra.runtime.config_sources
        config.hydra.overrides.task = [
            globbed(o.key_or_group, value, sources)
            if isinstance(value := o.value(), Glob)
            else o.input_line
            for o in overrides
        ]
    if any(o.key_or_group == "resume" for o in overrides):
        refuse("resume: not in a sweep, which makes new runs; without -m it goes on with one")
    return swept


def globbed(group: str, glob: Glob, sources: Sequence[Any]) -> str:
    """Write a glob as the list of choices it matches: Hydra's own ignores folders in a group."""
    places = [Path(source.path) / group for source in sources if source.schema == "file"]
    there = {
        file.relative_to(place).with_suffix("").as_posix()
        for place in places
        for file in place.rglob("*.yaml")
    }
    if not (chosen := glob.filter(sorted(there))):
        what = f"there are {', '.join(sorted(there))}" if there else "it is no group of choices"
        refuse(f"{group}=glob({','.join(glob.include)}): nothing matches; {what}")
    return f"{group}={','.join(chosen)}"


def report_failure(job: Path, line: str) -> None:
    """Write why a job failed, for a sweep whose jobs run in other processes."""
    with contextlib.suppress(OSError):  # on a full disk the list of this process must do
        report = job.with_name(job.name + FAILED)
        report.write_text(line + "\n", encoding="utf-8", errors="backslashreplace")


def forget_failures(sweep: Path) -> None:
    """Remove the reports that an earlier sweep left in this directory."""
    for stale in sweep.glob(f"*{FAILED}"):
        stale.unlink()


def began(sweep: Path) -> bool:
    """Whether a job of it did."""
    return any(path.is_dir() for path in sweep.glob("*"))


def remove(sweep: Path, made: Sequence[Path]) -> None:
    """Remove a sweep of which no job began: Hydra's file, and those of the folders `made` for it
    that are empty."""
    (sweep / "multirun.yaml").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        for folder in made:
            folder.rmdir()


def conclude(sweep: Path, failed: Mapping[str, str]) -> int:
    """Draw the comparison of the jobs' runs and name the jobs that failed; returns the exit code.

    failed: job -> why, of those that ran in this process.
    """
    from dqn_cli.cli.plot import main as plot

    reasons = dict(failed)
    for file in sweep.glob(f"*{FAILED}"):  # of jobs in other processes, too
        reasons[file.name.removesuffix(FAILED)] = file.read_text(encoding="utf-8").strip()
    if any(sweep.glob("*/config.yaml")):
        asked = any(sweep.glob(f"*/{REPORT}"))  # the runs have theirs
        report = ["--html", str(sweep / REPORT)] if asked else []
        with contextlib.suppress(SystemExit):  # it said why
            plot([str(sweep), "-o", str(sweep / "comparison.png"), *report])
    for name, reason in sorted(reasons.items()):
        print(f"dqn-train: {name} failed: {reason}", file=sys.stderr)
    print(sweep)
    return 1 if reasons else 0
