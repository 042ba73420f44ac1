"""Run directories: what is in one (schema), writing, reading, pooling, summing up and drawing. No
torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def frame(*directories: str | os.PathLike[str]) -> pd.DataFrame:
    """All rows of all runs in these directories, for a notebook: a row per training episode or
    evaluation of a seed.

    Columns: environment (its id), variant (as dqn-plot calls it), run (the directory), seed, step,
    episode, and those of the CSVs, nan where a row has none. Raises ResultError, a ValueError of
    one line, for what is no run.
    """
    from dqn_cli.results.tidy import tidy

    return tidy(directories)
