"""Runs as one data frame."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dqn_cli.results.reader import find_runs, read_run
from dqn_cli.results.schema import COLUMNS
from dqn_cli.results.variants import panels

KEYS = ["environment", "variant", "run", "seed"]


def tidy(directories: Sequence[str | os.PathLike[str]]) -> pd.DataFrame:
    """See results.frame."""
    runs = [read_run(path) for path in find_runs(map(Path, directories))]
    parts = []
    for panel in panels(runs):
        for variant in panel.variants:
            for run in variant.runs:
                for seed, rows in run.scores.items():
                    evaluated = [run.evaluations[seed]] if seed in run.evaluations else []
                    parts += [
                        part.assign(
                            environment=panel.env,
                            variant=variant.label,
                            run=str(run.path),
                            seed=seed,
                        )
                        for part in (rows, *evaluated)
                        if len(part)
                    ]
    columns = [*KEYS, "step", "episode", *(c for c in COLUMNS if c not in ("step", "episode"))]
    if not parts:
        return pd.DataFrame(columns=columns)
    found = pd.concat(parts, ignore_index=True)[columns]
    return found.sort_values([*KEYS, "step"], kind="stable", ignore_index=True)
