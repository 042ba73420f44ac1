"""What a run tells while it goes on; files, progress and plots are made from it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Episode(NamedTuple):
    """A training episode that ended: the columns of scores/, as the run directory has them."""

    seed: int
    episode: int
    step: int
    return_: float
    length: int
    score: float | None
    epsilon: float
    loss: float | None
    q: float | None
    best: NDArray[np.float32] | None  # the lane's parameters [P] if no earlier score was as high

    @property
    def row(self) -> dict[str, int | float | None]:
        """Column -> value."""
        return {name.rstrip("_"): getattr(self, name) for name in self._fields[1:-1]}


class Finished(NamedTuple):
    """A seed that reached its limit, or was stopped, and the parameters [P] it ends with."""

    seed: int
    step: int
    params: NDArray[np.float32]


class Diverged(NamedTuple):
    """A seed whose loss or Q-values are no finite numbers any more. It goes no further."""

    seed: int
    step: int


class Saved(NamedTuple):
    """All that it takes to go on from here with a seed lies in `file`, beside the checkpoint that
    it is to replace once everything told before is safely on the disk, too."""

    seed: int
    file: Path


class Tick(NamedTuple):
    """A sign of life: these seeds have done `step` env steps each. Since the last one there were
    `lane_steps` of all together, and `seconds` went into evaluation."""

    seeds: list[int]
    step: int
    lane_steps: int
    seconds: float


Event = Episode | Finished | Diverged | Saved | Tick


class RunError(RuntimeError):
    """What ended a run from outside of it, in one line: an environment, a process, the disk."""
