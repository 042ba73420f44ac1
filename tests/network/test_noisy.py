from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.events import Finished
from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.network.cnn import CNN
from dqn_cli.network.dueling import Dueling
from dqn_cli.network.implicit import Implicit
from dqn_cli.network.noisy import Noisy, NoisyDueling, NoisyImplicit, NoisyMLP
from dqn_cli.seeding import Stream
from dqn_cli.training import build
from dqn_cli.training.learner import Learner
from dqn_cli.types import Inputs

PLAIN = {"convolutions": [], "hidden": [33, 17], "activation": "relu"}
STREAMS = {"streams": [9], "aggregate": "mean", "trunk_gradient": 1.0}
KINDS = ["mlp", "dueling"]


def made(
    kernels: Kernels,
    space,
    kind: str = "mlp",
    atoms: int = 1,
    sigma0: float = 0.5,
    actions: int = 3,
) -> Noisy:
    if kind == "mlp":
        return NoisyMLP(space(5, actions), atoms, kernels, **PLAIN, sigma0=sigma0)
    return NoisyDueling(space(5, actions), atoms, kernels, **PLAIN, **STREAMS, sigma0=sigma0)


def mean_network(
    kernels: Kernels, space, kind: str, atoms: int = 1, actions: int = 3
) -> CNN | Dueling:
    if kind == "mlp":
        return CNN(space(5, actions), atoms, kernels, **PLAIN)
    return Dueling(space(5, actions), atoms, kernels, **PLAIN, **STREAMS)


def drawn(net: Noisy, lanes: int, tick: int = 0) -> Tensor:
    """As a run draws it."""
    return torch.from_numpy(Stream.of(net.noise(1), range(lanes), "noise.learn").floats(tick))


def noise_of(net: Noisy, numbers: Tensor) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """What each layer's weight [S, in, out] and bias [S, 1, out] of means 0 and spreads 1 are."""
    lanes, size = len(numbers), sum(layer.size for layer in net.base.layers)
    params = np.repeat(np.array([[0], [1]], np.float32), size, 0).reshape(1, -1).repeat(lanes, 0)
    array, place, numpy = net.kernels.array, net.kernels.place, net.kernels.numpy
    weights = numpy(
        net.kernels.noisy(place(params), 0, net.kernels.factors(array(numbers)), net.sizes)
    )
    assert weights.shape == (lanes, size)
    found, at = [], 0
    for layer in net.base.layers:
        split, end = at + layer.inputs * layer.outputs, at + layer.size
        weight = weights[:, at:split].reshape(lanes, layer.inputs, layer.outputs)
        found.append((weight, weights[:, None, split:end]))
        at = end
    return found


def test_the_noise_of_a_weight_is_a_product_of_two(kernels: Kernels, space) -> None:
    """Trap: independent noise under this first spread (7). f(x) = sign(x) sqrt(|x|) of a standard
    normal x has the variance E|x| = sqrt(2 / pi) = .798, so a bias's noise has, and a weight's,
    f(x) f(y), has .798^2 = 2 / pi = .637. A layer's matrix is of rank 1."""
    net = made(kernels, space)
    weights, biases = [], []
    for tick in range(400):
        for weight, bias in noise_of(net, drawn(net, 2, tick)):
            assert np.linalg.matrix_rank(weight[0]) == np.linalg.matrix_rank(weight[1]) == 1
            ratio = weight / bias  # [S, in, out]: the same of every output
            np.testing.assert_allclose(ratio, np.broadcast_to(ratio[..., :1], ratio.shape), 1e-4)
            weights.append(weight.ravel())
            biases.append(bias.ravel())
    weight, bias = np.concatenate(weights), np.concatenate(biases)
    assert weight.var() == pytest.approx(2 / np.pi, abs=0.02)
    assert bias.var() == pytest.approx(np.sqrt(2 / np.pi), abs=0.02)
    assert weight.mean() == pytest.approx(0, abs=0.02)
    assert bias.mean() == pytest.approx(0, abs=0.02)


def test_noise_by_hand(kernels: Kernels, space, compute) -> None:
    """One layer of 2 inputs and 1 output: e = (4, -9; 16) is f = (2, -3; 4), so the weights' noise
    is (8, -12) and the bias's is 4. With means (1, 1; 1) and spreads (.5, .25; 2), the input (1, 2)
    gives 1 * (1 + 4) + 2 * (1 - 3) + 1 + 8 = 10; without noise 4."""
    net = NoisyMLP(
        space(2, 1), 1, kernels, convolutions=[], hidden=[], activation="relu", sigma0=0.5
    )
    params = torch.tensor([[1, 1, 1, 0.5, 0.25, 2]])
    x = torch.tensor([[[1.0, 2.0]]])
    assert compute(net, params, x, torch.tensor([[4.0, -9, 16]])).values.item() == 10
    assert compute(net, params, x).values.item() == 4


@pytest.mark.parametrize("sigma0", [0.5, 0.1])
def test_the_first_spread_is_sigma0_by_the_root_of_the_inputs(
    kernels: Kernels, space, sigma0: float
) -> None:
    """Trap: sigma0 as it is (9). Layers of 5, 33 and 17 inputs; the means are as without noise."""
    net = made(kernels, space, sigma0=sigma0)
    named = net.named(net.init([3])[0])
    for name, inputs in (("hidden.0", 5), ("hidden.1", 33), ("q", 17)):
        for kind in ("weight", "bias"):
            spread = named[f"{name}.{kind}_spread"]
            assert spread.shape == named[f"{name}.{kind}"].shape
            assert (spread == np.float32(sigma0 / np.sqrt(inputs))).all()
    plain = mean_network(kernels, space, "mlp")
    assert all(torch.equal(named[k], v) for k, v in plain.named(plain.init([3])[0]).items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("atoms", [1, 5])
def test_other_noise_gives_other_values_and_none_the_means(
    kernels: Kernels, space, compute, kind: str, atoms: int
) -> None:
    """Trap: noise that is never drawn anew, or not left out of evaluation (8)."""
    net, plain = made(kernels, space, kind, atoms), mean_network(kernels, space, kind, atoms)
    params = net.init([0, 1])
    x = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    one, other, again = (compute(net, params, x, drawn(net, 2, k)).values for k in (0, 1, 0))
    assert torch.equal(one, again) and not torch.isclose(one, other).any()
    means = params[:, : params.shape[1] // 2].clone()
    assert torch.equal(compute(net, params, x).values, compute(plain, means, x).values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("atoms", [1, 5])
@pytest.mark.parametrize("noisy", [True, False])
def test_gradient_is_autograd_s(
    kernels: Kernels, space, compute, kind: str, atoms: int, noisy: bool
) -> None:
    net, plain = made(kernels, space, kind, atoms), mean_network(TORCH, space, kind, atoms)
    params, noise = net.init([0, 1]), drawn(net, 2)
    draw = torch.Generator().manual_seed(0)
    x, d_values = torch.randn(2, 4, 5, generator=draw), torch.randn(2, 4, 3, atoms, generator=draw)
    grad = compute(net, params, x, noise if noisy else None, d_values).grad

    leaf = params.clone().requires_grad_()
    mean, spread = leaf.chunk(2, -1)
    numbers = noise.sign() * noise.abs().sqrt() * noisy
    parts, rows = iter(numbers.split(net.sizes.ravel().tolist(), -1)), []
    for left, right in zip(parts, parts, strict=True):
        rows += [(left.unsqueeze(-1) * right.unsqueeze(-2)).flatten(1), right]
    row = mean + spread * torch.cat(rows, -1)
    values = plain.forward(plain.split(row), Inputs(x)).values
    (slope,) = torch.autograd.grad((values * d_values).sum(), leaf)
    torch.testing.assert_close(grad, slope, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_names(kernels: Kernels, space, kind: str) -> None:
    net = made(kernels, space, kind, 5)
    row = net.init([1])[0] + torch.randn(net.init([1]).shape[1])
    named = net.named(row)
    names = list(mean_network(kernels, space, kind, 5).named(row.chunk(2)[0]))
    assert list(named) == names + [f"{name}_spread" for name in names]
    assert torch.equal(net.flat(named), row)
    named["q.weight_spread" if kind == "mlp" else "value.weight_spread"] = torch.zeros(1)
    with pytest.raises(ValueError, match="parameters"):
        net.flat(named)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 33])
def test_a_lane_of_a_stack_has_the_bits_it_has_alone(
    kernels: Kernels, space, compute, kind: str, rows: int
) -> None:
    net = made(kernels, space, kind, 5)
    params = net.init(range(4))
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, rows, 5, generator=draw)
    noise = drawn(net, 4)

    def bits(lanes: list[int]) -> tuple[Tensor, Tensor]:
        found = compute(net, params[lanes], x[lanes], noise[lanes])
        return found.values, found.grad

    alone = [bits([lane]) for lane in range(4)]
    for company in ([0, 1], [3, 2, 0], [1, 3, 2, 0]):
        for found, *solo in zip(bits(company), *(alone[lane] for lane in company), strict=True):
            assert torch.equal(found, torch.cat(solo))


RUN = (
    *("network=noisy", "network.hidden=[8]", "seed=[1,2]", "episodes=null", "steps=60"),
    *("learning_starts=20", "update_every=1", "updates=2", "batch_size=4"),
    *("eval.every_episodes=null", "eval.every_steps=60", "eval.episodes=1"),
)


@pytest.mark.parametrize("algo", ["dqn", "ddqn", "c51", "qr", "munchausen"])
def test_every_forward_of_a_run_has_noise_of_its_own(
    compose, monkeypatch: pytest.MonkeyPatch, algo: str
) -> None:
    """Trap: one noise for s, the target and the choice (9). Three forwards of an update with
    `double`, two without, all with other noise, and acting with another yet; evaluation with none.
    """
    forwards: list[tuple[int, Array | None]] = []
    vjp = Noisy.vjp

    def spied(self, weights, inputs):
        forwards.append((inputs.obs.shape[1], inputs.noise))
        return vjp(self, weights, inputs)

    monkeypatch.setattr(Noisy, "vjp", spied)
    loop = build.loop(compose(*RUN, f"algo={algo}"))
    assert loop.exploring.exploration.epsilon(0, np.ones(2, np.int64)) == 0  # (10)
    forwards.clear()
    events = list(loop.run())
    assert sum(isinstance(event, Finished) for event in events) == 2
    learning = [noise for rows, noise in forwards if rows == 4]
    acting = [noise for rows, noise in forwards if rows == 1 and noise is not None]
    scoring = [noise for _, noise in forwards if noise is None]
    per_update = {"ddqn": 3, "munchausen": 3}.get(algo, 2)
    assert len(learning) == 41 * 2 * per_update and len(acting) == 60 and scoring
    numbers = np.stack([noise for noise in [*learning, *acting] if noise is not None])
    assert len(numbers) == len(learning) + len(acting)
    assert len(np.unique(numbers[:, :, 0])) == 2 * len(numbers)  # both lanes', all others


def test_another_exploration_may_be_given_beside_it(compose) -> None:
    """Trap: epsilon left on (10), or a key without effect."""
    assert compose("network=noisy").exploration["start"] == 0
    assert compose("network=noisy_dueling").exploration["start"] == 0
    assert compose("network=noisy", "exploration=linear").exploration["end"] == 0.05
    assert compose("exploration=linear", "network=noisy").exploration["end"] == 0.05
    assert compose("network=noisy", "exploration.start=0.01").exploration["start"] == 0.01


def test_noise_is_counted_on_where_a_learner_is_taken_up(
    compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The noise of an update is a function of the number of the update."""
    whole, part = (build.loop(compose(*RUN)) for _ in range(2))
    first, second = [], []
    draw = Learner._noise

    def steps(loop, count: int, seen: list) -> None:
        def drawn(learner, forward):
            seen.append(draw(learner, forward))
            return seen[-1]

        monkeypatch.setattr(Learner, "_noise", drawn)
        with torch.no_grad():
            for _ in range(count):
                list(loop._step())

    steps(whole, 60, first)
    steps(part, 30, second)
    again = build.loop(compose(*RUN))
    again.take_up([part.lane(0), part.lane(1)])
    steps(again, 30, second)
    assert len(first) == len(second) > 100
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    assert not any(np.array_equal(one, other) for one, other in pairwise(first))


IMPLICIT = {
    **{"convolutions": [], "hidden": [9], "head": [7], "fractions": 4, "cosines": 6},
    **{"activation": "relu", "aggregate": "mean"},
}


def test_of_an_implicit_network_the_head_alone_is_noisy(kernels: Kernels, space) -> None:
    net = NoisyImplicit(space(5, 3), 1, kernels, **IMPLICIT, sigma0=0.5)
    named = net.named(net.init([1])[0])
    spreads = {name.removesuffix("_spread") for name in named if name.endswith("_spread")}
    streams = [
        f"{stream}{layer}" for stream in ("value", "advantage") for layer in (".hidden.0", "")
    ]
    assert spreads == {f"{layer}.{kind}" for layer in streams for kind in ("weight", "bias")}
    assert torch.equal(net.flat(named), net.init([1])[0])


def test_means_begin_as_the_paper_has_them_whatever_layers_without_noise_do(
    kernels: Kernels, space
) -> None:
    """Within 1 / sqrt(inputs), biases too (section 3.2), as with Dopamine's own noisy layers, whose
    convolutions are Glorot's. The layers before an implicit network's head are without noise."""
    found = {
        init: NoisyImplicit(space(5, 3), 1, kernels, **IMPLICIT, sigma0=0.5, init=init)
        for init in ("torch", "glorot")
    }
    torch_s, glorot_s = (net.named(net.init([1])[0]) for net in found.values())
    assert torch_s.keys() == glorot_s.keys()
    differ = {name for name in torch_s if not torch.equal(torch_s[name], glorot_s[name])}
    assert differ == {f"{layer}.{k}" for layer in ("hidden.0", "phi") for k in ("weight", "bias")}


def test_noise_and_fractions_are_drawn_together(kernels: Kernels, space, compute) -> None:
    """The fractions of every row lie behind the noise of the weights; with spreads of 0 it is the
    network without noise, at these fractions. Its gradient by the means is that one's."""
    net = NoisyImplicit(space(5, 3), 1, kernels, **IMPLICIT, sigma0=0.5)
    base = Implicit(space(5, 3), 1, kernels, **IMPLICIT)
    asked = net.noise(6)
    weights = 2 * (9 + 7) + (7 + 1) + (7 + 3)
    assert asked == ((weights + 6 * 4,), True, 6 * 4)
    params, x = net.init([1, 2]), torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    drawn = torch.from_numpy(Stream.of(asked, [1, 2], "test").floats(3))
    fractions = drawn[:, weights:].reshape(2, 6, 4).contiguous()
    found, still = params.clone(), params[:, : net.width].contiguous()
    found[:, net.width :] = 0
    ours, theirs = compute(net, found, x, drawn), compute(base, still, x, fractions)
    assert torch.equal(ours.fractions, fractions)
    assert torch.equal(ours.values, theirs.values)
    assert torch.equal(ours.grad[:, : net.width], theirs.grad)
    assert not torch.equal(compute(net, params, x, drawn).values, theirs.values)
