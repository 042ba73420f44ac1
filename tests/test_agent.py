"""dqn_cli.load: what comes out of a run acts as in it, and can be exported."""

import io
import json
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import dqn_cli
from dqn_cli.agent import Agent
from dqn_cli.kernels import compiled
from dqn_cli.network.mlp import MLP
from dqn_cli.types import Inputs

pytestmark = [pytest.mark.usefixtures("undrawn"), pytest.mark.filterwarnings("ignore")]
SMALL = (
    *("seed=[1,2]", "steps=300", "learning_starts=32", "batch_size=8", "hydra.run.dir=run"),
    *("eval.final_episodes=5", "eval.episodes=5"),
)
ROOMS = {
    "mlp": ("network.hidden=[9,7]",),
    "tanh": ("network.hidden=[]", "network.activation=tanh"),
    "dueling": ("network=dueling", "network.hidden=[9]", "network.streams=[5]"),
    "noisy c51": ("network=noisy_dueling", "network.hidden=[9]", "algo=c51"),
    "quantiles": ("algo=qr", "network.hidden=[9]"),
    "implicit": ("algo=iqn", "network.hidden=[9]", "network.head=[5]"),
    "noisy streams of quantiles": (
        *("algo=munchausen_iqn", "network=noisy_implicit", "network.hidden=[]"),
        *("network.head=[5]", "network.aggregate=mean"),
    ),
    "bytes": ("env=gridworld", "network.hidden=[9]"),
    "pictures": ("env=gridworld", "network=minatar", "network.hidden=[9]"),
    "pictures, dueling": (
        *("env=gridworld", "network=noisy_dueling", "network.hidden=[]", "network.streams=[9]"),
        *("algo=c51", "network.convolutions=[[4,3,1],[5,4,2]]"),
    ),
    "pictures, implicit": (
        *("env=gridworld", "algo=iqn", "network=implicit", "network.hidden=[]"),
        *("network.head=[5]", "network.convolutions=[[4,3,2]]"),
    ),
    "pictures, sections and pools": (
        *("env=gridworld", "network=impala", "network.hidden=[9]"),
        "network.convolutions=[[4,3,1,1],[4],[3,spectral_norm],pool]",
    ),
    "choices": ("env.id=FrozenLake-v1", "network.hidden=[9]"),
}


@pytest.mark.long
@pytest.mark.parametrize("rooms", ROOMS.values(), ids=ROOMS)
def test_an_agent_plays_its_score_and_its_module_says_the_same_wherever_it_goes(
    dqn_train, tmp_path: Path, rooms: tuple[str, ...]
) -> None:
    assert dqn_train(*rooms, *SMALL).code == 0
    agent = dqn_cli.load(tmp_path / "run", seed=2)
    module = agent.module()
    row = torch.from_numpy(observations(agent)).requires_grad_(False)
    q = np.stack([agent.greedy.q(agent.weights, r[None, None])[0, 0] for r in row.numpy()])
    np.testing.assert_allclose(module(row).detach().numpy(), q, rtol=1e-4, atol=1e-4)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's of its own exporter
        traced = torch.jit.trace(module, row[:3])
        file = io.BytesIO()
        named = {"input_names": ["obs"], "output_names": ["q"]}
        axes = {"obs": {0: "n"}, "q": {0: "n"}}
        torch.onnx.export(module, (row[:3],), file, dynamo=False, dynamic_axes=axes, **named)
    np.testing.assert_allclose(traced(row).detach().numpy(), q, rtol=1e-4, atol=1e-4)
    (found,) = onnxruntime.InferenceSession(file.getvalue()).run(None, {"obs": row.numpy()})
    np.testing.assert_allclose(found, q, rtol=1e-4, atol=1e-4)

    if row.dtype == torch.float32:
        leaf = row[:5].clone().requires_grad_()
        module(leaf).sum().backward()
        assert leaf.grad is not None and leaf.grad.abs().sum() > 0
        assert module.params.grad is not None


def observations(agent: Agent) -> np.ndarray:
    """A thousand, as networks see them."""
    draws, space = np.random.default_rng(0), agent.env.space
    shape = (1000, *space.obs_shape)
    if space.obs_dtype == np.uint8:
        return draws.integers(0, 2, shape, np.uint8)
    return draws.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("rooms", [(), ("network=module", "network.module=of_test_agent.Net")])
def test_a_module_is_differentiable_by_its_parameters_and_by_observations(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rooms: tuple[str, ...]
) -> None:
    monkeypatch.setitem(sys.modules, "of_test_agent", sys.modules[__name__])
    assert dqn_train(*rooms, *SMALL).code == 0
    module = dqn_cli.load(tmp_path / "run", trust=True).module()
    obs = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    module(obs).sum().backward()
    by_both = obs.grad
    assert module.params.grad is not None and module.params.grad.abs().sum() > 0
    obs.grad = None
    module.requires_grad_(False)(obs).sum().backward()
    assert by_both is not None and obs.grad is not None
    assert torch.equal(obs.grad, by_both) and by_both.abs().sum() > 0


class Net(nn.Sequential):
    def __init__(self, obs_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(nn.Linear(obs_shape[0], 5), nn.Tanh(), nn.Linear(5, outputs))


@pytest.fixture
def run(dqn_train, tmp_path: Path) -> Path:
    assert dqn_train("network.hidden=[9]", *SMALL).code == 0
    return tmp_path / "run"


def test_it_acts_in_the_environment_itself(run: Path) -> None:
    agent = dqn_cli.load(run)
    env = gymnasium.make("CartPole-v1")
    obs, _ = env.reset(seed=3)
    for _ in range(5):
        action = agent.act(obs)
        assert env.action_space.contains(action)
        assert action == agent.q(obs).argmax()
        obs, *_ = env.step(action)


def test_which_network_and_whose(run: Path) -> None:
    said = json.loads((run / "summary.json").read_text())["seeds"]
    best, last = dqn_cli.load(run, 2), dqn_cli.load(run, 2, "last")
    assert said["2"]["best_step"] < 300
    assert not torch.equal(best.params, last.params)
    assert torch.equal(dqn_cli.load(str(run)).params, dqn_cli.load(run, seed=1).params)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"run": "nowhere"}, "nowhere"),
        ({"seed": 7}, "seed 7: the run has 1, 2"),
        ({"which": "first"}, "which=first: expected best or last"),
    ],
)
def test_what_is_not_there_is_one_line(run: Path, keys: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        dqn_cli.load(**{"run": run, **keys})
    assert "\n" not in str(caught.value)


def test_an_observation_that_is_none_is_one_line(run: Path) -> None:
    with pytest.raises(ValueError, match=r"of shape \(3,\)"):
        dqn_cli.load(run).act(np.zeros(3, np.float32))


def test_compiled_kernels_are_not_traced(space) -> None:
    """Trap: NumPy's results would be constants in what is exported."""
    net = MLP(space(4, 2), 1, compiled, hidden=[8], activation="relu")

    def q(params: Tensor) -> Tensor:
        weights = net.split(compiled.array(params))
        obs = np.zeros((1, 1, 4), np.float32)
        return compiled.tensor(net.forward(weights, Inputs(obs)).values)

    with pytest.raises(RuntimeError, match=r"dqn_cli.load\(RUN\).module\(\) can"):
        torch.jit.trace(q, net.init([1]))
