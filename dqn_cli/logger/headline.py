"""The first line of a run: what is about to be trained, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dqn_cli.results.labels import MAIN_GROUPS
from dqn_cli.results.schema import shorten

PARTS = 5  # of a list of seeds; more are left out
NAME_LENGTH = 40


def headline(
    env: str,
    name: str | None,
    choices: Mapping[str, str],
    seeds: Sequence[int],
    device: str,
    kernels: str,
    replay: int,
) -> str:
    """Environment, variant, seeds, device and kind of kernels; and, if it is a gigabyte or more,
    the memory that `replay` will take, in bytes. The variant is the run's name, if it has one, or
    else its choices in the main groups."""
    variant = name or " ".join(choices[group] for group in MAIN_GROUPS if group in choices)
    memory = f"replay up to {replay / 10**9:.3g} GB" if replay >= 10**9 else ""
    parts = [env, shorten(variant, NAME_LENGTH), listed(seeds), f"{device}, {kernels}", memory]
    return "  ".join(part for part in parts if part)


def listed(seeds: Sequence[int]) -> str:
    """How many seeds there are, and which."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    parts = ranges(seeds)
    shown = parts if len(parts) <= PARTS else [*parts[: PARTS - 1], "..."]
    return f"{len(seeds)} seeds: {', '.join(shown)}"


def ranges(seeds: Sequence[int]) -> list[str]:
    """The seeds in their order, three or more in a row as the first and the last."""
    rows: list[list[int]] = []
    for seed in seeds:
        if rows and seed == rows[-1][-1] + 1:
            rows[-1].append(seed)
        else:
            rows.append([seed])
    parts: list[str] = []
    for row in rows:
        parts += [f"{row[0]}-{row[-1]}"] if len(row) > 2 else map(str, row)
    return parts
