"""Both kinds of kernels compute the same, and a lane's bits depend on nothing but the lane.

Each case is one function on random numbers: it is given NumPy's arrays [S, ...] and hands back all
that the function computes or changes. Where both kinds could have the same mistake, numbers worked
out by hand follow at the end.
"""

import inspect
import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from dqn_cli.device.device import Device
from dqn_cli.kernels import compiled
from dqn_cli.kernels.kernels import (
    ACTIVATIONS,
    AGGREGATES,
    BLOCK,
    NO_ACTIVATION,
    Array,
    Kernels,
    load,
)
from dqn_cli.kernels.tensors import in_any_order, product
from dqn_cli.kernels.torch import TORCH

LANES = 4
KEYS = {**ACTIVATIONS, "none": NO_ACTIVATION}
Arrays = dict[str, NDArray[Any]]
KINDS: list[Kernels] = [compiled, TORCH]


class Case(NamedTuple):
    name: str
    given: Arrays  # [S, ...]
    run: Callable[[Kernels, Any], Arrays]  # given arrays of the kind, by name
    exact: bool = True  # whether both kinds agree to the bit
    rtol: float = 1e-5
    atol: float = 1e-6

    def __str__(self) -> str:
        return self.name


@pytest.fixture(autouse=True)
def floating_point() -> Iterator[None]:
    """As a run's device sets it: a network may diverge."""
    with np.errstate(invalid="ignore", over="ignore"):
        yield


def generator(*key: int) -> np.random.Generator:
    return np.random.default_rng([5, *key])


def normal(draw: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return draw.standard_normal(shape).astype(np.float32)


def spiked(draw: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Of many magnitudes, some 0; what a network that diverges computes, in the last lane."""
    x = normal(draw, *shape) * np.float32(10) ** draw.integers(-4, 4, shape).astype(np.float32)
    x *= draw.random(shape) > 0.1
    last = x[-1].reshape(-1)
    for value in (np.nan, np.inf, -np.inf):
        last[draw.integers(last.size)] = value
    return x


def moved(x: NDArray[Any], shift: int) -> NDArray[Any]:
    """A copy that begins `shift` numbers after a boundary of 64 bytes."""
    memory = np.empty(x.nbytes + 64 + shift * x.itemsize, np.uint8)
    first = -memory.ctypes.data % 64 + shift * x.itemsize
    copy = memory[first : first + x.nbytes].view(x.dtype).reshape(x.shape)
    copy[...] = x
    return copy


def computed(kernels: Kernels, case: Case, lanes: list[int], shift: int = 0) -> Arrays:
    chosen = {name: moved(x[lanes], shift) for name, x in case.given.items()}
    return case.run(kernels, {name: kernels.place(x) for name, x in chosen.items()})


def numpy(kernels: Kernels, **arrays: Array) -> Arrays:
    return {name: np.array(kernels.numpy(x)) for name, x in arrays.items()}


# The cases.


def chain(rows: int, sizes: list[int], activation: str, closed: bool, through: bool) -> Case:
    """Layers that begin in column 5 of the parameters and end 3 columns before the last."""
    draw, widths = generator(rows, *sizes), np.array(sizes, np.int64)
    layers = len(sizes) - 1
    columns = 5 + sum((i + 1) * o for i, o in itertools.pairwise(sizes)) + 3
    given: Arrays = {
        "params": normal(draw, LANES, columns) / np.float32(math.sqrt(max(sizes))),
        "x": normal(draw, LANES, rows, sizes[0]),
        "d_out": normal(draw, LANES, rows, sizes[-1]),
        "grad": np.full((LANES, columns), 7, np.float32),
    }

    def run(kernels: Kernels, x: Any) -> Arrays:
        how = 5, widths, layers if closed else layers - 1, ACTIVATIONS[activation]
        hidden, out = kernels.forward(x["params"], *how, x["x"])
        before = kernels.numpy(out).copy(), kernels.numpy(x["d_out"]).copy()
        d_x = kernels.backward(
            x["params"], *how, x["x"], hidden, out, x["d_out"], x["grad"], through
        )
        assert np.array_equal(kernels.numpy(out), before[0])
        assert np.array_equal(kernels.numpy(x["d_out"]), before[1])
        found = numpy(kernels, out=out, grad=x["grad"])
        return found | (numpy(kernels, d_x=d_x) if through else {})

    name = f"chain of {sizes}, {rows} rows, {activation}, {closed=}, {through=}"
    return Case(name, given, run, exact=False, rtol=1e-4, atol=1e-5)


CHAINS = [
    chain(rows, sizes, activation, closed, through)
    for rows, sizes in (
        (1, [4, 64, 64, 2]),
        (64, [4, 64, 64, 2]),
        (5, [7, 3]),
        (33, [5, 33, 17, 3]),
        (3, [1, 1, 1]),
        (2, [3, 1]),
        (32, [1024, 128, 6]),  # products by NumPy in compiled kernels
        (5, [300, 450, 300]),
        (1, [1024, 128, 6]),
        (130, [120, 84, 1]),
    )
    for activation in ("relu", "tanh")
    for closed, through in ((False, False), (True, True), (False, True))
]


def aggregation(kind: str, actions: int, atoms: int) -> Case:
    draw = generator(actions, atoms)
    advantage = spiked(draw, LANES, 5, actions, atoms)
    advantage[0] = np.round(advantage[0])  # several largest
    given: Arrays = {
        "value": spiked(draw, LANES, 5, atoms),
        "advantage": advantage,
        "d_q": normal(draw, LANES, 5, actions, atoms),
    }

    def run(kernels: Kernels, x: Any) -> Arrays:
        q = kernels.aggregate(x["value"], x["advantage"], AGGREGATES[kind])
        d_value, d_advantage = kernels.d_aggregate(x["d_q"], x["advantage"], AGGREGATES[kind])
        return numpy(kernels, q=q, d_value=d_value, d_advantage=d_advantage, d_q=x["d_q"])

    return Case(f"aggregate {kind} of {actions} x {atoms}", given, run, exact=False, atol=1e-3)


def convolution(
    shape: tuple[int, int, int, int], how: tuple[int, int, int, int], activation: str, through: bool
) -> Case:
    """Of so many pictures (N, H, W, C), by `how` (outputs, kernel, stride, padding): a layer that
    begins in column 5 of the parameters and ends 3 columns before the last."""
    outputs, *window = how
    kernel, stride, padding = window
    draw, inputs = generator(*shape, *how), kernel * kernel * shape[3]
    columns = 5 + (inputs + 1) * outputs + 3
    after = [(size + 2 * padding - kernel) // stride + 1 for size in shape[1:3]]
    given: Arrays = {
        "params": normal(draw, LANES, columns) / np.float32(math.sqrt(inputs)),
        "x": normal(draw, LANES, *shape),
        "d_out": normal(draw, LANES, shape[0], *after, outputs),
        "grad": np.full((LANES, columns), 7, np.float32),
    }

    def run(kernels: Kernels, x: Any) -> Arrays:
        key = KEYS[activation]
        out = kernels.convolve(x["params"], 5, outputs, *window, key, x["x"])
        before = kernels.numpy(out).copy(), kernels.numpy(x["d_out"]).copy()
        pictures = x["x"], out, x["d_out"], x["grad"]
        d_x = kernels.d_convolve(x["params"], 5, *window, key, *pictures, through)
        assert np.array_equal(kernels.numpy(out), before[0])
        assert np.array_equal(kernels.numpy(x["d_out"]), before[1])
        found = numpy(kernels, out=out, grad=x["grad"])
        return found | (numpy(kernels, d_x=d_x) if through else {})

    name = f"convolution {how} of {shape}, {activation}, {through=}"
    return Case(name, given, run, exact=False, rtol=1e-4, atol=1e-4)


CONVOLUTIONS = [
    convolution(shape, how, activation, through)
    for shape, how in (
        ((1, 10, 10, 4), (16, 3, 1, 0)),
        ((33, 10, 10, 4), (16, 3, 1, 0)),  # more than are unrolled at once, were they larger
        ((3, 84, 84, 4), (8, 8, 4, 0)),
        ((9, 20, 20, 32), (4, 4, 2, 0)),  # three blocks of pictures
        ((2, 5, 7, 1), (3, 2, 3, 0)),  # rows and columns that no window reaches
        ((2, 3, 3, 2), (1, 3, 1, 0)),
        ((2, 4, 3, 3), (5, 1, 2, 0)),
        ((33, 11, 9, 16), (8, 3, 1, 1)),
        ((2, 21, 20, 3), (4, 4, 2, 2)),
        ((2, 1, 2, 3), (2, 3, 1, 1)),  # smaller than the kernel
        ((1, 4, 4, 1), (2, 3, 2, 5)),  # windows of padding alone
    )
    for activation in KEYS
    for through in (True, False)
]


def pooling(*shape: int) -> Case:
    draw, (count, height, width, channels) = generator(*shape), shape
    given: Arrays = {
        "x": spiked(draw, LANES, *shape),
        "d_out": normal(draw, LANES, count, (height + 1) // 2, (width + 1) // 2, channels),
    }
    given["x"][0] = np.round(given["x"][0])  # several largest
    given["x"][given["x"] == -np.inf] = 0  # which PyTorch's kernels have for padding

    def run(kernels: Kernels, x: Any) -> Arrays:
        out, place = kernels.pool(x["x"])
        d_x = kernels.d_pool(x["x"], place, x["d_out"])
        return numpy(kernels, out=out, place=place, d_x=d_x, x=x["x"], d_out=x["d_out"])

    return Case(f"pool of {shape}", given, run, exact=False)


def activating(activation: str, *shape: int) -> Case:
    draw = generator(*shape)
    given: Arrays = {"x": spiked(draw, LANES, *shape), "d_out": normal(draw, LANES, *shape)}

    def run(kernels: Kernels, x: Any) -> Arrays:
        before = kernels.numpy(x["x"]).copy()
        out = kernels.activate(x["x"], KEYS[activation])
        d_x = kernels.d_activate(out, x["d_out"], KEYS[activation])
        assert np.array_equal(kernels.numpy(x["x"]), before, equal_nan=True)
        return numpy(kernels, out=out, d_x=d_x, d_out=x["d_out"])

    return Case(f"{activation} of {shape}", given, run, exact=activation != "tanh")


def looking(high: float, *shape: int) -> Case:
    """At bytes of pictures [N, C, H, W]."""
    draw = generator(*shape)
    given: Arrays = {"x": draw.integers(0, 256, (LANES, *shape), np.uint8)}

    def run(kernels: Kernels, x: Any) -> Arrays:
        each = kernels.numpy(x["x"]).astype(np.float32) + 1
        scaled = kernels.scaled(x["x"], high)
        return numpy(
            kernels,
            scaled=scaled,
            apart=kernels.scaled(x["x"], kernels.place(each)),
            floats=kernels.channels_last(scaled),
            bytes=kernels.channels_last(x["x"]),
        )

    return Case(f"{shape} bytes / {high}", given, run)


def noise(first: int, sizes: list[tuple[int, int]]) -> Case:
    draw, size = generator(len(sizes)), sum((i + 1) * o for i, o in sizes)
    given: Arrays = {
        "numbers": spiked(draw, LANES, sum(map(sum, sizes))),
        "params": normal(draw, LANES, first + 2 * size),
        "grad": normal(draw, LANES, first + 2 * size),
    }

    def run(kernels: Kernels, x: Any) -> Arrays:
        factors, layers = kernels.factors(x["numbers"]), np.array(sizes, np.int64)
        weights = kernels.noisy(x["params"], first, factors, layers)
        kernels.d_noisy(x["grad"], first, factors, layers)
        return numpy(kernels, factors=factors, weights=weights, grad=x["grad"])

    return Case(f"noisy {sizes} from {first}", given, run, exact=False, rtol=1e-6)


def dqn(huber: bool, actions: int) -> Case:
    """With errors of 1 and -1 exactly, several best actions, and nan and infinity."""
    draw, shape = generator(actions), (LANES, 37)
    given: Arrays = {
        "values": spiked(draw, *shape, actions, 1),
        "following": spiked(draw, *shape, actions, 1),
        "chooser": np.round(normal(draw, *shape, actions, 1)),
        "action": draw.integers(actions, size=shape),
        "reward": normal(draw, *shape),
        "discount": (0.9 * (draw.random(shape) > 0.3)).astype(np.float32),
    }
    given["chooser"][-1, ::3, -1] = given["chooser"][-1, ::6, 0] = np.nan
    given["chooser"][-1, 1::3, 0] = np.inf
    given["discount"][0, :4] = 0
    given["values"][0, :4] = np.array([3, 1, 2.5, 2], np.float32)[:, None, None]
    given["reward"][0, :4] = [2, 2, 1.5, 2]

    def run(kernels: Kernels, x: Any) -> Arrays:
        names = "values", "following", "chooser", "action", "reward", "discount"
        loss, d_values, priority, q = kernels.dqn(*(x[name] for name in names), huber)
        return numpy(kernels, loss=loss, d_values=d_values, priority=priority, q=q)

    return Case(f"dqn {huber=} of {actions}", given, run, exact=not huber)


def taking(actions: int, atoms: int) -> Case:
    draw, shape = generator(actions, atoms), (LANES, 9)
    given: Arrays = {
        "values": spiked(draw, *shape, actions, atoms),
        "value": spiked(draw, *shape, atoms),
        "action": draw.integers(actions, size=shape),
    }

    def run(kernels: Kernels, x: Any) -> Arrays:
        taken = kernels.gather_values(x["values"], x["action"])
        put = kernels.scatter_action(x["value"], x["action"], actions)
        return numpy(kernels, taken=taken, put=put)

    return Case(f"values of {actions} x {atoms}", given, run)


def projecting(atoms: int, low: float, high: float) -> Case:
    """With what lands on an atom exactly, what is clipped, nan and infinity."""
    draw, shape = generator(atoms), (LANES, 9)
    given: Arrays = {
        "p": draw.dirichlet(np.ones(atoms), shape).astype(np.float32),
        "reward": spiked(draw, *shape),
        "discount": (0.9 * (draw.random(shape) > 0.3)).astype(np.float32),
        "support": np.tile(torch.linspace(low, high, atoms).numpy(), (LANES, 1)),
    }
    given["reward"][0, :2], given["discount"][0, :2] = 0, 1

    def run(kernels: Kernels, x: Any) -> Arrays:
        numbers = x["p"], x["reward"], x["discount"], x["support"][0]
        return numpy(kernels, new=kernels.project(*numbers, low, high))

    return Case(f"project onto {atoms} atoms", given, run)


def weighing(divisor: float, actions: int, atoms: int) -> Case:
    draw, shape = generator(actions, atoms), (LANES, 9)
    given: Arrays = {
        "weight": draw.random(shape, np.float32),
        "per_sample": spiked(draw, *shape),
        "d_values": spiked(draw, *shape, actions, atoms),
        "q": spiked(draw, *shape),
        "loss_sum": normal(draw, *shape),
        "q_sum": normal(draw, *shape),
    }

    def run(kernels: Kernels, x: Any) -> Arrays:
        first, sums = ("weight", "per_sample", "d_values", "q"), ("loss_sum", "q_sum")
        weighted = kernels.weigh(*(x[name] for name in first), divisor, *(x[name] for name in sums))
        return numpy(kernels, weighted=weighted, loss_sum=x["loss_sum"], q_sum=x["q_sum"])

    return Case(f"weigh by {divisor} of {actions} x {atoms}", given, run, exact=False, rtol=1e-6)


def clipping(method: str, limit: float, size: int) -> Case:
    grad = spiked(generator(size), LANES, size)
    grad[0] = normal(generator(size, 1), size) / np.float32(10 * size)  # within the limit
    grad[1] = 0

    def run(kernels: Kernels, x: Any) -> Arrays:
        getattr(kernels, method)(x["grad"], limit)
        return numpy(kernels, grad=x["grad"])

    exact = method == "clip_value"
    return Case(f"{method} {limit} of {size}", {"grad": grad}, run, exact, rtol=1e-5, atol=0)


def optimizing(method: str, size: int, steps: int, *keys: float, centered: bool = True) -> Case:
    draw = generator(size, steps)
    given: Arrays = {
        "params": normal(draw, LANES, size),
        "grad": spiked(draw, LANES, size),
        "mean": normal(draw, LANES, size),
        "square": np.abs(spiked(draw, LANES, size)),
    }
    if method == "rmsprop" and centered:
        given["square"] += 2 * given["mean"] ** 2
    else:
        given["square"][0, : size // 2] = 0
    if not centered:
        given["mean"] = given["mean"][:, :0]

    def run(kernels: Kernels, x: Any) -> Arrays:
        if method == "adam":
            kernels.adam(x["params"], x["grad"], x["mean"], x["square"], *keys, steps)
        else:
            kernels.rmsprop(x["params"], x["grad"], x["square"], x["mean"], *keys)
        return numpy(kernels, **x)

    name = f"{method} {keys} of {size}, step {steps}, {centered=}"
    atol = 1e-5 if method == "rmsprop" and centered else 1e-6  # a difference of squares
    return Case(name, given, run, exact=False, atol=atol)


def averaging(tau: float, size: int) -> Case:
    draw = generator(size)
    given: Arrays = {"target": spiked(draw, LANES, size), "online": spiked(draw, LANES, size)}

    def run(kernels: Kernels, x: Any) -> Arrays:
        kernels.polyak(x["target"], x["online"], tau)
        return numpy(kernels, **x)

    return Case(f"polyak {tau} of {size}", given, run, exact=tau == 1, atol=1e-4)


def put(position: int) -> Case:
    draw = generator(position)
    given = {"column": normal(draw, LANES, 5, 3), "values": normal(draw, LANES, 3)}

    def run(kernels: Kernels, x: Any) -> Arrays:
        slots = kernels.place(np.arange(len(x["values"])))
        kernels.put(x["column"], slots, position, x["values"])
        return numpy(kernels, **x)

    return Case(f"put at {position}", given, run)


def replay(dtype: str, n_step: int, newest: int) -> Case:
    """A ring of 11 rows, one of which is stored anew before rows are gathered."""
    draw, features, capacity = generator(n_step, newest), 3, 11
    step: Arrays = {
        "obs": draw.integers(256, size=(LANES, features)),
        "next_obs": draw.integers(256, size=(LANES, features)),
    }
    given: Arrays = {name: x.astype(dtype) for name, x in step.items()} | {
        "action": draw.integers(400, size=LANES),
        "reward": draw.standard_normal(LANES) * 1e3,
        "terminated": np.array([True, False, False, True]),
        "truncated": np.array([False, True, False, True]),
        "pairs": draw.integers(256, size=(LANES, capacity, 2, features)).astype(dtype),
        "numbers": normal(draw, LANES, capacity, 3),
        "ends": draw.random((LANES, capacity)) < 0.2,
        "index": np.stack([draw.permutation(capacity) for _ in range(LANES)]),
    }
    given["numbers"][..., 0] = draw.integers(400, size=(LANES, capacity))
    given["ends"][2] = False
    names = "obs", "action", "reward", "next_obs", "terminated", "truncated"

    def run(kernels: Kernels, x: Any) -> Arrays:
        row = (kernels.numpy(x[name]) for name in names)
        kept = x["pairs"], x["numbers"], x["ends"]
        slots = kernels.place(np.arange(len(x["index"])))
        kernels.store(*kept, slots, newest, 0.97, *row)
        found = kernels.gather(*kept, slots, x["index"], newest, n_step)
        assert [kernels.numpy(part).dtype for part in found] == [
            *(dtype, np.int64, np.float32, dtype, np.float32)
        ]
        gathered = dict(zip(("obs", "a", "r", "next_obs", "discount"), found, strict=True))
        return numpy(kernels, pairs=kept[0], numbers=kept[1], ends=kept[2], **gathered)

    return Case(f"replay of {dtype}, {n_step=}, {newest=}", given, run)


def stacks(stack: int, n_step: int, stored: int) -> Case:
    """Frames of episodes of a few steps, some of whose first stacks are blank before the first."""
    draw, capacity, size, room = np.random.default_rng(stored), 11, 3, 4
    begins = draw.random((LANES, capacity)) < 0.3
    rows_before = np.arange(capacity) - np.maximum.accumulate(
        np.where(begins, np.arange(capacity), 0), axis=1
    )
    given = {
        "frames": draw.integers(256, size=(LANES, capacity + stack, size)).astype(np.uint8),
        "lasts": draw.integers(256, size=(LANES, room, size)).astype(np.uint8),
        "blank": draw.random((LANES, room)) < 0.5,
        "episode": begins.cumsum(axis=1).astype(np.int32),
        "back": np.minimum(rows_before, stack - 1).astype(np.int32),
        "numbers": normal(draw, LANES, capacity, 3),
        "ends": np.roll(begins, -1, axis=1),
        "index": np.stack([draw.permutation(capacity) for _ in range(LANES)]),
    }
    given["numbers"][..., 0] = draw.integers(400, size=(LANES, capacity))

    def run(kernels: Kernels, x: Any) -> Arrays:
        slots = kernels.place(np.arange(len(x["index"])))
        found = kernels.gather_stacks(
            *list(x.values())[:7], slots, x["index"], stored, stack, n_step
        )
        return numpy(kernels, **dict(zip(("obs", "a", "r", "next_obs", "d"), found, strict=True)))

    return Case(f"stacks of {stack}, {n_step=}, {stored=}", given, run)


def tree(capacity: int, draws: int, least: bool) -> Case:
    """A tree to which is put twice, with duplicates and zeros, and that is searched at the edges:
    from 0 to beyond the total."""
    draw = generator(capacity, draws)
    width = 1 << (-(-capacity // BLOCK) - 1).bit_length()
    empty = math.inf if least else 0.0
    index = draw.integers(capacity, size=(LANES, 2, draws))
    index[0, 0] = np.sort(index[0, 0])  # as a sampler draws them
    index[1, 0, draws // 2 :] = index[1, 0, : draws - draws // 2]
    value = draw.random((LANES, 2, draws)) ** 3 * (draw.random((LANES, 2, draws)) > 0.3)
    value[:, :, -1] = 0.5  # so that the total is not 0
    given: Arrays = {
        "leaves": np.full((LANES, width * BLOCK), empty),
        "nodes": np.full((LANES, 2 * width), empty),
        "index": index,
        "value": value,
        "mass": np.concatenate(
            [[[0, -1, 1, 2, 1 - 2.0**-53]] * LANES, draw.random((LANES, 40))], 1
        ),
        "uniform": draw.random((LANES, 9)),
    }

    def run(kernels: Kernels, x: Any) -> Arrays:
        leaves, nodes = x["leaves"], x["nodes"]
        for k in (0, 1):
            rows = (
                kernels.place(kernels.numpy(x[name])[:, k].copy()) for name in ("index", "value")
            )
            kernels.tree_set(leaves, nodes, *rows, least)
        if least:
            return numpy(kernels, leaves=leaves, nodes=nodes[:, 1:])
        index = kernels.tree_find(leaves, nodes, x["mass"] * nodes[:, 1:2])
        drawn, value, rarest = kernels.tree_draw(leaves, nodes, x["uniform"])
        assert (kernels.numpy(value) > 0).all()
        found = {"index": index, "drawn": drawn, "value": value, "rarest": rarest}
        return numpy(kernels, leaves=leaves, nodes=nodes[:, 1:], **found)

    return Case(f"tree of {capacity}, {draws} at once, {least=}", given, run)


def importance(beta: float) -> Case:
    value = generator(1).random((LANES, 13)) + 1e-3

    def run(kernels: Kernels, x: Any) -> Arrays:
        weight = kernels.importance(x["value"], x["rarest"], beta)
        assert kernels.numpy(weight).dtype == np.float32
        return numpy(kernels, weight=weight)

    given: Arrays = {"value": value, "rarest": value.min(-1)}
    return Case(f"importance {beta}", given, run, exact=False, rtol=1e-6)


def ranking(alpha: float, dtype: str) -> Case:
    draw = generator(3)
    given: Arrays = {
        "priority": np.abs(spiked(draw, LANES, 13)).astype(dtype),
        "largest": np.array([1e-9, 1.0, 1e9, 1.0]),
    }
    given["priority"][-1, 5] = 3e30

    def run(kernels: Kernels, x: Any) -> Arrays:
        value = kernels.rank(x["priority"], x["largest"], 1e-6, alpha)
        return numpy(kernels, value=value, largest=x["largest"])

    return Case(f"rank {alpha} of {dtype}", given, run, exact=False, rtol=1e-12, atol=0)


def multiplying(n: int, k: int, m: int) -> Case:
    """Of matrices that lie in memory as they are, and across."""
    draw = generator(n, k, m)
    given: Arrays = {"a": normal(draw, LANES, n, k), "b": normal(draw, LANES, m, k)}

    def run(kernels: Kernels, x: Any) -> Arrays:
        found = kernels.product(x["a"], x["b"].swapaxes(1, 2))
        return numpy(kernels, found=found, a=x["a"], b=x["b"])

    return Case(f"product of {n} x {k} x {m}", given, run)


SIZES = (1, 16, 47, 545)
CASES = [
    *CHAINS,
    *(multiplying(*size) for size in ((1, 576, 1), (64, 576, 64), (576, 64, 1), (576, 1, 64))),
    *CONVOLUTIONS,
    *(pooling(*shape) for shape in ((2, 6, 5, 3), (3, 11, 11, 17), (1, 1, 1, 1), (2, 2, 1, 4))),
    *(activating(kind, *shape) for kind in KEYS for shape in ((7,), (2, 5, 4, 33))),
    *(
        aggregation(kind, *size)
        for kind in AGGREGATES
        for size in ((2, 1), (1, 3), (18, 1), (3, 51))
    ),
    *(looking(high, *shape) for high in (255.0, 3.0) for shape in ((2, 4, 7, 5), (1, 1, 1, 1))),
    *(noise(*keys) for keys in ((0, [(4, 3)]), (7, [(4, 3)]), (0, [(5, 33), (33, 17), (17, 1)]))),
    *(dqn(huber, actions) for huber in (True, False) for actions in (1, 2, 5)),
    *(taking(*size) for size in ((1, 1), (2, 51), (5, 3))),
    *(projecting(*keys) for keys in ((2, 0.0, 1.0), (51, -10.0, 10.0), (7, -0.3, 2.0))),
    *(weighing(*keys) for keys in ((1.0, 2, 1), (9.0, 3, 1), (7.0, 3, 5))),
    *(clipping(how, 0.5, size) for how in ("clip_value", "clip_norm") for size in (*SIZES, 17_283)),
    *(
        optimizing("adam", size, steps, 1e-2, beta1, 0.99, eps)
        for size in SIZES
        for steps, beta1, eps in ((1, 0.9, 1e-8), (2, 0.3, 1e-2), (3000, 0.0, 1e-8))
    ),
    *(
        optimizing("rmsprop", size, 1, 1e-2, 0.9, *eps, centered=centered)
        for size in SIZES
        for eps in ((1e-6, 0.0), (0.0, 1e-2))
        for centered in (False, True)
    ),
    *(averaging(tau, size) for tau in (0.01, 0.5, 0.7, 1.0) for size in SIZES),
    put(0),
    put(4),
    *(
        replay(dtype, n_step, newest)
        for dtype in ("uint8", "float32")
        for n_step in (1, 2, 3, 20)
        for newest in (0, 4, 10)
    ),
    *(stacks(*size) for size in ((1, 1, 11), (1, 3, 16), (4, 1, 11), (4, 3, 40), (2, 9, 27))),
    *(
        tree(capacity, draws, least)
        for capacity in (1, 8, 9, 100, 1000)
        for draws in (1, 2, 33, 300)
        for least in (False, True)
    ),
    *(importance(beta) for beta in (0.0, 0.4, 1.0, 2.0)),
    *(ranking(alpha, dtype) for alpha in (0.0, 0.6, 1.0, 2.0) for dtype in ("float32", "float64")),
]
each_case = pytest.mark.parametrize("case", CASES, ids=str)


# What holds for all of them.


def public(kind: object) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


METHODS = sorted(public(Kernels) | set(Kernels.__annotations__))


@pytest.mark.parametrize("name", METHODS)
def test_both_kinds_have_all_that_the_contract_names(name: str) -> None:
    """Each function with as many arguments."""
    promised = getattr(Kernels, name, None)
    found = [getattr(kernels, name) for kernels in KINDS]
    if promised is not None:
        expected = len(inspect.signature(promised).parameters) - 1  # without self
        for function in found:
            parameters = inspect.signature(getattr(function, "py_func", function)).parameters
            assert len(parameters) == expected


def test_all_that_the_contract_names_is_tried_here() -> None:
    called: set[str] = set()

    class Spy:
        def __getattr__(self, name: str) -> Any:
            called.add(name)
            return getattr(TORCH, name)

    for case in CASES:
        case.run(Spy(), {name: TORCH.place(x.copy()) for name, x in case.given.items()})
    assert set(METHODS) - called == {"array", "tensor", "floats", "recorded", "name", "device"}


@each_case
def test_both_kinds_compute_the_same(case: Case) -> None:
    ours, theirs = (computed(kernels, case, [*range(LANES)]) for kernels in KINDS)
    assert ours.keys() == theirs.keys()
    for name, x in ours.items():
        assert (x.dtype, x.shape) == (theirs[name].dtype, theirs[name].shape), name
        if case.exact:
            np.testing.assert_array_equal(x, theirs[name], name)
        else:
            np.testing.assert_allclose(x, theirs[name], case.rtol, case.atol, err_msg=name)


@pytest.mark.gpu
@each_case
def test_a_gpu_computes_the_same(case: Case) -> None:
    """Except that sums come in another order, and quotients may differ in the last bit, by which a
    place among 51 atoms moves by 4e-6."""
    kernels, atol = load("torch", torch.device("cuda")), max(case.atol, 1e-5)
    expected = computed(TORCH, case, [*range(LANES)])
    found = computed(kernels, case, [*range(LANES)])
    assert expected.keys() == found.keys()
    for name, x in found.items():
        assert (x.dtype, x.shape) == (expected[name].dtype, expected[name].shape), name
        np.testing.assert_allclose(x, expected[name], case.rtol, atol, err_msg=name)


@each_case
def test_a_lane_has_the_bits_that_it_has_alone(kernels: Kernels, case: Case) -> None:
    """In any company and at any place in memory; and what a lane that diverges computes is its
    own."""
    alone = [computed(kernels, case, [lane]) for lane in range(LANES)]
    for shift, lanes in ((0, [0, 1, 2, 3]), (1, [3, 1]), (3, [2, 3, 0]), (5, [1]), (2, [3])):
        for name, x in computed(kernels, case, lanes, shift).items():
            for place, lane in enumerate(lanes):
                assert x[place].tobytes() == alone[lane][name][0].tobytes(), (name, lanes, lane)


@pytest.fixture
def switches() -> Iterator[None]:
    """A device sets them for the whole process; the other tests get them back."""
    threads, sure = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with threadpool_limits():
        yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(sure)


@pytest.mark.usefixtures("switches")
@pytest.mark.parametrize(
    "case", [*CHAINS, *CONVOLUTIONS, clipping("clip_norm", 0.5, 70_001)], ids=str
)
def test_the_bits_do_not_depend_on_the_threads_of_a_device(case: Case) -> None:
    """Trap: products that several threads share round as their number has it. Those of a run with
    compiled kernels are made by one."""
    found = []
    for threads in (1, 2):
        keys = {"name": "cpu", "workers": 1, "kernels": "compiled", "deterministic": False}
        Device(threads=threads, **keys).apply()
        torch.set_flush_denormal(False)
        found.append(computed(compiled, case, [*range(LANES)]))
    for name, x in found[0].items():
        assert x.tobytes() == found[1][name].tobytes(), name


# Products of matrices, of which a chain makes three: of x and the weight, of x transposed and the
# derivative, and of that and the weight transposed.

SHAPES = [(64, 4, 64), (64, 64, 2), (128, 120, 84), (5, 7, 3), (1, 33, 17), (32, 3, 1), (1, 9, 1)]


@pytest.mark.parametrize(("n", "k", "m"), SHAPES)
def test_a_product_of_a_lane_has_the_bits_it_has_alone(
    kernels: Kernels, n: int, k: int, m: int
) -> None:
    """Wherever it lies: at any place in the stack and at any number of bytes from a boundary."""
    draw, widths = generator(n, k, m), np.array([k, m])
    given = normal(draw, 7, n, k), normal(draw, 7, (k + 1) * m), normal(draw, 7, n, m)

    def products(lanes: list[int], *shifts: int) -> list[NDArray[Any]]:
        parts = (moved(x[lanes], shift) for x, shift in zip(given, shifts[:3], strict=True))
        x, params, d_out = map(kernels.place, parts)
        grad = kernels.place(moved(np.zeros((len(lanes), (k + 1) * m), np.float32), shifts[3]))
        hidden, out = kernels.forward(params, 0, widths, 0, 0, x)
        d_x = kernels.backward(params, 0, widths, 0, 0, x, hidden, out, d_out, grad, True)
        return [kernels.numpy(part) for part in (out, grad, d_x)]

    alone = products([0], 0, 0, 0, 0)
    x, params, d_out = (x[0] for x in given)
    weight = params[: k * m].reshape(k, m)
    expected = x @ weight + params[k * m :], None, d_out @ weight.T
    np.testing.assert_allclose(alone[0][0], expected[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(alone[2][0], expected[2], rtol=1e-3, atol=1e-4)
    d_weight, d_bias = np.split(alone[1][0], [k * m])
    np.testing.assert_allclose(d_weight.reshape(k, m), x.T @ d_out, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(d_bias, d_out.sum(0), rtol=1e-3, atol=1e-4)
    for lanes in ([0], [0, 1], [3, 0], [*range(7)], [*range(6, -1, -1)]):
        for shift in range(5):
            found = products(lanes, shift, 3 * shift % 5, 2 * shift % 5, 4 * shift % 5)
            for one, many in zip(alone, found, strict=True):
                assert np.array_equal(many[lanes.index(0)], one[0])


def test_where_autograd_watches_a_product_is_pytorch_s() -> None:
    a, b = torch.randn(2, 3, 4), torch.randn(2, 4, 5, requires_grad=True)
    found = product(a, b)
    torch.testing.assert_close(found.detach(), product(a, b.detach()))
    found.sum().backward()
    torch.testing.assert_close(b.grad, a.sum(1).unsqueeze(-1).expand(2, 4, 5))


def trace(function: Callable[[Tensor], Tensor], example: Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # exports to ONNX trace all the same
        return torch.jit.trace(function, example, check_trace=False)


def test_where_pytorch_traces_a_product_is_no_constant() -> None:
    """Trap: NumPy's result, which a trace would repeat whatever it is given."""
    first, second = torch.randn(2, 1, 3, 4)
    b = torch.randn(1, 4, 5)
    traced = trace(lambda a: product(a, b), first)
    torch.testing.assert_close(traced(second), product(second, b))


def test_compiled_kernels_refuse_to_be_traced() -> None:
    """Trap: an export that is a constant."""
    with pytest.raises(RuntimeError, match="compiled kernels cannot be traced"):
        trace(lambda a: compiled.tensor(compiled.array(a)), torch.ones(1))


# Arrays of either kind.


def test_arrays_and_tensors_are_the_same_memory(kernels: Kernels) -> None:
    x = torch.zeros(2, 3)
    array = kernels.array(x)
    array[1, 2] = 7.0
    back = kernels.tensor(array)
    back[0, 0] = 5.0
    assert isinstance(back, torch.Tensor)
    assert x.tolist() == [[5, 0, 0], [0, 0, 7]]


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64", "bool"])
def test_what_is_placed_comes_back(kernels: Kernels, dtype: str) -> None:
    x = np.arange(6).reshape(2, 3).astype(dtype)
    placed = kernels.place(x)
    assert isinstance(placed, np.ndarray if kernels.name == "compiled" else torch.Tensor)
    assert kernels.place(placed) is placed
    back = kernels.numpy(placed)
    assert back.dtype == dtype and np.array_equal(back, x)
    floats = kernels.numpy(kernels.floats(placed))
    assert floats.dtype == np.float32 and np.array_equal(floats, x)


@pytest.mark.parametrize("high", [255.0, 3.0, np.arange(1, 65, dtype=np.float32)])
def test_bytes_are_divided_as_numpy_does_it(kernels: Kernels, high: Any) -> None:
    x = np.arange(256, dtype=np.uint8).reshape(2, 2, 64)
    divisor = high if isinstance(high, float) else kernels.place(high)
    for given in (x, x[:, ::2]):  # in one piece, and not
        found = kernels.numpy(kernels.scaled(kernels.place(given), divisor))
        assert found.dtype == np.float32 and np.array_equal(found, given.astype(np.float32) / high)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_channels_are_moved_to_the_end(kernels: Kernels, dtype: type) -> None:
    x = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6).astype(dtype)
    for given in (x, x[:, :, :, ::2]):  # in one piece, and not
        found = kernels.numpy(kernels.channels_last(kernels.place(given)))
        assert found.dtype == np.float32 and np.array_equal(found, np.moveaxis(given, 2, -1))


@pytest.mark.parametrize("name", ["compiled", "torch"])
def test_kernels_by_name(name: str) -> None:
    kernels = load(name, torch.device("cpu"))
    assert (kernels.name, kernels.device) == (name, torch.device("cpu"))


# By hand.


def test_two_layers_by_hand(kernels: Kernels) -> None:
    """Trap: weights as [out, in]. x = (1, 2), weight ((1, -1, 0), (0, 1, -1)), bias (0, 0, 1):
    (1, 1, -1), by relu (1, 1, 0); then weight (2, 3, 5), bias -9: -4. Given d_out = 10, the last
    layer's gradient is (10, 10, 0; 10) and the hidden one's derivative (20, 30, 0), so the first
    layer's is ((20, 30, 0), (40, 60, 0); (20, 30, 0)) and d_x = (20 - 30, 30)."""
    params = np.array([[1, -1, 0, 0, 1, -1, 0, 0, 1, 2, 3, 5, -9]], np.float32)
    p, x, d = map(kernels.place, (params, *np.array([[[[1, 2]]], [[[10, 0]]]], np.float32)))
    how, grad = (0, np.array([2, 3, 1]), 1, 0), kernels.place(np.zeros_like(params))
    hidden, out = kernels.forward(p, *how, x)
    assert out.tolist() == [[[-4]]]
    d_out = kernels.place(kernels.numpy(d)[:, :, :1].copy())
    d_x = kernels.backward(p, *how, x, hidden, out, d_out, grad, True)
    assert grad.tolist() == [[20, 30, 0, 40, 60, 0, 20, 30, 0, 10, 10, 0, 10]]
    assert d_x.tolist() == [[[-10, 30]]]


def test_a_convolution_by_hand(kernels: Kernels) -> None:
    """Trap: the axes of a picture, or of the weights, exchanged. One picture of 2 x 5 pixels with
    channels (1, 10), (2, 20) ... (5, 50) above and (6, 60) ... (10, 100) below; windows of 2 x 2 at
    columns 0 and 2, and column 4 is in none. The first output takes 1 of the first channel at the
    top right and 100 at the bottom left, less 600: 2 + 600 - 600 and 4 + 800 - 600; the second
    one -1 of the second channel at the top left: -10 and -30, which are 0."""
    first = np.arange(1, 11, dtype=np.float32).reshape(2, 5)
    x = np.stack([first, 10 * first], -1)[None, None]
    weight = np.zeros((2, 2, 2, 2), np.float32)  # row, column, channel, output
    weight[0, 1, 0, 0], weight[1, 0, 0, 0], weight[0, 0, 1, 1] = 1, 100, -1
    params = np.append(weight.ravel(), np.array([-600, 0], np.float32))[None]
    p, pictures, grad = map(kernels.place, (params, x, np.zeros_like(params)))
    out = kernels.convolve(p, 0, 2, 2, 2, 0, 0, pictures)
    assert out.tolist() == [[[[[2, 0], [204, 0]]]]]
    d_out = kernels.place(np.array([[[[[1, 5], [2, 5]]]]], np.float32))
    d_x = kernels.numpy(kernels.d_convolve(p, 0, 2, 2, 0, 0, pictures, out, d_out, grad, True))
    assert d_x[0, 0, :, :, 0].tolist() == [[0, 1, 0, 2, 0], [100, 0, 200, 0, 0]]
    assert not d_x[0, 0, :, :, 1].any()
    d_weight, d_bias = np.split(kernels.numpy(grad)[0], [16])
    assert d_bias.tolist() == [3, 0]
    d_weight = d_weight.reshape(2, 2, 2, 2)
    assert not d_weight[..., 1].any()
    assert d_weight[:, :, 0, 0].tolist() == [[1 + 6, 2 + 8], [6 + 16, 7 + 18]]
    assert d_weight[:, :, 1, 0].tolist() == [[70, 100], [220, 250]]


@pytest.mark.parametrize(
    ("size", "how"),
    [
        *((10, (4, 16, 3, 1, 0)), (9, (2, 3, 4, 2, 0)), (11, (3, 5, 2, 3, 0))),
        *((11, (4, 8, 3, 1, 1)), (21, (3, 4, 4, 2, 2)), (4, (2, 3, 3, 2, 4))),
    ],
)
def test_a_convolution_is_that_of_nn_conv2d(
    kernels: Kernels, size: int, how: tuple[int, int, int, int, int]
) -> None:
    channels, outputs, *window = how
    torch.manual_seed(size)
    theirs = torch.nn.Conv2d(*how)
    x = torch.randn(5, channels, size, size + 2, requires_grad=True)
    expected = torch.relu(theirs(x))
    d_out = torch.randn_like(expected)
    expected.backward(d_out)
    params = torch.cat([theirs.weight.permute(2, 3, 1, 0).flatten(), theirs.bias]).detach()[None]

    def lane(picture: Tensor) -> Array:
        return kernels.array(picture.detach().permute(0, 2, 3, 1).contiguous()[None])

    p, grad, ours = kernels.array(params), kernels.array(torch.zeros_like(params)), lane(x)
    out = kernels.convolve(p, 0, outputs, *window, 0, ours)
    d_x = kernels.d_convolve(p, 0, *window, 0, ours, out, lane(d_out), grad, True)
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(kernels.tensor(out), kernels.tensor(lane(expected)), **close)
    torch.testing.assert_close(kernels.tensor(d_x), kernels.tensor(lane(x.grad)), **close)
    d_params = torch.cat([theirs.weight.grad.permute(2, 3, 1, 0).flatten(), theirs.bias.grad])
    torch.testing.assert_close(kernels.tensor(grad)[0], d_params, **close)


def test_a_pool_by_hand(kernels: Kernels) -> None:
    """Trap: windows that begin with the first pixel instead of around it. Of
    9 2 3
    4 8 7
    6 5 1
    the windows around the corners hold (9 2 4 8), (2 3 8 7), (4 8 6 5) and (8 7 5 1): 9, 8, 8, 8.
    The 9 is in the middle of its window; the 8 is in row 1, column 0, then in row 0, column 2, then
    in row 0, column 0."""
    picture = np.array([[9, 2, 3], [4, 8, 7], [6, 5, 1]], np.float32)
    x = kernels.place(picture[None, None, :, :, None])
    out, place = kernels.pool(x)
    assert out[0, 0, :, :, 0].tolist() == [[9, 8], [8, 8]]
    assert place[0, 0, :, :, 0].tolist() == [[4, 6], [2, 0]]
    d_out = kernels.place(np.array([[1, 10], [100, 1000]], np.float32)[None, None, :, :, None])
    d_x = kernels.d_pool(x, place, d_out)[0, 0, :, :, 0]
    assert d_x.tolist() == [[1, 0, 0], [0, 1110, 0], [0, 0, 0]]


@pytest.mark.parametrize("size", [(84, 84), (42, 21), (11, 11), (5, 2), (1, 1)])
def test_a_pool_is_that_of_nn_max_pool2d(kernels: Kernels, size: tuple[int, int]) -> None:
    """Of 11 x 11 pixels it is also AdaptiveMaxPool2d(6), which is what "Beyond the Rainbow" has."""
    picture = torch.randn(2, 3, *size, requires_grad=True)
    expected = torch.nn.functional.max_pool2d(picture, 3, 2, 1)
    if size == (11, 11):
        assert torch.equal(expected, torch.nn.functional.adaptive_max_pool2d(picture, 6))
    d_out = torch.randn_like(expected)
    expected.backward(d_out)

    def lane(x: Tensor) -> Array:
        return kernels.array(x.detach().permute(0, 2, 3, 1).contiguous()[None])

    out, place = kernels.pool(lane(picture))
    d_x = kernels.d_pool(lane(picture), place, lane(d_out))
    assert torch.equal(kernels.tensor(out), kernels.tensor(lane(expected)))
    torch.testing.assert_close(kernels.tensor(d_x), kernels.tensor(lane(picture.grad)))


def test_the_best_action_is_the_first_of_the_largest_or_the_first_nan(kernels: Kernels) -> None:
    """What it is worth is the target of a transition of no reward: actions are worth 10, 20, 30."""
    chooser = np.array(
        [[1, 3, 3], [3, 3, 1], [1, 2, 3], [2, np.nan, np.nan], [np.nan, 3, 9], [3, np.inf, np.inf]]
    )
    n = len(chooser)
    following = np.tile(np.array([10, 20, 30], np.float32), (1, n, 1))[..., None]
    numbers = np.zeros((1, n, 3, 1)), following, chooser[None, :, :, None]
    action, reward = np.zeros((1, n), np.int64), np.zeros((1, n), np.float32)
    given = *(x.astype(np.float32) for x in numbers), action, reward, reward + 1
    _, _, error, _ = kernels.dqn(*map(kernels.place, given), False)
    assert error.tolist() == [[20, 10, 30, 20, 10, 20]]


def test_the_values_of_an_action_by_hand(kernels: Kernels) -> None:
    """Two states, three actions, two numbers each."""
    values = np.arange(12, dtype=np.float32).reshape(1, 2, 3, 2)
    action, two = np.array([[2, 0]]), np.array([[[1, 2], [3, 4]]], np.float32)
    taken = kernels.gather_values(kernels.place(values), kernels.place(action))
    assert taken.tolist() == [[[4, 5], [6, 7]]]
    put = kernels.scatter_action(kernels.place(two), kernels.place(action), 3)
    assert put.tolist() == [[[[0, 0], [0, 0], [1, 2]], [[3, 4], [0, 0], [0, 0]]]]


@pytest.mark.parametrize(
    ("huber", "loss", "slope"),
    [
        (True, [0.125, 0.5, 0.5, 1.0, 2.5], [0.5, 1.0, -1.0, -1.0, 1.0]),
        (False, [0.25, 1.0, 1.0, 2.25, 9.0], [1.0, 2.0, -2.0, -3.0, 6.0]),
    ],
)
def test_losses_by_hand(
    kernels: Kernels, huber: bool, loss: list[float], slope: list[float]
) -> None:
    """Errors of .5, 1, -1, -1.5 and 3; the value of the action is 2, of the other one 9."""
    error = np.array([[0.5, 1, -1, -1.5, 3]], np.float32)
    values = np.tile(np.array([9, 2], np.float32), (1, 5, 1))[..., None]
    action, zeros = np.ones((1, 5), np.int64), np.zeros_like(error)
    given = values, values, values, action, 2 - error, zeros
    per_sample, d_values, size, q = kernels.dqn(*map(kernels.place, given), huber)
    assert per_sample.tolist() == [loss]
    assert d_values[..., 0].tolist() == [[[0, x] for x in slope]]
    assert size.tolist() == np.abs(error).tolist()
    assert q.tolist() == [[2] * 5]


def test_weights_are_multiplied_and_sums_go_on(kernels: Kernels) -> None:
    """Derivatives by weight / divisor; the loss is summed with its weight, Q without."""
    two, d_values = np.array([[0.5, 2.0]], np.float32), np.ones((1, 2, 1, 2), np.float32)
    d_values[0, 1, 0, 1] = 8
    given = two, np.array([[4, 3]], np.float32), d_values, np.array([[7, -1]], np.float32)
    sums = [kernels.place(np.full((1, 2), x, np.float32)) for x in (100, 1000)]
    weighted = kernels.weigh(*map(kernels.place, given), 4.0, *sums)
    assert weighted.tolist() == [[[[0.125, 0.125]], [[0.5, 4.0]]]]
    assert [x.tolist() for x in sums] == [[[102, 106]], [[1007, 999]]]


def clipped(kernels: Kernels, method: str, grad: Any, limit: float) -> NDArray[Any]:
    placed = kernels.place(np.array(grad, np.float32))
    getattr(kernels, method)(placed, limit)
    return kernels.numpy(placed)


def test_clip_value_by_hand(kernels: Kernels) -> None:
    grad = [[-5, -0.5, -0.25, 0.0, 0.5, 7, np.inf, -np.inf]]
    expected = [[-0.5, -0.5, -0.25, 0.0, 0.5, 0.5, 0.5, -0.5]]
    assert clipped(kernels, "clip_value", grad, 0.5).tolist() == expected
    assert np.isnan(clipped(kernels, "clip_value", [[np.nan]], 0.5)).all()


def test_clip_norm_is_euclidean_and_of_each_lane(kernels: Kernels) -> None:
    """Norms of 5 and 2, of which 2.5 leaves a half and all."""
    found = clipped(kernels, "clip_norm", [[3, 0, 4], [0, 2, 0]], 2.5)
    np.testing.assert_allclose(found, [[1.5, 0, 2], [0, 2, 0]], rtol=1e-6)
    assert found[1].tolist() == [0, 2, 0]


@pytest.mark.parametrize("limit", [1e-6, 0.5, 10.0, 1e6])
def test_clip_norm_equals_clip_grad_norm_of_each_lane(kernels: Kernels, limit: float) -> None:
    grad = normal(generator(0), 3, 64)
    grad[1] *= 100
    grad[2] *= 1e-7
    for lane, found in zip(grad, clipped(kernels, "clip_norm", grad, limit), strict=True):
        parameter = torch.nn.Parameter(torch.zeros(64))
        parameter.grad = torch.from_numpy(lane.copy())
        torch.nn.utils.clip_grad_norm_(parameter, limit)
        torch.testing.assert_close(torch.from_numpy(found), parameter.grad, rtol=1e-5, atol=0)


def test_clip_norm_leaves_what_is_within_the_limit(kernels: Kernels) -> None:
    grad = np.full((1, 16), 0.25, np.float32)  # norm 1
    assert np.array_equal(clipped(kernels, "clip_norm", grad, 1.1), grad)
    assert not clipped(kernels, "clip_norm", np.zeros((1, 16)), 0.5).any()
    half = clipped(kernels, "clip_norm", grad, 0.5)
    assert np.sqrt((half**2).sum()) == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("method", ["adam", "rmsprop"])
def test_a_square_of_nothing_counts_as_hardly_anything(kernels: Kernels, method: str) -> None:
    """With averages of the last gradient alone, a step is g / root(g^2) = 1 for 2; the square of
    1e-16 is raised to 1e-30, for a step of .1, and a gradient of 0 makes none."""
    grad = np.array([[2.0, 1e-16, -1e-16, 0.0]], np.float32)
    g, params, mean, square = (kernels.place(x) for x in (grad, *np.zeros((3, 1, 4), np.float32)))
    if method == "adam":
        kernels.adam(params, g, mean, square, 1.0, 0.0, 0.0, 1e-20, 1)
    else:
        kernels.rmsprop(params, g, square, mean[:, :0], 1.0, 0.0, 1e-20, 0.0)
    np.testing.assert_allclose(kernels.numpy(params), [[-1, -0.1, 0.1, 0]], rtol=1e-5)
    assert kernels.numpy(square)[0, 0] == 4


def test_adam_forgets_a_mean_at_once_if_beta1_is_0(kernels: Kernels) -> None:
    """Trap: mean + (grad - mean), which after a mean of 1e10 is 0 for a gradient of 1."""
    params, grad, mean, square = (
        kernels.place(np.full((1, 3), x, np.float32)) for x in (0, 1, 1e10, 1)
    )
    kernels.adam(params, grad, mean, square, 1e-3, 0.0, 0.9, 1e-8, 5)
    assert mean.tolist() == [[1, 1, 1]]


@pytest.mark.usefixtures("switches")
@pytest.mark.parametrize("mode", [0, 2])
def test_around_writes_in_any_order_nothing_is_sorted(mode: int) -> None:
    """And after them, failed or not, algorithms are as deterministic as before."""
    torch.set_deterministic_debug_mode(mode)
    with pytest.raises(KeyError), in_any_order():
        assert torch.get_deterministic_debug_mode() == 0
        raise KeyError
    assert torch.get_deterministic_debug_mode() == mode


def test_a_row_is_put_where_slots_and_position_say(kernels: Kernels) -> None:
    """By hand: two lanes, in the slots 2 and 0 of three; a position may be a tensor, too."""
    for position in (1, torch.tensor(1)) if kernels.name == "torch" else (1,):
        column = kernels.place(np.zeros((3, 2), np.float32))
        slots, values = kernels.place(np.array([2, 0])), kernels.place(np.float32([5, 7]))
        kernels.put(column, slots, position, values)
        assert kernels.numpy(column).tolist() == [[0, 7], [0, 0], [0, 5]]


def test_a_row_is_stored_by_hand(kernels: Kernels) -> None:
    """In its place and in no other; discount 0 if it terminated, gamma if it was cut off."""
    pairs, numbers, ends = (
        kernels.place(x)
        for x in (
            np.zeros((3, 2, 2, 2), np.uint8),
            np.zeros((3, 2, 3), np.float32),
            np.zeros((3, 2), np.bool_),
        )
    )
    obs = np.array([[1, 2], [3, 4], [5, 255]], np.uint8)
    over = np.array([True, False, False]), np.array([False, True, False])
    reward = np.array([0.5, -2.0, 1e6])
    slots = kernels.place(np.arange(3))
    kernels.store(
        pairs, numbers, ends, slots, 1, 0.75, obs, np.array([7, 0, 399]), reward, obs - 1, *over
    )
    assert pairs[:, 0].tolist() == [[[0, 0], [0, 0]]] * 3
    assert pairs[:, 1].tolist() == [[[1, 2], [0, 1]], [[3, 4], [2, 3]], [[5, 255], [4, 254]]]
    assert numbers[:, 1].tolist() == [[7, 0.5, 0], [0, -2, 0.75], [399, 1e6, 0.75]]
    assert not kernels.numpy(numbers)[:, 0].any()
    assert ends.tolist() == [[False, True], [False, True], [False, False]]


def test_importance_by_hand(kernels: Kernels) -> None:
    value, rarest = np.array([[0.25, 1.0], [4.0, 16.0]]), np.array([0.25, 1.0])
    found = kernels.importance(kernels.place(value), kernels.place(rarest), 0.5)
    assert found.tolist() == [[1.0, 0.5], [0.5, 0.25]]


def test_rank_by_hand(kernels: Kernels) -> None:
    """(|error| + 1) ^ 1/2; the largest is before the root, never falls, and is a number."""
    priority = np.array([[3, 8], [0, 15], [np.nan, np.inf]], np.float32)
    largest = kernels.place(np.array([1.0, 100.0, 1.0]))
    value = kernels.rank(kernels.place(priority), largest, 1.0, 0.5)
    np.testing.assert_allclose(kernels.numpy(value), [[2, 3], [1, 4], [1e15, 1e15]], rtol=1e-12)
    assert largest.tolist() == [9.0, 100.0, 1e30]


def test_factors_by_hand(kernels: Kernels) -> None:
    """sign(x) sqrt(|x|), and 0 of 0."""
    numbers = kernels.place(np.array([[4, -9, 0, 0.25]], np.float32))
    assert kernels.factors(numbers).tolist() == [[2, -3, 0, 0.5]]
