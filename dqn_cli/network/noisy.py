"""Noisy networks (Fortunato et al. 2018): every fully connected layer has a mean and a spread of
its own for each weight and bias, and explores by factorised noise (equations 10 and 11).

    weight = mean + spread * f(e_in) f(e_out)^T,   bias = mean + spread * f(e_out),
    f(x) = sign(x) sqrt(|x|),   e standard normal

One noise of a lane serves all rows of a forward. Without noise the network is that of the means.
Of an implicit quantile network the head alone is noisy, as in "Beyond the Rainbow" (Clark et al.
2024).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dqn_cli.kernels.kernels import Activation, Aggregate, Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.network.cnn import CNN
from dqn_cli.network.dueling import Dueling
from dqn_cli.network.implicit import Implicit
from dqn_cli.network.layers import Init, Stack
from dqn_cli.network.torso import Convolutions
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
    """A row of parameters is that of `base`, whose layers but the first few `without` noise are the
    means, and then their spreads, laid out alike. Means begin within 1 / sqrt(inputs) of their
    layer, whatever the base's first weights are, and spreads at sigma0 / sqrt(inputs), as in
    section 3.2. Convolutions are without noise, as in the paper."""

    def __init__(self, base: CNN | Dueling | Implicit, without: int, sigma0: float) -> None:
        self.base = base
        self.sigma0 = sigma0
        self.kernels = base.kernels
        self.first = sum(layer.size for layer in base.layers[:without])  # where noise begins
        self.width = sum(layer.size for layer in base.layers)  # the column where spreads begin
        self.noisy = Stack(base.layers[without:], base.kernels)
        layers = self.noisy.layers
        self.sizes = np.array([(layer.inputs, layer.outputs) for layer in layers], np.int64)
        self.factors = int(self.sizes.sum())  # numbers of noise

    def init(self, seeds: Sequence[int]) -> Tensor:
        mean = self.base.init(seeds)
        mean[:, self.first :] = self.noisy.init(seeds)
        spread = torch.empty_like(mean[:, self.first :])
        at = 0
        for layer in self.noisy.layers:
            spread[:, at : at + layer.size] = self.sigma0 / math.sqrt(layer.inputs)
            at += layer.size
        return torch.cat([mean, spread], -1)

    def split(self, params: Array) -> Weights:
        """The means come first, so that the base finds them where they are."""
        return params

    def noise(self, rows: int) -> Noise:
        """That of the weights, followed by what the base asks for."""
        own = self.base.noise(rows)
        more = 0 if own is None else math.prod(own.shape)
        return Noise((self.factors + more,), normal=True, uniform=more)

    def forward(self, weights: Weights, inputs: Inputs) -> Output:
        return self.vjp(weights, inputs)[0]

    def vjp(self, weights: Weights, inputs: Inputs) -> tuple[Output, Pullback]:
        if inputs.noise is None:
            output, pullback = self.base.vjp(weights, inputs)

            def means(d_values: Array, grad: Weights) -> None:
                pullback(d_values, grad)
                grad[:, self.width :] = 0

            return output, means
        obs, (drawn, rest) = inputs.obs, self._parts(inputs.noise)
        noise = self.kernels.factors(drawn)
        noisy = self.kernels.noisy(weights, self.first, noise, self.sizes)
        own = self.base.noise(obs.shape[1])
        asked = None if own is None else rest.reshape(len(rest), *own.shape)
        output, pullback = self.base.vjp(noisy, Inputs(obs, asked))

        def both(d_values: Array, grad: Weights) -> None:
            pullback(d_values, grad)  # a weight's derivative by its mean is 1
            self.kernels.d_noisy(grad, self.first, noise, self.sizes)

        return output, both

    def _parts(self, noise: Array) -> tuple[Array, Array]:
        """The numbers for the weights, and those for the base."""
        floats, at = self.kernels.floats, self.factors
        return floats(noise[:, :at]), floats(noise[:, at:])

    def dead_units(self, grad: Array) -> float | None:
        return self.base.dead_units(grad)

    def named(self, row: Tensor) -> dict[str, Tensor]:
        mean, spread = row[: self.width], row[self.width :]
        spreads = {name + SPREAD: value for name, value in self.noisy.named(spread).items()}
        return self.base.named(mean) | spreads

    def flat(self, named: dict[str, Tensor]) -> Tensor:
        means = {name: value for name, value in named.items() if not name.endswith(SPREAD)}
        spreads = {n.removesuffix(SPREAD): v for n, v in named.items() if n.endswith(SPREAD)}
        return torch.cat([self.base.flat(means), self.noisy.flat(spreads)])


class NoisyMLP(Noisy):
    def __init__(
        self,
        space: Space,
        atoms: int,
        kernels: Kernels = TORCH,
        *,
        convolutions: Convolutions,
        hidden: list[Count],
        activation: Activation,
        sigma0: Positive,
        init: Init = "torch",
    ) -> None:
        base = CNN(
            space,
            atoms,
            kernels,
            convolutions=convolutions,
            hidden=hidden,
            activation=activation,
            init=init,
        )
        super().__init__(base, len(base.torso.layers), sigma0)


class NoisyDueling(Noisy):
    def __init__(
        self,
        space: Space,
        atoms: int,
        kernels: Kernels = TORCH,
        *,
        convolutions: Convolutions,
        hidden: list[Count],
        streams: list[Count],
        activation: Activation,
        aggregate: Aggregate,
        trunk_gradient: PositiveFraction,
        sigma0: Positive,
        init: Init = "torch",
    ) -> None:
        base = Dueling(
            space,
            atoms,
            kernels,
            convolutions=convolutions,
            hidden=hidden,
            streams=streams,
            activation=activation,
            aggregate=aggregate,
            trunk_gradient=trunk_gradient,
            init=init,
        )
        super().__init__(base, len(base.torso.layers), sigma0)


class NoisyImplicit(Noisy):
    def __init__(
        self,
        space: Space,
        atoms: int,
        kernels: Kernels = TORCH,
        *,
        convolutions: Convolutions,
        hidden: list[Count],
        head: list[Count],
        fractions: Count,
        cosines: Count,
        activation: Activation,
        aggregate: Aggregate | None,
        sigma0: Positive,
        init: Init = "torch",
    ) -> None:
        base = Implicit(
            space,
            atoms,
            kernels,
            convolutions=convolutions,
            hidden=hidden,
            head=head,
            fractions=fractions,
            cosines=cosines,
            activation=activation,
            aggregate=aggregate,
            init=init,
        )
        super().__init__(base, base.without_noise, sigma0)
