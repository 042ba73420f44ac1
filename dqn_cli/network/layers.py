"""Linear layers of many networks at once: every lane's parameters are one row of a matrix [S, P].

A network is then a pure function of (parameters, observations), and copying, averaging, clipping,
optimising or saving a lane is an operation on its row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dqn_cli.kernels.lanes import ACTIVATIONS, Activation, add_bias, product, sum_rows
from dqn_cli.maths import Array, array, tensor
from dqn_cli.seeding import uniform_init
from dqn_cli.types import Noise, Weights


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
