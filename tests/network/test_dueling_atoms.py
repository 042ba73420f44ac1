"""The dueling network with K values per action, and the gradient that it lets into its trunk."""

import math
from typing import get_args

import pytest
import torch

from dqn_cli.network.dueling import Aggregate, Dueling, aggregate, d_advantage
from dqn_cli.types import Inputs


def made(space, atoms: int, kind: Aggregate = "mean", trunk_gradient: float = 1.0) -> Dueling:
    keys = {"hidden": [11], "streams": [9], "activation": "relu", "aggregate": kind}
    return Dueling(space(5, 3), atoms, **keys, trunk_gradient=trunk_gradient)


def gradient(net: Dueling, params, x, d_values):
    grad = torch.zeros_like(params)
    net.vjp(net.split(params), Inputs(x))[1](d_values, net.split(grad))
    return grad


def test_atoms_are_aggregated_each_by_itself() -> None:
    """V = (10, 20); A = (1, 2), (3, 8): the means over actions are 2 and 5."""
    value = torch.tensor([[10.0, 20.0]])
    advantage = torch.tensor([[1.0, 2.0], [3.0, 8.0]])
    assert aggregate(value, advantage, "mean").tolist() == [[9.0, 17.0], [11.0, 23.0]]
    assert aggregate(value, advantage, "max").tolist() == [[8.0, 14.0], [10.0, 20.0]]
    assert aggregate(value, advantage, "sum").tolist() == [[11.0, 22.0], [13.0, 28.0]]


@pytest.mark.parametrize("kind", get_args(Aggregate))
def test_every_atom_is_a_dueling_network_of_one(space, kind: Aggregate) -> None:
    """With its own rows of the last layers: the value's k, and action a's a * K + k."""
    atoms = 4
    net, plain = made(space, atoms, kind), made(space, 1, kind)
    params, x = net.init([0, 1]), torch.randn(2, 6, 5)
    values = net.forward(net.split(params), Inputs(x)).values
    assert values.shape == (2, 6, 3, atoms)
    for lane in range(2):
        named = net.named(params[lane])
        for k in range(atoms):
            alone = dict(named)
            for name, rows in (("value", [k]), ("advantage", [a * atoms + k for a in range(3)])):
                for part in ("weight", "bias"):
                    alone[f"{name}.{part}"] = named[f"{name}.{part}"][rows]
            row = plain.flat(alone)[None]
            expected = plain.forward(plain.split(row), Inputs(x[lane : lane + 1])).values
            torch.testing.assert_close(values[lane, ..., k], expected[0, ..., 0])


@pytest.mark.parametrize("kind", get_args(Aggregate))
@pytest.mark.parametrize("atoms", [1, 4])
def test_gradient_is_autograd_s(space, kind: Aggregate, atoms: int) -> None:
    net = made(space, atoms, kind)
    draw = torch.Generator().manual_seed(0)
    params, x = net.init([0, 1]), torch.randn(2, 6, 5, generator=draw)
    d_values = torch.randn(2, 6, 3, atoms, generator=draw)
    leaf = params.clone().requires_grad_()
    values = net.forward(net.split(leaf), Inputs(x)).values
    (slope,) = torch.autograd.grad((values * d_values).sum(), leaf)
    torch.testing.assert_close(gradient(net, params, x, d_values), slope, rtol=1e-4, atol=1e-6)


def test_of_several_largest_advantages_the_first_counts() -> None:
    d_values = torch.tensor([[1.0], [2.0], [4.0]])
    advantage = torch.tensor([[3.0], [5.0], [5.0]])
    assert d_advantage(d_values, advantage, "max").tolist() == [[1.0], [2.0 - 7.0], [4.0]]


@pytest.mark.parametrize("factor", [0.5, 1 / math.sqrt(2)])
def test_trunk_gradient_scales_the_shared_layers_gradient_alone(space, factor: float) -> None:
    """Trap: the streams' own gradient, or the values, scaled as well."""
    draw = torch.Generator().manual_seed(0)
    whole, scaled = made(space, 2), made(space, 2, trunk_gradient=factor)
    params, x = whole.init([0, 1]), torch.randn(2, 6, 5, generator=draw)
    d_values = torch.randn(2, 6, 3, 2, generator=draw)
    values = [net.forward(net.split(params), Inputs(x)).values for net in (whole, scaled)]
    assert torch.equal(*values)
    full, less = (gradient(net, params, x, d_values) for net in (whole, scaled))
    for lane in range(2):
        for (name, of_full), of_less in zip(
            whole.named(full[lane]).items(), whole.named(less[lane]).values(), strict=True
        ):
            expected = of_full * factor if name.startswith("hidden") else of_full
            torch.testing.assert_close(of_less, expected, rtol=1e-6, atol=1e-7)
            assert of_full.any()
