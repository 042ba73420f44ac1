"""What several test files share."""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.linalg.cython_blas  # noqa: F401  # numba's products are SciPy's
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from threadpoolctl import threadpool_limits
from torch import Tensor

from dqn_cli.cli.train import CONF, main
from dqn_cli.config import Config, check, command
from dqn_cli.kernels.kernels import Kernels, load
from dqn_cli.kernels.torch import TORCH
from dqn_cli.results.style import save
from dqn_cli.results.writer import RunWriter
from dqn_cli.storage.transitions import Transitions
from dqn_cli.training.learner import Learner
from dqn_cli.training.replay import Replay
from dqn_cli.types import Inputs, Network, Sampler, Space, Step

# As a run's device sets it: on busy cores, threads that wait for each other take a hundred times as
# long for a small product.
torch.set_num_threads(1)
threadpool_limits(1, user_api="blas")


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


@pytest.fixture(scope="session", params=["compiled", "torch"])
def kernels(request: pytest.FixtureRequest) -> Kernels:
    """Each kind, on the CPU."""
    return load(request.param, torch.device("cpu"))


@pytest.fixture
def replay(space) -> Callable[..., Replay]:
    """replay(sampler, lanes, ...): it, with a storage of these lanes and of such a space, of the
    sampler's kind of arrays."""

    def make(sampler: Sampler, lanes: int, *spaces: int, kernels: Kernels = TORCH) -> Replay:
        kernels = getattr(sampler, "kernels", kernels)
        capacity = sampler.capacity
        storage = Transitions(range(lanes), space(*spaces), capacity, 0.9, 1, kernels)
        return Replay(storage, sampler, kernels)

    return make


@pytest.fixture
def q_values() -> Callable[..., Tensor]:
    """q_values(network, params, obs): the Q-values [S, N, A] of one number per action, a tensor
    whatever the network computes with."""

    def forward(network: Network, params: Tensor, obs: Any) -> Tensor:
        kernels: Kernels = getattr(network, "kernels", TORCH)
        seen = kernels.array(obs) if isinstance(obs, Tensor) else kernels.place(obs)
        weights = network.split(kernels.array(params))
        return kernels.tensor(network.forward(weights, Inputs(seen)).values).squeeze(-1)

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
    # main() leaves some in a process that it expects to end with it.
    handlers = logging.getLogger().handlers[:]

    def run(*arguments: str) -> Done:
        capfd.readouterr()
        GlobalHydra.instance().clear()
        logging.disable(logging.NOTSET)
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
    monkeypatch.setattr("dqn_cli.training.run.draw", lambda _, out: save(out, b""))


# A run that is saved at every tick.
SAVED = (
    *("network.hidden=[9]", "learning_starts=30", "batch_size=16", "eval.episodes=2"),
    *("hydra.run.dir=run", "checkpoint.every_seconds=1e-9"),
)


ROWS = ("scores", "evaluations", "diagnostics")


class Killed(BaseException):
    """Stands for a kill: nobody catches it to write anything down."""


@pytest.fixture
def killed_at(dqn_train, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """killed_at(700, *arguments): that command, ended by a kill in the learner's 700th step."""

    def run(steps: int, *arguments: str) -> None:
        count = 0
        learn = Learner.learn

        def learned(self: Learner, step: int) -> None:
            nonlocal count
            count += 1
            if count > steps:
                raise Killed
            learn(self, step)

        with monkeypatch.context() as patch:
            patch.setattr(Learner, "learn", learned)
            patch.setattr("dqn_cli.results.writer.RunWriter.finish", lambda *_, **__: None)
            with pytest.raises(Killed):
                dqn_train(*arguments)

    return run


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that `finished` copies, once it has been made."""
    return tmp_path_factory.mktemp("finished") / "run"


@pytest.fixture
def finished(dqn_train, model: Path) -> Path:
    """The directory of a small run that is done, in the current folder."""
    if not model.exists():
        assert dqn_train(*SAVED, "seed=[1,2]", "episodes=9", "buffer=per").code == 0
        shutil.copytree("run", model)
    else:
        shutil.copytree(model, "run")
    return Path("run")


@pytest.fixture
def contents() -> Callable[[Path], dict[str, str]]:
    """contents(run): name -> hash of the files that must be the same bytes."""

    def found(run: Path) -> dict[str, str]:
        rows = [path for name in ROWS for path in run.glob(f"{name}/*")]
        files = [*rows, *run.glob("*/*_best.pt"), *run.glob("*/*_last.pt")]
        return {
            path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }

    return found


@pytest.fixture
def make() -> Callable[..., Path]:
    """make(path, algo="ddqn"): a run directory, written without training."""

    def made(
        path: Path,
        algo: str = "dqn",
        seeds: tuple[int, ...] = (1, 2),
        episodes: int = 30,
        scored: bool = True,
        config: str = "",
    ) -> Path:
        """A run directory whose scores rise by 20 in each episode, and by 1 from seed to seed."""
        with RunWriter(
            path,
            config=f"seed: {list(seeds)}\nalgo: {{kind: {algo}}}\n{config}",
            choices={"algo": algo, "buffer": "uniform", "network": "mlp", "target": "hard"},
            seeds=seeds,
            threshold=475.0,
            versions={},
        ) as run:
            for seed in seeds:
                for episode in range(1, episodes + 1):
                    score = 20.0 * episode + seed
                    row: dict[str, float | None] = {
                        "episode": episode,
                        "step": 10 * episode,
                        "return": 5.0,
                        "length": 10,
                    }
                    row |= {"score": score if scored else None, "epsilon": 0.1}
                    run.episode(seed, row, 0.0)
            run.finish("finished", env_steps_per_second=1.0)
        return path

    return made
