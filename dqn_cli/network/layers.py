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

from dqn_cli.seeding import uniform_init
from dqn_cli.types import Space, Weights

Activation = Literal["relu", "tanh"]  # others round differently along a vector's length
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu_, "tanh": torch.tanh_}
SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # (gradient, output) -> gradient
    "relu": lambda grad, out: torch.ops.aten.threshold_backward(grad, out, 0),
    "tanh": lambda grad, out: torch.ops.aten.tanh_backward(grad, out),
}


def product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """The matrix product [S, N, M] of a [S, N, K] and b [S, K, M], lane by lane.

    On a CPU it is NumPy's: a product of matrices this small costs half as much there as in
    PyTorch, and one lane's is the same to the last bit in any company, at any size and place in
    memory. Where a gradient is to be recorded it must be PyTorch's.
    """
    if not a.is_cpu or a.requires_grad or b.requires_grad:
        return torch.bmm(a, b, out=out)
    if out is None:
        return torch.from_numpy(np.matmul(a.numpy(), b.numpy()))
    np.matmul(a.numpy(), b.numpy(), out=out.numpy())
    return out


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
    """The layers of a network and where each lies in a row of parameters.

    Rows end in zeros up to a multiple of 16, which `maths.lane_norm` counts on.
    """

    def __init__(self, layers: Sequence[Linear]) -> None:
        self.layers = list(layers)
        self.sizes = [size for layer in self.layers for size in layer.sizes]
        self.sizes.append(-sum(self.sizes) % 16)

    def init(self, seeds: Sequence[int]) -> Tensor:
        """Parameters [S, P]: weights and biases uniform within 1 / sqrt(inputs), as nn.Linear."""
        rows = []
        for seed in seeds:
            named = {}
            for layer in self.layers:
                bound = 1 / math.sqrt(layer.inputs)
                for kind, shape in (
                    ("weight", (layer.outputs, layer.inputs)),
                    ("bias", (layer.outputs,)),
                ):
                    name = f"{layer.name}.{kind}"
                    named[name] = torch.from_numpy(uniform_init(seed, f"init.{name}", shape, bound))
            rows.append(self.flat(named))
        return torch.stack(rows)

    def split(self, params: Tensor) -> Weights:
        """(weight [S, in, out], bias [S, 1, out]) of each layer, as views of params [S, P]."""
        chunks = iter(torch.split(params, self.sizes, dim=-1))
        lanes = params.shape[0]
        return [
            (
                next(chunks).view(lanes, layer.inputs, layer.outputs),
                next(chunks).view(lanes, 1, layer.outputs),
            )
            for layer in self.layers
        ]

    def named(self, row: Tensor) -> dict[str, Tensor]:
        """One lane's parameters [P] by name, shaped as nn.Linear has them."""
        named = {}
        for layer, (weight, bias) in zip(self.layers, self.split(row.unsqueeze(0)), strict=True):
            named[f"{layer.name}.weight"] = weight[0].T.clone()
            named[f"{layer.name}.bias"] = bias[0, 0].clone()
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
        self.activation = ACTIVATIONS[activation]
        self.slope = SLOPES[activation]
        self.count = len(stack.layers[layers])
        self.activated = self.count if closed else self.count - 1

    def forward(self, weights: Weights, x: Tensor) -> list[Tensor]:
        """x [S, N, in] and the output [S, N, out] of every layer."""
        outputs = [x]
        for i, (weight, bias) in enumerate(weights[self.layers]):
            x = product(x, weight).add_(bias)
            x = self.activation(x) if i < self.activated else x
            outputs.append(x)
        return outputs

    def backward(
        self, weights: Weights, outputs: list[Tensor], dx: Tensor, grad: Weights, through: bool
    ) -> Tensor:
        """Given the gradient of the last output, writes that of every weight and bias into `grad`
        and returns that of the input, if asked to go `through` to it."""
        for i in reversed(range(self.count)):
            if i < self.activated:
                dx = self.slope(dx, outputs[i + 1])
            of_weight, of_bias = grad[self.layers][i]
            product(outputs[i].transpose(1, 2), dx, out=of_weight)
            torch.sum(dx, dim=1, keepdim=True, out=of_bias)
            if i or through:
                dx = product(dx, weights[self.layers][i][0].transpose(1, 2))
        return dx


def features(space: Space) -> int:
    """Numbers in one observation."""
    return int(np.prod(space.obs_shape))


def prepare(obs: Tensor, space: Space) -> Tensor:
    """Observations [S, N, *obs] as rows [S, N, features]; bytes are scaled to [0, 1]."""
    rows = obs.reshape(obs.shape[0], -1, features(space))
    return rows.float() / 255 if rows.dtype == torch.uint8 else rows
