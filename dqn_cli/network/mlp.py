"""The multilayer perceptron: hidden layers, then K values for each action."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from dqn_cli.kernels.lanes import Activation
from dqn_cli.maths import array, tensor
from dqn_cli.network.layers import Chain, Linear, Stack
from dqn_cli.network.observations import features, prepare
from dqn_cli.types import Count, Inputs, Output, Pullback, Space, Weights


class MLP(Stack):
    """obs -> hidden[0] -> ... -> hidden[-1] -> values [A, K]."""

    def __init__(
        self, space: Space, atoms: int, *, hidden: list[Count], activation: Activation
    ) -> None:
        self.space = space
        self.atoms = atoms
        names = [*(f"hidden.{i}" for i in range(len(hidden))), "q"]
        widths = pairwise([features(space), *hidden, space.actions * atoms])
        super().__init__([Linear(name, *pair) for name, pair in zip(names, widths, strict=True)])
        self.chain = Chain(self, slice(None), activation, closed=False)

    def forward(self, weights: Weights, inputs: Inputs) -> Output:
        return self.vjp(weights, inputs)[0]

    def vjp(self, weights: Weights, inputs: Inputs) -> tuple[Output, Pullback]:
        outputs = self.chain.forward(weights, prepare(inputs.obs, self.space, weights))
        last = tensor(outputs[-1])

        def pullback(d_values: Tensor, grad: Weights) -> None:
            d_last = array(d_values.reshape(last.shape))
            self.chain.backward(weights, outputs, d_last, grad, through=False)

        return Output(last.view(*last.shape[:2], self.space.actions, self.atoms)), pullback
