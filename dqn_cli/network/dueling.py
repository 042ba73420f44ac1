"""The dueling network (Wang et al. 2016): a state's value and its actions' advantages apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from dqn_cli.network.layers import ACTIVATIONS, Activation, Linear, Stack, features, prepare
from dqn_cli.types import Count, Space


def aggregate(value: Tensor, advantage: Tensor) -> Tensor:
    """Q [..., A] = V [..., 1] + (A - mean over actions of A), equation 9.

    The mean is over the actions of one state: a mean over the batch as well would make a state's
    Q depend on the other rows.
    """
    return value + advantage - advantage.mean(dim=-1, keepdim=True)


class Dueling:
    """obs -> hidden, shared -> two streams with hidden layers of their own -> V [1] and A [A]."""

    def __init__(
        self, space: Space, *, hidden: list[Count], streams: list[Count], activation: Activation
    ) -> None:
        self.space = space
        self.activation = ACTIVATIONS[activation]
        self.shared = len(hidden)
        widths = [features(space), *hidden]
        layers = [Linear(f"hidden.{i}", *pair) for i, pair in enumerate(pairwise(widths))]
        for stream, outputs in (("value", 1), ("advantage", space.actions)):
            tail = [widths[-1], *streams, outputs]
            names = [*(f"{stream}.hidden.{i}" for i in range(len(streams))), stream]
            layers += [Linear(*layer) for layer in zip(names, tail, tail[1:], strict=False)]
        self.depth = len(streams) + 1
        self.stack = Stack(layers)

    def __call__(self, params: Tensor, obs: Tensor) -> Tensor:
        layers = self.stack.split(params)
        x = prepare(obs, self.space)
        for weight, bias in layers[: self.shared]:
            x = self.activation(torch.baddbmm(bias, x, weight))
        value = self._stream(x, layers[self.shared : self.shared + self.depth])
        advantage = self._stream(x, layers[self.shared + self.depth :])
        return aggregate(value[..., :1], advantage[..., : self.space.actions])

    def _stream(self, x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
        *hidden, (weight, bias) = layers
        for layer_weight, layer_bias in hidden:
            x = self.activation(torch.baddbmm(layer_bias, x, layer_weight))
        return torch.baddbmm(bias, x, weight)

    def init(self, seeds: Sequence[int]) -> Tensor:
        return self.stack.init(seeds)

    def named(self, row: Tensor) -> dict[str, Tensor]:
        return self.stack.named(row)

    def flat(self, named: dict[str, Tensor]) -> Tensor:
        return self.stack.flat(named)
