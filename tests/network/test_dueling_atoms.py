"""The dueling network with K values per action, and the gradient that it lets into its trunk."""

import math
from typing import get_args

import pytest
import torch

from dqn_cli.kernels.kernels import AGGREGATES, Aggregate, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.network.dueling import Dueling
from dqn_cli.types import Inputs


def made(
    kernels: Kernels, space, atoms: int, kind: Aggregate = "mean", trunk_gradient: float = 1.0
) -> Dueling:
    keys = {"hidden": [11], "streams": [9], "activation": "relu", "aggregate": kind}
    return Dueling(
        space(5, 3), atoms, kernels, convolutions=[], **keys, trunk_gradient=trunk_gradient
    )


@pytest.mark.parametrize("kind", get_args(Aggregate))
def test_every_atom_is_a_dueling_network_of_one(
    kernels: Kernels, space, compute, kind: Aggregate
) -> None:
    """With its own rows of the last layers: the value's k, and action a's a * K + k."""
    atoms = 4
    net, plain = (made(kernels, space, k, kind) for k in (atoms, 1))
    params, x = net.init([0, 1]), torch.randn(2, 6, 5)
    values = compute(net, params, x).values
    assert values.shape == (2, 6, 3, atoms)
    for lane in range(2):
        named = net.named(params[lane])
        for k in range(atoms):
            alone = dict(named)
            for name, rows in (("value", [k]), ("advantage", [a * atoms + k for a in range(3)])):
                for part in ("weight", "bias"):
                    alone[f"{name}.{part}"] = named[f"{name}.{part}"][rows]
            row = plain.flat(alone)[None]
            expected = compute(plain, row, x[lane : lane + 1]).values
            torch.testing.assert_close(values[lane, ..., k], expected[0, ..., 0])


@pytest.mark.parametrize("kind", get_args(Aggregate))
@pytest.mark.parametrize("atoms", [1, 4])
def test_gradient_is_autograd_s(
    kernels: Kernels, space, compute, kind: Aggregate, atoms: int
) -> None:
    net, watched = (made(k, space, atoms, kind) for k in (kernels, TORCH))
    draw = torch.Generator().manual_seed(0)
    params, x = net.init([0, 1]), torch.randn(2, 6, 5, generator=draw)
    d_values = torch.randn(2, 6, 3, atoms, generator=draw)
    leaf = params.clone().requires_grad_()
    values = watched.forward(watched.split(leaf), Inputs(x)).values
    (slope,) = torch.autograd.grad((values * d_values).sum(), leaf)
    grad = compute(net, params, x, d_values=d_values).grad
    torch.testing.assert_close(grad, slope, rtol=1e-4, atol=1e-6)


def test_of_several_largest_advantages_the_first_counts(kernels: Kernels) -> None:
    d_values = torch.tensor([[[[1.0], [2.0], [4.0]]]])
    advantage = torch.tensor([[[[3.0], [5.0], [5.0]]]])
    arrays = kernels.array(d_values), kernels.array(advantage)
    d_value, d_advantage = kernels.d_aggregate(*arrays, AGGREGATES["max"])
    assert d_advantage.tolist() == [[[[1.0], [2.0 - 7.0], [4.0]]]]
    assert d_value.tolist() == [[[7.0]]]


@pytest.mark.parametrize("factor", [0.5, 1 / math.sqrt(2)])
def test_trunk_gradient_scales_the_shared_layers_gradient_alone(
    kernels: Kernels, space, compute, factor: float
) -> None:
    """Trap: the streams' own gradient, or the values, scaled as well."""
    draw = torch.Generator().manual_seed(0)
    whole, scaled = (made(kernels, space, 2, trunk_gradient=f) for f in (1.0, factor))
    params, x = whole.init([0, 1]), torch.randn(2, 6, 5, generator=draw)
    d_values = torch.randn(2, 6, 3, 2, generator=draw)
    (values, _, full), (same, _, less) = (
        compute(net, params, x, d_values=d_values) for net in (whole, scaled)
    )
    assert torch.equal(values, same)
    for lane in range(2):
        for (name, of_full), of_less in zip(
            whole.named(full[lane]).items(), whole.named(less[lane]).values(), strict=True
        ):
            expected = of_full * factor if name.startswith("hidden") else of_full
            torch.testing.assert_close(of_less, expected, rtol=1e-6, atol=1e-7)
            assert of_full.any()
