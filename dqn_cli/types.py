"""The vocabulary: what the rooms hand to each other, and what each room must be able to do.

Shapes use one legend everywhere: S seeds ("lanes"), B batch, N rows, A actions, P parameters.
A trailing ``*obs`` stands for the shape of one observation. Whatever a part keeps, its leading
axis is S; `keep` drops all lanes but those named, so a seed that is done leaves and the others go
on; `state` and `load` carry lanes over to another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Protocol

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.state import State

# Types of configuration values: a part's keyword-only arguments are its keys in conf/, and these
# annotations are what its values are held to.
Count = Annotated[int, Ge(1), Le(2**53)]
Positive = Annotated[float, Gt(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
PositiveFraction = Annotated[float, Gt(0), Le(1)]
Momentum = Annotated[float, Ge(0), Lt(1)]
# Exponents of prioritised replay: up to 1 in the paper, twice that where code squares.
Exponent = Annotated[float, Ge(0), Le(2)]


class Space(NamedTuple):
    """What an agent sees and may do."""

    obs_shape: tuple[int, ...]
    obs_dtype: np.dtype[Any]  # float32, or uint8
    actions: int  # A: the actions are 0 .. A-1
    high: float | NDArray[np.float32] = 255.0  # networks divide bytes by it: one number, or [*obs]


class Step(NamedTuple):
    """One environment step of every lane."""

    obs: NDArray[Any]  # [S, *obs]
    action: NDArray[np.int64]  # [S]
    reward: NDArray[np.float64]  # [S]
    next_obs: NDArray[Any]  # [S, *obs], the true successor, never the next episode's first
    terminated: NDArray[np.bool_]  # [S], a real end; a time limit is not one


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows drawn from replay."""

    obs: Tensor  # [S, B, *obs]
    action: Tensor  # [S, B] int64
    reward: Tensor  # [S, B]
    next_obs: Tensor  # [S, B, *obs]
    discount: Tensor  # [S, B], gamma where the episode went on, 0 where it terminated
    weight: Tensor  # [S, B], importance weight; 1 under uniform replay
    index: NDArray[np.int64]  # [S, B], where the rows lie


class Loss(NamedTuple):
    """What a backup says of each sample; weighting and averaging are the learner's."""

    per_sample: Tensor  # [...]
    slope: Tensor  # [...], d per_sample / d q, detached
    priority: Tensor  # [...], the absolute TD error, detached
    q: Tensor  # [...], the value of the action taken, detached


class QFunction(Protocol):
    def __call__(self, obs: Tensor) -> Tensor:
        """Q-values [..., A] of observations [..., *obs]."""


# The parameters of all lanes as views of one matrix [S, P], and what a forward leaves for its
# backward; both are a network's own affair.
Weights = list[tuple[Any, Any]]
Tape = list[list[Any]]


class Algo(Protocol):
    def loss(self, online: QFunction, target: QFunction, batch: Batch) -> Loss: ...


class Buffer(Protocol):
    def add(self, step: Step) -> None: ...

    def sample(self, step: int) -> Batch:
        """B rows of each lane, drawn with replacement, after `step` env steps (per seed)."""

    def update(self, index: NDArray[np.int64], priority: Tensor) -> None:
        """Tell what the rows at `index` [S, B] are worth, as raw |TD error| [S, B]."""

    def keep(self, lanes: Sequence[int]) -> None: ...

    def state(self, lane: int) -> State:
        """All that `load` needs of a lane to go on to the same bits; it may be a view."""

    def load(self, seeds: Sequence[int], state: State, step: int, updates: int) -> None:
        """Go on with these seeds from their state, after so many env steps (per seed) and updates;
        ValueError if it is not of such a buffer."""


class Network(Protocol):
    def init(self, seeds: Sequence[int]) -> Tensor:
        """Fresh parameters [S, P] on the CPU; row s depends on seeds[s] alone."""

    def __call__(self, params: Tensor, obs: Tensor) -> Tensor:
        """Q-values [S, N, A] of observations [S, N, *obs] under parameters [S, P]."""

    def split(self, params: Tensor) -> Weights:
        """Views of params [S, P], which `forward` and `backward` take: split once, use often."""

    def forward(self, weights: Weights, obs: Tensor) -> tuple[Tensor, Tape]:
        """Q-values [S, N, A] and what `backward` needs to know of how they came about."""

    def backward(self, weights: Weights, tape: Tape, dq: Tensor, grad: Weights) -> None:
        """Write into `grad`, split as the weights are, the gradient of a loss whose derivative by
        the Q-values is dq [S, N, A]."""

    def named(self, row: Tensor) -> dict[str, Tensor]:
        """One lane's parameters [P] as weights [out, in] and biases [out] by name."""

    def flat(self, named: dict[str, Tensor]) -> Tensor:
        """The inverse of `named`; ValueError if a name or shape is not this network's."""


class Target(Protocol):
    def choose(self, online: Tensor, target: Tensor) -> Tensor:
        """Which parameters [S, P] the next state is valued by: one of the two, as it is."""

    def sync(self, online: Tensor, target: Tensor, step: int) -> None:
        """After env step `step`, move target [S, P] towards online [S, P], in place."""


class Exploration(Protocol):
    def __call__(self, step: int, episode: NDArray[np.int64]) -> float | NDArray[np.float64]:
        """The probability of a random action after `step` env steps (per seed), in the open
        `episode` [S] of each lane, counted from 1: one for all lanes, or [S]."""


class Optimizer(Protocol):
    def step(self, params: Tensor, grad: Tensor, step: int) -> None:
        """Change params [S, P] in place, after `step` env steps (per seed)."""

    def keep(self, lanes: Sequence[int]) -> None: ...

    def state(self, lane: int) -> State: ...

    def load(self, lanes: int, state: State, updates: int) -> None: ...


class EnvError(RuntimeError):
    """The environment of this row raised an exception or broke its word, in one line."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(problem)
        self.row = row


class Envs(Protocol):
    """A row of independent environments. Their owner resets them: nothing is automatic. `reset` and
    `step` raise EnvError for what an environment raises, or returns other than it declared."""

    def reset(self, row: int, seed: int) -> NDArray[Any]:
        """Begin the episode that `seed` names; its first observation [*obs]."""

    def step(
        self, rows: NDArray[np.int64], action: NDArray[np.int64]
    ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """next_obs [N, *obs], reward [N], terminated [N], truncated [N] of the given rows."""

    def frame(self, row: int) -> NDArray[np.uint8]:
        """A picture of it now, [height, width, 3]; only if it was made to render."""

    def close(self) -> list[str]:
        """Close them all; what went wrong."""


class EnvMaker(Protocol):
    id: str
    space: Space
    threshold: float | None  # the mean return at which the environment counts as solved
    max_steps: int | None  # of an episode, where the environment has a limit of its own
    together: bool  # whether many rows cost little more than one
    fps: float  # pictures a second
    observation: str  # how its observations are taken, for people
    notes: list[str]  # what a user should know besides

    def make(self, rows: int, render: bool = False) -> Envs: ...

    def rehearse(self) -> list[str]:
        """What cannot be promised of it, seen by playing a few steps."""


class Device(Protocol):
    torch: torch.device
