"""Whether the parts of a run keep the contracts of types.py, found out before anything is trained.

A part that does not is one line: group, class, what it did and what was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from torch import Tensor

from dqn_cli.config import BadInput, Config
from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.seeding import Stream
from dqn_cli.state import State, stack
from dqn_cli.training.replay import Replay
from dqn_cli.types import (
    Algo,
    Batch,
    Device,
    EnvMaker,
    Exploration,
    HasChances,
    HasDeadUnits,
    HasEntropy,
    Inputs,
    Loss,
    Network,
    Optimizer,
    Output,
    Sampler,
    Space,
    Step,
    Storage,
    Target,
)
from dqn_cli.words import counted

CONTRACTS: dict[str, type] = {
    "algo": Algo,
    "buffer": Sampler,
    "device": Device,
    "env": EnvMaker,
    "exploration": Exploration,
    "network": Network,
    "optimizer": Optimizer,
    "storage": Storage,
    "target": Target,
}
ROWS = 3  # of the batch that is tried
FORWARDS = (
    4  # of an update, each with noise of its own: that of the samples, and up to three others
)


def check_members(config: Config, group: str, part: object) -> None:
    """BadInput if the part lacks a method or attribute of its contract."""
    contract = CONTRACTS[group]
    names = [name for name in (*vars(contract), *contract.__annotations__) if name[0] != "_"]
    if missing := [name for name in names if not hasattr(part, name)]:
        _refuse(config, group, f"has no {', '.join(missing)}", f"all of {', '.join(names)}")


class Parts(NamedTuple):
    """What is tried. Those with a state are made for one seed and for nothing else."""

    network: Network
    algo: Algo
    exploration: Exploration
    replay: Replay
    optimizer: Optimizer
    target: Target


def uses_autograd(
    config: Config, space: Space, make: Callable[[], Parts], params: Array, kernels: Kernels
) -> bool:
    """Whether the parts need more than inference mode. BadInput if they do not keep their contracts
    at all."""
    if not len(params):  # no seed is left to train
        return False
    try:
        parts = make()
        with torch.inference_mode():
            rehearse(config, space, parts, params, kernels)
    except BadInput:
        parts = make()  # the state of the first ones is of inference mode
        with torch.no_grad():
            rehearse(config, space, parts, params, kernels)
        return True
    return False


def rehearse(config: Config, space: Space, parts: Parts, params: Array, kernels: Kernels) -> None:
    """One forward, loss, backward, action, draw and optimizer step of made-up observations, with
    parameters [S, P]. BadInput for what is not of the shape that it should be."""
    network, algo = parts.network, parts.algo
    lanes, place = len(params), kernels.place
    noise = network.noise(ROWS)
    numbers = None if noise is None else Stream.of(noise, range(lanes), "rehearsal").floats(0)
    obs = place(np.zeros((lanes, ROWS, *space.obs_shape), space.obs_dtype))
    inputs = Inputs(obs, None if numbers is None else place(numbers))
    lead = (lanes, ROWS)
    with _blamed(config, "network"):
        grad = place(np.zeros(tuple(params.shape), np.float32))
        weights, grads = network.split(params), network.split(grad)
        now, pullback = network.vjp(weights, inputs)
        again = network.forward(weights, inputs)
    for method, output in (("vjp", now), ("forward", again)):
        _check_type(config, "network", method, output, Output)
        shape = (*lead, space.actions, None)
        _check(config, "network", f"{method} gives values", output.values, shape, kernels)
    _fit(config, algo, now)
    with _blamed(config, "algo"):
        q = algo.q(now.values)
    _check(config, "algo", "q gives", q, (*lead, space.actions), kernels)

    others = 0

    def forward(rows: Array) -> Output:
        nonlocal others
        others += 1
        return network.forward(weights, Inputs(rows, inputs.noise))

    action = place(np.zeros(lead, np.int64))
    ones = place(np.ones(lead, np.float32))
    with _blamed(config, "algo"):
        loss = algo.loss(now, forward, forward, Batch(obs, action, ones, obs, ones, ones, action))
    if noise is not None and others >= FORWARDS:  # two would share their noise
        most = f"at most {FORWARDS - 1} forwards besides that of the samples"
        _refuse(config, "algo", f"loss computes {others}", most)
    _check_type(config, "algo", "loss", loss, Loss)
    for name in ("per_sample", "priority", "q"):
        _check(config, "algo", f"loss gives {name}", getattr(loss, name), lead, kernels)
    if not bool((loss.priority >= 0).all()):
        _refuse(config, "algo", "loss gives negative priorities", "numbers from 0 on")
    shape = tuple(now.values.shape)
    _check(config, "algo", "loss gives d_values", loss.d_values, shape, kernels)
    with _blamed(config, "network"):
        sums = (place(np.zeros(lead, np.float32)) for _ in range(2))
        weighed = kernels.weigh(ones, loss.per_sample, loss.d_values, loss.q, 1, *sums)
        pullback(weighed, grads)
    _diagnose(config, parts, now, grad[0], (*lead, space.actions), kernels)
    _explore(config, parts.exploration, kernels.numpy(q)[:, 0])
    _replay(config, space, parts.replay, kernels)
    _optimize(config, parts.optimizer, params[:1] + 0, grad[:1])
    _follow(config, parts.target, params[:1] + 0, params[:1] + 0)


def _diagnose(
    config: Config,
    parts: Parts,
    now: Output,
    grad: Array,
    shape: tuple[int, ...],
    kernels: Kernels,
) -> None:
    """What algorithm and network tell of themselves, if they do."""
    if isinstance(parts.algo, HasEntropy):
        with _blamed(config, "algo"):
            entropy = parts.algo.entropy(now.values)
        _check(config, "algo", "entropy gives", entropy, shape, kernels)
    if isinstance(parts.network, HasDeadUnits):
        with _blamed(config, "network"):
            share = parts.network.dead_units(grad)
        if not (share is None or (isinstance(share, float) and 0 <= share <= 1)):
            _refuse(config, "network", f"dead_units gives {share!r:.60}", "a share, or None")


def _fit(config: Config, algo: Algo, now: Output) -> None:
    """Network and algorithm must mean the same by the K values of an action."""
    other = config.algo["_target_"]
    if algo.atoms is None and now.fractions is None:
        what = f"gives no fractions, which algo._target_={other} learns from"
        _refuse(config, "network", what, "network=implicit, or one like it")
    if algo.atoms is not None and now.fractions is not None:
        what = f"gives quantiles at fractions, of which algo._target_={other} knows nothing"
        _refuse(config, "network", what, "algo=iqn, or one like it")
    count = now.values.shape[-1]
    if algo.atoms is not None and count != algo.atoms:
        what = f"gives {counted(count, 'value')} of an action"
        _refuse(config, "network", what, f"{algo.atoms}, which algo._target_={other} asks for")


def _explore(config: Config, exploration: Exploration, q: np.ndarray[Any, Any]) -> None:
    lanes, actions = q.shape
    episode = np.ones(lanes, np.int64)
    with _blamed(config, "exploration"):
        chosen = exploration.act(lambda: q, actions, np.full((lanes, 2), 0.5), 0, episode)
        epsilon = exploration.epsilon(0, episode)
    right = isinstance(chosen, np.ndarray) and chosen.dtype == np.int64 and chosen.shape == (lanes,)
    if not (right and ((chosen >= 0) & (chosen < actions)).all()):
        what = f"act gives {' '.join(str(chosen).split())}"
        _refuse(config, "exploration", what, f"int64 [{lanes}], actions from 0 to {actions - 1}")
    number = epsilon is None or (np.isscalar(epsilon) and not isinstance(epsilon, str | bytes))
    if not (number or (isinstance(epsilon, np.ndarray) and epsilon.shape == (lanes,))):
        what = f"epsilon gives {' '.join(str(epsilon).split())}"
        _refuse(config, "exploration", what, f"a number, an array [{lanes}] or None")
    if epsilon is not None and not ((np.asarray(epsilon) >= 0) & (np.asarray(epsilon) <= 1)).all():
        _refuse(config, "exploration", f"epsilon gives {epsilon}", "a probability")


def _replay(config: Config, space: Space, replay: Replay, kernels: Kernels) -> None:
    """Rows stored, drawn, ranked, and the state carried over; of one lane."""
    sampler, storage = replay.sampler, replay.storage
    rows = min(sampler.capacity, ROWS)
    obs, no = np.zeros((1, *space.obs_shape), space.obs_dtype), np.zeros(1, np.bool_)
    with _blamed(config, "storage"):
        step = Step(obs, np.zeros(1, np.int64), np.ones(1), obs, no, no)
        positions = [storage.add(step) for _ in range(rows)]
    with _blamed(config, "buffer"):
        for position in positions:
            sampler.added(position)
        drawn = sampler.draw(rows, rows)
    shape = (1, config.batch_size)
    if not (isinstance(drawn, tuple) and len(drawn) == 2):
        _refuse(config, "buffer", f"draw gives {type(drawn).__name__}", "(positions, weights)")
    for what, array, kind in zip(
        ("positions", "weights"), drawn, ("int64", "float32"), strict=True
    ):
        found = type(array).__name__
        if isinstance(array, np.ndarray | Tensor):
            found = f"{str(array.dtype).removeprefix('torch.')} {list(array.shape)}"
        if found != f"{kind} {list(shape)}":
            _refuse(config, "buffer", f"draw gives {what} {found}", f"{kind} {list(shape)}")
    placed = [kernels.place(array) for array in drawn]
    index, weight = map(kernels.numpy, placed)
    if not ((index >= 0) & (index < rows)).all():
        _refuse(config, "buffer", f"draw gives position {index.max()}", f"0 to {rows - 1}")
    if not (np.isfinite(weight) & (weight >= 0)).all():
        _refuse(config, "buffer", "draw gives weights below 0, or not finite", "numbers from 0 on")
    if isinstance(sampler, HasChances):
        with _blamed(config, "buffer"):
            chances = sampler.chances(0, np.arange(rows), rows)
        pair = chances if isinstance(chances, tuple) else ()
        kinds = [f"{a.dtype} {list(a.shape)}" for a in pair if isinstance(a, np.ndarray)]
        if chances is not None and kinds != [f"float64 [{rows}]"] * 2:
            what = f"chances gives {' '.join(str(chances).split()):.60}"
            _refuse(config, "buffer", what, f"(proportions, weights), float64 [{rows}] of NumPy")
    with _blamed(config, "storage"):
        batch = storage.gather(placed[0], placed[1])
        storage.load(rows, [storage.rows(0)])
        storage.keep([0])
    _check_type(config, "storage", "gather", batch, Batch)
    for name in ("reward", "discount"):
        _check(config, "storage", f"gather gives {name}", getattr(batch, name), shape, kernels)
    for name, found in (("obs", batch.obs), ("next_obs", batch.next_obs)):
        if tuple(found.shape) != (*shape, *space.obs_shape):
            expected = f"{[*shape, *space.obs_shape]}"
            _refuse(config, "storage", f"gather gives {name} {list(found.shape)}", expected)
    with _blamed(config, "buffer"):
        sampler.update(placed[0], kernels.place(np.ones(shape, np.float32)))
        sampler.load([0], _saved(config, "buffer", sampler), rows, 1)
        sampler.keep([0])


def _optimize(config: Config, optimizer: Optimizer, params: Array, grad: Array) -> None:
    shape = params.shape
    with _blamed(config, "optimizer"):
        optimizer.step(params, grad, 1)
        optimizer.load(1, _saved(config, "optimizer", optimizer), 1)
        optimizer.keep([0])
    if params.shape != shape:
        _refuse(config, "optimizer", f"step makes params {list(params.shape)}", f"{list(shape)}")


def _follow(config: Config, target: Target, online: Array, other: Array) -> None:
    with _blamed(config, "target"):
        chosen = target.choose(online, other)
        target.sync(online, other, 1)
    if chosen is not online and chosen is not other:
        _refuse(config, "target", "choose gives something of its own", "online or target, as it is")


def _saved(config: Config, group: str, part: Sampler | Optimizer) -> State:
    """The state of the one lane, as `load` takes it."""
    state = part.state(0)
    if not (isinstance(state, dict) and all(isinstance(v, Tensor) for v in state.values())):
        _refuse(config, group, f"state gives {state!r:.60}", "tensors by name")
    return stack([state])


def _check_type(config: Config, group: str, method: str, found: object, kind: type) -> None:
    if not isinstance(found, kind):
        _refuse(config, group, f"{method} gives {type(found).__name__}", kind.__name__)


def _check(
    config: Config,
    group: str,
    what: str,
    found: Any,
    shape: Sequence[int | None],
    kernels: Kernels,
) -> None:
    """BadInput if it is no float32 array of the kernels', of this shape; None is any length."""
    expected = f"float32 {['any' if n is None else n for n in shape]}".replace("'", "")
    array = Tensor if kernels.name == "torch" else np.ndarray
    if not isinstance(found, array):
        _refuse(config, group, f"{what} as {type(found).__name__}", expected)
    same = len(found.shape) == len(shape) and all(
        n in (None, m) for n, m in zip(shape, found.shape, strict=True)
    )
    kind = str(found.dtype).removeprefix("torch.")
    if not same or kind != "float32":
        _refuse(config, group, f"{what} {kind} {list(found.shape)}", expected)


@contextmanager
def _blamed(config: Config, group: str) -> Iterator[None]:
    try:
        yield
    except BadInput:
        raise
    except Exception as error:  # a part of the user's may raise anything
        line = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadInput(f"{group}._target_={getattr(config, group)['_target_']}: {line}") from error


def _refuse(config: Config, group: str, what: str, expected: str) -> NoReturn:
    target = getattr(config, group)["_target_"]
    raise BadInput(f"{group}._target_={target}: {what}; expected {expected}")
