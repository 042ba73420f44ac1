"""A resumed run ends with the bytes of one left alone; what cannot be resumed is one line."""

import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from filelock import FileLock

from dqn_cli.cli.prepare import prepare_resumed
from dqn_cli.results.reader import read_run
from dqn_cli.saving.checkpoint import load, load_lane
from dqn_cli.saving.save import checkpointed
from dqn_cli.training import evaluation
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


class Killed(BaseException):
    """Stands for a kill: nobody catches it to write anything down."""


def kill() -> None:
    raise Killed


@pytest.mark.long
@pytest.mark.parametrize("rooms", ROOMS.values(), ids=ROOMS)
def test_a_killed_run_that_goes_on_ends_with_the_same_bytes(
    contents, dqn_train, killed_at, tmp_path: Path, rooms: tuple[str, ...]
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
    contents, dqn_train, killed_at, tmp_path: Path
) -> None:
    line = (*SMALL, *EPISODES, "seed=[1,2]")
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    killed_at(200, *line)
    assert not list(tmp_path.glob("run/*/*_resume.pt"))
    assert dqn_train("resume=run").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.long
@pytest.mark.parametrize("stopped_in", [1, 5, "the last"])
def test_a_run_stopped_in_an_evaluation_goes_on(
    contents, dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_in: int | str
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


@pytest.mark.long
def test_a_run_evaluated_at_its_end_alone_can_be_made_longer(
    contents, dqn_train, tmp_path: Path
) -> None:
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
    contents, dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


@pytest.mark.long
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
    there = [lane for lane in lanes if lane.step == 50]  # the other process may be just starting
    assert len(there) >= (2 if workers == "1" else 1)
    for lane in there:
        assert [event.step for event, _ in lane.waiting] == [50]


@pytest.mark.long
def test_a_stopped_run_goes_on(
    contents, dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
def test_processes_change_nothing_about_it(
    contents, dqn_train, killed_at, tmp_path: Path, workers
) -> None:
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
def test_checkpoints_change_no_byte(contents, dqn_train, tmp_path: Path) -> None:
    line = (*SMALL, *EPISODES, "seed=[1,2,3]")
    assert dqn_train(*line).code == 0
    never = ("hydra.run.dir=never", "checkpoint.every_seconds=null")
    assert dqn_train(*line, *never).code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "never")
    assert not list(tmp_path.glob("never/*/*_previous.pt"))
    assert len(list(tmp_path.glob("never/*/*_resume.pt"))) == 3


@pytest.mark.long
def test_a_finished_run_that_is_made_longer_has_the_bytes_of_the_longer_run(
    contents, dqn_train, tmp_path: Path
) -> None:
    line = (*SMALL, "seed=[1,2,3]", "buffer=per", "buffer.capacity=400")
    assert dqn_train(*line, "episodes=25", "hydra.run.dir=whole").code == 0
    assert dqn_train(*line, "episodes=10").code == 0
    assert dqn_train("resume=run", "episodes=17").code == 0
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["episodes"] == 17
    assert dqn_train("resume=run", "episodes=25").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.long
def test_a_limit_in_steps_is_made_longer_in_mid_episode(
    contents, dqn_train, tmp_path: Path
) -> None:
    line = (*SMALL, "seed=[1,2]", "env.id=Acrobot-v1", "episodes=null")
    assert dqn_train(*line, "steps=900", "hydra.run.dir=whole").code == 0
    assert dqn_train(*line, "steps=300").code == 0
    assert dqn_train("resume=run", "steps=900").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.long
def test_a_run_from_before_there_was_a_key_goes_on(contents, dqn_train, tmp_path: Path) -> None:
    """`network.init` has a default in the code; a key that has none is missed by name."""
    assert dqn_train(*SMALL, "seed=[1,2]", "episodes=20", "hydra.run.dir=whole").code == 0
    assert dqn_train(*SMALL, "seed=[1,2]", "episodes=9").code == 0
    path = tmp_path / "run/config.yaml"
    values = yaml.safe_load(path.read_text())
    assert values["network"].pop("init") == "torch"
    path.write_text(yaml.safe_dump(values))
    assert dqn_train("resume=run", "episodes=20", "network.init=torch").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert values["network"].pop("activation") == "relu"
    path.write_text(yaml.safe_dump(values))
    done = dqn_train("resume=run", "episodes=25")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "run/config.yaml: network.activation: missing" in done.err


@pytest.mark.long
def test_more_seeds_train_only_those_that_are_missing(
    contents, dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
def test_more_seeds_and_more_episodes_at_once(contents, dqn_train, tmp_path: Path) -> None:
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


@pytest.mark.long
@pytest.mark.parametrize("name", ["a b", "000_algo=dqn,lr=1", "it's", "ä(1)[2]{3}"])
def test_the_command_that_is_told_is_the_one_that_resumes(
    tmp_path: Path, dqn_train, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert dqn_train(*SMALL, "seed=1", "episodes=9").code == 0
    os.rename("run", name)
    from dqn_cli.cli.line import go_on

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
    contents, dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
def test_networks_that_a_power_cut_took_are_written_again(
    contents, dqn_train, tmp_path: Path
) -> None:
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
        ("algo._target_", "dqn_cli.algo.c51.Tensor"),
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


def test_a_replay_that_was_only_tried_is_given_back(finished: Path) -> None:
    """Trap: the loop that lanes are tried with stays in memory, with a replay as large as theirs;
    its parts know each other."""

    def loops() -> int:
        return sum(type(thing) is Loop for thing in gc.get_objects())

    gc.collect()
    before = loops()
    gc.disable()
    try:
        prepared = prepare_resumed(finished, False, {"episodes": 12}, ["episodes=12"])
        with prepared.claim:
            there = loops()
    finally:
        gc.enable()
    assert there - before == (prepared.source is not None) == 1


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
         "from dqn_cli.results.files import claimed\n"
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


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.long
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    contents, dqn_train, killed_at, tmp_path: Path
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
def test_rows_that_are_missing_make_a_seed_start_over(contents, dqn_train, tmp_path: Path) -> None:
    assert dqn_train(*SMALL, "seed=[1,2]", "episodes=20", "hydra.run.dir=whole").code == 0
    assert dqn_train(*SMALL, "seed=[1,2]", "episodes=9").code == 0
    (tmp_path / "run/scores/seed_1.csv").unlink()
    rows = (tmp_path / "run/scores/seed_2.csv").read_bytes()
    (tmp_path / "run/scores/seed_2.csv").write_bytes(rows[:200] + b"\0" * 50)
    done = dqn_train("resume=run", "episodes=20")
    assert done.code == 0
    told = (
        r"of 9 episodes, 0 evaluations and 1 diagnoses only \d, 0 and 1 have their rows; seed \d: "
    )
    assert len(re.findall(f"{told}starting", done.err)) == 2
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_checkpoint_of_another_configuration_is_refused_and_kept(
    contents, dqn_train, finished: Path
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


@pytest.mark.long
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


def test_a_package_that_has_come_since_is_told(dqn_train, finished: Path) -> None:
    """As numba: other kernels compute, and other bits come of it."""
    summary = json.loads((finished / "summary.json").read_text())
    del summary["versions"]["numba"]
    (finished / "summary.json").write_text(json.dumps(summary))
    done = dqn_train("resume=run", "episodes=10")
    assert done.err.startswith("dqn-train: note: numba was not installed and is ")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"seeds": 3}', '{"seeds": {"1": []}}'])
def test_a_damaged_summary_is_made_anew(dqn_train, finished: Path, text: str) -> None:
    (finished / "summary.json").write_text(text)
    done = dqn_train("resume=run", "episodes=10")
    assert (done.code, done.err.count("\n")) == (0, 1)
    assert json.loads((finished / "summary.json").read_text())["status"] == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("after", [3, 40, 90])
def test_kill_9(contents, dqn_train, tmp_path: Path, after: int, workers: str) -> None:
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
