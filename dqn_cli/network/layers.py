"""Linear layers of many networks at once: every lane's parameters are one row of a matrix [S, P].

A network is then a pure function of (parameters, observations), and copying, averaging, clipping,
optimising or saving a lane is an operation on its row. Widths are padded to multiples of 16, which
keeps every matrix on a 64-byte boundary: matrix kernels choose their path by alignment, and a
lane must not change in its last bits with its place in the stack. Padding is zero and stays zero,
since no gradient reaches it.
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


def padded(width: int) -> int:
    return -(-width // 16) * 16


class Linear(NamedTuple):
    """The shape of one layer; its weights lie as [in, out], so a forward is one baddbmm."""

    name: str
    inputs: int
    outputs: int

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers taken in a row of parameters by (weight, bias), padding included."""
        return padded(self.inputs) * padded(self.outputs), padded(self.outputs)


class Stack:
    """The layers of a network and where each lies in a row of parameters."""

    def __init__(self, layers: Sequence[Linear]) -> None:
        self.layers = list(layers)
        self.sizes = [size for layer in self.layers for size in layer.sizes]

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
                next(chunks).view(lanes, padded(layer.inputs), padded(layer.outputs)),
                next(chunks).view(lanes, 1, padded(layer.outputs)),
            )
            for layer in self.layers
        ]

    def named(self, row: Tensor) -> dict[str, Tensor]:
        """One lane's parameters [P] by name, without padding, shaped as nn.Linear has them."""
        named = {}
        for layer, (weight, bias) in zip(self.layers, self.split(row.unsqueeze(0)), strict=True):
            named[f"{layer.name}.weight"] = weight[0, : layer.inputs, : layer.outputs].T.clone()
            named[f"{layer.name}.bias"] = bias[0, 0, : layer.outputs].clone()
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
            weight[0, : layer.inputs, : layer.outputs] = named[f"{layer.name}.weight"].T
            bias[0, 0, : layer.outputs] = named[f"{layer.name}.bias"]
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
        """x [S, N, in] and the output [S, N, out] of every layer, padding included."""
        outputs = [x]
        for i, (weight, bias) in enumerate(weights[self.layers]):
            x = torch.baddbmm(bias, x, weight)
            x = self.activation(x) if i < self.activated else x
            outputs.append(x)
        return outputs

    def backward(
        self, weights: Weights, outputs: list[Tensor], dx: Tensor, through: bool
    ) -> tuple[list[Tensor], Tensor]:
        """Gradients of every weight and bias, in order, given that of the last output, and that of
        the input if asked to go `through` to it."""
        grads: list[Tensor] = []
        for i in reversed(range(self.count)):
            if i < self.activated:
                dx = self.slope(dx, outputs[i + 1])
            grads[:0] = [torch.bmm(outputs[i].transpose(1, 2), dx), dx.sum(1)]
            if i or through:
                dx = torch.bmm(dx, weights[self.layers][i][0].transpose(1, 2))
        return grads, dx


def join(grads: list[Tensor]) -> Tensor:
    """Gradients of all weights and biases, in the order of the layers, as rows [S, P]."""
    return torch.cat([grad.flatten(1) for grad in grads], dim=1)


def widen(rows: Tensor) -> Tensor:
    """Rows [S, N, width] with zeros up to the padded width."""
    return torch.nn.functional.pad(rows, (0, padded(rows.shape[-1]) - rows.shape[-1]))


def features(space: Space) -> int:
    """Numbers in one observation."""
    return int(np.prod(space.obs_shape))


def prepare(obs: Tensor, space: Space) -> Tensor:
    """Observations [S, N, *obs] as rows [S, N, padded features]; bytes are scaled to [0, 1]."""
    width = features(space)
    rows = obs.reshape(obs.shape[0], -1, width)
    rows = rows.float() / 255 if rows.dtype == torch.uint8 else rows
    return widen(rows)
