"""Which jobs a sweep has: its globs spelled out, its seeds packed, every combination named."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from omegaconf import DictConfig, OmegaConf

from dqn_cli import __version__
from dqn_cli.cli.hooks import current
from dqn_cli.cli.line import refuse
from dqn_cli.cli.naming import job_name
from dqn_cli.cli.packing import packed, parts, seeds_of
from dqn_cli.config import BadInput, Strict
from dqn_cli.results.sweep import Sweep
from dqn_cli.types import Count


class Keys(Strict):
    """Those of conf/hydra/sweeper/dqn.yaml."""

    seeds_per_job: Count | Literal["auto"]
    tries: Count
    stop_at_failure: bool
    max_batch_size: Count | None
    params: dict[str, Any]


class Planned(NamedTuple):
    """A job, by the name of its directory."""

    name: str
    overrides: list[str]


def plan(
    arguments: Sequence[str], config: DictConfig, keys: Keys, before: Sweep | None
) -> tuple[list[Planned], int | None]:
    """The jobs, each once, and how many seeds train together (None: all)."""
    parser = OverridesParser.create()
    parsed = parser.parse_overrides(spelled_out(arguments, config))
    others = [o for o in parsed if o.get_key_element() != "seed"]
    size = None
    if (seeds := seeds_of(parsed)) is not None:
        variants = len(BasicSweeper.split_arguments(others, None)[0])
        size = _seeds_per_job(keys, before, len(seeds), variants, at_once(config))
        lines = [*(str(o.input_line) for o in others), packed(seeds, size)]
        parsed = parser.parse_overrides(lines)
    last = {o.get_key_element(): o for o in parsed}  # of a key that is given twice
    swept = frozenset(key for key, o in last.items() if o.is_sweep_override())
    current().swept = swept
    jobs = {job_name(o, swept): o for o in BasicSweeper.split_arguments(parsed, None)[0]}
    return [Planned(name, overrides) for name, overrides in jobs.items()], size


def spelled_out(arguments: Sequence[str], config: DictConfig) -> list[str]:
    """The overrides, with each glob replaced by the choices that it matches. Exits with code 2 if a
    glob matches none."""
    sources = config.hydra.runtime.config_sources
    return [
        _globbed(o.key_or_group, value, sources)
        if isinstance(value := o.value(), Glob)
        else str(o.input_line)
        for o in OverridesParser.create().parse_overrides(list(arguments))
    ]


def _seeds_per_job(
    keys: Keys, before: Sweep | None, seeds: int, variants: int, together: int
) -> int | None:
    """By hydra.sweeper.seeds_per_job. A sweep that goes on keeps its jobs as they are."""
    wanted = keys.seeds_per_job
    if before is not None and wanted == "auto":
        return before.seeds_per_job
    if before is not None and wanted != before.seeds_per_job:
        has = before.seeds_per_job or "all"
        raise BadInput(
            f"hydra.sweeper.seeds_per_job={wanted}: the sweep in this directory has {has}; leave "
            "it out, or choose another hydra.sweep.dir"
        )
    if wanted != "auto":
        return wanted
    jobs = parts(seeds, variants, together)
    return None if jobs == 1 else -(-seeds // jobs)


def at_once(config: DictConfig) -> int:
    """How many jobs the launcher runs at a time; 1 if it does not say."""
    from dqn_cli.training.workers import cores

    number = OmegaConf.select(config, "hydra.launcher.n_jobs")
    if number is None:
        return 1
    return int(number) if number > 0 else max(cores() + 1 + int(number), 1)


def _globbed(group: str, glob: Glob, sources: Sequence[Any]) -> str:
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


def hash_of_sources(config: DictConfig) -> str:
    """A hash of all that a command line is composed with: while it is the same, so are the
    configurations of the same overrides."""
    content = hashlib.sha256(__version__.encode())
    for source in config.hydra.runtime.config_sources:
        for file in sorted(Path(source.path).rglob("*.yaml")) if source.schema == "file" else ():
            content.update(f"{file.relative_to(source.path)}\n".encode(errors="backslashreplace"))
            content.update(file.read_bytes())
    return content.hexdigest()
