"""The contracts: what the groups hand to each other, and what a choice of each must be able to do.

One legend of shapes everywhere: S seeds ("lanes"), N rows, B batch, A actions, K numbers per
action, P parameters. A trailing ``*obs`` stands for the shape of one observation. Whatever a part
keeps has S as its leading axis: `keep` drops all lanes but those named, so that a seed that has
ended leaves and the others go on; `state` and `load` carry lanes over to another process.

A choice of your own is a class named by a `_target_`. Its keyword-only arguments are its keys in
the configuration, checked by their annotations. Its other arguments are requests, by name, to
whatever builds the run:

    seeds: Sequence[int]      of the lanes
    space: Space              what the agent sees and may do
    atoms: int                K, the numbers per action that the algorithm asks of the network
    gamma: float              discount per env step
    batch_size: int           B
    params: Array             the online parameters [S, P] (for an optimizer)
    capacity: int             rows that replay holds (for a storage)
    n_step: int               rows that a transition goes over (for a storage)
    device: torch.device      where parameters and replay lie
    kernels: Kernels          the arithmetic of the run, and how NumPy's arrays become its own

`env` and `device` are built first and may ask for nothing, `algo` for `seeds`, `space`, `gamma`,
`batch_size`, `device` and `kernels`, `network` for those and `atoms`, every other group for all of
them but `capacity` and `n_step`, which only a storage may.

An Array is NumPy's where the run's kernels are compiled, and a tensor where they are PyTorch's. A
part that can only compute with tensors is found out before the run, which then has PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.kernels.kernels import Array
from dqn_cli.state import Rows, State

# Types of configuration values: a part's keyword-only arguments are its keys in conf/, and these
# annotations are what its values are held to.
Count = Annotated[int, Ge(1), Le(2**53)]
WholeNumber = Annotated[int, Ge(0), Le(2**53)]
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
    terminated: NDArray[np.bool_]  # [S], a real end: the next state is worth nothing
    truncated: NDArray[np.bool_]  # [S], a time limit: the episode ends here, its value does not


class Noise(NamedTuple):
    """Of what kind the random numbers are that a network computes with, per lane and forward."""

    shape: tuple[int, ...]
    normal: bool  # from the standard normal distribution, else uniform in [0, 1)
    uniform: int = 0  # so many of them are uniform: the last of a shape (n,) that is normal


class Inputs(NamedTuple):
    """All that a network may look at."""

    obs: Array  # [S, N, *obs]
    noise: Array | None = None  # [S, *shape] as the network asked for; None: without any


class Output(NamedTuple):
    """What a network says of observations."""

    values: Array  # [S, N, A, K]
    fractions: Array | None = None  # [S, N, K], of which quantiles the values are, if it chose


class Batch(NamedTuple):
    """Rows drawn from replay."""

    obs: Array  # [S, B, *obs]
    action: Array  # [S, B] int64
    reward: Array  # [S, B], the discounted sum of up to n_step rewards
    next_obs: Array  # [S, B, *obs], the state after the last of them
    discount: Array  # [S, B], gamma to the number of them, 0 where the last one terminated
    weight: Array  # [S, B], importance weight; 1 under uniform replay
    index: Array  # [S, B], for the sampler


class Loss(NamedTuple):
    """What an algorithm says of each sample; weighting and averaging are the learner's."""

    per_sample: Array  # [S, B]
    d_values: Array  # [S, B, A, K], d per_sample / d values
    priority: Array  # [S, B], what prioritised replay ranks the sample by, >= 0
    q: Array  # [S, B], the value of the action taken


Forward = Callable[[Array], Output]  # observations [S, B, *obs] -> what a network says of them


class Algo(Protocol):
    atoms: int | None  # K; None: the quantiles at the fractions that the network chooses

    def q(self, values: Array) -> Array:
        """Q-values [..., A] of a network's values [..., A, K]: how they are acted on."""

    def loss(self, now: Output, online: Forward, target: Forward, batch: Batch) -> Loss:
        """The loss of each sample. now: the online network's output for batch.obs, the only part
        that a gradient flows through; `online` and `target` compute others', each call with noise
        of its own."""


@runtime_checkable
class Advises(Protocol):
    """An algorithm that can tell beforehand what will not go well."""

    def notes(self, rewards: tuple[float, float]) -> list[str]:
        """One line each, given the smallest and the largest reward that the environment showed."""


class Storage(Protocol):
    """Keeps what happened: the last `capacity` rows of every lane, a row for each env step."""

    capacity: int
    row_bytes: int  # memory of one row
    stored: int  # rows ever stored, per lane
    newest: int  # the position of the newest row

    def __len__(self) -> int:
        """Rows held, per lane."""

    def add(self, step: Step) -> int:
        """Store one row for every lane, in place of the oldest one; returns its position.
        ValueError, one line, for observations that it cannot keep."""

    def gather(self, index: Array, weight: Array, lanes: slice = ...) -> Batch:
        """The transitions over up to n_step rows of `lanes` that begin at `index` [S, B], weighted
        by `weight` [S, B]."""

    def keep(self, lanes: Sequence[int]) -> None: ...

    def rows(self, lane: int) -> Rows:
        """Those that are held of a lane, and all else that `load` needs to go on to the same
        bits."""

    def load(self, stored: int, rows: Sequence[Rows | None]) -> None:
        """Go on with these lanes after so many rows of each: with the one that is in this place
        already (None), or with these rows. ValueError if they are not of such a storage."""


class Sampler(Protocol):
    capacity: int  # rows that replay holds

    def added(self, position: int) -> None:
        """Every lane stored a row at this position, in place of the one that was there."""

    def draw(self, rows: int, step: int) -> tuple[Array, Array]:
        """Positions [S, B] out of the first `rows`, and their importance weights [S, B] as float32,
        after `step` env steps (per seed); arrays of NumPy will do."""

    def update(self, index: Array, priority: Array) -> None:
        """Take note of the priorities [S, B] of the rows at `index` [S, B]."""

    def keep(self, lanes: Sequence[int]) -> None: ...

    def state(self, lane: int) -> State:
        """All that `load` needs of a lane to go on to the same bits; it may be a view."""

    def load(self, seeds: Sequence[int], state: State, step: int, updates: int) -> None:
        """Go on with these seeds from their state, after so many env steps (per seed) and updates;
        ValueError if it is not of such a sampler."""


# What diagnostics/ says of a part that has one of the following methods, each of which leaves the
# part as it is. Without it the column stays empty.

Chances = tuple[NDArray[np.float64], NDArray[np.float64]]


@runtime_checkable
class HasChances(Protocol):
    """A sampler that can tell which rows it prefers."""

    def chances(self, lane: int, index: NDArray[np.int64], step: int) -> Chances | None:
        """What the rows at `index` [n] of a lane are drawn in proportion to [n], and their
        importance weights up to a common factor [n], after `step` env steps. None: all alike."""


@runtime_checkable
class HasEntropy(Protocol):
    """An algorithm that knows the distribution of the return."""

    def entropy(self, values: Array) -> Array:
        """The entropies [..., A], in nats, of the distributions that a network's values [..., A, K]
        stand for."""


@runtime_checkable
class HasDeadUnits(Protocol):
    """A network whose units can be inactive."""

    def dead_units(self, grad: Array) -> float | None:
        """The share of hidden units that were inactive in all samples that the gradient of one lane
        [P] is of. None: there are no such units."""


# The parameters of all lanes, as views of one matrix [S, P], in whatever form a network likes.
Weights = Any
# Given d loss / d values [S, N, A, K], write the gradient into `grad`, split as the weights are.
Pullback = Callable[[Array, Weights], None]


class Network(Protocol):
    def init(self, seeds: Sequence[int]) -> Tensor:
        """Fresh parameters [S, P] on the CPU; row s depends on seeds[s] alone."""

    def split(self, params: Array) -> Weights:
        """Views of params [S, P], which `forward` and `vjp` take: split once, use often."""

    def forward(self, weights: Weights, inputs: Inputs) -> Output:
        """The values of observations; no gradient is asked for."""

    def vjp(self, weights: Weights, inputs: Inputs) -> tuple[Output, Pullback]:
        """`forward`, and what turns the derivative of a loss by its values into the gradient by the
        parameters (a vector-Jacobian product)."""

    def noise(self, rows: int) -> Noise | None:
        """The random numbers for one forward of so many observations; None: it uses none."""

    def named(self, row: Tensor) -> dict[str, Tensor]:
        """One lane's parameters [P] by name."""

    def flat(self, named: dict[str, Tensor]) -> Tensor:
        """The inverse of `named`; ValueError if a name or shape is not this network's."""


class Target(Protocol):
    def choose(self, online: Array, target: Array) -> Array:
        """Which parameters [S, P] the next state is valued by: one of the two, as it is."""

    def sync(self, online: Array, target: Array, step: int) -> None:
        """After env step `step`, move target [S, P] towards online [S, P], in place."""


class Exploration(Protocol):
    def act(
        self,
        q: Callable[[], NDArray[np.float32]],
        actions: int,
        uniform: NDArray[np.float64],
        step: int,
        episode: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """The actions [S], each in 0 .. `actions` - 1, after `step` env steps (per seed) in the
        open `episode` [S] of each lane, counted from 1. q(): Q-values [S, A], computed only if it
        is called. uniform: random numbers [S, 2] in [0, 1), the only ones to be used."""

    def epsilon(self, step: int, episode: NDArray[np.int64]) -> float | NDArray[np.float64] | None:
        """The probability of a random action, for the records: one for all lanes, or [S]; None
        where there is no such number."""


class Optimizer(Protocol):
    def step(self, params: Array, grad: Array, step: int) -> None:
        """Change params [S, P] in place, after `step` env steps (per seed)."""

    def keep(self, lanes: Sequence[int]) -> None: ...

    def state(self, lane: int) -> State: ...

    def load(self, lanes: int, state: State, updates: int) -> None: ...


class EnvError(RuntimeError):
    """The environment of this row raised an exception or broke its word, in one line."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(problem)
        self.row = row


# What is learned of a step: reward [N], terminated [N], truncated [N].
Learned = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]


class Envs(Protocol):
    """A row of independent environments. Their owner resets them: nothing is automatic. `reset` and
    `step` raise EnvError for what an environment raises, or returns other than it declared.

    `learned` is what replay should hold of the last `step` in place of reward, terminated and
    truncated; None: those. An environment says so in its info, as {"replay": (reward, terminated)}:
    that a reward is clipped, or a lost life counts as the end, in what is learned; returns, scores
    and the ends of episodes stay what they are. An episode that ended, and for what is learned did
    not, is truncated there.
    """

    learned: Learned | None

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


class Rehearsal(NamedTuple):
    """What the first steps of an episode show of an environment."""

    notes: list[str]  # what cannot be promised of it
    rewards: tuple[float, float]  # the smallest and the largest that is learned from
    steps: Sequence[Step] = ()  # of one row, as replay is to hold them


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

    def encode(self, obs: Any) -> NDArray[Any]:
        """An observation of the environment's as the array [*obs] that networks see; ValueError for
        what is none."""

    def action(self, number: int) -> Any:
        """The environment's own action for one of 0 .. A-1."""

    def rehearse(self) -> Rehearsal:
        """Play a few steps, twice the same. EnvError as of `Envs`: then no run begins."""


class Device(Protocol):
    torch: torch.device
    kernels: list[str]  # names of kernels to try, the fastest first

    def apply(self) -> None:
        """Set what holds for the whole process, such as threads; once, before anything computes."""
