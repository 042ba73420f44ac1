"""The dueling network (Wang et al. 2016): a state's value and its actions' advantages apart."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor

from dqn_cli.maths import array, tensor
from dqn_cli.network.layers import Activation, Chain, Linear, Stack, features, prepare
from dqn_cli.types import Count, Space, Tape, Weights

Aggregate = Literal["mean", "max", "sum"]


def aggregate(value: Tensor, advantage: Tensor, kind: Aggregate) -> Tensor:
    """Q [..., A] of V [..., 1] and A [..., A]: less the mean over actions (equation 9) or the
    largest (equation 8) of the advantages, or V + A as they are (equation 7).

    The mean is over the actions of one state: a mean over the batch as well would make a state's
    Q depend on the other rows.
    """
    if kind == "sum":
        return value + advantage
    if kind == "max":
        return value + advantage - advantage.amax(dim=-1, keepdim=True)
    return value + advantage - advantage.mean(dim=-1, keepdim=True)


def advantage_slope(dq: Tensor, advantage: Tensor, kind: Aggregate) -> Tensor:
    """The derivative by A [..., A] of a loss whose derivative by Q is dq [..., A]; of several
    largest advantages the first one counts as the largest."""
    if kind == "sum":
        return dq
    if kind == "max":
        largest = advantage.argmax(dim=-1, keepdim=True)
        return dq.scatter_add(-1, largest, -dq.sum(dim=-1, keepdim=True))
    return dq - dq.mean(dim=-1, keepdim=True)


class Dueling(Stack):
    """obs -> hidden, shared -> two streams with hidden layers of their own -> V [1] and A [A]."""

    def __init__(
        self,
        space: Space,
        *,
        hidden: list[Count],
        streams: list[Count],
        activation: Activation,
        aggregate: Aggregate,
    ) -> None:
        self.space = space
        self.aggregate: Aggregate = aggregate
        shared = [features(space), *hidden]
        layers = [Linear(f"hidden.{i}", *pair) for i, pair in enumerate(pairwise(shared))]
        for stream, outputs in (("value", 1), ("advantage", space.actions)):
            names = [*(f"{stream}.hidden.{i}" for i in range(len(streams))), stream]
            widths = pairwise([shared[-1], *streams, outputs])
            layers += [Linear(name, *pair) for name, pair in zip(names, widths, strict=True)]
        super().__init__(layers)
        fork, second = len(hidden), len(hidden) + len(streams) + 1
        self.shared = Chain(self, slice(fork), activation, closed=True)
        self.value = Chain(self, slice(fork, second), activation, closed=False)
        self.advantage = Chain(self, slice(second, None), activation, closed=False)

    def __call__(self, params: Tensor, obs: Tensor) -> Tensor:
        return self.forward(self.split(params), obs)[0]

    def forward(self, weights: Weights, obs: Tensor) -> tuple[Tensor, Tape]:
        shared = self.shared.forward(weights, prepare(obs, self.space, weights))
        value = self.value.forward(weights, shared[-1])
        advantage = self.advantage.forward(weights, shared[-1])
        q = aggregate(tensor(value[-1]), tensor(advantage[-1]), self.aggregate)
        return q, [shared, value, advantage]

    def backward(self, weights: Weights, tape: Tape, dq: Tensor, grad: Weights) -> None:
        shared, value, advantage = tape
        d_value = array(dq.sum(dim=-1, keepdim=True))
        d_advantage = array(advantage_slope(dq, tensor(advantage[-1]), self.aggregate))
        d_left = self.value.backward(weights, value, d_value, grad, through=True)
        d_right = self.advantage.backward(weights, advantage, d_advantage, grad, through=True)
        self.shared.backward(weights, shared, d_left + d_right, grad, through=False)
