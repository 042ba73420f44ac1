"""The multilayer perceptron: hidden layers, then one value for each action."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from dqn_cli.maths import array, tensor
from dqn_cli.network.layers import Activation, Chain, Linear, Stack, features, prepare
from dqn_cli.types import Count, Space, Tape, Weights


class MLP(Stack):
    """obs -> hidden[0] -> ... -> hidden[-1] -> Q [A]."""

    def __init__(self, space: Space, *, hidden: list[Count], activation: Activation) -> None:
        self.space = space
        names = [*(f"hidden.{i}" for i in range(len(hidden))), "q"]
        widths = pairwise([features(space), *hidden, space.actions])
        super().__init__([Linear(name, *pair) for name, pair in zip(names, widths, strict=True)])
        self.chain = Chain(self, slice(None), activation, closed=False)

    def __call__(self, params: Tensor, obs: Tensor) -> Tensor:
        return self.forward(self.split(params), obs)[0]

    def forward(self, weights: Weights, obs: Tensor) -> tuple[Tensor, Tape]:
        outputs = self.chain.forward(weights, prepare(obs, self.space, weights))
        return tensor(outputs[-1]), [outputs]

    def backward(self, weights: Weights, tape: Tape, dq: Tensor, grad: Weights) -> None:
        self.chain.backward(weights, tape[0], array(dq), grad, through=False)
