"""The dueling network (Wang et al. 2016): a state's value and its actions' advantages apart."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor

from dqn_cli.kernels.lanes import Activation
from dqn_cli.maths import array, tensor
from dqn_cli.network.layers import Chain, Linear, Stack
from dqn_cli.network.observations import features, prepare
from dqn_cli.types import Count, Inputs, Output, PositiveFraction, Pullback, Space, Weights

Aggregate = Literal["mean", "max", "sum"]


def aggregate(value: Tensor, advantage: Tensor, kind: Aggregate) -> Tensor:
    """Q [..., A, K] of V [..., 1, K] and A [..., A, K]: less the mean over actions (equation 9) or
    the largest (equation 8) of the advantages, or V + A as they are (equation 7).

    The mean is over the actions of one state: a mean over the batch as well would make a state's
    Q depend on the other rows.
    """
    if kind == "sum":
        return value + advantage
    if kind == "max":
        return value + advantage - advantage.amax(dim=-2, keepdim=True)
    return value + advantage - advantage.mean(dim=-2, keepdim=True)


def d_advantage(d_values: Tensor, advantage: Tensor, kind: Aggregate) -> Tensor:
    """The derivative by A [..., A, K] of a loss whose derivative by Q is d_values [..., A, K]; of
    several largest advantages the first one counts as the largest."""
    if kind == "sum":
        return d_values
    if kind == "max":
        largest = advantage.argmax(dim=-2, keepdim=True)
        return d_values.scatter_add(-2, largest, -d_values.sum(dim=-2, keepdim=True))
    return d_values - d_values.mean(dim=-2, keepdim=True)


class Dueling(Stack):
    """obs -> hidden, shared -> two streams with hidden layers of their own -> V [K] and A [A, K].

    `trunk_gradient` scales the gradient that enters the shared layers from the two streams.
    """

    def __init__(
        self,
        space: Space,
        atoms: int,
        *,
        hidden: list[Count],
        streams: list[Count],
        activation: Activation,
        aggregate: Aggregate,
        trunk_gradient: PositiveFraction,
    ) -> None:
        self.space = space
        self.atoms = atoms
        self.aggregate: Aggregate = aggregate
        self.trunk_gradient = trunk_gradient
        shared = [features(space), *hidden]
        layers = [Linear(f"hidden.{i}", *pair) for i, pair in enumerate(pairwise(shared))]
        for stream, outputs in (("value", atoms), ("advantage", space.actions * atoms)):
            names = [*(f"{stream}.hidden.{i}" for i in range(len(streams))), stream]
            widths = pairwise([shared[-1], *streams, outputs])
            layers += [Linear(name, *pair) for name, pair in zip(names, widths, strict=True)]
        super().__init__(layers)
        fork, second = len(hidden), len(hidden) + len(streams) + 1
        self.shared = Chain(self, slice(fork), activation, closed=True)
        self.value = Chain(self, slice(fork, second), activation, closed=False)
        self.advantage = Chain(self, slice(second, None), activation, closed=False)

    def forward(self, weights: Weights, inputs: Inputs) -> Output:
        return self.vjp(weights, inputs)[0]

    def vjp(self, weights: Weights, inputs: Inputs) -> tuple[Output, Pullback]:
        shared = self.shared.forward(weights, prepare(inputs.obs, self.space, weights))
        values = self.value.forward(weights, shared[-1])
        advantages = self.advantage.forward(weights, shared[-1])
        flat = tensor(advantages[-1])
        advantage = flat.view(*flat.shape[:2], self.space.actions, self.atoms)
        value = tensor(values[-1]).unsqueeze(-2)

        def pullback(d_values: Tensor, grad: Weights) -> None:
            d_value = array(d_values.sum(dim=-2))
            d_flat = array(d_advantage(d_values, advantage, self.aggregate).reshape(flat.shape))
            d_left = self.value.backward(weights, values, d_value, grad, through=True)
            d_right = self.advantage.backward(weights, advantages, d_flat, grad, through=True)
            d_shared = d_left + d_right
            if self.trunk_gradient != 1:
                d_shared = d_shared * self.trunk_gradient
            self.shared.backward(weights, shared, d_shared, grad, through=False)

        return Output(aggregate(value, advantage, self.aggregate)), pullback
