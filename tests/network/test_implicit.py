import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from dqn_cli.kernels.kernels import Kernels
from dqn_cli.network.implicit import Implicit, cosines
from dqn_cli.seeding import Stream

SIZES = [  # obs, hidden, head, fractions, cosines, actions
    (3, [33], [17], 8, 64, 3),
    (4, [256], [32], 32, 64, 2),
    (5, [7, 6], [], 1, 2, 1),
    (6, [], [9], 3, 1, 18),
]


def made(
    kernels, space, obs, hidden, head, fractions, count, actions, activation="relu", aggregate=None
) -> Implicit:
    keys = {"hidden": hidden, "head": head, "fractions": fractions, "cosines": count}
    keys |= {"activation": activation, "aggregate": aggregate}
    return Implicit(space(obs, actions), 1, kernels, convolutions=[], **keys)


def by_hand(net: Implicit, row: Tensor, x: Tensor, tau: Tensor, activation: str) -> Tensor:
    """One lane [N, A, K], layer by layer from its weights by name: equation 4."""
    named = net.named(row)

    def layer(x: Tensor, name: str) -> Tensor:
        return linear(x, named[f"{name}.weight"], named[f"{name}.bias"])

    act = getattr(torch, activation)
    names = list(dict.fromkeys(name.rpartition(".")[0] for name in named))
    for name in (name for name in names if name.startswith("hidden")):
        x = act(layer(x, name))
    i = torch.arange(named["phi.weight"].shape[1])
    phi = layer((math.pi * i * tau.unsqueeze(-1)).cos(), "phi").relu()  # [N, K, D]
    y = x.unsqueeze(1) * phi  # [N, K, D]

    def end(name: str, hidden: str) -> Tensor:
        z = y
        for inner in (inner for inner in names if inner.startswith(hidden)):
            z = act(layer(z, inner))
        return layer(z, name)

    if "q" in names:
        return end("q", "head").transpose(1, 2)
    advantage = end("advantage", "advantage.hidden")  # [N, K, A]
    value = end("value", "value.hidden")
    return (value + advantage - advantage.mean(-1, keepdim=True)).transpose(1, 2)


def test_the_cosines_are_counted_from_0() -> None:
    """Trap (19): from 1. At tau = 1/2: cos 0, cos pi/2, cos pi, cos 3 pi/2."""
    assert cosines(torch.tensor(0.5), 4).tolist() == pytest.approx([1, 0, -1, 0], abs=1e-6)
    assert cosines(torch.tensor([0.0, 1.0]), 3).tolist() == [[1, 1, 1], [1, -1, 1]]


@pytest.mark.parametrize("aggregate", [None, "mean"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("sizes", SIZES)
def test_values_and_gradient_are_equation_4_s(
    kernels: Kernels, space, compute, sizes, activation: str, aggregate: str | None
) -> None:
    """With two streams, the mean is over the actions of one fraction."""
    net = made(kernels, space, *sizes, activation, aggregate)
    obs, *_, count, _, actions = sizes
    params = net.init([0, 1])
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, obs, generator=draw)
    tau = torch.rand(2, 5, count, generator=draw)
    d_values = torch.randn(2, 5, actions, count, generator=draw)
    values, fractions, grad = compute(net, params, x, tau, d_values)
    assert torch.equal(fractions, tau)
    for lane in range(2):
        row = params[lane].clone().requires_grad_()
        expected = by_hand(net, row, x[lane], tau[lane], activation)
        torch.testing.assert_close(values[lane], expected, rtol=1e-4, atol=1e-5)
        (slope,) = torch.autograd.grad((expected * d_values[lane]).sum(), row)
        torch.testing.assert_close(grad[lane], slope, rtol=1e-3, atol=1e-5)


def test_without_noise_the_fractions_are_midpoints(kernels: Kernels, space, compute) -> None:
    net = made(kernels, space, 3, [8], [8], 4, 16, 2)
    params, x = net.init([0]), torch.randn(1, 5, 3)
    plain = compute(net, params, x)
    middle = torch.tensor([0.125, 0.375, 0.625, 0.875])
    torch.testing.assert_close(plain.fractions, middle.expand(1, 5, 4))
    given = compute(net, params, x, middle.expand(1, 5, 4).contiguous())
    assert torch.equal(given.values, plain.values)


def test_every_row_has_fractions_of_its_own(kernels: Kernels, space) -> None:
    net = made(kernels, space, 3, [8], [8], 4, 16, 2)
    noise = net.noise(5)
    assert (noise.shape, noise.normal) == ((5, 4), False)
    drawn = Stream.of(noise, [0, 1], "test").floats(0)
    assert drawn.shape == (2, 5, 4)
    assert len(np.unique(drawn)) == 40 and drawn.min() >= 0 and drawn.max() < 1


def test_a_row_s_values_do_not_depend_on_the_others(kernels: Kernels, space, compute) -> None:
    net = made(kernels, space, 3, [33], [17], 8, 16, 2)
    params = net.init([0])
    x, tau = torch.randn(1, 6, 3), torch.rand(1, 6, 8)
    other_x, other_tau = x.clone(), tau.clone()
    other_x[0, [0, 1, 3]], other_tau[0, [0, 1, 3]] = 50.0, 0.5
    first = compute(net, params, x, tau).values
    second = compute(net, params, other_x, other_tau).values
    assert torch.equal(first[0, 2], second[0, 2])
    assert not torch.equal(first[0, 1], second[0, 1])


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("rows", [1, 33])
def test_a_lane_of_a_stack_has_the_bits_it_has_alone(
    kernels: Kernels, space, compute, sizes, rows: int
) -> None:
    net = made(kernels, space, *sizes)
    obs, *_, fractions, _, actions = sizes
    params = net.init(range(4))
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, rows, obs, generator=draw)
    tau = torch.rand(4, rows, fractions, generator=draw)
    d_values = torch.randn(4, rows, actions, fractions, generator=draw)

    def bits(lanes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        values, _, grad = compute(net, params[lanes], x[lanes], tau[lanes], d_values[lanes])
        return values, grad, kernels.tensor(kernels.array(values).mean(-1))

    alone = [bits([lane]) for lane in range(4)]
    for company in ([0, 1], [3, 2, 0], [1, 3, 2, 0]):
        for found, *solo in zip(bits(company), *(alone[lane] for lane in company), strict=True):
            assert torch.equal(found, torch.cat(solo))


def test_names(kernels, space) -> None:
    net = made(kernels, space, 3, [8, 7], [6], 4, 16, 2)
    row = net.init([1])[0]
    named = net.named(row)
    assert {name: tuple(v.shape) for name, v in named.items() if name.endswith("weight")} == {
        "hidden.0.weight": (8, 3),
        "hidden.1.weight": (7, 8),
        "phi.weight": (7, 16),
        "head.0.weight": (6, 7),
        "q.weight": (2, 6),
    }
    assert torch.equal(net.flat(named), row)


def test_atoms_of_an_algorithm_s_own_are_refused(space) -> None:
    with pytest.raises(ValueError, match="fractions=8: the algorithm has 51 atoms of its own"):
        Implicit(
            space(),
            51,
            convolutions=[],
            hidden=[8],
            head=[],
            fractions=8,
            cosines=4,
            activation="relu",
            aggregate=None,
        )
