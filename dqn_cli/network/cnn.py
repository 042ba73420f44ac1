"""Convolutions, then hidden layers, then K values for each action."""

from __future__ import annotations

from dqn_cli.kernels.kernels import Activation, Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.network.layers import Chain, Init, Stack, linear
from dqn_cli.network.torso import Convolutions, Torso
from dqn_cli.types import Count, Inputs, Output, Pullback, Space, Weights


class CNN(Stack):
    """obs -> convolutions -> hidden[0] -> ... -> hidden[-1] -> values [A, K]."""

    def __init__(
        self,
        space: Space,
        atoms: int,
        kernels: Kernels = TORCH,
        *,
        convolutions: Convolutions,
        hidden: list[Count],
        activation: Activation,
        init: Init = "torch",
    ) -> None:
        self.space = space
        self.atoms = atoms
        self.torso = Torso(space, kernels, convolutions, activation)
        names = [*(f"hidden.{i}" for i in range(len(hidden))), "q"]
        widths = [self.torso.features, *hidden, space.actions * atoms]
        layers = linear(names, widths, self.torso.picture)
        super().__init__(layers, kernels, self.torso, init)
        after = slice(len(self.torso.layers), None)
        self.chain = Chain(self, after, activation, closed=False)

    def forward(self, weights: Weights, inputs: Inputs) -> Output:
        return self.vjp(weights, inputs)[0]

    def vjp(self, weights: Weights, inputs: Inputs) -> tuple[Output, Pullback]:
        seen = self.torso.forward(weights, inputs.obs)
        done = self.chain.forward(weights, seen.rows)

        def pullback(d_values: Array, grad: Weights) -> None:
            d_out = d_values.reshape(done.out.shape)
            d_rows = self.chain.backward(weights, done, d_out, grad, through=self.torso.learns)
            self.torso.backward(weights, seen, d_rows, grad)

        values = done.out.reshape(*done.out.shape[:2], self.space.actions, self.atoms)
        return Output(values), pullback
