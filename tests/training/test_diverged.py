"""Seeds whose numbers are nan or inf leave the run, and the others go on unchanged."""

import json
import math
from pathlib import Path

import pytest

from dqn_cli.events import Diverged, Evaluated, Finished, Tick
from dqn_cli.results.reader import read_run
from dqn_cli.saving.checkpoint import load_lane
from dqn_cli.saving.save import checkpointed
from dqn_cli.training import build
from dqn_cli.training.loop import Loop

pytestmark = pytest.mark.usefixtures("undrawn")
SMALL = (
    *("network.hidden=[9]", "learning_starts=30", "batch_size=16", "eval.episodes=2"),
    *("hydra.run.dir=run", "checkpoint.every_seconds=1e-9"),  # at every tick
)
EPISODES = ("episodes=40",)
LONG = "+env.kwargs.max_episode_steps=900"


@pytest.fixture
def diverging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 2 gets weights that are no numbers in env step 300."""
    step = Loop._step

    def stepped(self):
        if self.step == 299 and 2 in self.seeds:
            self.learner.online[self.seeds.index(2)] = float("nan")
        yield from step(self)

    monkeypatch.setattr(Loop, "_step", stepped)


@pytest.mark.long
def test_a_seed_that_diverges_stops_and_the_others_go_on_unchanged(
    contents, dqn_train, tmp_path: Path, diverging: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = (*SMALL, *EPISODES, "buffer=per")
    assert dqn_train(*line, "seed=[1,3]", "hydra.run.dir=others").code == 0
    done = dqn_train(*line, "seed=[1,2,3]")
    assert (done.code, done.err) == (0, "")
    assert "\nseed 2 diverged: its loss or Q-values are not finite (step" in done.out
    assert "seed 2 diverged" in (tmp_path / "run/train.log").read_text()

    run, others = contents(tmp_path / "run"), contents(tmp_path / "others")
    assert {name: run[name] for name in others} == others
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["status"] == "finished"
    assert {s: told["diverged"] for s, told in summary["seeds"].items()} == {
        **{"1": False, "2": True, "3": False}
    }
    rows = read_run(tmp_path / "run").scores[2]
    assert rows["loss"].iloc[:-1].notna().sum() > 5 and rows["loss"].iloc[-1:].isna().all()
    assert math.isnan(rows["score"].iloc[-1])  # no score of what is no network
    checkpoint = load_lane(tmp_path / "run/checkpoints/seed_2_resume.pt")
    assert checkpoint.step == 256
    assert checkpoint.learner["online"].isfinite().all()
    assert not (tmp_path / "run/checkpoints/seed_2_last.pt").exists()


@pytest.mark.long
def test_a_run_with_a_diverged_seed_goes_on_without_it(
    contents, dqn_train, tmp_path: Path, diverging: None
) -> None:
    line = (*SMALL, "seed=[1,2]")
    assert dqn_train(*line, "episodes=30", "hydra.run.dir=whole").code == 0
    assert dqn_train(*line, "episodes=25").code == 0
    before = (tmp_path / "run/scores/seed_2.csv").read_bytes()
    assert dqn_train("resume=run", "episodes=30").code == 0
    assert (tmp_path / "run/scores/seed_2.csv").read_bytes() == before
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert read_run(tmp_path / "run").diverged == [2]


@pytest.mark.long
def test_a_seed_that_diverged_and_lost_rows_goes_on_from_its_checkpoint(
    contents, dqn_train, tmp_path: Path, diverging: None
) -> None:
    line = (*SMALL, *EPISODES, "seed=[1,2]")
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    assert dqn_train(*line).code == 0
    rows = (tmp_path / "run/scores/seed_2.csv").read_text().splitlines(keepends=True)
    (tmp_path / "run/scores/seed_2.csv").write_text("".join(rows[:-1]))
    assert dqn_train("resume=run").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert read_run(tmp_path / "run").diverged == [2]


@pytest.mark.long
def test_an_open_episode_that_diverges_ends_at_the_next_tick(compose, tmp_path: Path) -> None:
    """Where episodes are long, a seed is not dragged along until its episode ends."""
    (tmp_path / "checkpoints").mkdir()
    config = compose(*SMALL[:-2], "seed=[1,2]", "env.id=Acrobot-v1", "episodes=2", LONG)
    loop = build.loop(config)
    told = []
    for event in checkpointed(loop, tmp_path, 1e-9, {}):
        told.append(event)
        if isinstance(event, Tick) and event.step == 256:
            loop.learner.online[0] = math.inf
    ends = {type(e): (e.seed, e.step) for e in told if isinstance(e, Diverged | Finished)}
    assert ends[Diverged] == (1, 512)
    assert ends[Finished][0] == 2


def test_a_seed_that_diverges_at_its_end_is_neither_scored_nor_finished(compose) -> None:
    """Its numbers are looked at in step 256, which is also the last."""
    limits = ("episodes=null", "steps=256", "eval.every_episodes=null", "eval.every_steps=1000")
    loop = build.loop(compose(*SMALL[:-2], "seed=[1,2]", *limits))
    loop.learner.finite = lambda: [False, True]
    ends = (Evaluated, Diverged, Finished)
    told = [(type(event), event.seed) for event in loop.run() if isinstance(event, ends)]
    assert told == [(Evaluated, 2), (Diverged, 1), (Finished, 2)]


def test_a_seed_that_has_diverged_is_told_once_and_goes_no_further(compose) -> None:
    limits = ("episodes=null", "steps=300", "eval.every_episodes=null")
    loop = build.loop(compose(*SMALL[:-2], "seed=[1,2]", *limits))
    loop.learner.finite = lambda: [seed == 2 for seed in loop.seeds]
    ends = (Diverged, Finished)
    told = [(type(e), e.seed, e.step) for e in loop.run() if isinstance(e, ends)]
    assert told == [(Diverged, 1, 256), (Finished, 2, 300)]


def test_a_seed_that_diverges_as_the_run_is_stopped_is_not_told_before_its_rows(compose) -> None:
    limits = ("episodes=null", "steps=256", "eval.every_episodes=null", "eval.every_steps=1000")
    loop = build.loop(compose(*SMALL[:-2], "seed=[1,2]", *limits))
    loop.learner.finite = lambda: [False, True]

    def stopping(**_):
        loop.stop()
        yield from ()

    loop.scorer.tell = stopping  # nothing is scored any more
    told = [(type(e), e.seed) for e in loop.run() if isinstance(e, Diverged | Finished)]
    assert told == [(Finished, 1), (Finished, 2)]
    assert loop.scorer.waiting


def test_a_run_of_which_every_seed_diverged_has_failed(dqn_train, diverging: None) -> None:
    done = dqn_train(*SMALL, *EPISODES, "seed=2")
    assert done.code == 1
    assert done.err.startswith("dqn-train: every seed diverged: their losses or Q-values are no")
    assert "resume=" not in done.err  # there is nothing to go on with
