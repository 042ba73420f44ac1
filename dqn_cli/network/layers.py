"""Linear layers of many networks at once: every lane's parameters are one row of a matrix [S, P].

A network is then a pure function of (parameters, observations), and copying, averaging, clipping,
optimising or saving a lane is an operation on its row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dqn_cli.maths import Array, array, tensor, traced
from dqn_cli.seeding import uniform_init
from dqn_cli.types import Noise, Space, Weights

Activation = Literal["relu", "tanh"]  # others round differently along a vector's length


def add_bias(x: Array, bias: Array) -> Array:
    """x [S, N, M] += bias [S, 1, M]."""
    return np.add(x, bias, out=x) if small(x) else same(tensor(x).add_(tensor(bias)), x)


def relu(x: Array) -> Array:
    return np.maximum(x, 0, out=x) if small(x) else same(torch.relu_(tensor(x)), x)


def relu_slope(dx: Array, y: Array) -> Array:
    """Gradient [...] of the input, given that of the output y [...]."""
    if small(y):
        np.putmask(dx, y <= 0, 0)  # and not dx * (y > 0), which is nan where dx is infinite
        return dx
    return same(torch.ops.aten.threshold_backward(tensor(dx), tensor(y), 0), dx)


def tanh(x: Array) -> Array:
    return same(torch.tanh_(tensor(x)), x)


def tanh_slope(dx: Array, y: Array) -> Array:
    return same(torch.ops.aten.tanh_backward(tensor(dx), tensor(y)), dx)


def same(result: Tensor, x: Array) -> Array:
    """The result as an array, if x is one."""
    return result.numpy() if isinstance(x, np.ndarray) else result


def small(x: Array) -> bool:
    """Whether NumPy's calls are quicker than PyTorch's; the result is the same, up to the sign of
    a zero."""
    return isinstance(x, np.ndarray) and x.size < 2**14


ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "relu": (relu, relu_slope),
    "tanh": (tanh, tanh_slope),
}


def product(a: Array, b: Array, out: Array) -> None:
    """The matrix product [S, N, M] of a [S, N, K] and b [S, K, M], lane by lane, into `out`."""
    if isinstance(a, np.ndarray):
        np.matmul(a, b, out=out)
    else:
        out.copy_(a @ b)


def sum_rows(x: Array, out: Array) -> None:
    """The sum over N of x [S, N, M], into `out` [S, 1, M]. NumPy is quickest by a product."""
    if isinstance(x, np.ndarray):
        np.matmul(np.ones((1, 1, x.shape[1]), x.dtype), x, out=out)
    else:
        out.copy_(x.sum(1, keepdim=True))


class Linear(NamedTuple):
    """The shape of one layer; its weights lie as [in, out]."""

    name: str
    inputs: int
    outputs: int

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers taken in a row of parameters by (weight, bias)."""
        return self.inputs * self.outputs, self.outputs


class Stack:
    """The layers of a network and where each lies in a row of parameters."""

    def __init__(self, layers: Sequence[Linear]) -> None:
        self.layers = list(layers)
        self.sizes = [size for layer in self.layers for size in layer.sizes]

    def init(self, seeds: Sequence[int]) -> Tensor:
        """Parameters [S, P]: weights and biases uniform within 1 / sqrt(inputs), as nn.Linear."""
        rows = torch.empty(len(seeds), sum(self.sizes))
        for row, seed in zip(rows, seeds, strict=True):
            named = {}
            for layer in self.layers:
                bound = 1 / math.sqrt(layer.inputs)
                for kind, shape in (
                    ("weight", (layer.outputs, layer.inputs)),
                    ("bias", (layer.outputs,)),
                ):
                    name = f"{layer.name}.{kind}"
                    named[name] = torch.from_numpy(uniform_init(seed, f"init.{name}", shape, bound))
            row.copy_(self.flat(named))
        return rows

    def noise(self, rows: int) -> Noise | None:
        return None

    def split(self, params: Tensor) -> Weights:
        """(weight [S, in, out], bias [S, 1, out]) of each layer, as views of params [S, P]."""
        chunks = iter(torch.split(params, self.sizes, dim=-1))
        lanes = params.shape[0]
        return [
            (
                array(next(chunks).view(lanes, layer.inputs, layer.outputs)),
                array(next(chunks).view(lanes, 1, layer.outputs)),
            )
            for layer in self.layers
        ]

    def named(self, row: Tensor) -> dict[str, Tensor]:
        """One lane's parameters [P] by name, shaped as nn.Linear has them."""
        named = {}
        for layer, (weight, bias) in zip(self.layers, self.split(row.unsqueeze(0)), strict=True):
            named[f"{layer.name}.weight"] = tensor(weight[0].T).clone()
            named[f"{layer.name}.bias"] = tensor(bias[0, 0]).clone()
        return named

    def flat(self, named: dict[str, Tensor]) -> Tensor:
        """The row [P] of the parameters by name: the inverse of `named`."""
        expected = {
            f"{layer.name}.{kind}": shape
            for layer in self.layers
            for kind, shape in (
                ("weight", (layer.outputs, layer.inputs)),
                ("bias", (layer.outputs,)),
            )
        }
        found = {name: tuple(tensor.shape) for name, tensor in named.items()}
        if found != expected:
            raise ValueError(f"parameters {found} where the network has {expected}")
        row = torch.zeros(sum(self.sizes))
        for layer, (weight, bias) in zip(self.layers, self.split(row.unsqueeze(0)), strict=True):
            weight[0] = named[f"{layer.name}.weight"].T
            bias[0, 0] = named[f"{layer.name}.bias"]
        return row


class Chain:
    """Neighbouring layers of a stack, an activation after each; after the last only if `closed`."""

    def __init__(self, stack: Stack, layers: slice, activation: Activation, closed: bool) -> None:
        self.layers = layers
        self.activation, self.slope = ACTIVATIONS[activation]
        self.count = len(stack.layers[layers])
        self.activated = self.count if closed else self.count - 1

    def forward(self, weights: Weights, x: Array) -> list[Array]:
        """x [S, N, in] and the output [S, N, out] of every layer."""
        outputs = [x]
        for i, (weight, bias) in enumerate(weights[self.layers]):
            x = add_bias(x @ weight, bias)
            x = self.activation(x) if i < self.activated else x
            outputs.append(x)
        return outputs

    def backward(
        self, weights: Weights, outputs: list[Array], dx: Array, grad: Weights, through: bool
    ) -> Array:
        """Given the gradient of the last output, writes that of every weight and bias into `grad`
        and returns that of the input, if asked to go `through` to it."""
        for i in reversed(range(self.count)):
            if i < self.activated:
                dx = self.slope(dx, outputs[i + 1])
            of_weight, of_bias = grad[self.layers][i]
            product(outputs[i].swapaxes(1, 2), dx, out=of_weight)
            sum_rows(dx, out=of_bias)
            if i or through:
                dx = dx @ weights[self.layers][i][0].swapaxes(1, 2)
        return dx


MOST = 2**14  # numbers of a picture that a fully connected layer may look at


def features(space: Space) -> int:
    """Numbers in one observation; ValueError for a picture that is too large to be taken apart."""
    numbers = int(np.prod(space.obs_shape))
    if numbers > MOST and len(space.obs_shape) > 1:
        raise ValueError(
            f"hidden: an observation of {' x '.join(map(str, space.obs_shape))} has {numbers} "
            f"numbers, too many for fully connected layers (up to {MOST}); make it smaller, as by "
            "env.wrappers=[{_target_: gymnasium.wrappers.GrayscaleObservation},"
            "{_target_: gymnasium.wrappers.ResizeObservation,shape:[42,42]}]"
        )
    return numbers


def scaled(obs: Tensor, space: Space) -> Tensor:
    """Observations [..., *obs] as float32; bytes are divided by the space's high."""
    if obs.dtype != torch.uint8:
        return obs
    high = space.high
    divisor = high if isinstance(high, float) else torch.from_numpy(high).to(obs.device)
    return obs.float() / divisor


def prepare(obs: Tensor, space: Space, weights: Weights) -> Array:
    """Observations [S, N, *obs] as rows [S, N, features], of the kind that these weights are."""
    return alike(scaled(obs, space).reshape(*obs.shape[:2], -1), weights)


def alike(x: Tensor, weights: Weights) -> Array:
    """x as a NumPy array, or as the tensor that it is, as these weights are. RuntimeError if
    they are arrays and PyTorch traces."""
    if not isinstance(weights[0][0], np.ndarray):
        return x
    if traced():
        raise RuntimeError("this network cannot be traced; dqn_cli.load(RUN).module() can")
    return array(x)
