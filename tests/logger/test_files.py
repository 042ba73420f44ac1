"""The logger that keeps the run directory."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dqn_cli.events import Diverged, Episode, Evaluated, Failed, Finished, Rescored, Tick
from dqn_cli.logger.files import RunFiles
from dqn_cli.network.mlp import MLP
from dqn_cli.results.reader import read_run
from dqn_cli.results.writer import RunWriter
from dqn_cli.saving.checkpoint import load


def test_events_become_rows_networks_and_a_summary(space, tmp_path: Path) -> None:
    network = MLP(space(), 1, hidden=[4], activation="relu")
    params = network.init([1, 2]).numpy()
    with RunWriter(
        tmp_path, config="seed: [1, 2]", choices={}, seeds=[1, 2], threshold=None, versions={}
    ) as writer:
        files = RunFiles([1, 2], network, writer, None)
        files.event(Episode(1, 1, 10, 10.0, 10, 12.5, 0.1, None, None, 0, params[0]))
        files.event(Episode(1, 2, 25, 15.0, 15, 7.5, 0.1, 0.5, 2.0, 0, None))
        files.event(Evaluated(2, 20, 0, 3.0, 0, params[1], extra=False))
        files.event(Tick([1, 2], 25, 50, 0.0))
        files.event(Diverged(2, 25))
        files.event(Finished(1, 30, params[0] + 1))
        files.event(Rescored(1, 11.0))
        files.event(Failed("the disk is full"))
        files.close("failed")
    run = read_run(tmp_path)
    assert run.scores[1]["return"].tolist() == [10.0, 15.0]
    assert run.evaluations[2]["score"].tolist() == [3.0]
    assert (run.summary["status"], run.summary["error"]) == ("failed", "the disk is full")
    assert run.summary["env_steps_per_second"] > 0
    one, two = (run.summary["seeds"][seed] for seed in ("1", "2"))
    assert (one["best_score"], one["best_fresh_score"], two["diverged"]) == (12.5, 11.0, True)
    best, last = (load(tmp_path / f"checkpoints/seed_1_{kind}.pt") for kind in ("best", "last"))
    assert (best.episode, best.step, best.score) == (1, 10, 12.5)
    assert (last.episode, last.step, last.score) == (2, 30, None)
    assert torch.equal(network.flat(last.params), torch.from_numpy(params[0] + 1))
    assert load(tmp_path / "checkpoints/seed_2_best.pt").step == 20
    assert np.array_equal(network.flat(best.params).numpy(), params[0])


def test_speed_is_that_of_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """1200 steps in 10 s of which 6 went into evaluation: 300 a second."""
    monkeypatch.setattr(RunFiles, "seconds", 10.0)
    files = RunFiles([], None, None, None)  # type: ignore[arg-type]
    files.event(Tick([], 600, 600, 2.0))
    files.event(Tick([], 1200, 600, 4.0))
    assert files.speed == 300
