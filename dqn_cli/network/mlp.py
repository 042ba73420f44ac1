"""The multilayer perceptron: hidden layers, then K values for each action."""

from __future__ import annotations

from dqn_cli.kernels.kernels import Activation, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.network.cnn import CNN
from dqn_cli.network.layers import Init
from dqn_cli.types import Count, Space


class MLP(CNN):
    """obs -> hidden[0] -> ... -> hidden[-1] -> values [A, K]: the network of no convolutions."""

    def __init__(
        self,
        space: Space,
        atoms: int,
        kernels: Kernels = TORCH,
        *,
        hidden: list[Count],
        activation: Activation,
        init: Init = "torch",
    ) -> None:
        super().__init__(
            space, atoms, kernels, convolutions=[], hidden=hidden, activation=activation, init=init
        )
