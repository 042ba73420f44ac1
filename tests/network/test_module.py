"""A user's torch.nn.Module as the network of many lanes."""

import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dqn_cli.network.module import Module
from dqn_cli.saving.checkpoint import load
from dqn_cli.training import build
from dqn_cli.types import Inputs


class Net(nn.Module):
    """LayerNorm and SiLU."""

    def __init__(self, obs_shape: tuple[int, ...], outputs: int, width: int = 33) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(obs_shape[0], width), nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, 17)
        )
        self.head = nn.Linear(17, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.nn.functional.silu(self.body(x)))


class Conv(nn.Module):
    """Pictures [N, height, width, channels]; its values come transposed in memory."""

    def __init__(self, obs_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        height, width, channels = obs_shape
        self.conv = nn.Conv2d(channels, 4, 3)
        self.head = nn.Linear(4 * (height - 2) * (width - 2), outputs)

    def forward(self, x: Tensor) -> Tensor:
        features = self.conv(x.permute(0, 3, 1, 2)).relu().flatten(1)
        return self.head(features).T.contiguous().T


class Broken(nn.Module):
    """Reads what to do wrong from its first argument by name."""

    def __init__(self, obs_shape: tuple[int, ...], outputs: int, wrong: str) -> None:
        super().__init__()
        size = obs_shape[0]
        self.wrong = wrong
        self.head = nn.Linear(size, outputs)
        self.first: nn.Module = nn.Identity()
        match wrong:
            case "BatchNorm":
                self.first = nn.BatchNorm1d(size)
            case "BatchNorm without statistics":
                self.first = nn.BatchNorm1d(size, track_running_stats=False)
            case "Dropout":
                self.first = nn.Dropout(0.01)
            case "width":
                self.head = nn.Linear(size, outputs + 1)
            case "input":
                self.head = nn.Linear(size + 1, outputs)
            case "lazy":
                self.head = nn.LazyLinear(outputs)
            case "double":
                self.head = self.head.double()
            case "constructor":
                raise RuntimeError("two\nlines")
            case "no parameters":
                self.head = nn.Flatten()
            case "numpy":
                self.head.weight.data += float(np.random.random())

    def forward(self, x: Tensor) -> Tensor:
        match self.wrong:
            case "mixed":
                return self.head(x - x.mean(0))
            case "a pair":
                return self.head(x), x
            case "numpy in forward":
                return self.head(x) + float(np.random.random())
        return self.head(self.first(x))


class Frozen(Net):
    """Its body is left as it is made."""

    def __init__(self, *arguments, **more) -> None:
        super().__init__(*arguments, **more)
        self.body.requires_grad_(False)


def no_module(obs_shape, outputs):
    return lambda x: x


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is defined here can be named as parts.NAME."""
    module = types.ModuleType("parts")
    vars(module).update({k: v for k, v in globals().items() if not k.startswith("_")})
    monkeypatch.setitem(sys.modules, "parts", module)
    yield


def made(space, name: str = "Net", atoms: int = 1, **kwargs) -> Module:
    return Module(space, atoms, module=f"parts.{name}", kwargs=kwargs)


SIZES = [  # module, observation, actions, atoms
    ("Net", (3,), 2, 1),
    ("Net", (17,), 3, 51),
    ("Net", (4,), 1, 1),
    ("Conv", (6, 5, 3), 3, 1),
    ("Conv", (10, 10, 4), 2, 7),
]


@pytest.mark.parametrize(("name", "obs", "actions", "atoms"), SIZES)
def test_values_and_gradient_are_the_module_s(space, name, obs, actions, atoms) -> None:
    network = made(space(obs, actions), name, atoms)
    params = network.init([3, 4])
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, *obs, generator=draw)
    d_values = torch.randn(2, 5, actions, atoms, generator=draw)
    grad = torch.full_like(params, 7.0)  # to be written over
    output, pullback = network.vjp(network.split(params), Inputs(x))
    pullback(d_values, network.split(grad))
    assert output.fractions is None and not output.values.requires_grad
    assert torch.equal(network.forward(network.split(params), Inputs(x)).values, output.values)
    for lane in range(2):
        module = globals()[name](obs, actions * atoms)
        module.load_state_dict(network.named(params[lane]))
        values = module(x[lane]).reshape(5, actions, atoms)
        (values * d_values[lane]).sum().backward()
        assert torch.equal(values.detach(), output.values[lane])
        theirs = torch.cat([p.grad.flatten() for p in module.parameters()])
        torch.testing.assert_close(grad[lane], theirs)


def test_pictures_of_bytes(space) -> None:
    network = made(space((6, 5, 3), 2, np.uint8), "Conv")
    params = network.init([0])
    picture = torch.randint(256, (1, 4, 6, 5, 3)).to(torch.uint8)
    weights = network.split(params)
    found = network.forward(weights, Inputs(picture)).values
    floats = made(space((6, 5, 3), 2), "Conv")
    assert torch.equal(found, floats.forward(weights, Inputs(picture.float() / 255)).values)


@pytest.mark.parametrize(("name", "obs", "actions", "atoms"), SIZES)
@pytest.mark.parametrize("rows", [1, 33])
def test_a_lane_of_a_stack_has_the_bits_it_has_alone(space, name, obs, actions, atoms, rows):
    """Wherever its parameters and observations begin in memory: there is an odd number of them."""
    network = made(space(obs, actions), name, atoms)
    params = network.init(range(4))
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, rows, *obs, generator=draw)
    d_values = torch.randn(4, rows, actions, atoms, generator=draw)

    def bits(lanes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        weights, grad = network.split(params[lanes]), torch.zeros_like(params[lanes])
        output, pullback = network.vjp(weights, Inputs(x[lanes]))
        pullback(d_values[lanes], network.split(grad))
        return output.values, grad, network.forward(weights, Inputs(x[lanes])).values

    alone = [bits([lane]) for lane in range(4)]
    for company in ([0, 1], [3, 2, 0], [1, 3, 2, 0]):
        for found, *solo in zip(bits(company), *(alone[lane] for lane in company), strict=True):
            assert torch.equal(found, torch.cat(solo))


def test_a_seed_s_first_parameters_are_its_own(space) -> None:
    """Whoever else is there, whatever was drawn before; and nobody else's draws move."""
    network = made(space(3))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = network.init([1, 2])
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(network.init([2])[0], first[1])
    assert not torch.equal(first[0], first[1])


def test_names_are_the_module_s_own(space) -> None:
    network = made(space(3))
    row = network.init([0])[0]
    named = network.named(row)
    assert list(named) == list(Net((3,), 3).state_dict())
    assert torch.equal(network.flat(named), row)
    assert torch.equal(network.flat(dict(reversed(named.items()))), row)
    with pytest.raises(ValueError, match="parameters"):
        network.flat({**named, "head.bias": torch.zeros(2)})


def test_what_asks_for_no_gradient_stays(space) -> None:
    network = made(space(3), "Frozen")
    params = network.init([0])
    grad = torch.full_like(params, 7.0)
    output, pullback = network.vjp(network.split(params), Inputs(torch.randn(1, 5, 3)))
    pullback(torch.ones_like(output.values), network.split(grad))
    for name, slope in network.named(grad[0]).items():
        assert slope.any() == name.startswith("head")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("BatchNorm", "it has buffers (first.running_mean, first.running_var,"),
        ("BatchNorm without statistics", "Expected more than 1 value per channel"),
        ("mixed", "values depend on the others in its batch"),
        ("Dropout", "give other values the second time, as with Dropout"),
        ("numpy in forward", "give other values the second time"),
        ("width", "it makes [2, 4] of observations [2, 5]; expected [2, 3], 3 actions x 1"),
        ("a pair", "it makes tuple of observations [2, 5]"),
        ("input", "on observations [2, 5]: RuntimeError: mat1 and mat2 shapes"),
        ("lazy", "head.weight is lazy"),
        ("double", "head.weight is no float32"),
        ("constructor", "RuntimeError: two lines"),
        ("no parameters", "it has no parameters"),
        ("numpy", "head.weight is another when it is made again from the same seed"),
    ],
)
def test_a_module_that_cannot_be_one_of_many_is_refused(space, wrong: str, told: str) -> None:
    with pytest.raises(ValueError) as refused:
        made(space(5), "Broken", wrong=wrong)
    assert str(refused.value).startswith("module=parts.Broken: ")
    assert told in str(refused.value) and "\n" not in str(refused.value)


LINE = (
    *("network=module", "seed=[1,2]", "episodes=3", "learning_starts=8", "batch_size=8"),
    *("eval.episodes=1", "eval.final_episodes=null", "hydra.run.dir=run"),
)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "network.module: it must be given"),
        (("network.module=nowhere.Net",), "network.module=nowhere.Net: ModuleNotFoundError"),
        (("network.module=parts.Nope",), "network.module=parts.Nope: AttributeError"),
        (("network.module=Net",), "network.module=Net: "),
        (("network.module=3",), "network.module=3: "),
        (("network.module=parts.no_module",), "it makes no torch.nn.Module"),
        (("network.module=parts.Net", "+network.kwargs.wdth=3"), "unexpected keyword argument"),
        (("network.module=parts.Broken", "+network.kwargs.wrong=width"), "it makes [2, 3] of"),
        (("network.module=parts.Broken", "+network.kwargs.wrong=Dropout"), "Dropout"),
    ],
)
def test_it_is_one_line_that_names_the_key(dqn_train, tmp_path: Path, arguments, told) -> None:
    done = dqn_train(*LINE, *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("dqn-train: network.module") and told in done.err
    assert not list(tmp_path.iterdir())


def test_a_module_of_the_current_folder_learns_and_is_saved_by_its_own_names(
    dqn_train, tmp_path: Path
) -> None:
    source = """
        from torch import nn

        class Mine(nn.Sequential):
            def __init__(self, obs_shape, outputs, width):
                super().__init__(
                    nn.Linear(*obs_shape, width), nn.LayerNorm(width), nn.SiLU(),
                    nn.Linear(width, outputs),
                )
    """
    lines = source.splitlines()
    (tmp_path / "my_net.py").write_text("\n".join(line[8:] for line in lines), encoding="utf-8")
    done = dqn_train(*LINE, "network.module=my_net.Mine", "+network.kwargs.width=12")
    assert (done.code, done.err) == (0, "")
    mine = sys.modules.pop("my_net").Mine((4,), 2, width=12)
    checkpoint = load(tmp_path / "run/checkpoints/seed_2_last.pt")
    mine.load_state_dict(checkpoint.params)  # every name, and none besides
    assert json.loads((tmp_path / "run/summary.json").read_text())["choices"]["network"] == "module"


def test_a_file_of_the_run_loads_into_the_module(dqn_train, tmp_path: Path, compose) -> None:
    """Its values are those that the run acts on."""
    assert dqn_train(*LINE, "network.module=parts.Net").code == 0
    checkpoint = load(tmp_path / "run/checkpoints/seed_1_best.pt")
    net = Net((4,), 2)
    net.load_state_dict(checkpoint.params)
    loop = build.loop(compose(*LINE[:-1], "network.module=parts.Net"))
    network = loop.learner.network
    x = torch.randn(1, 6, 4)
    row = network.flat(checkpoint.params)[None]
    with torch.no_grad():
        values = network.forward(network.split(row), Inputs(x)).values
        assert torch.equal(values[0, :, :, 0], net(x[0]))
