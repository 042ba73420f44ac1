import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dqn_cli.kernels.kernels import Kernels
from dqn_cli.network.mlp import MLP

SIZES = [  # obs, hidden, actions: odd ones, one action, no hidden layer, the default
    (4, [64, 64], 2),
    (3, [33, 17], 3),
    (6, [7], 18),
    (5, [32], 1),
    (16, [], 5),
    (4, [512, 128], 2),
]
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


def sequential(net: MLP, row: Tensor, activation: str = "relu") -> nn.Sequential:
    """The same network out of nn.Linear, given its weights by name."""
    named = net.named(row)
    modules: list[nn.Module] = []
    for name in dict.fromkeys(key.rpartition(".")[0] for key in named):
        weight, bias = named[f"{name}.weight"], named[f"{name}.bias"]
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
        modules += [layer, ACTIVATIONS[activation]()]
    return nn.Sequential(*modules[:-1])


@pytest.mark.parametrize(("obs", "hidden", "actions"), SIZES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("atoms", [1, 3])
def test_every_lane_equals_a_network_of_nn_linear(
    kernels: Kernels,
    space,
    compute,
    obs: int,
    hidden: list[int],
    actions: int,
    activation: str,
    atoms: int,
) -> None:
    """The numbers of an action are neighbours among the outputs of the last layer."""
    net = MLP(space(obs, actions), atoms, kernels, hidden=hidden, activation=activation)
    params = net.init([0, 1])
    x = torch.randn(2, 9, obs, generator=torch.Generator().manual_seed(0))
    values = compute(net, params, x).values
    assert values.shape == (2, 9, actions, atoms)
    for lane in range(2):
        expected = sequential(net, params[lane], activation)(x[lane])
        torch.testing.assert_close(values[lane].flatten(1), expected, rtol=1e-4, atol=1e-6)


def test_gradient_equals_that_of_nn_linear(kernels: Kernels, space, compute) -> None:
    net = MLP(space(3, 3), 1, kernels, hidden=[33, 17], activation="relu")
    params = net.init([0, 1])
    x = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(0))
    grad = compute(net, params, x, d_values=2 * compute(net, params, x).values).grad
    for lane in range(2):
        theirs = sequential(net, params[lane])
        theirs(x[lane]).square().sum().backward()
        for ours, parameter in zip(
            net.named(grad[lane]).values(), theirs.parameters(), strict=True
        ):
            torch.testing.assert_close(ours, parameter.grad, rtol=1e-4, atol=1e-5)


def test_the_names_of_the_layers(kernels: Kernels, space) -> None:
    net = MLP(space(3, 2), 1, kernels, hidden=[5, 6], activation="relu")
    named = net.named(net.init([1])[0])
    assert list(named) == [
        f"{layer}.{kind}" for layer in ("hidden.0", "hidden.1", "q") for kind in ("weight", "bias")
    ]
    assert torch.equal(net.flat(named), net.init([1])[0])


def test_pictures_of_bytes(kernels: Kernels, space, q_values) -> None:
    """[S, N, 4, 4, 3] uint8: the same as its numbers / 255 in one row."""
    net = MLP(space((4, 4, 3), 3, np.uint8), 1, kernels, hidden=[20], activation="relu")
    params = net.init([2])
    picture = torch.randint(256, (1, 5, 4, 4, 3), generator=torch.Generator().manual_seed(0))
    q = q_values(net, params, picture.to(torch.uint8))
    expected = sequential(net, params[0])(picture[0].flatten(1) / 255)
    torch.testing.assert_close(q[0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("obs", "hidden", "actions"), SIZES)
@pytest.mark.parametrize("rows", [1, 5, 64])
def test_a_lane_of_a_stack_has_the_bits_it_has_alone(
    kernels: Kernels, space, compute, obs: int, hidden: list[int], actions: int, rows: int
) -> None:
    """Q-values and gradient, wherever it lies; on one thread, as conftest.py sets it."""
    net = MLP(space(obs, actions), 1, kernels, hidden=hidden, activation="relu")
    params = net.init(range(5))
    x = torch.randn(5, rows, obs, generator=torch.Generator().manual_seed(0))

    def bits(lanes: list[int]) -> tuple[Tensor, Tensor]:
        found = compute(net, params[lanes], x[lanes])
        return found.values, found.grad

    alone = [bits([lane]) for lane in range(5)]
    for company in ([0, 1], [4, 2, 0], [4, 3, 2, 1, 0]):
        q, grad = bits(company)
        for place, lane in enumerate(company):
            assert torch.equal(q[place], alone[lane][0][0])
            assert torch.equal(grad[place], alone[lane][1][0])


def test_bits_do_not_depend_on_where_observations_lie_in_memory(
    kernels: Kernels, space, q_values
) -> None:
    """NumPy aligns to 16 bytes only, and a batch is a view of what was gathered."""
    net = MLP(space(16, 3), 1, kernels, hidden=[33], activation="relu")
    params = net.init([0])
    memory = np.random.default_rng(0).standard_normal(16 * 8 + 16).astype(np.float32)
    reference = torch.from_numpy(memory[:128].copy()).view(1, 8, 16)
    for shift in range(1, 16):
        moved = np.empty(128 + shift, np.float32)
        moved[shift:] = memory[:128]
        x = torch.from_numpy(moved[shift:]).view(1, 8, 16)
        assert torch.equal(q_values(net, params, x), q_values(net, params, reference))
