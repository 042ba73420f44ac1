"""Runs on a GPU: the same bytes again, resumed or not, recorded or not; and it learns."""

import json
from pathlib import Path

import pytest

from dqn_cli.kernels.graph import Graph

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("undrawn")]
SMALL = (
    *("device=cuda", "device.deterministic=true", "seed=[1,2,3]", "episodes=null"),
    *("learning_starts=30", "batch_size=16", "eval.episodes=2", "eval.every_episodes=8"),
    *("hydra.run.dir=run", "checkpoint.every_seconds=1e-9"),
)
VECTORS = ("steps=900", "network.hidden=[9]")
PIXELS = (
    *("env=minatar/breakout", "network=minatar", "storage=frames", "storage.stack=1"),
    *("steps=500", "eval.max_steps=50"),
)
RUNS = {
    "plain": VECTORS,
    "per": (*VECTORS, "algo=ddqn", "buffer=per", "network=dueling", "target=polyak", "n_step=3"),
    "whole buffer": (*VECTORS, "buffer=per", "buffer.normalize=buffer", "buffer.capacity=200"),
    "rank": (*VECTORS, "buffer=per_rank", "grad_clip_norm=1", "optimizer=rmsprop"),
    "noise": (*VECTORS, "algo=c51", "network=noisy", "exploration=greedy"),
    "quantiles": (*VECTORS, "algo=qr", "updates=2"),
    "fractions": (*VECTORS, "algo=iqn", "network=implicit", "grad_clip_value=0.1"),
    "munchausen": (*VECTORS, "algo=munchausen", "optimizer.lr_end=1e-4", "optimizer.lr_steps=500"),
    "fitted": (*VECTORS, "algo=nfq", "update_every=64", "updates=5", "batch_size=64"),
    "pixels": PIXELS,
    "pixels, per": (*PIXELS, "buffer=per", "n_step=3", "buffer.capacity=300"),
}
each = pytest.mark.parametrize("line", RUNS.values(), ids=RUNS)


@each
def test_a_killed_run_that_goes_on_ends_with_the_same_bytes(
    contents, dqn_train, killed_at, tmp_path: Path, line: tuple[str, ...]
) -> None:
    done = dqn_train(*SMALL, *line, "hydra.run.dir=whole")
    assert (done.code, done.err) == (0, "")
    assert "cuda" in json.loads((tmp_path / "whole/summary.json").read_text())["device"]
    killed_at(270, *SMALL, *line)
    assert contents(tmp_path / "run") != contents(tmp_path / "whole")
    assert dqn_train("resume=run").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@each
def test_what_is_recorded_has_the_bytes_of_what_is_not(
    contents, dqn_train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: tuple[str, ...]
) -> None:
    """Trap: what waits for the GPU cannot be recorded, and is sent operation by operation."""
    record, failed = Graph._record, []

    def recorded(graph: Graph, given: tuple[object, ...]) -> bool:
        if not record(graph, given):
            failed.append(graph.function)
        return graph.works

    monkeypatch.setattr(Graph, "_record", recorded)
    assert dqn_train(*SMALL, *line).code == 0
    assert failed == []
    monkeypatch.setattr("dqn_cli.kernels.graph.EAGER", 10**9)
    assert dqn_train(*SMALL, *line, "hydra.run.dir=eager").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "eager")


def test_it_learns_cartpole(dqn_train, tmp_path: Path) -> None:
    assert dqn_train("device=cuda", "seed=[1,2,3,4,5]", "hydra.run.dir=run").code == 0
    best = json.loads((tmp_path / "run/summary.json").read_text())["seeds"].values()
    assert sum(seed["best_score"] >= 475 for seed in best) >= 4
