"""The dueling network (Wang et al. 2016): a state's value and its actions' advantages apart."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from dqn_cli.maths import array, tensor
from dqn_cli.network.layers import Activation, Chain, Linear, Stack, features, prepare
from dqn_cli.types import Count, Space, Tape, Weights


def aggregate(value: Tensor, advantage: Tensor) -> Tensor:
    """Q [..., A] = V [..., 1] + (A - mean over actions of A), equation 9.

    The mean is over the actions of one state: a mean over the batch as well would make a state's
    Q depend on the other rows.
    """
    return value + advantage - advantage.mean(dim=-1, keepdim=True)


class Dueling(Stack):
    """obs -> hidden, shared -> two streams with hidden layers of their own -> V [1] and A [A]."""

    def __init__(
        self, space: Space, *, hidden: list[Count], streams: list[Count], activation: Activation
    ) -> None:
        self.space = space
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
        return aggregate(tensor(value[-1]), tensor(advantage[-1])), [shared, value, advantage]

    def backward(self, weights: Weights, tape: Tape, dq: Tensor, grad: Weights) -> None:
        shared, value, advantage = tape
        d_value = array(dq.sum(dim=-1, keepdim=True))
        d_advantage = array(dq - dq.mean(dim=-1, keepdim=True))
        d_left = self.value.backward(weights, value, d_value, grad, through=True)
        d_right = self.advantage.backward(weights, advantage, d_advantage, grad, through=True)
        self.shared.backward(weights, shared, d_left + d_right, grad, through=False)
