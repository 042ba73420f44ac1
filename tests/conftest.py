"""What several test files share."""

import logging
import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from torch import Tensor

from dqn_cli.cli.train import CONF, Hooks, main
from dqn_cli.config import Config, check, command
from dqn_cli.storage.transitions import Transitions
from dqn_cli.training.replay import Replay
from dqn_cli.types import Inputs, Network, Sampler, Space, Step

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def denormals() -> Iterator[None]:
    """A run flushes them to zero in the whole process; other tests may want them."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture
def compose() -> Callable[..., Config]:
    """compose("algo=ddqn", "seed=1"): the checked configuration of that command line."""

    def composed(*overrides: str) -> Config:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            values = OmegaConf.to_container(hydra_compose("config", list(overrides)), resolve=True)
        return check(command(values)[1])

    return composed


@pytest.fixture
def space() -> Callable[..., Space]:
    """space(obs, actions, dtype): an observation of that many numbers, or of that shape."""

    def make(obs: int | tuple[int, ...] = 2, actions: int = 3, dtype: Any = np.float32) -> Space:
        return Space((obs,) if isinstance(obs, int) else obs, np.dtype(dtype), actions)

    return make


@pytest.fixture
def row() -> Callable[..., Step]:
    """row(k, [0, 1]): row k of these lanes; its numbers are 100 * lane + k or made of it."""

    def make(k: int, lanes: list[int], ended: bool = False, truncated: bool = False) -> Step:
        code = 100.0 * np.array(lanes) + k
        obs = np.stack([code, -code], axis=-1).astype(np.float32)
        action = np.full(len(lanes), k % 3)
        ends = np.full(len(lanes), ended), np.full(len(lanes), truncated)
        return Step(obs, action, code, obs + 0.5, *ends)

    return make


@pytest.fixture
def replay(space) -> Callable[..., Replay]:
    """replay(sampler, lanes, ...): it, with a storage of these lanes and of such a space."""

    def make(sampler: Sampler, lanes: int, *spaces: int) -> Replay:
        cpu = torch.device("cpu")
        return Replay(Transitions(lanes, space(*spaces), sampler.capacity, 0.9, 1, cpu), sampler)

    return make


@pytest.fixture
def q_values() -> Callable[..., Tensor]:
    """q_values(network, params, obs): the Q-values [S, N, A] of one number per action."""

    def forward(network: Network, params: Tensor, obs: Tensor) -> Tensor:
        return network.forward(network.split(params), Inputs(obs)).values.squeeze(-1)

    return forward


class Done(NamedTuple):
    """How a command ended; what it warned of counts as printed on stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def dqn_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Done]]:
    """dqn_train("algo=ddqn"): that command line, in this process and in an empty directory."""
    monkeypatch.chdir(tmp_path)
    # What main() leaves in a process that it expects to end with it.
    hooks = {k: v for k, v in vars(Hooks).items() if not (callable(v) or k.startswith("_"))}
    handlers = logging.getLogger().handlers[:]

    def run(*arguments: str) -> Done:
        capfd.readouterr()
        GlobalHydra.instance().clear()
        logging.disable(logging.NOTSET)
        for name, value in hooks.items():
            setattr(Hooks, name, value)
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        monkeypatch.setattr(sys, "argv", ["dqn-train", *arguments])
        code = 0
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", UserWarning)
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
            except Exception:
                code = 1
                traceback.print_exc()
        out, err = capfd.readouterr()
        return Done(code, out, err + "".join(f"{warning.message}\n" for warning in warned))

    yield run
    for name, value in hooks.items():
        setattr(Hooks, name, value)
    for handler in set(logging.getLogger().handlers) - set(handlers):
        logging.getLogger().removeHandler(handler)
        handler.close()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of two seeds, made by the installed command; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    command = Path(sys.executable).with_name("dqn-train")
    small = "seed=[1,2] episodes=8 network.hidden=[8] learning_starts=8 batch_size=8"
    done = subprocess.run(
        [command, *small.split(), "eval.episodes=4", "optimizer=adam", "hydra.run.dir=run"],
        cwd=folder,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    (folder / "stdout").write_text(done.stdout)
    return folder / "run"


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are empty files: to draw one takes longer than a small run."""
    monkeypatch.setattr("dqn_cli.cli.plot._render", lambda *_: b"")
