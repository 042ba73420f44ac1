"""The Rainbow family in whole runs: a lane is the seed alone, a killed run goes on to the same
bytes, and each algorithm learns what is known of a chain of states."""

import hashlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dqn_cli.events import Episode, Finished
from dqn_cli.saving.checkpoint import load_lane
from dqn_cli.training import build

FAMILY = {
    "rainbow": (
        *("algo=c51", "algo.double=true", "buffer=per", "network=noisy_dueling", "n_step=3"),
        *("network.hidden=[33]", "network.streams=[17]", "network.trunk_gradient=0.7"),
    ),
    "qr": ("algo=qr", "algo.quantiles=7", "network.hidden=[33,17]"),
    "iqn": (
        *("algo=iqn", "algo.double=true", "network.hidden=[17]", "network.head=[9]"),
        *("network.fractions=5", "network.cosines=13"),
    ),
    "beyond the rainbow": (
        *("algo=munchausen_iqn", "network=noisy_implicit", "network.aggregate=mean"),
        *("network.hidden=[]", "network.head=[9]", "network.fractions=5", "network.cosines=13"),
        *("buffer=per", "n_step=3", "exploration=linear"),
    ),
    "munchausen": ("algo=munchausen", "network=noisy", "network.hidden=[33]", "n_step=2"),
    "module": ("network=module", "network.module=parts.Net", "algo=qr", "algo.quantiles=5"),
    "boltzmann": ("exploration=boltzmann", "network.hidden=[33]"),
}


class Net(nn.Module):
    """An odd number of parameters, so that no two lanes begin alike in memory."""

    def __init__(self, obs_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(*obs_shape, 33), nn.LayerNorm(33), nn.SiLU())
        self.head = nn.Linear(33, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = types.ModuleType("parts")
    module.Net = Net  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "parts", module)
    yield


# Lanes


def told(compose, *overrides: str) -> dict[int, list[object]]:
    """Everything a run tells of each seed: rows, and the bits of the parameters it ends with."""
    loop = build.loop(
        compose(
            *("episodes=7", "learning_starts=30", "batch_size=32", "update_every=2"),
            *("eval.diagnose_every=2", *overrides),
        )
    )
    seeds: dict[int, list[object]] = {seed: [] for seed in loop.seeds}
    for event in loop.run():
        if isinstance(event, Episode):
            seeds[event.seed].append((tuple(event.row.items()), event.diagnosis))
        elif isinstance(event, Finished):
            bits = hashlib.sha256(event.params.tobytes()).hexdigest()
            seeds[event.seed].append((event.step, bits))
    return seeds


@pytest.mark.long
@pytest.mark.parametrize("line", FAMILY.values(), ids=FAMILY)
def test_a_lane_in_company_is_the_same_seed_alone(compose, line: tuple[str, ...]) -> None:
    alone = told(compose, "seed=41", *line)[41]
    many = told(compose, "seed=[1,2,41,5]", *line)
    assert len(alone) == 8
    assert alone == told(compose, "seed=[8,41]", *line)[41] == many[41]
    assert len({str(rows) for rows in many.values()}) == 4


# Exact resume


def contents(run: Path) -> dict[str, bytes]:
    rows = [*run.glob("scores/*"), *run.glob("diagnostics/*")]
    files = [*rows, *run.glob("*/*_best.pt"), *run.glob("*/*_last.pt")]
    return {file.relative_to(run).as_posix(): file.read_bytes() for file in files}


@pytest.mark.long
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", ["rainbow", "iqn", "module"])
def test_a_killed_run_that_goes_on_ends_with_the_same_bytes(
    dqn_train, killed_at, tmp_path: Path, name: str
) -> None:
    """In the middle of an episode, and of a block of random numbers."""
    line = (
        *("seed=[1,2]", "episodes=30", "learning_starts=30", "batch_size=16", "eval.episodes=2"),
        *("eval.final_episodes=null", "checkpoint.every_seconds=1e-9", *FAMILY[name]),
    )
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    assert len(list(tmp_path.glob("whole/diagnostics/*"))) == 2
    killed_at(530, *line, "hydra.run.dir=run")
    assert 512 in {load_lane(file).step for file in tmp_path.glob("run/*/*_resume.pt")}
    assert contents(tmp_path / "run") != contents(tmp_path / "whole")
    trust = ["trust=true"] * (name == "module")
    done = dqn_train("resume=run", *trust)
    assert (done.code, done.err) == (0, "")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


# Learning


class Chain(gymnasium.Env):
    """Six states in a row. Right leads to the last one, worth 1; left gives 0.1 and ends it."""

    observation_space = gymnasium.spaces.Box(0, 1, (6,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = 0
        return np.eye(6, dtype=np.float32)[0], {}

    def step(self, action):
        if action == 0:
            return np.eye(6, dtype=np.float32)[self.state], 0.1, True, False, {}
        self.state += 1
        end = self.state == 5
        return np.eye(6, dtype=np.float32)[self.state], float(end), end, False, {}


gymnasium.register("dqn_cli_tests/FamilyChain-v0", Chain)

FAST = (
    *("env.id=dqn_cli_tests/FamilyChain-v0", "gamma=0.9", "seed=[1,2]", "episodes=null"),
    *("steps=2500", "learning_starts=50", "batch_size=32", "update_every=4"),
    *("eval.every_episodes=null", "optimizer.lr=2e-3", "target.every_steps=80"),
)
EXPLORING = ("exploration=constant", "exploration.start=0.5")
C51 = ("algo=c51", "algo.low=0", "algo.high=1", "algo.atoms=21")
IQN = ("algo=iqn", "network.hidden=[32]", "network.head=[32]", "network.fractions=8")


def learned(compose, *overrides: str) -> Tensor:
    """The Q-values [2, 4, 2] of the first four states at the end of a run."""
    loop = build.loop(compose(*FAST, *overrides))
    greedy = loop.exploring.greedy
    params = [torch.from_numpy(e.params) for e in loop.run() if isinstance(e, Finished)]
    states = np.tile(np.eye(6, dtype=np.float32)[:4], (2, 1, 1))
    with torch.no_grad():
        return torch.from_numpy(greedy.q(greedy.weights(torch.stack(params)), states))


@pytest.mark.long
@pytest.mark.parametrize(
    "line",
    [
        C51,
        (*C51, "algo.double=true", "buffer=per", "network=dueling"),
        ("algo=qr", "algo.quantiles=16"),
        ("algo=qr", "algo.quantiles=16", "algo.double=true", "algo.kappa=0.1"),
        IQN,
        (*IQN, "algo.double=true", "buffer=per"),
    ],
    ids=" ".join,
)
def test_the_chain_is_worth_what_it_is_worth(compose, line: tuple[str, ...]) -> None:
    """Q(s, right) = 0.9^(4 - s), Q(s, left) = 0.1: by hand, from the end backwards."""
    small = () if any("hidden" in word for word in line) else ("network.hidden=[32]",)
    q = learned(compose, *EXPLORING, *small, *line)
    right = torch.tensor([0.6561, 0.729, 0.81, 0.9]).expand(2, 4)
    torch.testing.assert_close(q[..., 1], right, atol=0.05, rtol=0)
    torch.testing.assert_close(q[..., 0], torch.full((2, 4), 0.1), atol=0.05, rtol=0)


@pytest.mark.long
@pytest.mark.parametrize(
    "line",
    [
        ("network.hidden=[32]", "n_step=3", *EXPLORING),
        ("algo=munchausen", "network.hidden=[32]", *EXPLORING),
        ("network.hidden=[32]", "exploration=boltzmann", "exploration.end=0.2"),
        ("network=noisy", "network.hidden=[32]"),
        ("network=module", "network.module=parts.Net", *EXPLORING),
        (*C51, "algo.double=true", "buffer=per", "network=noisy_dueling", "n_step=3"),
    ],
    ids=" ".join,
)
def test_the_way_to_the_end_of_the_chain_is_found(compose, line: tuple[str, ...]) -> None:
    """Right is best in every state, by far; its values depend on what is explored, or are soft."""
    q = learned(compose, *line)
    assert (q[..., 1] - q[..., 0] > 0.2).all()


@pytest.mark.long
def test_munchausen_s_gap_is_wider_than_dqn_s(compose) -> None:
    """What it is for: the log-policy lowers the action that is not chosen, here by all of its
    alpha * l0, and leaves the other as it is."""
    q = learned(compose, "algo=munchausen", "network.hidden=[32]", *EXPLORING)
    right = torch.tensor([0.6561, 0.729, 0.81, 0.9]).expand(2, 4)
    torch.testing.assert_close(q[..., 1], right, atol=0.06, rtol=0)
    torch.testing.assert_close(q[..., 0], torch.full((2, 4), 0.1 - 0.9), atol=0.06, rtol=0)
