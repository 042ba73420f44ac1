"""The multilayer perceptron: hidden layers, then K values for each action."""

from __future__ import annotations

from itertools import pairwise

from dqn_cli.kernels.kernels import Activation, Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.network.layers import Chain, Linear, Stack
from dqn_cli.network.observations import features, rows
from dqn_cli.types import Count, Inputs, Output, Pullback, Space, Weights


class MLP(Stack):
    """obs -> hidden[0] -> ... -> hidden[-1] -> values [A, K]."""

    def __init__(
        self,
        space: Space,
        atoms: int,
        kernels: Kernels = TORCH,
        *,
        hidden: list[Count],
        activation: Activation,
    ) -> None:
        self.space = space
        self.atoms = atoms
        names = [*(f"hidden.{i}" for i in range(len(hidden))), "q"]
        widths = pairwise([features(space), *hidden, space.actions * atoms])
        layers = [Linear(name, *pair) for name, pair in zip(names, widths, strict=True)]
        super().__init__(layers, kernels)
        self.chain = Chain(self, slice(None), activation, closed=False)

    def forward(self, weights: Weights, inputs: Inputs) -> Output:
        return self.vjp(weights, inputs)[0]

    def vjp(self, weights: Weights, inputs: Inputs) -> tuple[Output, Pullback]:
        done = self.chain.forward(weights, rows(inputs.obs, self.space, self.kernels))

        def pullback(d_values: Array, grad: Weights) -> None:
            d_out = d_values.reshape(done.out.shape)
            self.chain.backward(weights, done, d_out, grad, through=False)

        values = done.out.reshape(*done.out.shape[:2], self.space.actions, self.atoms)
        return Output(values), pullback
