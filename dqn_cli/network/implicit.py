"""The implicit quantile network (Dabney et al. 2018, section 3.1): an action's return at any
fraction tau of its distribution.

    values(s, tau) = head(psi(s) * phi(tau)),   phi(tau)_j = relu(sum_i cos(pi i tau) w_ij + b_j)

with i = 0 .. n-1 as in equation 4. psi are the convolutions and hidden layers.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from dqn_cli.kernels.kernels import Activation, Aggregate, Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.network.dueling import Fork
from dqn_cli.network.layers import Chain, Init, Linear, Stack, linear
from dqn_cli.network.torso import Convolutions, Torso
from dqn_cli.types import Count, Inputs, Noise, Output, Pullback, Space, Weights


def cosines(fraction: Tensor, count: int) -> Tensor:
    """cos(pi i tau) [..., count] for i = 0 .. count - 1 of fractions tau [...]."""
    return (fraction.unsqueeze(-1) * (math.pi * torch.arange(count, device=fraction.device))).cos()


class Implicit(Stack):
    """obs -> convolutions -> hidden -> psi [D]; K fractions -> phi [K, D]; their product -> head
    -> values [A, K]. With `aggregate` the head is two streams, as in network/dueling.py.

    The fractions are drawn anew for every row of a forward; without noise they are the middles of K
    equal parts of [0, 1]. Without hidden layers, phi and head are named as they lie, channels last.
    """

    def __init__(
        self,
        space: Space,
        atoms: int,
        kernels: Kernels = TORCH,
        *,
        convolutions: Convolutions,
        hidden: list[Count],
        head: list[Count],
        fractions: Count,
        cosines: Count,
        activation: Activation,
        aggregate: Aggregate | None,
        init: Init = "torch",
    ) -> None:
        if atoms != 1:
            raise ValueError(f"fractions={fractions}: the algorithm has {atoms} atoms of its own")
        self.space = space
        self.fractions = fractions
        self.cosines = cosines
        self.torso = Torso(space, kernels, convolutions, activation)
        psi = [self.torso.features, *hidden]
        layers = linear([f"hidden.{i}" for i in range(len(hidden))], psi, self.torso.picture)
        layers.append(Linear("phi", cosines, psi[-1]))
        self.without_noise = len(self.torso.layers) + len(layers)  # those before the head
        if aggregate is None:
            names = [*(f"head.{i}" for i in range(len(head))), "q"]
            layers += linear(names, [psi[-1], *head, space.actions])
        else:
            layers += Fork.layers(psi[-1], head, (space.actions, 1), None)
        super().__init__(layers, kernels, self.torso, init)
        first = len(self.torso.layers)
        fork = first + len(hidden)
        self.psi = Chain(self, slice(first, fork), activation, closed=True)
        self.phi = Chain(self, slice(fork, fork + 1), "relu", closed=True)
        self.head: Chain | Fork
        if aggregate is None:
            self.head = Chain(self, slice(fork + 1, None), activation, closed=False)
        else:
            self.head = Fork(self, fork + 1, space.actions, activation, aggregate)

    def noise(self, rows: int) -> Noise:
        return Noise((rows, self.fractions), normal=False)

    def forward(self, weights: Weights, inputs: Inputs) -> Output:
        return self.vjp(weights, inputs)[0]

    def vjp(self, weights: Weights, inputs: Inputs) -> tuple[Output, Pullback]:
        obs, fraction = inputs
        lanes, count = obs.shape[:2]
        if fraction is None:
            middle = torch.arange(self.fractions, device=self.kernels.device) + 0.5
            even = (middle / self.fractions).expand(lanes, count, self.fractions)
            fraction = self.kernels.array(even)
        wide = (lanes, count, self.fractions, -1)
        long = (lanes, count * self.fractions, -1)
        cosine = cosines(self.kernels.tensor(fraction), self.cosines).reshape(long)
        seen = self.torso.forward(weights, obs)
        psi = self.psi.forward(weights, seen.rows)
        phi = self.phi.forward(weights, self.kernels.array(cosine))
        state, part = psi.out[:, :, None], phi.out.reshape(wide)
        head: Any = self.head.forward(weights, (state * part).reshape(long))
        values = head.out.reshape(wide).swapaxes(2, 3)  # [S, N, A, K]

        def pullback(d_values: Array, grad: Weights) -> None:
            # Not reshaped: of a single row that is a view, and products want rows in order.
            d_last = head.out + 0
            d_last.reshape(wide)[:] = d_values.swapaxes(2, 3)
            d_product = self.head.backward(weights, head, d_last, grad, through=True).reshape(wide)
            d_phi = (d_product * state).reshape(phi.out.shape)
            self.phi.backward(weights, phi, d_phi, grad, through=False)
            d_psi = (d_product * part).sum(2)
            d_rows = self.psi.backward(weights, psi, d_psi, grad, through=self.torso.learns)
            self.torso.backward(weights, seen, d_rows, grad)

        return Output(values, fraction), pullback
