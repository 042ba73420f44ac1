"""A run taken up again ends with the bytes of one left alone; what cannot be is one line."""

import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
import yaml
from filelock import FileLock
from gymnasium.envs.classic_control import CartPoleEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from dqn_cli.config import BadInput
from dqn_cli.events import Diverged, Evaluated, Finished, RunError, Saved, Tick
from dqn_cli.results.reader import read_run
from dqn_cli.saving import resume
from dqn_cli.saving.checkpoint import load, load_lane
from dqn_cli.saving.resume import checkpointed
from dqn_cli.state import Known
from dqn_cli.training import build, evaluation
from dqn_cli.training.learner import Learner
from dqn_cli.training.loop import Loop

pytestmark = pytest.mark.usefixtures("undrawn")
SMALL = (
    *("network.hidden=[9]", "learning_starts=30", "batch_size=16", "eval.episodes=2"),
    *("hydra.run.dir=run", "checkpoint.every_seconds=1e-9"),  # at every tick
)
ROOMS = {
    "plain": ("seed=[1,2,3]",),
    "everything": (
        *("seed=[1,2]", "algo=ddqn", "buffer=per", "network=dueling", "target=polyak"),
        *("optimizer=rmsprop", "grad_clip_norm=1", "algo.loss=huber", "updates=2"),
    ),
    "by rank": (
        *("seed=[1,2,3]", "buffer=per_rank", "buffer.sort_every_updates=7", "buffer.capacity=300"),
        *("target=none", "exploration=geometric", "grad_clip_value=0.1", "reduction=sum"),
        *("update_every=3", "network=dueling", "network.aggregate=max"),
    ),
    "fitted": ("seed=[1,2]", "algo=nfq", "update_every=64", "updates=5", "batch_size=64"),
    "small replay": ("seed=[4,0]", "buffer=per", "buffer.capacity=300"),
    "a row of five": ("seed=[1,2,3,4,5]", "update_every=3", "target.every_steps=7"),
    "another": ("seed=[1,2]", "env.id=Acrobot-v1", "episodes=null", "steps=1100"),
    "evaluated by steps": ("seed=[1,2]", "eval.every_episodes=null", "eval.every_steps=45"),
    "by steps, and seldom by episodes": (
        *("seed=[1,2]", "eval.every_episodes=7", "eval.every_steps=200"),
        *("episodes=null", "steps=901"),
    ),
    "in one environment": ("seed=[1,2]", "eval.every_steps=45", "eval.envs=shared"),
}
EPISODES = ("episodes=40",)
LONG = "+env.kwargs.max_episode_steps=900"


class Killed(BaseException):
    """Stands for a kill: nobody catches it to write anything down."""


def kill() -> None:
    raise Killed


def contents(run: Path) -> dict[str, str]:
    """What must be the same bytes."""
    rows = [*run.glob("scores/*"), *run.glob("evaluations/*")]
    files = [*rows, *run.glob("*/*_best.pt"), *run.glob("*/*_last.pt")]
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


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


# Exact resume


@pytest.mark.long
@pytest.mark.parametrize("rooms", ROOMS.values(), ids=ROOMS)
def test_a_killed_run_that_goes_on_ends_with_the_same_bytes(
    dqn_train, killed_at, tmp_path: Path, rooms: tuple[str, ...]
) -> None:
    line = (*SMALL, *EPISODES, *rooms)
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    killed_at(650, *line)
    assert list(tmp_path.glob("run/*/*_previous.pt"))
    choices = json.loads((tmp_path / "run/summary.json").read_text())["choices"]
    assert contents(tmp_path / "run") != contents(tmp_path / "whole")
    killed_at(100, "resume=run")  # before the next checkpoint: it goes on from the same one
    done = dqn_train("resume=run")
    assert (done.code, done.err) == (0, "")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    finished = json.loads((tmp_path / "run/summary.json").read_text())
    whole = json.loads((tmp_path / "whole/summary.json").read_text())
    assert (finished["status"], finished["seeds"]) == ("finished", whole["seeds"])
    assert finished["choices"] == whole["choices"] == choices


@pytest.mark.long
def test_a_run_killed_before_its_first_checkpoint_starts_over(
    dqn_train, killed_at, tmp_path: Path
) -> None:
    line = (*SMALL, *EPISODES, "seed=[1,2]")
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    killed_at(200, *line)
    assert not list(tmp_path.glob("run/*/*_resume.pt"))
    assert dqn_train("resume=run").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.long
def test_seeds_saved_at_different_steps_join_where_they_belong(
    dqn_train, killed_at, tmp_path: Path
) -> None:
    """As after a kill between the checkpoints of two seeds; the first one is ahead."""
    line = (*SMALL, *EPISODES, "seed=[1,2,3,4]", "buffer=per")
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    killed_at(530, *line)
    places = [tmp_path / f"run/checkpoints/seed_{seed}_resume.pt" for seed in (2, 3, 4)]
    os.replace(places[0].with_name("seed_2_previous.pt"), places[0])
    os.replace(places[1].with_name("seed_3_previous.pt"), places[1])
    places[2].unlink()
    places[2].with_name("seed_4_previous.pt").unlink()
    assert {load_lane(place).step for place in places[:2]} == {256}
    assert dqn_train("resume=run").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_an_open_episode_is_rebuilt_by_its_actions(compose) -> None:
    config = compose(*SMALL[:-2], "seed=[1,2]", "env.id=Acrobot-v1", "episodes=9")
    loop = build.loop(config)
    for event in loop.run():
        if isinstance(event, Tick):
            break
    lanes = [loop.lane(lane) for lane in range(2)]
    assert all(len(lane.actions) == 256 for lane in lanes)  # long, and still open

    again = build.loop(config)
    again.take_up(lanes)
    again._join()
    np.testing.assert_array_equal(again.obs, loop.obs)
    np.testing.assert_array_equal(again.returns, loop.returns)
    np.testing.assert_array_equal(again.lengths, loop.lengths)
    for _ in again._step():
        pass
    assert again.step == 257


@pytest.mark.parametrize("changed", ["nothing", "return", "last observation", "end", "open"])
def test_an_episode_that_is_played_again_must_be_the_same(compose, changed: str) -> None:
    """The last whole one in its return, where it led to and when it ended, and the open one."""
    config = compose(*SMALL[:-2], "seed=1", "episodes=90")
    loop, again = build.loop(config), build.loop(config)
    for event in loop.run():
        if isinstance(event, Tick):
            break
    lane = loop.lane(0)
    known, number = lane.known, lane.episode
    assert known is not None and len(lane.actions)
    match changed:
        case "return":
            lane = lane._replace(known=known._replace(return_=known.return_ + 1))
        case "last observation":
            lane = lane._replace(known=known._replace(obs=known.obs + 1))
        case "end":  # all but the last step
            total, obs, _ = again._replay(1, number, known.actions[:-1])
            lane = lane._replace(known=Known(known.actions[:-1], torch.from_numpy(obs), total))
        case "open":
            lane, number = lane._replace(obs=lane.obs + 1), number + 1
    again.take_up([lane])
    if changed == "nothing":
        again._join()
    else:
        with pytest.raises(RunError, match=f"did not repeat itself in seed 1, episode {number}: "):
            again._join()


class Whimsical(CartPoleEnv):
    """Not a function of seed and actions."""

    born = 0.0

    def step(self, action):
        obs, *rest = super().step(action)
        Whimsical.born += 1e-3
        return (obs + np.float32(Whimsical.born), *rest)


def test_an_environment_that_does_not_repeat_itself_is_named(
    dqn_train, killed_at, tmp_path: Path
) -> None:
    gymnasium.register("Whimsical-v0", Whimsical, max_episode_steps=500)
    try:
        killed_at(300, *SMALL, "seed=[1,2]", "env.id=Whimsical-v0", *EPISODES)
        kept = {p: p.read_bytes() for p in tmp_path.glob("run/checkpoints/*_resume.pt")}
        done = dqn_train("resume=run")
    finally:
        del gymnasium.registry["Whimsical-v0"]
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "environment Whimsical-v0 did not repeat itself in seed 1, episode" in done.err
    assert len(kept) == 2 and all(p.read_bytes() == data for p, data in kept.items())


class Remembers(CartPoleEnv):
    """Each episode starts a little further on: it is a function of how many there were before."""

    resets = 0

    def reset(self, *, seed=None, options=None):
        _, info = super().reset(seed=seed)
        self.resets += 1
        self.state = np.array(self.state) + self.resets * 1e-4
        return np.array(self.state, np.float32), info


def test_an_environment_with_a_memory_is_named_though_no_episode_is_open(
    dqn_train, tmp_path: Path
) -> None:
    gymnasium.register("Remembers-v0", Remembers, max_episode_steps=500)
    try:
        first = dqn_train(*SMALL, "seed=[1,2]", "env.id=Remembers-v0", "episodes=6")
        lanes = [load_lane(path) for path in sorted(tmp_path.glob("run/*/*_resume.pt"))]
        rows = {path: path.read_bytes() for path in tmp_path.glob("run/scores/*")}
        done = dqn_train("resume=run", "episodes=9")
    finally:
        del gymnasium.registry["Remembers-v0"]
    assert first.code == 0
    assert first.err == (
        "dqn-train: note: environment Remembers-v0: the same seed and actions lead elsewhere: a "
        "rerun, resume and dqn-play --scored do not give the same scores\n"
    )
    assert [len(lane.actions) for lane in lanes] == [0, 0]
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "Remembers-v0 did not repeat itself in seed 1, episode 6: the same" in done.err
    assert all(path.read_bytes() == data for path, data in rows.items())


@pytest.mark.parametrize("stopped_in", [1, 5, "the last"])
def test_a_run_stopped_in_an_evaluation_goes_on(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_in: int | str
) -> None:
    """What waits for its score is a part of the checkpoint, also at the very end of the run; no
    step of training is lost. (An evaluation of less than GRACE would be played to its end.)"""
    monkeypatch.setattr("dqn_cli.training.loop.GRACE", 0.0)
    line = (*SMALL, "seed=[1,2]", "episodes=60", "eval.every_steps=40", "device.workers=1")
    calls = 0
    play = evaluation.greedy_returns

    def counted(*arguments, **more):
        nonlocal calls
        calls += 1
        return play(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "greedy_returns", counted)
        never = ("checkpoint.every_seconds=null", "eval.final_episodes=null")
        assert dqn_train(*line, *never, "hydra.run.dir=whole").code == 0
    count = calls if stopped_in == "the last" else stopped_in

    def stopping(*arguments, **more):
        nonlocal calls
        calls += 1
        if calls == count:
            signal.raise_signal(signal.SIGTERM)
        return play(*arguments, **more)

    calls = 0
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "greedy_returns", stopping)
        assert dqn_train(*line, *never).code == 143
    lanes = [load_lane(path) for path in sorted(tmp_path.glob("run/*/*_resume.pt"))]
    assert len(lanes) == 2 and any(lane.waiting for lane in lanes)
    assert not any(event.score for lane in lanes for event, _ in lane.waiting)
    assert dqn_train("resume=run").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_run_evaluated_at_its_end_alone_can_be_made_longer(dqn_train, tmp_path: Path) -> None:
    """The longer run has no evaluation there: neither its row nor a best network of it stays."""
    line = (*SMALL, "seed=[1,2]", "episodes=null", "eval.every_episodes=null")
    line = (*line, "eval.every_steps=300", "eval.final_episodes=7")
    assert dqn_train(*line, "steps=700", "hydra.run.dir=whole").code == 0
    assert dqn_train(*line, "steps=400").code == 0
    short = read_run(tmp_path / "run")
    assert short.evaluations[1]["step"].tolist() == [300, 400]
    assert dqn_train("resume=run").out.startswith("nothing left to do")
    assert dqn_train("resume=run", "seed=[3]").code == 0  # 1 and 2 keep what they have
    assert read_run(tmp_path / "run").evaluations[1]["step"].tolist() == [300, 400]
    best = json.loads((tmp_path / "run/summary.json").read_text())["seeds"]["1"]
    assert best == short.summary["seeds"]["1"]
    assert load(tmp_path / "run/checkpoints/seed_1_best.pt").step == best["best_step"]
    assert dqn_train("resume=run", "steps=700").code == 0
    assert read_run(tmp_path / "run").evaluations[1]["step"].tolist() == [300, 600, 700]
    found, whole = contents(tmp_path / "run"), contents(tmp_path / "whole")
    assert {name: bits for name, bits in found.items() if "seed_3" not in name} == whole


def test_a_run_stopped_in_its_last_evaluation_can_be_made_longer(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That at step 300 is still to be played then, the one at the end alone is not."""
    line = (*SMALL, "seed=1", "episodes=null", "eval.every_episodes=null", "eval.every_steps=300")
    line = (*line, "eval.final_episodes=null")
    assert dqn_train(*line, "steps=700", "hydra.run.dir=whole").code == 0
    play = evaluation.greedy_returns

    def stopping(*arguments, **more):
        signal.raise_signal(signal.SIGTERM)
        return play(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr("dqn_cli.training.loop.GRACE", 0.0)
        patch.setattr(evaluation, "greedy_returns", stopping)
        assert dqn_train(*line, "steps=400").code == 143
    waiting = load_lane(tmp_path / "run/checkpoints/seed_1_resume.pt").waiting
    assert [event.step for event, params in waiting if params is not None] == [300, 400]
    assert dqn_train("resume=run", "steps=700").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


ENDLESS = """
import gymnasium, numpy
class Endless(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 1, (1,), numpy.float32)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        self.time = 0
        return numpy.zeros(1, numpy.float32), {}
    def step(self, action):
        self.time += 1
        if self.time == 1000:  # longer than the run: it is an evaluation
            open("evaluating", "w").close()
        return numpy.zeros(1, numpy.float32), 0.0, False, False, {}
gymnasium.register("Endless-v0", Endless)
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_ends_an_evaluation_without_an_end(tmp_path: Path, workers: str) -> None:
    """Within seconds, with everything saved up to the step that it came in."""
    (tmp_path / "endless.py").write_text(ENDLESS)
    line = "env.import=endless env.id=Endless-v0 episodes=null steps=100 seed=[1,2]"
    sizes = "eval.every_steps=50 eval.max_steps=1000000000 learning_starts=8 batch_size=8"
    run = f"network.hidden=[8] hydra.run.dir=run device.workers={workers}"
    process = subprocess.Popen(
        [Path(sys.executable).with_name("dqn-train"), *f"{line} {sizes} {run}".split()],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = time.monotonic() + 120
    while not (tmp_path / "evaluating").exists() and time.monotonic() < limit:
        time.sleep(0.1)
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert time.monotonic() - begun < 60  # seconds, and generous: the machine may be busy
    assert process.returncode == 143
    assert err.startswith("dqn-train: stopped; go on with: dqn-train ")
    lanes = [load_lane(path) for path in sorted(tmp_path.glob("run/*/*_resume.pt"))]
    there = [lane for lane in lanes if lane.step == 100]  # the other process may be just starting
    assert len(there) >= (2 if workers == "1" else 1)
    for lane in there:
        assert [event.step for event, _ in lane.waiting] == [50, 100]


@pytest.mark.long
def test_a_stopped_run_goes_on(dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = (*SMALL, *EPISODES, "seed=[1,2]")
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    learn = Learner.learn

    def learned(self: Learner, step: int) -> None:
        learn(self, step)
        if step in (333, 500):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Learner, "learn", learned)
    assert dqn_train(*line).code == 130
    assert {load_lane(p).step for p in tmp_path.glob("run/*/*_resume.pt")} == {333}
    assert dqn_train("resume=run").code == 130
    assert dqn_train("resume=run").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.long
@pytest.mark.parametrize("workers", ["1", "2"])
def test_processes_change_nothing_about_it(dqn_train, killed_at, tmp_path: Path, workers) -> None:
    line = (*SMALL, *EPISODES, "seed=[1,2,3]")
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    killed_at(600, *line)
    assert dqn_train("resume=run", f"device.workers={workers}").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.long
def test_times_go_on_too(dqn_train, killed_at, tmp_path: Path) -> None:
    killed_at(650, *SMALL, *EPISODES, "seed=[1,2]")
    with (tmp_path / "run/timing.csv").open("a") as file:
        file.write("1,99")  # torn
    assert dqn_train("resume=run").code == 0
    rows = (tmp_path / "run/timing.csv").read_text().splitlines()[1:]
    assert sorted(row.split(",")[:2] for row in rows) == sorted(
        [seed, str(episode)] for seed in "12" for episode in range(1, 41)
    )
    seconds = [float(row.split(",")[3]) for row in rows]
    assert seconds == sorted(seconds)


@pytest.mark.long
def test_checkpoints_change_no_byte(dqn_train, tmp_path: Path) -> None:
    line = (*SMALL, *EPISODES, "seed=[1,2,3]")
    assert dqn_train(*line).code == 0
    never = ("hydra.run.dir=never", "checkpoint.every_seconds=null")
    assert dqn_train(*line, *never).code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "never")
    assert not list(tmp_path.glob("never/*/*_previous.pt"))
    assert len(list(tmp_path.glob("never/*/*_resume.pt"))) == 3


# A longer run, or more seeds


@pytest.mark.long
def test_a_finished_run_that_is_made_longer_has_the_bytes_of_the_longer_run(
    dqn_train, tmp_path: Path
) -> None:
    line = (*SMALL, "seed=[1,2,3]", "buffer=per", "buffer.capacity=400")
    assert dqn_train(*line, "episodes=25", "hydra.run.dir=whole").code == 0
    assert dqn_train(*line, "episodes=10").code == 0
    assert dqn_train("resume=run", "episodes=17").code == 0
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["episodes"] == 17
    assert dqn_train("resume=run", "episodes=25").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.long
def test_a_limit_in_steps_is_made_longer_in_mid_episode(dqn_train, tmp_path: Path) -> None:
    line = (*SMALL, "seed=[1,2]", "env.id=Acrobot-v1", "episodes=null")
    assert dqn_train(*line, "steps=900", "hydra.run.dir=whole").code == 0
    assert dqn_train(*line, "steps=300").code == 0
    assert dqn_train("resume=run", "steps=900").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.long
def test_more_seeds_train_only_those_that_are_missing(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dqn_train(*SMALL, "seed=[1,2,3,4]", "episodes=9", "hydra.run.dir=whole").code == 0
    assert dqn_train(*SMALL, "seed=[2,3]", "episodes=9").code == 0
    trained: list[int] = []

    def seen(loop, *arguments):
        trained.extend(loop.seeds)
        return checkpointed(loop, *arguments)

    monkeypatch.setattr("dqn_cli.training.workers.checkpointed", seen)
    assert dqn_train("resume=run", "seed=[4,3,1]").code == 0
    assert trained == [4, 1]
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["seed"] == [2, 3, 4, 1]
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.long
def test_more_seeds_and_more_episodes_at_once(dqn_train, tmp_path: Path) -> None:
    assert dqn_train(*SMALL, "seed=[1,2,3]", "episodes=20", "hydra.run.dir=whole").code == 0
    assert dqn_train(*SMALL, "seed=1", "episodes=9").code == 0
    assert dqn_train("resume=run", "episodes=20", "seed=[3,2]").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.long
def test_the_command_that_made_it_goes_on_with_it(dqn_train, tmp_path: Path) -> None:
    line = (*SMALL[:-2], "algo=ddqn", "seed=[1,2]")
    assert dqn_train(*line, "episodes=9", "hydra.run.dir=run").code == 0
    assert dqn_train(*line, "episodes=12", "resume=run").code == 0
    assert all(len(p.read_text().splitlines()) == 13 for p in tmp_path.glob("run/scores/*"))


def test_with_nothing_left_to_do_nothing_changes(dqn_train, tmp_path: Path) -> None:
    assert dqn_train(*SMALL, "seed=[1,2]", "episodes=9").code == 0
    kept = [p for p in tmp_path.rglob("*") if p.is_file()]
    before = {path: path.read_bytes() for path in kept}
    done = dqn_train("resume=run")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("nothing left to do")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["a b", "000_algo=dqn,lr=1", "it's", "ä(1)[2]{3}"])
def test_the_command_that_is_told_is_the_one_that_resumes(
    tmp_path: Path, dqn_train, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert dqn_train(*SMALL, "seed=1", "episodes=9").code == 0
    os.rename("run", name)
    from dqn_cli.cli.train import go_on

    line = go_on(Path(name)).removeprefix("; go on with: ")
    told = subprocess.run(
        ["sh", "-c", f'dqn-train() {{ printf %s "$1"; }}; {line}'.replace("dqn-train", "d")],
        capture_output=True,
        text=True,
    ).stdout
    assert told == f"resume={name}"
    assert dqn_train(told, "episodes=12").code == 0
    assert len((tmp_path / name / "scores/seed_1.csv").read_text().splitlines()) == 13


@pytest.mark.long
def test_a_run_killed_while_it_was_concluded_is_concluded(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every seed is done, but nobody has said so, and there is no figure."""
    line = (*SMALL, "seed=[1,2]", "episodes=9")
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    with monkeypatch.context() as patch:
        patch.setattr("dqn_cli.results.writer.RunWriter.finish", lambda *_, **__: kill())
        with pytest.raises(Killed):
            dqn_train(*line)
    assert json.loads((tmp_path / "run/summary.json").read_text())["status"] == "running"
    (tmp_path / "run/.summary.json.123.tmp").touch()
    assert dqn_train("resume=run").code == 0
    found = json.loads((tmp_path / "run/summary.json").read_text())
    whole = json.loads((tmp_path / "whole/summary.json").read_text())
    assert (found["status"], found["seeds"]) == ("finished", whole["seeds"])
    assert (tmp_path / "run/scores.png").exists()
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert not list(tmp_path.glob("run/.*"))
    assert dqn_train("resume=run").out.startswith("nothing left to do")


@pytest.mark.parametrize("name", ["a${b}", "a\\"])
def test_a_path_is_taken_as_it_is_typed(dqn_train, tmp_path: Path, name: str) -> None:
    done = dqn_train(f"resume={name}")
    assert (
        done.err
        == f"dqn-train: resume={name}: is no directory; expected one with config.yaml in it\n"
    )


@pytest.mark.long
def test_networks_that_a_power_cut_took_are_written_again(dqn_train, tmp_path: Path) -> None:
    """They are not flushed to the disk as they are written: the checkpoints have them, too."""
    line = (*SMALL, "seed=[1,2]", "episodes=9")
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    assert dqn_train(*line).code == 0
    for file in ("seed_1_last.pt", "seed_1_best.pt", "seed_2_last.pt"):
        (tmp_path / "run/checkpoints" / file).write_bytes(b"")
    summary = (tmp_path / "run/summary.json").read_text()
    (tmp_path / "run/summary.json").write_text(summary.replace("finished", "running"))
    assert dqn_train("resume=run").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    speed = json.loads(summary)["env_steps_per_second"]
    assert json.loads((tmp_path / "run/summary.json").read_text())["env_steps_per_second"] == speed


def test_a_limit_in_episodes_that_lies_before_an_open_episode_is_refused(
    dqn_train, tmp_path: Path
) -> None:
    assert dqn_train(*SMALL, "seed=1", "episodes=null", "steps=300").code == 0
    lane = load_lane(tmp_path / "run/checkpoints/seed_1_resume.pt")
    assert len(lane.actions)
    done = dqn_train("resume=run", f"episodes={lane.episode}")
    assert done.code == 2
    assert f"seed 1 is in episode {lane.episode + 1} by now" in done.err


# What cannot be


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that `finished` copies, once it has been made."""
    return tmp_path_factory.mktemp("finished") / "run"


@pytest.fixture
def finished(dqn_train, model: Path) -> Path:
    if not model.exists():
        assert dqn_train(*SMALL, "seed=[1,2]", "episodes=9", "buffer=per").code == 0
        shutil.copytree("run", model)
    else:
        shutil.copytree(model, "run")
    return Path("run")


REFUSED = {
    "gamma=0.9": "gamma=0.9: the run in run has 0.99, and another value would be another",
    "algo=ddqn": "algo.double=True: the run in run has False",
    "buffer=uniform": "buffer._target_=dqn_cli.buffer.uniform.Uniform: the run in run has",
    "+env.kwargs.sutton_barto_reward=true": "env.kwargs.sutton_barto_reward=True: the run",
    "eval.episodes=5": "eval.episodes=5: the run in run has 2",
    "device.threads=2": "device.threads=2: the run in run has 1",
    "episodes=5": "episodes=5: seed 1 is in episode 9 by now",
    "steps=20": "steps=20: seed ",
    "episodes=null steps=null": "episodes=null steps=null: one of them must be a number",
    "episodes=0": "episodes=0: input should be greater than or equal to 1",
    "seed=[3,x]": "seed.3=x: input should be a valid integer",
    "seed=[3,3]": "3 comes twice",
    "checkpoint.every_seconds=0": "checkpoint.every_seconds=0: input should be greater than 0",
    "trust=maybe": "trust=maybe: input should be a valid boolean",
    "hydra.run.dir=elsewhere": "hydra.run.dir=elsewhere: resume goes on in its own",
    "-m": "resume: not in a sweep",
}


@pytest.mark.parametrize(("argument", "words"), REFUSED.items(), ids=REFUSED)
def test_what_would_be_another_experiment_is_refused_by_name(
    dqn_train, finished: Path, tmp_path: Path, argument: str, words: str
) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = dqn_train("resume=run", *argument.split())
    assert done.err.startswith("dqn-train: ") and words in done.err
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere", "resume=nowhere: is no directory; expected one with config.yaml in it"),
        ("file", "resume=file: is no directory"),
        ("empty", "resume=empty: holds no run"),
        ("", "resume=: string should have at least 1 character"),
        ("garbage", "garbage/config.yaml: expected a mapping"),
        ("foreign", "foreign/config.yaml"),
        ("less", "less/config.yaml: episodes: missing"),
    ],
)
def test_a_path_that_is_no_run_is_one_line(
    dqn_train, tmp_path: Path, path: str, words: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    texts = {"garbage": "just text", "foreign": "a: !!python/name:os.system", "less": "seed: 1"}
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(text)
    before = {path for path in tmp_path.rglob("*")}
    done = dqn_train(f"resume={path}")
    assert done.err.startswith("dqn-train: ") and words in done.err
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert {path for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("algo._target_", "subprocess.Popen"),
        ("algo._target_", "dqn_cli.cli.plot.Path"),
        ("algo._target_", "dqn_cli.algo.dqn.Tensor"),
        ("env.import", "antigravity"),
        ("env.id", "antigravity:CartPole-v1"),
        ("env.kwargs", {"of": [{"id": "antigravity:CartPole-v1"}]}),
        ("env.wrappers", [{"_target_": "antigravity.Wrapper"}]),
        ("env.wrappers", [{"_target_": "gymnasium.wrappers.RecordVideo", "video_folder": "x"}]),
        ("env.wrappers", [{"_target_": "gymnasium.wrappers.TimeLimit", "of": "antigravity:x"}]),
    ],
)
def test_code_that_a_run_names_is_not_run(dqn_train, finished: Path, key: str, value: Any) -> None:
    values = yaml.safe_load((finished / "config.yaml").read_text())
    room, name = key.split(".")
    values[room][name] = value
    (finished / "config.yaml").write_text(yaml.safe_dump(values))
    done = dqn_train("resume=run", "episodes=12")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert f"{key}={value}: run would run code from outside dqn_cli; trust=true" in done.err
    assert "antigravity" not in sys.modules


def test_code_that_is_trusted_is_run(dqn_train, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "mine.py").write_text("from dqn_cli.exploration.constant import Constant as Mine")
    monkeypatch.syspath_prepend(tmp_path)
    mine = ("exploration=constant", "exploration._target_=mine.Mine")
    assert dqn_train(*SMALL, "seed=1", "episodes=9", *mine).code == 0
    assert dqn_train("resume=run", "episodes=12").code == 2
    assert dqn_train("resume=run", "episodes=12", "trust=true").code == 0


def test_a_second_process_is_refused_and_the_lock_dies_with_its_owner(
    dqn_train, finished: Path
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", "import sys, time; from pathlib import Path;"
         "from dqn_cli.results.writer import claimed\n"
         "with claimed(Path('run')): print(flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert owner.stdout is not None
    owner.stdout.readline()
    done = dqn_train("resume=run", "episodes=12")
    assert done == (2, "", "dqn-train: run: another process is training in it\n")
    owner.kill()
    owner.communicate()
    assert (finished / ".lock").exists()
    assert dqn_train("resume=run", "episodes=12").code == 0
    assert not (finished / ".lock").exists()


def test_a_new_run_claims_its_directory_too(dqn_train, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run/.lock"):
        done = dqn_train(*SMALL, "seed=1", "episodes=9")
    assert done.code == 2
    assert done.err == f"dqn-train: {tmp_path}/run: another process is training in it\n"
    assert not (tmp_path / "run/config.yaml").exists()


# Damage


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.long
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    dqn_train, killed_at, tmp_path: Path
) -> None:
    line = (*SMALL, *EPISODES, "seed=[1,2]")
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    killed_at(650, *line)
    newest = tmp_path / "run/checkpoints/seed_1_resume.pt"
    before = load_lane(newest.with_name("seed_1_previous.pt"))
    damage(newest)
    killed_at(10, "resume=run")  # it must not become the previous one
    assert not newest.exists()
    assert load_lane(newest.with_name("seed_1_previous.pt")).step == before.step < 650
    damage(newest.with_name("seed_1_previous.pt"))
    done = dqn_train("resume=run")
    assert done.code == 0
    assert done.err == (
        "dqn-train: note: run/checkpoints/seed_1_previous.pt: not a checkpoint of dqn-train, or a "
        "damaged one; seed 1: starting over\n"
    )
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.long
def test_the_note_about_a_damaged_checkpoint_says_what_happens(
    dqn_train, killed_at, tmp_path: Path
) -> None:
    killed_at(650, *SMALL, *EPISODES, "seed=[1,2]")
    damage(tmp_path / "run/checkpoints/seed_2_resume.pt")
    done = dqn_train("resume=run")
    assert done.code == 0
    assert done.err.endswith("seed 2: the one before is used\n") and done.err.count("\n") == 1
    assert "the one before is used" in (tmp_path / "run/train.log").read_text()


@pytest.mark.long
def test_rows_that_are_missing_make_a_seed_start_over(dqn_train, tmp_path: Path) -> None:
    assert dqn_train(*SMALL, "seed=[1,2]", "episodes=20", "hydra.run.dir=whole").code == 0
    assert dqn_train(*SMALL, "seed=[1,2]", "episodes=9").code == 0
    (tmp_path / "run/scores/seed_1.csv").unlink()
    rows = (tmp_path / "run/scores/seed_2.csv").read_bytes()
    (tmp_path / "run/scores/seed_2.csv").write_bytes(rows[:200] + b"\0" * 50)
    done = dqn_train("resume=run", "episodes=20")
    assert done.code == 0
    assert (
        len(
            re.findall(
                r"of 9 episodes and 0 evaluations only \d and 0 have their rows; seed \d: starting",
                done.err,
            )
        )
        == 2
    )
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_checkpoint_of_another_configuration_is_refused_and_kept(
    dqn_train, finished: Path
) -> None:
    values = yaml.safe_load((finished / "config.yaml").read_text())
    values["network"]["hidden"] = [8]
    (finished / "config.yaml").write_text(yaml.safe_dump(values))
    before = contents(finished)
    done = dqn_train("resume=run", "episodes=12")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "run/checkpoints/seed_1_resume.pt: not of the run's configuration: best" in done.err
    assert contents(finished) == before
    assert (finished / "checkpoints/seed_1_resume.pt").exists()


def test_a_checkpoint_of_another_seed_or_environment_is_refused(compose) -> None:
    """CartPole has the actions 0 and 1."""
    config = compose(*SMALL[:-2], "seed=1", "episodes=90")
    loop, probe = build.loop(config), build.loop(config)
    for event in loop.run():
        if isinstance(event, Tick):
            break
    lane = loop.lane(0)
    assert len(lane.actions)
    resume._fits(Path("x.pt"), probe, lane, 1)
    for other, words in (
        (lane._replace(seed=2), "it is of seed 2"),
        (lane._replace(actions=torch.full_like(lane.actions, 2)), "expected those of the env"),
        (lane._replace(actions=torch.full_like(lane.actions, -1)), "expected those of the env"),
        (lane._replace(obs=torch.zeros(3)), "obs: expected"),
    ):
        with pytest.raises(BadInput, match=rf"x.pt: not of the run's configuration: .*{words}"):
            resume._fits(Path("x.pt"), probe, other, 1)


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("can't allocate memory"), OSError(5, "Input/output error")],
)
def test_a_checkpoint_that_cannot_be_read_now_is_kept(
    dqn_train, finished: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}

    def failing(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("torch.load" if error.args[:1] != (5,) else "zipfile.ZipFile", failing)
        done = dqn_train("resume=run", "episodes=12")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before
    assert dqn_train("resume=run", "episodes=12").code == 0


def test_files_of_no_use_are_set_aside_not_deleted(dqn_train, finished: Path) -> None:
    (finished / "scores/seed_1.csv").unlink()
    data = (finished / "checkpoints/seed_1_resume.pt").read_bytes()
    assert dqn_train("resume=run").code == 0
    assert (finished / "checkpoints/seed_1_resume.pt.unused").read_bytes() == data


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("name", ["scores/seed_1.csv", "checkpoints/seed_1_resume.pt"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(dqn_train, finished: Path, name: str) -> None:
    (finished / name).unlink()
    os.mkfifo(finished / name)
    done = dqn_train("resume=run", "episodes=10")
    assert (done.code, "Traceback" in done.err) == (2, False)


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="needs links that can be refused")
def test_a_link_in_place_of_a_csv_leads_nowhere(dqn_train, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("not ours")
    (finished / "scores/seed_1.csv").unlink()
    (finished / "scores/seed_1.csv").symlink_to(tmp_path / "precious")
    done = dqn_train("resume=run", "episodes=10")
    assert done.code == 2
    assert (tmp_path / "precious").read_text() == "not ours"


def test_a_place_for_a_network_that_is_taken_is_one_line(dqn_train, finished: Path) -> None:
    (finished / "checkpoints/seed_1_best.pt").unlink()
    (finished / "checkpoints/seed_1_best.pt").mkdir()
    done = dqn_train("resume=run", "episodes=10")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "run: cannot be written: Is a directory; go on with" in done.err


@pytest.mark.parametrize(
    "text", ["1: 2\n", "buffer: {_target_: dqn_cli.buffer.sum_tree.SumTree}\n", "seed: {a: [1]}\n"]
)
def test_a_strange_configuration_is_one_line(dqn_train, finished: Path, text: str) -> None:
    values = yaml.safe_load((finished / "config.yaml").read_text()) | yaml.safe_load(text)
    (finished / "config.yaml").write_text(yaml.safe_dump(values))
    done = dqn_train("resume=run", "episodes=10")
    assert done.err.startswith("dqn-train: ")
    assert (done.code, done.err.count("\n")) == (2, 1)


def test_a_changed_version_is_told(dqn_train, finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    summary["versions"]["torch"] = "1.0\x1b[2J\n"
    (finished / "summary.json").write_text(json.dumps(summary))
    done = dqn_train("resume=run", "episodes=10")
    assert done.code == 0
    said = rf"dqn-train: note: torch was 1.0\x1b[2J\n and is {torch.__version__}: the same scores"
    assert done.err == f"{said} are not promised\n"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"seeds": 3}', '{"seeds": {"1": []}}'])
def test_a_damaged_summary_is_made_anew(dqn_train, finished: Path, text: str) -> None:
    (finished / "summary.json").write_text(text)
    done = dqn_train("resume=run", "episodes=10")
    assert (done.code, done.err.count("\n")) == (0, 1)
    assert json.loads((finished / "summary.json").read_text())["status"] == "finished"


TENSORS = st.builds(
    lambda shape, kind, value: torch.full(shape, value).to(kind),
    st.lists(st.integers(0, 40), max_size=3).map(tuple),
    st.sampled_from([torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool]),
    st.sampled_from([0.0, 1.0, -1.0, 3.0, float("nan"), float("inf"), 1e30]),
)


def test_whatever_a_checkpoint_holds_it_is_taken_or_refused_in_one_line(compose) -> None:
    config = compose(*SMALL[:-2], "seed=1", "buffer=per", "buffer.capacity=300", "episodes=100")
    loop = build.loop(config)
    for event in loop.run():
        if isinstance(event, Tick):
            break
    whole = loop.lane(0)
    probe = build.loop(config)
    path = Path("seed_1_resume.pt")
    refused = 0

    def judge(name: str, value: torch.Tensor) -> None:
        nonlocal refused
        if name in whole.learner:
            lane = whole._replace(learner={**whole.learner, name: value})
        else:
            lane = whole._replace(**{name: value})
        try:
            resume._fits(path, probe, lane, 1)
        except BadInput as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
        else:  # and then it can be gone on with
            probe.learner.learn(whole.step + 1)

    assert resume._fits(path, probe, whole, 1) is None
    for step in (0, whole.step + 1, 2**50):  # other rows, other counts
        with pytest.raises(BadInput):
            resume._fits(path, probe, whole._replace(step=step), 1)
    names = st.sampled_from([*whole.learner, "obs", "actions"])
    run: Callable[[], None] = given(name=names, value=TENSORS)(judge)
    settings(max_examples=500, deadline=None)(run)()
    assert refused > 400
    for name, value in {**whole.learner}.items():
        judge(name, value)


# Divergence


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
    dqn_train, tmp_path: Path, diverging: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = (*SMALL, *EPISODES, "buffer=per")
    assert dqn_train(*line, "seed=[1,3]", "hydra.run.dir=others").code == 0
    done = dqn_train(*line, "seed=[1,2,3]")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(
        "seed 2 diverged: its loss or Q-values are no numbers any more (step"
    )
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
    dqn_train, tmp_path: Path, diverging: None
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
    dqn_train, tmp_path: Path, diverging: None
) -> None:
    line = (*SMALL, *EPISODES, "seed=[1,2]")
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    assert dqn_train(*line).code == 0
    rows = (tmp_path / "run/scores/seed_2.csv").read_text().splitlines(keepends=True)
    (tmp_path / "run/scores/seed_2.csv").write_text("".join(rows[:-1]))
    assert dqn_train("resume=run").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert read_run(tmp_path / "run").diverged == [2]


def test_no_checkpoint_is_written_twice_under_one_name(compose, tmp_path: Path) -> None:
    """The first may not have been put in its place when the second is written."""
    (tmp_path / "checkpoints").mkdir()
    loop = build.loop(compose(*SMALL[:-2], "seed=[1,2]", "episodes=100"))
    files = []
    for event in checkpointed(loop, tmp_path, 1e-9):
        if isinstance(event, Saved):
            files.append(event.file)
        if isinstance(event, Tick) and event.step == 512:
            loop.stop()  # and ends at the step of the checkpoint before
    assert len(files) == len(set(files)) == 4


@pytest.mark.parametrize("name", ["online", "target"])
def test_nothing_is_saved_of_a_network_or_target_that_is_no_numbers(
    compose, tmp_path: Path, name: str
) -> None:
    (tmp_path / "checkpoints").mkdir()
    lane = build.loop(compose(*SMALL[:-2], "seed=1")).lane(0)
    assert len(list(resume.save(lane, tmp_path))) == 1
    lane.learner[name][3] = math.nan
    assert not list(resume.save(lane, tmp_path))


@pytest.mark.long
def test_an_open_episode_that_diverges_ends_at_the_next_tick(compose, tmp_path: Path) -> None:
    """Where episodes are long, a seed is not dragged along until its episode ends."""
    (tmp_path / "checkpoints").mkdir()
    config = compose(*SMALL[:-2], "seed=[1,2]", "env.id=Acrobot-v1", "episodes=2", LONG)
    loop = build.loop(config)
    told = []
    for event in checkpointed(loop, tmp_path, 1e-9):
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


# The disk


def limited(arguments: list[str], size: int, cwd: Path) -> subprocess.CompletedProcess[str]:
    """dqn-train where no file may grow past `size` bytes, as on a disk that is full."""
    code = (
        "import resource, sys; from dqn_cli.cli.train import main;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size})); main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True
    )


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_on_a_full_disk_one_line_says_so_and_what_was_there_stays(
    dqn_train, tmp_path: Path
) -> None:
    line = (*SMALL, *EPISODES, "seed=[1,2]")
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    done = limited(list(line), 25_000, tmp_path)  # the first checkpoints fit, the next do not
    assert done.returncode == 1
    assert done.stderr == (
        f"dqn-train: {tmp_path}/run/checkpoints: cannot be written: File too large; "
        f"go on with: dqn-train resume={tmp_path}/run\n"
    )
    assert load_lane(tmp_path / "run/checkpoints/seed_1_resume.pt").step == 256
    assert not list(tmp_path.glob("run/checkpoints/.*"))
    assert dqn_train("resume=run").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_row_that_does_not_fit_on_the_disk_is_one_line(dqn_train, tmp_path: Path) -> None:
    line = (*SMALL, *EPISODES, "seed=[1,2]", "checkpoint.every_seconds=null")
    done = limited(list(line), 1300, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"dqn-train: {tmp_path}/run: cannot be written: File too large")
    assert done.stderr.count("\n") == 1
    assert dqn_train("resume=run").code == 0
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_directory_that_vanishes_is_one_line(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = Learner.learn

    def learned(self: Learner, step: int) -> None:
        learn(self, step)
        if step == 200:
            shutil.rmtree(tmp_path / "run")

    monkeypatch.setattr(Learner, "learn", learned)
    done = dqn_train(*SMALL, *EPISODES, "seed=1")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "cannot be written: No such file or directory" in done.err
    assert "go on with" not in done.err


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may write anywhere")
def test_a_directory_that_is_read_only_is_one_line(dqn_train, finished: Path) -> None:
    finished.chmod(0o555)
    try:
        done = dqn_train("resume=run", "episodes=12")
    finally:
        finished.chmod(0o755)
    assert (done.code, done.err) == (2, "dqn-train: run: cannot be written: Permission denied\n")


# The real thing


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("after", [3, 40, 90])
def test_kill_9(dqn_train, tmp_path: Path, after: int, workers: str) -> None:
    """benchmarks/faults.py does this at many more instants."""
    often = ("checkpoint.every_seconds=0.05", f"device.workers={workers}")
    line = (*SMALL[:-1], "seed=[1,2,3]", "episodes=60", "buffer=per", *often)
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    command = Path(sys.executable).with_name("dqn-train")
    running = subprocess.Popen([command, *line], cwd=tmp_path, stdout=subprocess.DEVNULL)
    timing = tmp_path / "run/timing.csv"
    begun = time.monotonic()
    while not (timing.is_file() and timing.read_bytes().count(b"\n") > after):
        assert time.monotonic() - begun < 60
        time.sleep(0.002)
    running.kill()
    assert running.wait() == -signal.SIGKILL
    assert dqn_train("resume=run").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
