"""The events of a run, which loggers turn into files and progress."""

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
    epsilon: float | None  # None where the exploration has none
    loss: float | None
    q: float | None
    cut: int  # greedy episodes that reached the limit of evaluation
    best: NDArray[np.float32] | None  # the lane's parameters [P] if no earlier score was higher

    @property
    def row(self) -> dict[str, int | float | None]:
        """Column -> value."""
        return {name.rstrip("_"): getattr(self, name) for name in self._fields[1:-2]}


class Evaluated(NamedTuple):
    """A network scored as it was after env step `step`: the columns of evaluations/."""

    seed: int
    step: int
    episode: int  # training episodes done
    score: float | None  # None until it has been played
    cut: int
    best: NDArray[np.float32] | None
    extra: bool  # at the end of the run alone: none was due, and a longer run would not have it

    @property
    def row(self) -> dict[str, int | float | None]:
        """Column -> value."""
        return {"step": self.step, "episode": self.episode, "score": self.score}


class Finished(NamedTuple):
    """A seed that reached its limit, or was stopped, and the parameters [P] it ends with."""

    seed: int
    step: int
    params: NDArray[np.float32]


class Diverged(NamedTuple):
    """A seed whose loss or Q-values are nan or inf. It is not trained further."""

    seed: int
    step: int

    @property
    def line(self) -> str:
        """What happened, for people."""
        return f"seed {self.seed} diverged: its loss or Q-values are not finite"


class Saved(NamedTuple):
    """The seed's whole state is in `file`, next to the checkpoint. It is to replace that once the
    rows of all earlier events are safely on the disk, too."""

    seed: int
    file: Path


class Tick(NamedTuple):
    """A sign of life: these seeds have done `step` env steps each. Since the last tick all seeds
    together did `lane_steps`, and evaluation took `seconds`."""

    seeds: list[int]
    step: int
    lane_steps: int
    seconds: float


class Note(NamedTuple):
    """A problem that does not harm the run, for people."""

    text: str


class Rescoring(NamedTuple):
    """Training is over. The best network of each seed is now scored on `episodes` fresh episodes,
    which takes a while."""

    episodes: int


class Rescored(NamedTuple):
    """A seed's best network, and its mean undiscounted return over fresh episodes."""

    seed: int
    score: float


class Failed(NamedTuple):
    """The run ends because of an error, in one line; the status `failed` follows."""

    line: str


# The first seven come from the training loop, the others from what conducts the run.
Event = (
    Episode | Evaluated | Finished | Diverged | Saved | Tick | Note | Rescoring | Rescored | Failed
)


class RunError(RuntimeError):
    """An environment, a process or the disk ended the run; the message is one line."""


class AllDiverged(RunError):
    """Every seed diverged; nothing is left to train."""
