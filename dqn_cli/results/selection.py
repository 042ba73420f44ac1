"""Runs by what is in their configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from dqn_cli.results.labels import Flat, flatten
from dqn_cli.results.reader import Run
from dqn_cli.results.schema import ResultError


def where(runs: Sequence[Run], conditions: Mapping[str, str]) -> list[Run]:
    """The runs whose keys or groups have these values. ResultError for a key that no run has, or a
    value that none has, with what there is."""
    for key, wanted in conditions.items():
        values = [value_of(key, flatten(run.config), run) for run in runs]
        known(key, values, runs)
        runs = [run for run, value in zip(runs, values, strict=True) if value == wanted]
        if not runs:
            there = ", ".join(dict.fromkeys(value for value in values if value is not None))
            raise ResultError(f"--where {key}={wanted}", f"no run has it; there are {there}")
    return list(runs)


def without(runs: Sequence[Run], key: str) -> list[Run]:
    """The runs as if their configurations did not have a dotted key."""
    *above, last = key.split(".")

    def less(value: Any, names: list[str]) -> Any:
        if not isinstance(value, dict):
            return value
        if names:
            return {k: less(v, names[1:]) if k == names[0] else v for k, v in value.items()}
        return {k: v for k, v in value.items() if k != last}

    return [replace(run, config=less(run.config, above)) for run in runs]


def value_of(key: str, flat: Flat, run: Run) -> str | None:
    """Of a dotted key, or the option that a group's is."""
    return flat[key] if key in flat else run.choices.get(key)


def known(key: str, values: Sequence[str | None], runs: Sequence[Run]) -> None:
    """ResultError unless one of the runs has a value of the key."""
    if any(value is not None for value in values):
        return
    keys = dict.fromkeys(k for run in runs for k in (*run.choices, *flatten(run.config)))
    near = get_close_matches(key, keys, n=1, cutoff=0.5)
    near = near or [k for k in keys if k.split(".")[-1] == key.split(".")[-1]][:1]
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ResultError(key, f"no run has such a key{hint}")
