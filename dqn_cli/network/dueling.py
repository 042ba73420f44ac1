"""The dueling network (Wang et al. 2016): a state's value and its actions' advantages apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dqn_cli.kernels.kernels import AGGREGATES, Activation, Aggregate, Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.network.layers import Activations, Chain, Init, Linear, Picture, Stack, linear
from dqn_cli.network.torso import Convolutions, Torso
from dqn_cli.types import Count, Inputs, Output, PositiveFraction, Pullback, Space, Weights


class Forked(NamedTuple):
    """What a fork computed."""

    value: Activations
    advantage: Activations
    out: Array  # Q [S, N, A, K]


class Fork:
    """The last layers of a stack, from layer `first` on: two chains of the same rows, whose ends
    are V [K] and A [A, K], and Q of them."""

    def __init__(
        self, stack: Stack, first: int, actions: int, activation: Activation, aggregate: Aggregate
    ) -> None:
        second = (first + len(stack.layers)) // 2
        self.kernels = stack.kernels
        self.actions = actions
        self.aggregate = AGGREGATES[aggregate]
        self.value = Chain(stack, slice(first, second), activation, closed=False)
        self.advantage = Chain(stack, slice(second, None), activation, closed=False)

    @staticmethod
    def layers(
        inputs: int, hidden: Sequence[int], outputs: tuple[int, int], picture: Picture | None
    ) -> list[Linear]:
        """Of both chains; outputs: the numbers in A and K."""
        actions, atoms = outputs
        return [
            layer
            for stream, last in (("value", atoms), ("advantage", actions * atoms))
            for layer in linear(
                [*(f"{stream}.hidden.{i}" for i in range(len(hidden))), stream],
                [inputs, *hidden, last],
                picture,
            )
        ]

    def forward(self, weights: Weights, x: Array) -> Forked:
        value, flat = self.value.forward(weights, x), self.advantage.forward(weights, x)
        advantage = flat.out.reshape(*flat.out.shape[:2], self.actions, -1)
        return Forked(value, flat, self.kernels.aggregate(value.out, advantage, self.aggregate))

    def backward(
        self, weights: Weights, done: Forked, d_out: Array, grad: Weights, through: bool
    ) -> Array:
        """As that of a chain, given the gradient by Q."""
        flat = done.advantage.out
        parts = self.kernels.d_aggregate(d_out, flat.reshape(d_out.shape), self.aggregate)
        d_left = self.value.backward(weights, done.value, parts[0], grad, through)
        d_flat = parts[1].reshape(flat.shape)
        return d_left + self.advantage.backward(weights, done.advantage, d_flat, grad, through)


class Dueling(Stack):
    """obs -> convolutions and hidden layers, shared -> two streams with hidden layers of their own
    -> V [K] and A [A, K].

    The mean of advantages is over the actions of one state: a mean over the batch as well would
    make a state's Q depend on the other rows. `trunk_gradient` scales the gradient that enters the
    shared layers from the two streams.
    """

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
        init: Init = "torch",
    ) -> None:
        self.space = space
        self.atoms = atoms
        self.trunk_gradient = trunk_gradient
        self.torso = Torso(space, kernels, convolutions, activation)
        shared = [self.torso.features, *hidden]
        layers = linear([f"hidden.{i}" for i in range(len(hidden))], shared, self.torso.picture)
        picture = None if hidden else self.torso.picture
        layers += Fork.layers(shared[-1], streams, (space.actions, atoms), picture)
        super().__init__(layers, kernels, self.torso, init)
        first = len(self.torso.layers)
        fork = first + len(hidden)
        self.shared = Chain(self, slice(first, fork), activation, closed=True)
        self.fork = Fork(self, fork, space.actions, activation, aggregate)

    def forward(self, weights: Weights, inputs: Inputs) -> Output:
        return self.vjp(weights, inputs)[0]

    def vjp(self, weights: Weights, inputs: Inputs) -> tuple[Output, Pullback]:
        seen = self.torso.forward(weights, inputs.obs)
        shared = self.shared.forward(weights, seen.rows)
        fork = self.fork.forward(weights, shared.out)

        def pullback(d_values: Array, grad: Weights) -> None:
            d_shared = self.fork.backward(weights, fork, d_values, grad, through=True)
            if self.trunk_gradient != 1:
                d_shared = d_shared * self.trunk_gradient
            d_rows = self.shared.backward(
                weights, shared, d_shared, grad, through=self.torso.learns
            )
            self.torso.backward(weights, seen, d_rows, grad)

        return Output(fork.out), pullback
