"""What the tests of networks share."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from dqn_cli.kernels.kernels import Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.types import Inputs, Network


class Computed(NamedTuple):
    """Tensors, whatever the network computes with."""

    values: Tensor
    fractions: Tensor | None
    grad: Tensor  # by the parameters [S, P]


@pytest.fixture
def compute() -> Callable[..., Computed]:
    """compute(network, params, obs, noise=.., d_values=..): what it says, and the gradient given
    the derivative by the values, or else that these are it."""

    def computed(
        network: Network,
        params: Tensor,
        obs: Tensor,
        noise: Tensor | None = None,
        d_values: Tensor | None = None,
    ) -> Computed:
        kernels: Kernels = getattr(network, "kernels", TORCH)
        grad = torch.full_like(params, torch.nan)  # it is written, and not added to
        weights, grads = (network.split(kernels.array(x)) for x in (params, grad))
        inputs = Inputs(kernels.array(obs), None if noise is None else kernels.array(noise))
        output, pullback = network.vjp(weights, inputs)
        values = kernels.tensor(output.values).clone()
        slope = values.clone() if d_values is None else d_values.clone()
        pullback(kernels.array(slope), grads)
        assert torch.equal(slope, values if d_values is None else d_values)
        same = kernels.tensor(network.forward(weights, inputs).values)
        assert torch.equal(values, same)
        fractions = None if output.fractions is None else kernels.tensor(output.fractions)
        return Computed(values, fractions, grad)

    return computed
