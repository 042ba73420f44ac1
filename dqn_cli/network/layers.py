"""Layers of many networks at once: every lane's parameters are one row of a matrix [S, P].

A network is then a pure function of (parameters, observations), and copying, averaging, clipping,
optimising or saving a lane is an operation on its row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.kernels.kernels import ACTIVATIONS, Activation, Array, Kernels
from dqn_cli.seeding import uniform_init
from dqn_cli.types import Noise, Weights

Init = Literal["torch", "glorot", "dopamine"]
Picture = tuple[int, int, int]  # height, width, channels


class Linear(NamedTuple):
    """The shape of one layer; its weights lie as [in, out]. Inputs that are a picture lie in its
    order, and are named in that of nn.Flatten, channels first."""

    name: str
    inputs: int
    outputs: int
    picture: Picture | None = None

    @property
    def fan_out(self) -> int:
        """Outputs that one input has a part in."""
        return self.outputs

    @property
    def size(self) -> int:
        """Numbers taken in a row of parameters, by the weight and then the bias."""
        return (self.inputs + 1) * self.outputs

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weight, as nn.Linear has it."""
        return self.outputs, self.inputs

    def view(self, weight: Tensor) -> Tensor:
        """The weight, as it lies, in the order of nn.Linear: [out, in] or [out, C, H, W]."""
        if self.picture is None:
            return weight.view(self.inputs, self.outputs).T
        return weight.view(*self.picture, self.outputs).permute(3, 2, 0, 1)


class Convolution(NamedTuple):
    """The shape of one layer; its weights lie as [kernel, kernel, in, out]."""

    name: str
    channels: int
    outputs: int
    kernel: int
    stride: int
    padding: int

    @property
    def inputs(self) -> int:
        """That one output depends on."""
        return self.kernel * self.kernel * self.channels

    @property
    def fan_out(self) -> int:
        """Outputs that one input has a part in, with a stride of 1."""
        return self.kernel * self.kernel * self.outputs

    @property
    def size(self) -> int:
        return (self.inputs + 1) * self.outputs

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weight, as nn.Conv2d has it."""
        return self.outputs, self.channels, self.kernel, self.kernel

    def view(self, weight: Tensor) -> Tensor:
        return weight.view(self.kernel, self.kernel, self.channels, -1).permute(3, 2, 0, 1)


def linear(names: Iterable[str], widths: list[int], picture: Picture | None = None) -> list[Linear]:
    """The layers from each of the widths to the next; the first one's inputs may be a picture."""
    layers = [Linear(name, *pair) for name, pair in zip(names, pairwise(widths), strict=True)]
    return [layers[0]._replace(picture=picture), *layers[1:]] if layers else []


def first_bounds(init: Init, layer: Linear | Convolution) -> tuple[float, float]:
    """Within what a layer's first weights and first biases are uniform. torch: 1 / sqrt(inputs), as
    nn.Linear and nn.Conv2d. The others have biases of 0. glorot: Glorot & Bengio (2010), equation
    16. dopamine: a variance of 1 / (sqrt(3) inputs), as Dopamine's C51, QR, IQN and Rainbow on
    Atari."""
    if init == "torch":
        return 1 / math.sqrt(layer.inputs), 1 / math.sqrt(layer.inputs)
    if init == "glorot":
        return math.sqrt(6 / (layer.inputs + layer.fan_out)), 0.0
    return math.sqrt(math.sqrt(3) / layer.inputs), 0.0


def biases(
    layers: Iterable[Linear | Convolution], chosen: Iterable[bool], first: int
) -> NDArray[np.int64]:
    """The columns of the biases of the chosen ones of layers that lie from column `first` on."""
    columns, at = [np.empty(0, np.int64)], first
    for layer, counts in zip(layers, chosen, strict=True):
        at += layer.size
        columns += [np.arange(at - layer.outputs, at)] * counts
    return np.concatenate(columns)


class Front(Protocol):
    """What may stand before the fully connected layers."""

    @property
    def layers(self) -> Sequence[Convolution]: ...

    def rectified(self) -> NDArray[np.int64]:
        """The columns of parameters that are biases of its ReLU units."""


class Stack:
    """The layers of a network, those of its front first, one after the other in a row of
    parameters."""

    def __init__(
        self,
        layers: Sequence[Linear | Convolution],
        kernels: Kernels,
        front: Front | None = None,
        init: Init = "torch",
    ) -> None:
        self.layers: list[Linear | Convolution] = [*(front.layers if front else ()), *layers]
        self.kernels = kernels
        self.front = front
        self.chains: list[Chain] = []
        self.bounds = [first_bounds(init, layer) for layer in self.layers]

    def init(self, seeds: Sequence[int]) -> Tensor:
        """Parameters [S, P], uniform within the bounds."""
        rows = torch.empty(len(seeds), sum(layer.size for layer in self.layers))
        for row, seed in zip(rows, seeds, strict=True):
            named = {}
            for layer, (weight, bias) in zip(self.layers, self.bounds, strict=True):
                parts = ("weight", layer.shape, weight), ("bias", (layer.outputs,), bias)
                for kind, shape, bound in parts:
                    name = f"{layer.name}.{kind}"
                    named[name] = torch.from_numpy(uniform_init(seed, f"init.{name}", shape, bound))
            row.copy_(self.flat(named))
        return rows

    def noise(self, rows: int) -> Noise | None:
        return None

    def split(self, params: Array) -> Weights:
        """The kernels find a layer by its column."""
        return params

    @cached_property
    def rectified(self) -> NDArray[np.int64]:
        """The columns of parameters that are biases of ReLU units."""
        first = self.front.rectified() if self.front else np.empty(0, np.int64)
        return np.concatenate([first, *(chain.rectified() for chain in self.chains)])

    def dead_units(self, grad: Array) -> float | None:
        """The share of ReLU units without a gradient: it is 0 to the bit where no sample activates
        the unit, a channel of a convolution anywhere in the picture (Sokar et al. 2023: dormant,
        threshold 0). None without ReLU units."""
        if not len(self.rectified):
            return None
        return float((self.kernels.numpy(grad)[self.rectified] == 0).mean())

    def pieces(self, row: Tensor) -> Iterator[tuple[str, Tensor, tuple[int, ...]]]:
        """One lane's parameters [P]: the name, a view in the order of PyTorch, and the shape that
        nn.Linear or nn.Conv2d has it in."""
        at = 0
        for layer in self.layers:
            split, end = at + layer.inputs * layer.outputs, at + layer.size
            yield f"{layer.name}.weight", layer.view(row[at:split]), layer.shape
            yield f"{layer.name}.bias", row[split:end], (layer.outputs,)
            at = end

    def named(self, row: Tensor) -> dict[str, Tensor]:
        """One lane's parameters [P] by name, shaped as nn.Linear and nn.Conv2d have them."""
        return {name: view.clone().reshape(shape) for name, view, shape in self.pieces(row)}

    def flat(self, named: dict[str, Tensor]) -> Tensor:
        """The row [P] of the parameters by name: the inverse of `named`."""
        row = torch.zeros(sum(layer.size for layer in self.layers))
        pieces = list(self.pieces(row))
        expected = {name: shape for name, _, shape in pieces}
        found = {name: tuple(tensor.shape) for name, tensor in named.items()}
        if found != expected:
            raise ValueError(f"parameters {found} where the network has {expected}")
        for name, view, _ in pieces:
            view.copy_(named[name].reshape(view.shape))
        return row


class Activations(NamedTuple):
    """What a chain of layers computed."""

    x: Array  # [S, N, in]
    hidden: Array  # of the kernels
    out: Array  # [S, N, out]


class Chain:
    """Neighbouring layers of a stack, an activation after each; after the last only if `closed`."""

    def __init__(self, stack: Stack, layers: slice, activation: Activation, closed: bool) -> None:
        chosen = self.layers = stack.layers[layers]
        before = stack.layers[: layers.start]
        self.kernels = stack.kernels
        self.first = sum(layer.size for layer in before) if layers.start else 0
        self.widths = np.array([layer.outputs for layer in chosen], np.int64)
        if chosen:
            self.widths = np.append(chosen[0].inputs, self.widths)
        self.activated = len(chosen) if closed else len(chosen) - 1
        self.activation = ACTIVATIONS[activation]
        stack.chains.append(self)

    def rectified(self) -> NDArray[np.int64]:
        """The columns of the biases of its ReLU units."""
        if self.activation != ACTIVATIONS["relu"]:
            return np.empty(0, np.int64)
        followed = (i < self.activated for i in range(len(self.layers)))
        return biases(self.layers, followed, self.first)

    def forward(self, weights: Weights, x: Array) -> Activations:
        if not len(self.widths):
            return Activations(x, None, x)
        return Activations(
            x,
            *self.kernels.forward(
                weights, self.first, self.widths, self.activated, self.activation, x
            ),
        )

    def backward(
        self, weights: Weights, done: Activations, d_out: Array, grad: Weights, through: bool
    ) -> Array:
        """Given the gradient of the output, writes that of every weight and bias into `grad`
        and returns that of x, if asked to go `through` to it."""
        if not len(self.widths):
            return d_out
        return self.kernels.backward(
            weights,
            self.first,
            self.widths,
            self.activated,
            self.activation,
            *done,
            d_out,
            grad,
            through,
        )
