"""The events of a run, which loggers turn into files and progress."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Diagnosis(NamedTuple):
    """How a seed's learning was when its network was scored: the columns of diagnostics/ after step
    and episode. None where there is nothing of the kind.

    Over some rows of the replay, drawn uniformly, and a trial update with them that is not made;
    without noise, importance weights and clipping.
    """

    q_mean: float | None = None  # of the largest Q-value of each state
    q_max: float | None = None
    start_q: float | None = None  # the same at the starts of the greedy episodes, their mean
    start_return: float | None = None  # and their mean discounted return: None until played
    td_median: float | None = None  # of |TD error|, or what the algorithm has as priority
    td_90: float | None = None  # 90 % are no larger
    td_max: float | None = None
    grad_norm: float | None = None
    param_norm: float | None = None
    priority_median: float | None = None  # relative to the mean of all rows
    priority_max: float | None = None
    ess: float | None = None  # effective sample size of importance weights, 1 where all are equal
    age: float | None = None  # env steps since a sampled row was stored, expected
    dead_units: float | None = None  # the share of ReLU units that no row activates
    entropy: float | None = None  # nats, of the return's distribution for the best action


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
    diagnosis: Diagnosis | None = None  # if it is to be scored

    @property
    def row(self) -> dict[str, int | float | None]:
        """Column -> value."""
        return {name.rstrip("_"): getattr(self, name) for name in self._fields[1:-3]}


class Evaluated(NamedTuple):
    """A network scored as it was after env step `step`: the columns of evaluations/."""

    seed: int
    step: int
    episode: int  # training episodes done
    score: float | None  # None until it has been played
    cut: int
    best: NDArray[np.float32] | None
    extra: bool  # at the end of the run alone: none was due, and a longer run would not have it
    diagnosis: Diagnosis | None = None

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
