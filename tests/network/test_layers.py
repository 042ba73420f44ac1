import functools
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dqn_cli.kernels.lanes import ACTIVATIONS, product
from dqn_cli.maths import array, tensor
from dqn_cli.network.dueling import Dueling
from dqn_cli.network.layers import Linear, Stack
from dqn_cli.network.mlp import MLP
from dqn_cli.network.observations import prepare
from dqn_cli.types import Inputs, Space

NUMPY = [(np.zeros(1), np.zeros(1))]  # weights of a network on a CPU
ODD = [Linear("first", 5, 33), Linear("second", 33, 17), Linear("last", 17, 2)]


def test_init_has_the_range_of_nn_linear() -> None:
    """Uniform within 1 / sqrt(inputs), the whole of it: standard deviation bound / sqrt(3)."""
    stack = Stack([Linear("a", 100, 120)])
    ours, theirs = stack.named(stack.init([0])[0]), torch.nn.Linear(100, 120)
    for name, size in (("weight", 12000), ("bias", 120)):
        values = ours[f"a.{name}"]
        assert values.shape == getattr(theirs, name).shape
        assert 0.1 * (1 - 12 / size) < values.abs().max() <= 0.1
        assert values.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=2 / math.sqrt(size))
        assert values.mean().abs() < 0.3 / math.sqrt(size)


def test_init_depends_on_the_seed_alone() -> None:
    """Trap: lanes that share their first parameters. Not so, and company changes nothing."""
    stack = Stack(ODD)
    company = stack.init([3, 0, 8])
    for lane, seed in enumerate([3, 0, 8]):
        assert torch.equal(company[lane], stack.init([seed])[0])
    assert len({tuple(row.tolist()) for row in company}) == 3
    torch.manual_seed(5)
    assert torch.equal(stack.init([3]), company[:1])


def test_layers_of_one_shape_begin_differently() -> None:
    stack = Stack([Linear("a", 8, 8), Linear("b", 8, 8)])
    named = stack.named(stack.init([1])[0])
    assert not torch.equal(named["a.weight"], named["b.weight"])
    assert not torch.equal(named["a.bias"], named["b.bias"])


def test_named_has_the_shapes_of_nn_linear_and_flat_takes_it_back() -> None:
    stack = Stack(ODD)
    row = stack.init([4])[0]
    named = stack.named(row)
    assert {name: tuple(values.shape) for name, values in named.items()} == {
        "first.weight": (33, 5),
        "first.bias": (33,),
        "second.weight": (17, 33),
        "second.bias": (17,),
        "last.weight": (2, 17),
        "last.bias": (2,),
    }
    assert torch.equal(stack.flat(named), row)
    assert torch.equal(stack.flat(dict(reversed(named.items()))), row)


def test_named_is_a_copy() -> None:
    stack = Stack(ODD)
    row = stack.init([4])[0]
    before = row.clone()
    for values in stack.named(row).values():
        values.zero_()
    assert torch.equal(row, before)


@pytest.mark.parametrize("change", ["missing", "unknown", "shape", "transposed"])
def test_flat_refuses_what_is_not_this_network(change: str) -> None:
    stack = Stack(ODD)
    named = stack.named(stack.init([4])[0])
    match change:
        case "missing":
            del named["last.bias"]
        case "unknown":
            named["extra"] = torch.zeros(1)
        case "shape":
            named["last.bias"] = torch.zeros(3)
        case "transposed":
            named["second.weight"] = named["second.weight"].T
    with pytest.raises(ValueError, match="where the network has"):
        stack.flat(named)


def test_split_is_a_view_of_the_row() -> None:
    stack = Stack(ODD)
    params = stack.init([4, 5])
    weight, bias = stack.split(params)[1]
    assert (weight.shape, bias.shape) == ((2, 33, 17), (2, 1, 17))
    weight[1, 32, 16] = 7.0  # the last one: input 32, output 16
    bias[0, 0, 3] = 8.0
    assert stack.named(params[1])["second.weight"][16, 32] == 7.0
    assert stack.named(params[0])["second.bias"][3] == 8.0


def test_networks_compute_in_numpy_unless_autograd_watches(space) -> None:
    obs, params = torch.randn(1, 5, 3), Stack(ODD).init([4])
    ours, watched = Stack(ODD).split(params), Stack(ODD).split(params.requires_grad_())
    assert {type(x) for x in (*ours[0], prepare(obs, space(3), ours))} == {np.ndarray}
    assert {type(x) for x in (*watched[0], prepare(obs, space(3), watched))} == {torch.Tensor}


def dueling(hidden, streams, kind, space, atoms, act) -> Dueling:
    keys = {"hidden": hidden, "streams": streams, "activation": act, "aggregate": kind}
    return Dueling(space, atoms, trunk_gradient=1.0, **keys)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("atoms", [1, 3])
@pytest.mark.parametrize(
    "build",
    [
        lambda space, atoms, act: MLP(space, atoms, hidden=[33, 17], activation=act),
        lambda space, atoms, act: MLP(space, atoms, hidden=[], activation=act),
        *(
            functools.partial(dueling, hidden, streams, kind)
            for hidden, streams in (([20], []), ([], [9]), ([20, 7], [9, 5]))
            for kind in ("mean", "max", "sum")
        ),
    ],
)
def test_vjp_is_the_gradient_that_autograd_finds(build, atoms, activation) -> None:
    net = build(Space((3,), np.dtype(np.float32), 5), atoms, activation)
    draw = torch.Generator().manual_seed(1)
    params = net.init([4, 5]).requires_grad_()
    inputs = Inputs(torch.randn(2, 6, 3, generator=draw))
    d_values = torch.randn(2, 6, 5, atoms, generator=draw)
    watched = net.forward(net.split(params), inputs).values
    (expected,) = torch.autograd.grad((watched * d_values).sum(), params)

    weights = net.split(params.detach())
    output, pullback = net.vjp(weights, inputs)
    assert torch.equal(output.values, net.forward(weights, inputs).values)
    grad = torch.full_like(expected, torch.nan)  # it is written, and not added to
    before = d_values.clone()
    pullback(d_values, net.split(grad))
    torch.testing.assert_close(grad, expected)
    assert torch.equal(d_values, before)


SHAPES = [(64, 4, 64), (64, 64, 2), (128, 120, 84), (5, 7, 3), (1, 33, 17), (32, 3, 1)]


@pytest.mark.parametrize(("n", "k", "m"), SHAPES)
@pytest.mark.parametrize("turned", ["neither", "first", "second"])
def test_a_product_of_a_lane_has_the_bits_it_has_alone(n: int, k: int, m: int, turned: str) -> None:
    """Wherever it lies: at any place in the stack and at any number of bytes from a boundary."""
    draw = np.random.default_rng(0)

    def stack(lanes: int, rows: int, columns: int, turn: bool, shift: int) -> NDArray[np.float32]:
        shape = (lanes, columns, rows) if turn else (lanes, rows, columns)
        numbers = draw.standard_normal(math.prod(shape) + shift).astype(np.float32)
        numbers = numbers[shift:].reshape(shape)
        return numbers.swapaxes(1, 2) if turn else numbers

    a = stack(1, n, k, turned == "first", 0)
    b = stack(1, k, m, turned == "second", 0)
    alone = a @ b
    np.testing.assert_allclose(alone, np.einsum("snk,skm->snm", a, b), rtol=1e-3, atol=1e-4)
    for lanes in (1, 2, 7):
        for place in {0, lanes - 1}:
            for shift in range(5):
                many = stack(lanes, n, k, turned == "first", shift)
                weights = stack(lanes, k, m, turned == "second", 3 * shift % 5)
                many[place], weights[place] = a[0], b[0]
                out = stack(lanes, n, m, False, 2 * shift % 5)
                product(many, weights, out=out)
                assert np.array_equal((many @ weights)[place], alone[0])
                assert np.array_equal(out[place], alone[0])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("size", [2**13, 2**15])
def test_activations_and_their_slopes_are_those_of_pytorch(activation: str, size: int) -> None:
    """Also those of small arrays, for which another way is quicker: to the last bit."""
    function, slope = ACTIVATIONS[activation]
    x = torch.randn(size, generator=torch.Generator().manual_seed(0))
    x[:3] = torch.tensor([0.0, -0.0, 1e-30])
    x[3:6] = torch.tensor([math.nan, math.inf, -math.inf])
    dy = torch.randn(size, generator=torch.Generator().manual_seed(1))
    dy[4:8] = torch.tensor([math.inf, math.inf, -math.inf, math.nan])
    leaf = x.clone().requires_grad_()
    expected = getattr(torch, activation)(leaf)
    expected.backward(dy)
    y = function(array(x.clone()))
    dx = slope(array(dy.clone()), y)
    torch.testing.assert_close(tensor(y), expected.detach(), rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(tensor(dx), leaf.grad, rtol=0, atol=0, equal_nan=True)


def test_a_small_array_is_treated_as_a_large_one() -> None:
    many = np.random.default_rng(0).standard_normal((30, 64, 64)).astype(np.float32)
    for function, slope in ACTIVATIONS.values():
        together = function(many.copy())
        assert np.array_equal(function(many[3].copy()), together[3])
        assert np.array_equal(
            slope(many[4].copy(), together[3]), slope(many[[4]], together[[3]])[0]
        )
