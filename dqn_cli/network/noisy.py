"""Noisy networks (Fortunato et al. 2018): every linear layer has a mean and a spread of its own for
each weight and bias, and explores by factorised noise (equations 10 and 11).

    weight = mean + spread * f(e_in) f(e_out)^T,   bias = mean + spread * f(e_out),
    f(x) = sign(x) sqrt(|x|),   e standard normal

One noise of a lane serves all rows of a forward. Without noise the network is that of the means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dqn_cli.kernels.lanes import Activation
from dqn_cli.maths import Array, array
from dqn_cli.network.dueling import Aggregate, Dueling
from dqn_cli.network.mlp import MLP
from dqn_cli.types import (
    Count,
    Inputs,
    Noise,
    Output,
    Positive,
    PositiveFraction,
    Pullback,
    Space,
    Weights,
)

SPREAD = "_spread"  # after the name of the mean


class Noisy:
    """A row of parameters is the means [P/2], laid out as in `base`, then the spreads [P/2]. They
    begin at sigma0 / sqrt(inputs) of their layer."""

    def __init__(self, base: MLP | Dueling, sigma0: float) -> None:
        self.base = base
        self.sigma0 = sigma0
        self.sizes = [size for layer in base.layers for size in (layer.inputs, layer.outputs)]

    def init(self, seeds: Sequence[int]) -> Tensor:
        mean = self.base.init(seeds)
        spread = torch.empty_like(mean)
        for layer, (weight, bias) in zip(self.base.layers, self.base.split(spread), strict=True):
            weight[:] = bias[:] = self.sigma0 / math.sqrt(layer.inputs)
        return torch.cat([mean, spread], -1)

    def split(self, params: Tensor) -> Weights:
        """The base's split of the means, and that of the spreads."""
        return tuple(self.base.split(half) for half in params.chunk(2, -1))

    def noise(self, rows: int) -> Noise:
        return Noise((sum(self.sizes),), normal=True)

    def forward(self, weights: Weights, inputs: Inputs) -> Output:
        return self.vjp(weights, inputs)[0]

    def vjp(self, weights: Weights, inputs: Inputs) -> tuple[Output, Pullback]:
        means, spreads = weights
        if inputs.noise is None:
            output, pullback = self.base.vjp(means, inputs)
            noises: list[tuple[Array, Array]] = [(0.0, 0.0)] * len(means)
        else:
            noises = self._factorised(inputs.noise)
            noisy = [
                tuple(mean + spread * noise for mean, spread, noise in zip(*layer, strict=True))
                for layer in zip(means, spreads, noises, strict=True)
            ]
            output, pullback = self.base.vjp(noisy, inputs)

        def both(d_values: Tensor, grad: Weights) -> None:
            d_means, d_spreads = grad
            pullback(d_values, d_means)  # a weight's derivative by its mean is 1
            for layer in zip(d_means, d_spreads, noises, strict=True):
                for d_mean, d_spread, noise in zip(*layer, strict=True):
                    d_spread[:] = d_mean * noise

        return output, both

    def _factorised(self, numbers: Tensor) -> list[tuple[Array, Array]]:
        """The noise of each layer's weight [S, in, out] and bias [S, 1, out], of normal numbers
        [S, in + out of each layer]."""
        shaped = torch.split(numbers.sign() * numbers.abs().sqrt(), self.sizes, -1)
        return [
            (array(left.unsqueeze(-1) * right.unsqueeze(-2)), array(right.unsqueeze(-2)))
            for left, right in zip(shaped[::2], shaped[1::2], strict=True)
        ]

    def named(self, row: Tensor) -> dict[str, Tensor]:
        mean, spread = row.chunk(2)
        spreads = {name + SPREAD: value for name, value in self.base.named(spread).items()}
        return self.base.named(mean) | spreads

    def flat(self, named: dict[str, Tensor]) -> Tensor:
        means = {name: value for name, value in named.items() if not name.endswith(SPREAD)}
        spreads = {n.removesuffix(SPREAD): v for n, v in named.items() if n.endswith(SPREAD)}
        return torch.cat([self.base.flat(means), self.base.flat(spreads)])


class NoisyMLP(Noisy):
    def __init__(
        self,
        space: Space,
        atoms: int,
        *,
        hidden: list[Count],
        activation: Activation,
        sigma0: Positive,
    ) -> None:
        super().__init__(MLP(space, atoms, hidden=hidden, activation=activation), sigma0)


class NoisyDueling(Noisy):
    def __init__(
        self,
        space: Space,
        atoms: int,
        *,
        hidden: list[Count],
        streams: list[Count],
        activation: Activation,
        aggregate: Aggregate,
        trunk_gradient: PositiveFraction,
        sigma0: Positive,
    ) -> None:
        base = Dueling(
            space,
            atoms,
            hidden=hidden,
            streams=streams,
            activation=activation,
            aggregate=aggregate,
            trunk_gradient=trunk_gradient,
        )
        super().__init__(base, sigma0)
