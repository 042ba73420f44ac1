import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dqn_cli.kernels.kernels import Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.network.cnn import CNN
from dqn_cli.network.dueling import Dueling
from dqn_cli.network.implicit import Implicit
from dqn_cli.network.mlp import MLP
from dqn_cli.network.noisy import Noisy, NoisyDueling, NoisyMLP
from dqn_cli.network.torso import Torso, channels_last
from dqn_cli.types import Inputs, Space

SMALL = [[5, 3, 1], [6, 2, 2]]  # of 9 x 8 x 3: 7 x 6 x 5, then 3 x 3 x 6
KEYS = {"convolutions": SMALL, "activation": "relu"}
STREAMS = {"aggregate": "mean", "trunk_gradient": 1.0}
BYTES = np.dtype(np.uint8)
PICTURE = Space((9, 8, 3), BYTES, 3)


def drawn(space: Space, *shape: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(256, (*shape, *space.obs_shape), generator=draw).to(torch.uint8)


def noisy(kernels: Kernels, atoms: int = 1) -> NoisyMLP:
    return NoisyMLP(PICTURE, atoms, kernels, **KEYS, hidden=[7], sigma0=0.5)


NETWORKS: dict[str, Callable[..., CNN | Dueling | Implicit | Noisy]] = {
    "cnn": lambda k, atoms=1: CNN(PICTURE, atoms, k, **KEYS, hidden=[7]),
    "no hidden layer": lambda k, atoms=1: CNN(PICTURE, atoms, k, **KEYS, hidden=[]),
    "dueling": lambda k, atoms=1: Dueling(
        PICTURE, atoms, k, **KEYS, **STREAMS, hidden=[7], streams=[]
    ),
    "two streams": lambda k, atoms=1: Dueling(
        PICTURE, atoms, k, **KEYS, **STREAMS, hidden=[], streams=[7]
    ),
    "noisy": noisy,
    "noisy dueling": lambda k, atoms=1: NoisyDueling(
        PICTURE, atoms, k, **KEYS, **STREAMS, hidden=[], streams=[7], sigma0=0.5
    ),
}
IMPLICIT = {
    name: lambda k, hidden=hidden: Implicit(
        PICTURE, 1, k, **KEYS, hidden=hidden, head=[5], fractions=4, cosines=6, aggregate=None
    )
    for name, hidden in (("implicit", [7]), ("implicit, no hidden layer", []))
}
each_network = pytest.mark.parametrize("name", [*NETWORKS, *IMPLICIT])


def made(name: str, kernels: Kernels) -> CNN | Dueling | Implicit | Noisy:
    return (NETWORKS | IMPLICIT)[name](kernels)


def numbers(net: CNN | Dueling | Implicit | Noisy, lanes: int, rows: int) -> Tensor | None:
    """Noise for so many rows, if the network has any."""
    noise = net.noise(rows)
    draw = torch.Generator().manual_seed(3)
    return None if noise is None else torch.rand(lanes, *noise.shape, generator=draw)


def in_torch(net: CNN, row: Tensor) -> nn.Sequential:
    """The same network of PyTorch's layers, given its weights by name."""
    named = net.named(row)
    modules: list[nn.Module] = []
    for layer in net.torso.layers:
        theirs: nn.Module = nn.Conv2d(layer.channels, layer.outputs, layer.kernel, layer.stride)
        modules += [theirs, nn.ReLU()]
        theirs.load_state_dict({k: named[f"{layer.name}.{k}"] for k in ("weight", "bias")})
    modules.append(nn.Flatten())
    for layer in net.layers[len(net.torso.layers) :]:
        theirs = nn.Linear(layer.inputs, layer.outputs)
        theirs.load_state_dict({k: named[f"{layer.name}.{k}"] for k in ("weight", "bias")})
        modules += [theirs, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


@pytest.mark.parametrize("hidden", [[], [11], [11, 7]])
@pytest.mark.parametrize("atoms", [1, 3])
def test_every_lane_equals_a_network_of_nn_conv2d(
    kernels: Kernels, compute, hidden: list[int], atoms: int
) -> None:
    """Values and gradients, with weights and bytes as PyTorch has them: channels first, nn.Flatten
    before the first fully connected layer."""
    net = CNN(PICTURE, atoms, kernels, **KEYS, hidden=hidden)
    params, obs = net.init([0, 1]), drawn(PICTURE, 2, 4)
    d_values = torch.randn(2, 4, 3, atoms, generator=torch.Generator().manual_seed(1))
    found = compute(net, params, obs, d_values=d_values)
    for lane in range(2):
        theirs = in_torch(net, params[lane])
        expected = theirs(obs[lane].permute(0, 3, 1, 2) / 255)
        torch.testing.assert_close(found.values[lane].flatten(1), expected, rtol=1e-4, atol=1e-6)
        (expected * d_values[lane].flatten(1)).sum().backward()
        grads = net.named(found.grad[lane]).values()
        for ours, parameter in zip(grads, theirs.parameters(), strict=True):
            torch.testing.assert_close(ours, parameter.grad, rtol=1e-4, atol=1e-5)


@each_network
def test_vjp_is_the_gradient_that_autograd_finds(kernels: Kernels, compute, name: str) -> None:
    net, watched = made(name, kernels), made(name, TORCH)
    params, obs = net.init([4, 5]), drawn(PICTURE, 2, 3)
    noise = numbers(net, 2, 3)
    leaf = params.clone().requires_grad_()
    values = watched.forward(watched.split(leaf), Inputs(obs, noise)).values
    d_values = torch.randn(values.shape, generator=torch.Generator().manual_seed(2))
    (expected,) = torch.autograd.grad((values * d_values).sum(), leaf)
    found = compute(net, params, obs, noise, d_values=d_values)
    torch.testing.assert_close(found.values, values.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.grad, expected, rtol=1e-4, atol=1e-5)


@each_network
def test_a_lane_of_a_stack_has_the_bits_it_has_alone(kernels: Kernels, compute, name: str) -> None:
    net = made(name, kernels)
    params, obs, noise = net.init(range(4)), drawn(PICTURE, 4, 9), numbers(net, 4, 9)
    together = compute(net, params, obs, noise)
    for lanes in ([2], [3, 0]):
        part = None if noise is None else noise[lanes]
        some = compute(net, params[lanes], obs[lanes], part)
        assert torch.equal(some.values, together.values[lanes])
        assert torch.equal(some.grad, together.grad[lanes])


@each_network
def test_parameters_by_name_and_back(name: str) -> None:
    net = made(name, TORCH)
    row = net.init([4])[0]
    named = net.named(row)
    assert named["convolution.1.weight"].shape == (6, 5, 2, 2)
    assert torch.equal(net.flat(named), row)
    assert sum(values.numel() for values in named.values()) == len(row)


def test_the_names_and_shapes_of_nature() -> None:
    """Trap: the 84 x 84 x 4 of Mnih et al. 2015 end as 7 x 7 x 64. 1,687,206 parameters for six
    actions, as are counted elsewhere."""
    net = CNN(
        Space((4, 84, 84), BYTES, 6), 1, convolutions="nature", hidden=[512], activation="relu"
    )
    shapes = {name: tuple(values.shape) for name, values in net.named(net.init([0])[0]).items()}
    assert [shape for name, shape in shapes.items() if name.endswith("weight")] == [
        *((32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3), (512, 3136), (6, 512))
    ]
    assert net.init([0]).shape == (1, 1_687_206)


def test_init_has_the_range_of_nn_conv2d() -> None:
    """Uniform within 1 / sqrt(channels * kernel ^ 2), the whole of it, as is nn.Conv2d's default:
    standard deviation bound / sqrt(3). Here 1 / sqrt(4 * 5 ^ 2) = .1."""
    net = CNN(
        Space((9, 9, 4), BYTES, 2), 1, convolutions=[[120, 5, 1]], hidden=[], activation="relu"
    )
    ours, theirs = net.named(net.init([0])[0]), nn.Conv2d(4, 120, 5)
    for name, size in (("weight", 12000), ("bias", 120)):
        values = ours[f"convolution.0.{name}"]
        assert values.shape == getattr(theirs, name).shape
        assert 0.1 * (1 - 12 / size) < values.abs().max() <= 0.1
        assert values.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=2 / math.sqrt(size))
        assert values.mean().abs() < 0.3 / math.sqrt(size)


def test_convolutions_have_no_noise(compute) -> None:
    """As in Fortunato et al. 2018: the noise is of the fully connected layers alone, and so are
    the spreads."""
    net, plain = noisy(TORCH), CNN(PICTURE, 1, **KEYS, hidden=[7])
    params, obs = net.init([1]), drawn(PICTURE, 1, 2)
    names = {name for name in net.named(params[0]) if name.endswith("_spread")}
    layers = ("hidden.0", "q")
    assert names == {f"{a}.{kind}_spread" for a in layers for kind in ("weight", "bias")}
    width = plain.init([1]).shape[1]
    assert torch.equal(params[:, :width], plain.init([1]))
    assert torch.equal(
        net.named(params[0])["hidden.0.bias_spread"], torch.full((7,), 0.5 / 54**0.5)
    )
    quiet = compute(net, params, obs)
    assert torch.equal(quiet.values, compute(plain, params[:, :width].clone(), obs).values)
    assert not quiet.grad[:, width:].any()


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((10, 10, 4), (10, 10, 4)),  # MinAtar
        ((10, 10, 10), (10, 10, 10)),  # MinAtar's Seaquest
        ((210, 160, 3), (210, 160, 3)),
        ((4, 84, 84), (84, 84, 4)),  # stacked frames
        ((6, 10, 20), (10, 20, 6)),
        ((12, 9), (12, 9, 1)),
    ],
)
def test_where_the_channels_of_an_observation_are(
    kernels: Kernels, shape: tuple[int, ...], seen: tuple[int, int, int]
) -> None:
    """They are moved, and no pixel is: its value says where it was."""
    space = Space(shape, np.dtype(np.float32), 2)
    torso = Torso(space, kernels, [[2, 1, 1]], "relu")
    assert torso.picture == (*seen[:2], 2)
    assert torso.layers[0].channels == seen[2]
    obs = np.arange(np.prod(shape), dtype=np.float32).reshape(1, 1, *shape)
    found = kernels.numpy(channels_last(kernels.place(obs), space, kernels))
    assert found.shape == (1, 1, *seen) and found.dtype == np.float32
    if len(shape) == 3 and shape != seen:
        found = found.transpose(0, 1, 4, 2, 3)
    assert np.array_equal(found.ravel(), obs.ravel())


def test_bytes_are_scaled_by_the_space(kernels: Kernels, compute) -> None:
    """By 1 for MinAtar's 0 and 1, and by a number of each pixel."""
    ones = PICTURE._replace(high=1.0)
    each = PICTURE._replace(high=np.ones((9, 8, 3), np.float32))
    picture = (drawn(PICTURE, 1, 2) > 128).to(torch.uint8)
    nets = [CNN(space, 1, kernels, **KEYS, hidden=[7]) for space in (PICTURE, ones, each)]
    params = nets[0].init([1])
    of_bytes = compute(nets[0], params, picture * 255).values
    for net in nets[1:]:
        assert torch.equal(compute(net, params, picture).values, of_bytes)


@pytest.mark.parametrize("shape", [(), (4,), (1, 2, 3, 4)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    space = Space(shape, BYTES, 2)
    with pytest.raises(ValueError, match="is no picture") as refused:
        CNN(space, 1, convolutions="minatar", hidden=[], activation="relu")
    assert "\n" not in str(refused.value)
    net = CNN(space, 1, convolutions=[], hidden=[3], activation="relu")
    same = MLP(space, 1, hidden=[3], activation="relu")
    assert torch.equal(net.init([1]), same.init([1]))


def test_a_kernel_larger_than_the_picture_is_refused() -> None:
    """After a first layer of 3 x 3 a picture of 9 x 8 is 7 x 6."""
    with pytest.raises(ValueError, match="7 x 7 does not fit into 7 x 6, which is what layer 2"):
        CNN(PICTURE, 1, convolutions=[[4, 3, 1], [4, 7, 1]], hidden=[], activation="relu")
    CNN(PICTURE, 1, convolutions=[[4, 3, 1], [4, 6, 1]], hidden=[], activation="relu")
