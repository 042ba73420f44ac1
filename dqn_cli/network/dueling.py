"""The dueling network (Wang et al. 2016): a state's value and its actions' advantages apart."""

from __future__ import annotations

from dqn_cli.kernels.kernels import AGGREGATES, Activation, Aggregate, Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.network.layers import Chain, Stack, linear
from dqn_cli.network.torso import Convolutions, Torso
from dqn_cli.types import Count, Inputs, Output, PositiveFraction, Pullback, Space, Weights


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
    ) -> None:
        self.space = space
        self.atoms = atoms
        self.aggregate = AGGREGATES[aggregate]
        self.trunk_gradient = trunk_gradient
        self.torso = Torso(space, kernels, convolutions, activation)
        shared = [self.torso.features, *hidden]
        layers = linear([f"hidden.{i}" for i in range(len(hidden))], shared, self.torso.picture)
        picture = None if hidden else self.torso.picture
        for stream, outputs in (("value", atoms), ("advantage", space.actions * atoms)):
            names = [*(f"{stream}.hidden.{i}" for i in range(len(streams))), stream]
            layers += linear(names, [shared[-1], *streams, outputs], picture)
        super().__init__(layers, kernels, self.torso)
        first = len(self.torso.layers)
        fork = first + len(hidden)
        second = fork + len(streams) + 1
        self.shared = Chain(self, slice(first, fork), activation, closed=True)
        self.value = Chain(self, slice(fork, second), activation, closed=False)
        self.advantage = Chain(self, slice(second, None), activation, closed=False)

    def forward(self, weights: Weights, inputs: Inputs) -> Output:
        return self.vjp(weights, inputs)[0]

    def vjp(self, weights: Weights, inputs: Inputs) -> tuple[Output, Pullback]:
        seen = self.torso.forward(weights, inputs.obs)
        shared = self.shared.forward(weights, seen.rows)
        values = self.value.forward(weights, shared.out)
        advantages = self.advantage.forward(weights, shared.out)
        shape = (*shared.out.shape[:2], self.space.actions, self.atoms)
        advantage = advantages.out.reshape(shape)

        def pullback(d_values: Array, grad: Weights) -> None:
            d_value, d_advantage = self.kernels.d_aggregate(d_values, advantage, self.aggregate)
            d_flat = d_advantage.reshape(advantages.out.shape)
            d_left = self.value.backward(weights, values, d_value, grad, through=True)
            d_right = self.advantage.backward(weights, advantages, d_flat, grad, through=True)
            d_shared = d_left + d_right
            if self.trunk_gradient != 1:
                d_shared = d_shared * self.trunk_gradient
            d_rows = self.shared.backward(
                weights, shared, d_shared, grad, through=self.torso.learns
            )
            self.torso.backward(weights, seen, d_rows, grad)

        return Output(self.kernels.aggregate(values.out, advantage, self.aggregate)), pullback
