"""How a run ends: by signals, by environments that fail, or done; what it reports then."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gymnasium
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from dqn_cli.env.gym_row import GymRow
from dqn_cli.events import Diverged, Event, Note, RunError
from dqn_cli.results.reader import read_run
from dqn_cli.saving.checkpoint import load
from dqn_cli.training import evaluation
from dqn_cli.training.run import Dispatcher

SMALL = (
    *("seed=[1,2]", "episodes=8", "network.hidden=[8]", "learning_starts=8", "batch_size=8"),
    *("eval.episodes=4", "optimizer=adam", "hydra.run.dir=run"),
)
pytestmark = pytest.mark.usefixtures("undrawn")


def at_step(steps: int, do: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something in that step of training, whose rows are two, of SMALL's seeds."""
    step, count = GymRow.step, 0

    def stepped(self, rows, action):
        nonlocal count
        count += len(self.envs) == 2
        if count == steps:
            do()
        return step(self, rows, action)

    monkeypatch.setattr("dqn_cli.env.gym.row_for", lambda env: None)
    monkeypatch.setattr(GymRow, "step", stepped)


SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.parametrize("number", SIGNALS, ids=["ctrl-c", "terminate"])
def test_a_signal_ends_the_run_after_the_step(
    trained: Path, dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before = signal.getsignal(number)
    at_step(90, lambda: signal.raise_signal(number), monkeypatch)
    done = dqn_train(*SMALL)
    assert done.code == SIGNALS[number]
    assert done.err == f"dqn-train: stopped; go on with: dqn-train resume={tmp_path}/run\n"
    assert signal.getsignal(number) == before
    run = read_run(tmp_path / "run")
    assert run.summary["status"] == "interrupted"
    assert "interrupted: " in (tmp_path / "run/train.log").read_text()
    for seed in (1, 2):
        name = f"scores/seed_{seed}.csv"
        rows = (tmp_path / "run" / name).read_bytes()
        assert len(rows.splitlines()) > 2
        assert (trained / name).read_bytes().startswith(rows)
        last = load(tmp_path / f"run/checkpoints/seed_{seed}_last.pt")
        assert (last.step, last.episode) == (90, len(rows.splitlines()) - 1)
        best = load(tmp_path / f"run/checkpoints/seed_{seed}_best.pt")
        assert best.score == run.scores[seed]["score"].max()


def test_an_interrupt_during_evaluation_loses_no_episode(
    trained: Path, dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(*arguments, **more):
        monkeypatch.setattr(evaluation, "greedy_returns", evaluate)
        signal.raise_signal(signal.SIGINT)
        return evaluate(*arguments, **more)

    evaluate = evaluation.greedy_returns
    monkeypatch.setattr(evaluation, "greedy_returns", once)
    assert dqn_train(*SMALL).code == 130
    run = read_run(tmp_path / "run")
    assert run.summary["status"] == "interrupted"
    for seed in (1, 2):
        episodes = load(tmp_path / f"run/checkpoints/seed_{seed}_last.pt").episode
        assert list(run.scores[seed]["episode"]) == list(range(1, episodes + 1))
        ended = run.scores[seed]["step"].iloc[-1]
        assert ended == read_run(trained).scores[seed]["step"].iloc[episodes - 1]
        assert episodes >= 6


def test_a_second_interrupt_ends_the_run_at_once(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments, **more):
        signal.raise_signal(signal.SIGINT)

    at_step(90, lambda: signal.raise_signal(signal.SIGINT), monkeypatch)
    monkeypatch.setattr(evaluation, "greedy_returns", interrupted)  # which is called to end the run
    done = dqn_train(*SMALL)
    assert (done.code, done.err.count("\n")) == (130, 1)
    assert read_run(tmp_path / "run").summary["status"] == "interrupted"
    assert not (tmp_path / "run/checkpoints/seed_1_last.pt").exists()


class Broken(CartPoleEnv):
    """Breaks in the 60th step of all that are made, but for the 16 of its rehearsal."""

    steps = -16

    def step(self, action):
        Broken.steps += 1
        if Broken.steps == 60:
            raise RuntimeError("the pole\nbroke")
        return super().step(action)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Broken, "steps", -16)
    gymnasium.register("Broken-v0", Broken, max_episode_steps=500)
    yield "env.id=Broken-v0"
    del gymnasium.registry["Broken-v0"]


def test_an_environment_that_raises_ends_the_run_in_one_message(
    trained: Path, dqn_train, tmp_path: Path, broken: str
) -> None:
    whole = read_run(trained).scores  # the same episodes
    ended = {seed: int((whole[seed]["step"] < 30).sum()) for seed in (1, 2)}
    done = dqn_train(*SMALL, broken, "eval.every_episodes=null")
    assert done.code == 1
    place = f"environment Broken-v0 failed in seed 2, episode {ended[2] + 1}, step 30: "
    assert done.err == (
        f"dqn-train: {place}RuntimeError: the pole broke; "
        f"go on with: dqn-train resume={tmp_path}/run\n"
    )
    run = read_run(tmp_path / "run")
    assert run.summary["status"] == "failed"
    assert run.summary["error"].startswith(place)
    assert "Traceback" in (tmp_path / "run/train.log").read_text()
    for seed in (1, 2):
        last = load(tmp_path / f"run/checkpoints/seed_{seed}_last.pt")
        assert (last.step, last.episode) == (29, len(run.scores[seed]))
    assert {seed: len(run.scores[seed]) for seed in (1, 2)} == ended


def test_after_an_environment_failed_the_run_goes_on_where_it_was(
    dqn_train, tmp_path: Path, broken: str
) -> None:
    whole = (*SMALL, "env.id=Broken-v0", "eval.every_episodes=null")
    Broken.steps = 60  # past the one that breaks
    assert dqn_train(*whole, "hydra.run.dir=whole").code == 0
    Broken.steps = 0
    assert dqn_train(*whole).code == 1
    assert dqn_train("resume=run").code == 0
    for seed in (1, 2):
        name = f"scores/seed_{seed}.csv"
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_an_environment_that_raises_in_an_evaluation_is_named_with_it(
    dqn_train, tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def until(limit):
        """Breaks in the evaluation's step of that number."""
        step, count = GymRow.step, 0

        def stepped(self, rows, action):
            nonlocal count
            Broken.steps = 100
            if len(self.envs) > 2:  # those of evaluation
                count += 1
                Broken.steps = 59 if count == limit else 100
            return step(self, rows, action)

        monkeypatch.setattr("dqn_cli.env.gym.row_for", lambda env: None)
        monkeypatch.setattr(GymRow, "step", stepped)

    until(5)
    done = dqn_train(*SMALL, broken)
    assert done.code == 1
    found = re.search(
        r"environment Broken-v0 failed in the evaluation of seed (1|2) after episode (\d+), "
        r"step (\d+): RuntimeError: the pole broke",
        done.err,
    )
    assert found and done.err.count("\n") == 1
    run = read_run(tmp_path / "run")  # and what was scored before is there, in order
    assert all(list(f["episode"]) == list(range(1, len(f) + 1)) for f in run.scores.values())


@pytest.mark.slow
def test_ctrl_c_ends_the_installed_command_cleanly(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("dqn-train")
    running = subprocess.Popen(
        [command, *SMALL, "episodes=100000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    timing = tmp_path / "run/timing.csv"
    begun = time.monotonic()
    while not (timing.is_file() and len(timing.read_bytes()) > 200):
        assert time.monotonic() - begun < 60 and running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err == f"dqn-train: stopped; go on with: dqn-train resume={tmp_path}/run\n"
    run = read_run(tmp_path / "run")
    assert run.summary["status"] == "interrupted"
    assert len(run.scores[1]) > 3
    assert load(tmp_path / "run/checkpoints/seed_1_last.pt").episode == len(run.scores[1])


def test_a_second_sigterm_changes_nothing(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that shuts down may send several."""

    def twice() -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)

    at_step(90, twice, monkeypatch)
    done = dqn_train(*SMALL)
    assert done.code == 143
    assert done.err == f"dqn-train: stopped; go on with: dqn-train resume={tmp_path}/run\n"
    assert (tmp_path / "run/checkpoints/seed_1_last.pt").exists()


def test_every_cut_episode_is_counted(dqn_train) -> None:
    """No CartPole falls within five steps: 4 episodes at steps 25, 50, 75 and 100, of two seeds."""
    limits = ("episodes=null", "steps=100", "eval.max_steps=5", "eval.final_episodes=null")
    done = dqn_train(*SMALL, *limits, "eval.every_episodes=null", "eval.every_steps=25")
    words = "32 greedy episodes of seed 1, 2 were cut at 5 steps (eval.max_steps)"
    assert (done.code, words in done.err) == (0, True)


def test_a_single_cut_episode_is_told_of_as_one(dqn_train) -> None:
    limits = ("episodes=null", "steps=20", "eval.max_steps=5", "eval.final_episodes=null")
    once = ("eval.every_episodes=null", "eval.every_steps=20", "eval.episodes=1", "seed=1")
    done = dqn_train(*SMALL, *limits, *once)
    words = "1 greedy episode of seed 1 was cut at 5 steps (eval.max_steps), and scored by its"
    assert (done.code, words in done.err) == (0, True)


def test_best_networks_are_scored_on_fresh_episodes(dqn_train, tmp_path: Path) -> None:
    done = dqn_train(*SMALL, "eval.final_episodes=3")
    seeds = json.loads((tmp_path / "run/summary.json").read_text())["seeds"]
    scores = [told["best_fresh_score"] for told in seeds.values()]
    assert len(scores) == 2 and min(scores) >= 8
    mean, low, high = (f"{value:.4g}" for value in (sum(scores) / 2, min(scores), max(scores)))
    assert f"best networks, 3 fresh episodes each: {mean} [{low}, {high}]\n" in done.out


class Listener:
    """A logger that writes down what it is given, and raises `error` at its end."""

    def __init__(self, name: str, heard: list[object], error: Exception | None = None) -> None:
        self.name, self.heard, self.error = name, heard, error

    def event(self, event: Event) -> None:
        self.heard.append((self.name, event))

    def close(self, status: str) -> None:
        self.heard.append((self.name, status))
        if self.error is not None:
            raise self.error


def test_every_logger_is_given_every_event_and_closed_the_last_one_first() -> None:
    heard: list[object] = []
    first, second = Listener("first", heard), Listener("second", heard, OSError(28, "No space"))
    run = Dispatcher([first, second], Path("run"), [7])
    events = [Note("a"), Diverged(3, 9)]
    for event in events:
        run.event(event)
    with pytest.raises(RunError, match="run: cannot be written: No space"):
        run.close("failed")
    assert heard == [
        *((name, event) for event in events for name in ("first", "second")),
        *(("second", "failed"), ("first", "failed")),
    ]
    assert (run.notes, run.diverged) == (["a"], {3, 7})
