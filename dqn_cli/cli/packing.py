"""How the seeds of a variant are packed into jobs, which changes no byte of a result."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hydra.core.override_parser.types import Override

# What a process spends on a step whatever the number of seeds, in seeds' worth of a small network:
# thirty seeds take 12.5 times as long as one (docs/performance.md).
SHARED = 1.5


def seeds_of(overrides: Sequence[Override]) -> list[int] | None:
    """All seeds that a command line names, in lists or with commas between; None if it names none,
    or something else."""
    of_seeds = [o for o in overrides if o.get_key_element() == "seed"]
    if not of_seeds or of_seeds[-1].is_interval_sweep():
        return None
    last = of_seeds[-1]
    values = list(last.sweep_iterator()) if last.is_sweep_override() else [last.value()]
    given = [seed for value in values for seed in (value if isinstance(value, list) else [value])]
    seeds = [seed for seed in given if type(seed) is int]
    return list(dict.fromkeys(seeds)) if seeds and len(seeds) == len(given) else None


def parts(seeds: int, variants: int, at_once: int) -> int:
    """In how many jobs the seeds of each variant are done first, if `at_once` jobs run at a time:
    more of them keep all cores busy, but each shares less of its work among its seeds."""

    def duration(parts: int) -> float:
        return math.ceil(variants * parts / at_once) * (SHARED + math.ceil(seeds / parts))

    return min(range(1, seeds + 1), key=duration)


def packed(seeds: Sequence[int], size: int | None) -> str:
    """The override that makes jobs of `size` seeds each; None: one job."""
    size = size or len(seeds)
    jobs = [",".join(map(str, seeds[i : i + size])) for i in range(0, len(seeds), size)]
    return "seed=" + ",".join(f"[{job}]" if "," in job else job for job in jobs)
