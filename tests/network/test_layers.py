import functools
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dqn_cli.kernels.kernels import ACTIVATIONS, Activation, Kernels
from dqn_cli.kernels.tensors import layers
from dqn_cli.kernels.torch import TORCH
from dqn_cli.network.dueling import Dueling
from dqn_cli.network.layers import Chain, Convolution, Init, Linear, Stack
from dqn_cli.network.mlp import MLP
from dqn_cli.types import Inputs, Space

ODD = [Linear("first", 5, 33), Linear("second", 33, 17), Linear("last", 17, 2)]


def test_init_has_the_range_of_nn_linear() -> None:
    """Uniform within 1 / sqrt(inputs), the whole of it: standard deviation bound / sqrt(3)."""
    stack = Stack([Linear("a", 100, 120)], TORCH)
    ours, theirs = stack.named(stack.init([0])[0]), torch.nn.Linear(100, 120)
    for name, size in (("weight", 12000), ("bias", 120)):
        values = ours[f"a.{name}"]
        assert values.shape == getattr(theirs, name).shape
        assert 0.1 * (1 - 12 / size) < values.abs().max() <= 0.1
        assert values.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=2 / math.sqrt(size))
        assert values.mean().abs() < 0.3 / math.sqrt(size)


@pytest.mark.parametrize(
    ("init", "bounds"),
    [
        ("glorot", {"linear": math.sqrt(6 / (100 + 120)), "convolution": math.sqrt(6 / 3100)}),
        ("dopamine", {"linear": 0.1316074013, "convolution": 0.1316074013}),
    ],
)
def test_init_by_glorot_and_as_dopamine_s(init: Init, bounds: dict[str, float]) -> None:
    """Uniform within the bound, the whole of it, and biases are 0. A convolution of 4 channels and
    5 x 5 pixels has 100 inputs and each of them a part in 120 x 25 outputs, by Glorot as PyTorch
    counts. Dopamine's variance is 1 / (sqrt(3) inputs), and a uniform one's is bound ^ 2 / 3."""
    both = [Linear("linear", 100, 120), Convolution("convolution", 4, 120, 5, 1, 0)]
    stack = Stack(both, TORCH, init=init)
    named = stack.named(stack.init([0])[0])
    for name, bound in bounds.items():
        values = named[f"{name}.weight"]
        assert bound * (1 - 1e-3) < values.abs().max() <= bound
        assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
        assert values.mean().abs() < 0.003
        assert (named[f"{name}.bias"] == 0).all()
    if init == "glorot":
        theirs = nn.init.xavier_uniform_(torch.empty(120, 4, 5, 5)).abs().max().item()
        assert theirs == pytest.approx(bounds["convolution"], rel=1e-3)
    else:
        variance = 1 / (math.sqrt(3) * 100)
        assert bounds["linear"] ** 2 / 3 == pytest.approx(variance, rel=1e-8)


def test_init_depends_on_the_seed_alone() -> None:
    """Trap: lanes that share their first parameters. Not so, and company changes nothing."""
    stack = Stack(ODD, TORCH)
    company = stack.init([3, 0, 8])
    for lane, seed in enumerate([3, 0, 8]):
        assert torch.equal(company[lane], stack.init([seed])[0])
    assert len({tuple(row.tolist()) for row in company}) == 3
    torch.manual_seed(5)
    assert torch.equal(stack.init([3]), company[:1])


def test_layers_of_one_shape_begin_differently() -> None:
    stack = Stack([Linear("a", 8, 8), Linear("b", 8, 8)], TORCH)
    named = stack.named(stack.init([1])[0])
    assert not torch.equal(named["a.weight"], named["b.weight"])
    assert not torch.equal(named["a.bias"], named["b.bias"])


def test_named_has_the_shapes_of_nn_linear_and_flat_takes_it_back() -> None:
    stack = Stack(ODD, TORCH)
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
    stack = Stack(ODD, TORCH)
    row = stack.init([4])[0]
    before = row.clone()
    for values in stack.named(row).values():
        values.zero_()
    assert torch.equal(row, before)


@pytest.mark.parametrize("change", ["missing", "unknown", "shape", "transposed"])
def test_flat_refuses_what_is_not_this_network(change: str) -> None:
    stack = Stack(ODD, TORCH)
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


def test_a_chain_finds_its_layers_in_the_row() -> None:
    """The weights lie as [in, out], and what `split` gives is the memory of the parameters."""
    stack = Stack(ODD, TORCH)
    params = stack.init([4, 5])
    chain = Chain(stack, slice(1, 3), "relu", closed=False)
    (weight, bias), (last, _) = layers(stack.split(params), chain.first, chain.widths)
    assert (weight.shape, bias.shape, last.shape) == ((2, 33, 17), (2, 1, 17), (2, 17, 2))
    weight[1, 32, 16] = 7.0  # the last one: input 32, output 16
    bias[0, 0, 3] = 8.0
    last[1, 0, 1] = 9.0
    assert stack.named(params[1])["second.weight"][16, 32] == 7.0
    assert stack.named(params[0])["second.bias"][3] == 8.0
    assert stack.named(params[1])["last.weight"][1, 0] == 9.0


def test_a_chain_of_no_layers_is_the_identity(kernels: Kernels) -> None:
    stack = Stack(ODD, kernels)
    chain = Chain(stack, slice(0), "relu", closed=True)
    x = kernels.place(np.array([[[1.0, -2.0]]], np.float32))
    done = chain.forward(None, x)
    assert done.out is x and chain.backward(None, done, x, None, through=True) is x


@pytest.mark.parametrize("closed", [True, False])
def test_the_last_layer_of_a_chain_is_activated_if_it_is_closed(
    kernels: Kernels, closed: bool
) -> None:
    """Layers of 1 x -1 + 0 and 1 x 2 - 3: of -1, 1 and then -1, or 0 where that is activated; of 1,
    0 in the first layer and -3, or 0."""
    stack = Stack([Linear("a", 1, 1), Linear("b", 1, 1)], kernels)
    chain = Chain(stack, slice(None), "relu", closed)
    params = kernels.place(np.array([[-1, 0, 2, -3]], np.float32))
    done = chain.forward(params, kernels.place(np.array([[[-1], [1], [-4]]], np.float32)))
    assert done.out.tolist() == [[[0], [0], [5]] if closed else [[-1], [-3], [5]]]


def mlp(hidden, kernels, space, atoms, act) -> MLP:
    return MLP(space, atoms, kernels, hidden=hidden, activation=act)


def dueling(hidden, streams, kind, kernels, space, atoms, act) -> Dueling:
    keys = {"hidden": hidden, "streams": streams, "activation": act, "aggregate": kind}
    return Dueling(space, atoms, kernels, convolutions=[], trunk_gradient=1.0, **keys)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("atoms", [1, 3])
@pytest.mark.parametrize(
    "build",
    [
        functools.partial(mlp, [33, 17]),
        functools.partial(mlp, []),
        *(
            functools.partial(dueling, hidden, streams, kind)
            for hidden, streams in (([20], []), ([], [9]), ([20, 7], [9, 5]))
            for kind in ("mean", "max", "sum")
        ),
    ],
)
def test_vjp_is_the_gradient_that_autograd_finds(
    kernels: Kernels, compute, build, atoms, activation
) -> None:
    kind = Space((3,), np.dtype(np.float32), 5), atoms, activation
    net, watched = build(kernels, *kind), build(TORCH, *kind)
    draw = torch.Generator().manual_seed(1)
    params = net.init([4, 5])
    x = torch.randn(2, 6, 3, generator=draw)
    d_values = torch.randn(2, 6, 5, atoms, generator=draw)
    leaf = params.clone().requires_grad_()
    values = watched.forward(watched.split(leaf), Inputs(x)).values
    (expected,) = torch.autograd.grad((values * d_values).sum(), leaf)
    found = compute(net, params, x, d_values=d_values)
    torch.testing.assert_close(found.values, values.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.grad, expected, rtol=1e-4, atol=1e-5)


def activated(
    kernels: Kernels, activation: Activation, x: Tensor, dy: Tensor
) -> tuple[Tensor, Tensor]:
    """The activation of x [N] and its derivative times dy: a layer of the weight 1."""
    params, lanes = kernels.array(torch.tensor([[1.0, 0.0]])), (1, -1, 1)
    given = 0, np.array([1, 1]), 1, ACTIVATIONS[activation], kernels.array(x.reshape(lanes))
    d_y, grad = kernels.array(dy.reshape(lanes)), kernels.array(torch.zeros(1, 2))
    with np.errstate(invalid="ignore", over="ignore"):  # as a run's device sets it
        hidden, y = kernels.forward(params, *given)
        dx = kernels.backward(params, *given, hidden, y, d_y, grad, True)
    return kernels.tensor(y).flatten(), kernels.tensor(dx).flatten()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("size", [20, 2**13, 2**15])
def test_activations_and_their_slopes_are_those_of_pytorch(
    kernels: Kernels, activation: Activation, size: int
) -> None:
    """With what a network that diverges computes. The slope of relu is 0 at 0."""
    x = torch.randn(size, generator=torch.Generator().manual_seed(0))
    x[:3] = torch.tensor([0.0, -0.0, 1e-30])
    x[3:6] = torch.tensor([math.nan, math.inf, -math.inf])
    dy = torch.randn(size, generator=torch.Generator().manual_seed(1))
    dy[4:8] = torch.tensor([math.inf, math.inf, -math.inf, math.nan])
    leaf = x.clone().requires_grad_()
    expected = getattr(torch, activation)(leaf)
    expected.backward(dy)
    y, dx = activated(kernels, activation, x, dy)
    close = {"rtol": 0.0, "atol": 0.0}
    if (kernels.name, activation) == ("compiled", "tanh"):  # the C library's
        close = {"rtol": 1e-6, "atol": 1e-6}
    torch.testing.assert_close(y, expected.detach(), equal_nan=True, **close)
    torch.testing.assert_close(dx, leaf.grad, equal_nan=True, **close)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_activation_of_few_is_that_of_many(kernels: Kernels, activation: Activation) -> None:
    """To the bit, wherever they are in the whole."""
    x, dy = torch.randn(2, 70_000, generator=torch.Generator().manual_seed(0)) * 3
    together = activated(kernels, activation, x, dy)
    for first, size in ((0, 1), (1, 7), (333, 64), (4097, 5000)):
        few = slice(first, first + size)
        for part, whole in zip(
            activated(kernels, activation, x[few].clone(), dy[few].clone()), together, strict=True
        ):
            assert torch.equal(part, whole[few])
