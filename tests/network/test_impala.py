"""convolutions=impala: sections of a convolution, a pool and two residual blocks."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from dqn_cli.kernels.kernels import Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.network.cnn import CNN
from dqn_cli.network.dueling import Dueling
from dqn_cli.network.implicit import Implicit
from dqn_cli.network.noisy import Noisy, NoisyDueling, NoisyImplicit
from dqn_cli.network.spectral import spectrum
from dqn_cli.network.torso import Convolutions, Torso
from dqn_cli.types import Inputs, Space

BYTES = np.dtype(np.uint8)
PICTURE = Space((2, 13, 10), BYTES, 3)
SMALL: Convolutions = [[4], [3]]
KEYS = {"convolutions": SMALL, "activation": "relu"}
STREAMS = {"hidden": [], "streams": [7], "aggregate": "mean", "trunk_gradient": 1.0}

NETWORKS: dict[str, Callable[[Kernels], CNN | Dueling | Noisy | Implicit]] = {
    "cnn": lambda k: CNN(PICTURE, 2, k, **KEYS, hidden=[7]),
    "dueling": lambda k: Dueling(PICTURE, 2, k, **KEYS, **STREAMS),
    "noisy dueling": lambda k: NoisyDueling(PICTURE, 2, k, **KEYS, **STREAMS, sigma0=0.5),
    "implicit": lambda k: Implicit(
        PICTURE, 1, k, **KEYS, hidden=[], head=[5], fractions=4, cosines=6, aggregate=None
    ),
    "implicit, noisy, dueling, spectral norm": lambda k: NoisyImplicit(
        *(PICTURE, 1, k),
        convolutions=[[4, "spectral_norm"], "pool"],
        **{"hidden": [], "head": [5], "fractions": 4, "cosines": 6},
        **{"activation": "relu", "aggregate": "mean", "sigma0": 0.5},
    ),
    "convolutions before, between and after, and pools": lambda k: CNN(
        PICTURE,
        1,
        k,
        convolutions=[[3, 3, 1, 1], [4], "pool", [5, 3, 2, 2], [2], [3, 1, 1], "pool"],
        hidden=[],
        activation="tanh",
    ),
    "spectral norm": lambda k: CNN(
        PICTURE, 1, k, convolutions=[[4, "spectral_norm"], [3]], hidden=[7], activation="relu"
    ),
    "ends in a pool": lambda k: CNN(
        PICTURE, 1, k, convolutions=[[4], "pool"], hidden=[7], activation="tanh"
    ),
}
each_network = pytest.mark.parametrize("name", NETWORKS)


def drawn(space: Space, *shape: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(256, (*shape, *space.obs_shape), generator=draw).to(torch.uint8)


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)),
            *(nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def impala(channels: list[int], inputs: int, features: int, hidden: int, outputs: int) -> nn.Module:
    """As Espeholt et al. (2018, figure 3) draw it, of PyTorch's layers."""
    modules: list[nn.Module] = []
    for before, after in zip([inputs, *channels], channels, strict=False):
        modules += [nn.Conv2d(before, after, 3, padding=1), nn.MaxPool2d(3, 2, 1)]
        modules += [Block(after), Block(after)]
    modules += [nn.ReLU(), nn.Flatten(), nn.Linear(features, hidden), nn.ReLU()]
    return nn.Sequential(*modules, nn.Linear(hidden, outputs))


def test_every_lane_equals_a_network_of_pytorchs_layers(kernels: Kernels, compute) -> None:
    """Values and gradients. Trap: a ReLU that overwrites what the block adds to, or none at the
    end. 13 x 10 pixels become 7 x 5, then 4 x 3."""
    net = CNN(PICTURE, 1, kernels, **KEYS, hidden=[7])
    params, obs = net.init([0, 1]), drawn(PICTURE, 2, 4)
    d_values = torch.randn(2, 4, 3, 1, generator=torch.Generator().manual_seed(1))
    found = compute(net, params, obs, d_values=d_values)
    for lane in range(2):
        theirs, named = impala([4, 3], 2, 3 * 4 * 3, 7, 3), net.named(params[lane])
        theirs.load_state_dict(dict(zip(theirs.state_dict(), named.values(), strict=True)))
        expected = theirs(obs[lane] / 255)
        torch.testing.assert_close(found.values[lane, :, :, 0], expected, rtol=1e-4, atol=1e-6)
        (expected * d_values[lane, :, :, 0]).sum().backward()
        grads = net.named(found.grad[lane]).values()
        for ours, parameter in zip(grads, theirs.parameters(), strict=True):
            torch.testing.assert_close(ours, parameter.grad, rtol=1e-4, atol=1e-5)


def test_spectral_norm_is_that_of_pytorch(kernels: Kernels, compute) -> None:
    """Values and gradients, where its iteration has found the singular vectors. Trap: a gradient
    that takes the largest singular value for a constant."""
    parts: Convolutions = [[4, "spectral_norm"], [3, "spectral_norm"]]
    net = CNN(PICTURE, 1, kernels, convolutions=parts, hidden=[7], activation="relu")
    params, obs = net.init([0, 1]), drawn(PICTURE, 2, 4)
    d_values = torch.randn(2, 4, 3, 1, generator=torch.Generator().manual_seed(1))
    found = compute(net, params, obs, d_values=d_values)
    for lane in range(2):
        theirs, named = impala([4, 3], 2, 3 * 4 * 3, 7, 3), net.named(params[lane])
        names = list(theirs.state_dict())
        theirs.load_state_dict(dict(zip(names, named.values(), strict=True)))
        for block in theirs:
            if isinstance(block, Block):
                for i in (1, 3):
                    spectral_norm(block.layers[i], n_power_iterations=2000)
        expected = theirs(obs[lane] / 255)
        torch.testing.assert_close(found.values[lane, :, :, 0], expected, rtol=1e-4, atol=1e-6)
        (expected * d_values[lane, :, :, 0]).sum().backward()
        grads = net.named(found.grad[lane]).values()
        for name, ours in zip(names, grads, strict=True):
            place, _, kind = name.rpartition(".")
            layer = theirs.get_submodule(place)
            normal = kind == "weight" and is_parametrized(layer)
            own = layer.parametrizations.weight.original if normal else getattr(layer, kind)
            torch.testing.assert_close(ours, own.grad, rtol=1e-3, atol=1e-5)


def test_no_weight_of_a_block_stretches_a_window(kernels: Kernels) -> None:
    """Each is divided by its largest singular value: here 3, and of no weight at all by 1."""
    weight = np.zeros((3, 9, 2), np.float32)
    weight[0] = np.linalg.qr(np.random.default_rng(0).standard_normal((9, 2)))[0] * [2, 3]
    weight[1, 4] = 5e-5, 12e-5
    found = spectrum(kernels, kernels.place(weight))
    largest = kernels.numpy(found.largest)[:, 0, 0]
    assert largest == pytest.approx([3, 13e-5, 0], rel=1e-5)
    assert np.abs(kernels.numpy(found.right)[:2, :, 0]) == pytest.approx(
        np.array([[0, 1], [5 / 13, 12 / 13]]), abs=1e-3
    )


def test_new_weights_are_measured_to_a_thousandth(kernels: Kernels) -> None:
    """As wide as in "Beyond the Rainbow"."""
    weight = np.random.default_rng(0).uniform(-1, 1, (9, 576, 64)).astype(np.float32)
    found = kernels.numpy(spectrum(kernels, kernels.place(weight)).largest)[:, 0, 0]
    assert found == pytest.approx(np.linalg.norm(weight, 2, axis=(1, 2)), rel=1e-3)


def noise(net: CNN | Dueling | Noisy | Implicit, lanes: int, rows: int) -> Tensor | None:
    shape = net.noise(rows)
    draw = torch.Generator().manual_seed(3)
    return None if shape is None else torch.rand(lanes, *shape.shape, generator=draw)


@each_network
def test_vjp_is_the_gradient_that_autograd_finds(kernels: Kernels, compute, name: str) -> None:
    net, watched = NETWORKS[name](kernels), NETWORKS[name](TORCH)
    params, obs, numbers = net.init([4, 5]), drawn(PICTURE, 2, 3), noise(net, 2, 3)
    leaf = params.clone().requires_grad_()
    values = watched.forward(watched.split(leaf), Inputs(obs, numbers)).values
    d_values = torch.randn(values.shape, generator=torch.Generator().manual_seed(2))
    (expected,) = torch.autograd.grad((values * d_values).sum(), leaf)
    found = compute(net, params, obs, numbers, d_values=d_values)
    torch.testing.assert_close(found.values, values.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.grad, expected, rtol=1e-4, atol=1e-5)


@each_network
def test_a_lane_of_a_stack_has_the_bits_it_has_alone(kernels: Kernels, compute, name: str) -> None:
    net = NETWORKS[name](kernels)
    params, obs, numbers = net.init(range(4)), drawn(PICTURE, 4, 9), noise(net, 4, 9)
    together = compute(net, params, obs, numbers)
    for lanes in ([2], [3, 0]):
        some = compute(net, params[lanes], obs[lanes], None if numbers is None else numbers[lanes])
        assert torch.equal(some.values, together.values[lanes])
        assert torch.equal(some.grad, together.grad[lanes])


@each_network
def test_parameters_by_name_and_back(name: str) -> None:
    net = NETWORKS[name](TORCH)
    row = net.init([4])[0]
    named = net.named(row)
    assert torch.equal(net.flat(named), row)
    assert sum(values.numel() for values in named.values()) == len(row)


def test_the_names_and_shapes_of_impala() -> None:
    """By hand: a convolution of i to o channels has 9 i o + o numbers, so sections have 592 + 4 x
    2320, 4640 + 4 x 9248 and 9248 + 4 x 9248; 84 x 84 pixels become 42, 21 and 11, so the layers
    after them have 3872 x 256 + 256 and 256 x 6 + 6."""
    space = Space((4, 84, 84), BYTES, 6)
    net = CNN(space, 1, convolutions="impala", hidden=[256], activation="relu")
    named = net.named(net.init([0])[0])
    blocks = [f"residual.{block}.{layer}" for block in range(2) for layer in range(2)]
    layers = [f"section.{i}.{name}" for i in range(3) for name in ("convolution", *blocks)]
    names = [
        f"{layer}.{kind}" for layer in [*layers, "hidden.0", "q"] for kind in ("weight", "bias")
    ]
    assert list(named) == names
    assert named["section.1.convolution.weight"].shape == (32, 16, 3, 3)
    assert named["section.2.residual.1.0.weight"].shape == (32, 32, 3, 3)
    assert named["hidden.0.weight"].shape == (256, 11 * 11 * 32)
    of_sections = sum(values.numel() for name, values in named.items() if "section" in name)
    assert (of_sections, net.init([0]).shape[1]) == (97_744, 1_090_774)


@pytest.mark.parametrize(
    ("convolutions", "picture"),
    [
        ("impala", (11, 11, 32)),
        ([[32], [64], [64], "pool"], (6, 6, 64)),  # "Beyond the Rainbow": 2304 features
        ("nature", (7, 7, 64)),
        ("dopamine", (11, 11, 64)),  # padded as TensorFlow's "same": 7744 features
        (["pool"], (42, 42, 4)),
    ],
)
def test_what_is_left_of_a_picture(convolutions: Convolutions, picture: object) -> None:
    torso = Torso(Space((4, 84, 84), BYTES, 6), TORCH, convolutions, "relu")
    assert torso.picture == picture


def test_it_takes_pictures_of_any_size(kernels: Kernels, compute) -> None:
    space = Space((1, 1), BYTES, 2)
    net = CNN(space, 1, kernels, convolutions="impala", hidden=[], activation="relu")
    found = compute(net, net.init([1]), drawn(space, 1, 2))
    assert found.values.isfinite().all() and found.grad.isfinite().all()


def test_a_kernel_may_be_larger_than_the_picture_by_the_padding() -> None:
    keys = {"hidden": [], "activation": "relu"}
    CNN(PICTURE, 1, convolutions=[[2, 12, 1, 1]], **keys)
    with pytest.raises(
        ValueError, match="13 x 13 does not fit into 13 x 10, which is what layer 1"
    ):
        CNN(PICTURE, 1, convolutions=[[2, 13, 1, 1]], **keys)
