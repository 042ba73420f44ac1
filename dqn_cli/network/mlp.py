"""The multilayer perceptron: hidden layers, then one value for each action."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dqn_cli.network.layers import ACTIVATIONS, Activation, Linear, Stack, features, prepare
from dqn_cli.types import Count, Space


class MLP:
    """obs -> hidden[0] -> ... -> hidden[-1] -> Q [A]."""

    def __init__(self, space: Space, *, hidden: list[Count], activation: Activation) -> None:
        self.space = space
        self.activation = ACTIVATIONS[activation]
        widths = [features(space), *hidden, space.actions]
        names = [*(f"hidden.{i}" for i in range(len(hidden))), "q"]
        self.stack = Stack(
            [Linear(*layer) for layer in zip(names, widths, widths[1:], strict=False)]
        )

    def __call__(self, params: Tensor, obs: Tensor) -> Tensor:
        x = prepare(obs, self.space)
        *hidden, (weight, bias) = self.stack.split(params)
        for layer_weight, layer_bias in hidden:
            x = self.activation(torch.baddbmm(layer_bias, x, layer_weight))
        return torch.baddbmm(bias, x, weight)[..., : self.space.actions]

    def init(self, seeds: Sequence[int]) -> Tensor:
        return self.stack.init(seeds)

    def named(self, row: Tensor) -> dict[str, Tensor]:
        return self.stack.named(row)

    def flat(self, named: dict[str, Tensor]) -> Tensor:
        return self.stack.flat(named)
