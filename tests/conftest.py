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

from dqn_cli.cli.train import CONF, main
from dqn_cli.config import Config, check, command
from dqn_cli.types import Space, Step

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

    def make(k: int, lanes: list[int], ended: bool = False) -> Step:
        code = 100.0 * np.array(lanes) + k
        obs = np.stack([code, -code], axis=-1).astype(np.float32)
        action = np.full(len(lanes), k % 3)
        return Step(obs, action, code, obs + 0.5, np.full(len(lanes), ended))

    return make


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
    monkeypatch.setattr("dqn_cli.results.figure._render", lambda *_: b"")
