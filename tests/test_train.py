"""dqn-train from the command line to the run directory, to the end or interrupted."""

import csv
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
import yaml
from gymnasium.envs.classic_control import CartPoleEnv

from dqn_cli.config import check
from dqn_cli.env.gym import GymRow
from dqn_cli.events import Tick
from dqn_cli.logger.files import RunFiles
from dqn_cli.results import figure
from dqn_cli.results.reader import read_run
from dqn_cli.saving.checkpoint import load
from dqn_cli.training import evaluation

SMALL = (
    *("seed=[1,2]", "episodes=8", "network.hidden=[8]", "learning_starts=8", "batch_size=8"),
    *("eval.episodes=4", "optimizer=adam", "hydra.run.dir=run"),
)
COLUMNS = "episode,step,return,length,score,epsilon,loss,q"


pytestmark = pytest.mark.usefixtures("undrawn")


def contents(run: Path) -> dict[str, bytes]:
    """What a rerun must repeat to the byte."""
    files = [*run.glob("scores/*"), *run.glob("checkpoints/*"), run / "config.yaml"]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def summary(run: Path) -> dict[str, object]:
    values: dict[str, object] = json.loads((run / "summary.json").read_text())
    return values


def test_a_run_leaves_its_files_and_no_others(trained: Path) -> None:
    files = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    assert files == {
        *("config.yaml", "timing.csv", "summary.json", "scores.png", "train.log"),
        *(f"scores/seed_{seed}.csv" for seed in (1, 2)),
        *(
            f"checkpoints/seed_{seed}_{kind}.pt"
            for seed in (1, 2)
            for kind in ("best", "last", "resume")
        ),
    }
    assert (trained / "scores.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert {path.name for path in trained.parent.iterdir()} == {"run", "stdout"}


@pytest.mark.parametrize(
    ("limits", "x", "progress"),
    [
        (("episodes=4", "steps=null"), "episode", "episode 4/4  "),
        (("episodes=4", "steps=6000"), "episode", "episode 4/4  step "),
        (("episodes=null", "steps=60"), "step", "  step 60/60  "),
    ],
)
def test_the_figure_and_the_progress_are_over_what_limits_the_run(
    dqn_train, monkeypatch: pytest.MonkeyPatch, limits: tuple[str, str], x: str, progress: str
) -> None:
    drawn: list[str] = []
    axis = figure.usual_axis
    monkeypatch.setattr(figure, "usual_axis", lambda pools: drawn.append(axis(pools)) or drawn[-1])
    done = dqn_train(*SMALL, *limits)
    assert done.code == 0
    assert drawn == [x]
    assert progress in done.out
    assert ("step " in done.out) == (limits[1] != "steps=null")


@pytest.mark.long
@pytest.mark.parametrize(
    ("overrides", "room", "expected"),
    [
        # the same key, and the same default: the experiment's value stays
        ("experiment=berta/dqn buffer=per", "buffer", {"capacity": 50000, "alpha": 0.6}),
        ("experiment=berta/dqn network=dueling", "network", {"hidden": [512, 128]}),
        # a key that the other choice has not
        ("experiment=berta/per buffer=uniform", "buffer", {"capacity": 50000}),
        ("experiment=peng/dqn exploration=linear", "exploration", {"start": 1.0, "end": 0.05}),
        ("experiment=berta/dqn target=none", "target", {}),
        # the same key with another default: another meaning
        ("experiment=lange/dqn target=polyak", "target", {"tau": 0.005, "every_steps": 1}),
        ("experiment=lange/polyak target=hard", "target", {"every_steps": 240}),
        ("experiment=lange/dqn target=polyak target.every_steps=7", "target", {"every_steps": 7}),
        ("algo=nfq buffer=uniform", "buffer", {"capacity": 300000}),
        # the experiment's own choice
        ("experiment=berta/dqn target=hard", "target", {"every_steps": 15}),
        ("experiment=berta/nfq buffer=uniform", "exploration", {"start": 0.5}),
    ],
)
def test_another_choice_beside_an_experiment(
    dqn_train, tmp_path: Path, overrides: str, room: str, expected: dict[str, object]
) -> None:
    short = ("seed=1", "steps=1", "eval.every_episodes=null", "eval.every_steps=null")
    env = () if "env=" in overrides else ("env=cartpole",)
    assert dqn_train(*overrides.split(), *env, *short, "hydra.run.dir=run").code == 0
    section = yaml.safe_load((tmp_path / "run/config.yaml").read_text())[room]
    assert section.items() >= expected.items()
    if room in {"buffer", "target"}:
        assert section["_target_"].startswith(
            f"dqn_cli.{room}.{overrides.split('=')[2].split()[0]}."
        )


def test_scores_have_a_row_per_episode(trained: Path) -> None:
    for seed in (1, 2):
        text = (trained / f"scores/seed_{seed}.csv").read_text()
        assert text.splitlines()[0] == COLUMNS
        rows = [
            {name: float(cell) for name, cell in row.items() if cell}
            for row in csv.DictReader(text.splitlines())
        ]
        assert [row["episode"] for row in rows] == list(range(1, 9))
        assert [row["step"] for row in rows] == [
            sum(row["length"] for row in rows[: i + 1]) for i in range(8)
        ]
        for row in rows:
            assert row["return"] == row["length"]  # CartPole gives 1 per step
            assert row["score"] >= 8
            assert 0.3 < row["epsilon"] < 1
        assert all({"loss", "q"} <= row.keys() for row in rows[1:])  # learning starts in the first


def test_timing_has_every_episode_in_order(trained: Path) -> None:
    rows = list(csv.DictReader((trained / "timing.csv").read_text().splitlines()))
    assert len(rows) == 16
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)
    for seed in (1, 2):
        mine = [row for row in rows if row["seed"] == str(seed)]
        scores = csv.DictReader((trained / f"scores/seed_{seed}.csv").read_text().splitlines())
        assert [(r["episode"], r["step"]) for r in mine] == [
            (r["episode"], r["step"]) for r in scores
        ]


def test_the_summary_says_what_the_scores_say(trained: Path) -> None:
    found = summary(trained)
    assert (found["status"], found["error"], found["threshold"]) == ("finished", None, 475.0)
    assert found["choices"] == {
        **{"env": "cartpole", "algo": "dqn", "buffer": "uniform", "network": "mlp"},
        **{"target": "hard", "exploration": "exponential", "optimizer": "adam", "device": "auto"},
    }
    packages = {"python", "dqn-cli", "torch", "numpy", "gymnasium", "blas", "kernels"}
    assert packages == found["versions"].keys()
    assert found["env_steps_per_second"] > 0
    for seed, frame in read_run(trained).scores.items():
        last, best = frame.iloc[-1], frame.loc[frame["score"].idxmax()]
        assert found["seeds"][str(seed)] == {
            **{"final_score": last["score"], "final_episode": 8, "final_step": last["step"]},
            **{"best_score": best["score"], "best_episode": best["episode"]},
            **{"best_step": best["step"], "diverged": False},
            "best_fresh_score": found["seeds"][str(seed)]["best_fresh_score"],
        }


def test_checkpoints_are_those_of_the_best_score_and_of_the_end(trained: Path) -> None:
    for seed, told in summary(trained)["seeds"].items():
        best = load(trained / f"checkpoints/seed_{seed}_best.pt")
        last = load(trained / f"checkpoints/seed_{seed}_last.pt")
        assert best[:4] == (int(seed), told["best_episode"], told["best_step"], told["best_score"])
        assert last[:4] == (int(seed), 8, told["final_step"], None)
        assert [tuple(tensor.shape) for tensor in last.params.values()] == [
            *((8, 4), (8,)),
            *((2, 8), (2,)),
        ]


def test_the_config_is_whole_and_can_be_run_again(trained: Path, compose) -> None:
    values = yaml.safe_load((trained / "config.yaml").read_text())
    assert check(values) == compose(*SMALL)


def test_the_log_tells_the_beginning_and_the_end(trained: Path) -> None:
    first, last = (trained / "train.log").read_text().splitlines()
    assert f"seeds [1, 2] into {trained}" in first
    assert "finished: episode 8/8" in last


def test_what_is_printed_is_the_outcome_and_the_place(trained: Path) -> None:
    outcome, best, place = (trained.parent / "stdout").read_text().splitlines()
    assert outcome.startswith("episode 8/8  ")
    assert "score" in outcome
    assert re.fullmatch(r"best networks, 100 fresh episodes each: [\d.]+ \[[\d.]+, [\d.]+\]", best)
    assert place == str(trained)


def test_a_rerun_is_the_same_bytes_and_nothing_is_overwritten(
    trained: Path, dqn_train, tmp_path: Path
) -> None:
    done = dqn_train(*SMALL)
    assert (done.code, done.err) == (0, "")
    assert contents(tmp_path / "run") == contents(trained)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = dqn_train(*SMALL)
    assert again.code == 2
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_run_of_its_own_place_is_named_by_its_rooms(dqn_train, tmp_path: Path) -> None:
    done = dqn_train(*SMALL[:-1], "algo=ddqn", "buffer=per", "episodes=1", "env.id=Acrobot-v1")
    assert (done.code, done.err) == (0, "")
    (run,) = tmp_path.glob("outputs/Acrobot-v1/ddqn-per-mlp-hard/*")
    assert done.out.splitlines()[-1] == str(run)
    assert summary(run)["status"] == "finished"


def test_what_is_printed_and_what_is_logged_agree(dqn_train, tmp_path: Path) -> None:
    done = dqn_train(*SMALL)
    assert done.out.splitlines()[0] in (tmp_path / "run/train.log").read_text()


@pytest.mark.long
@pytest.mark.usefixtures("undrawn")
def test_an_experiment_is_a_run_like_any_other(dqn_train, tmp_path: Path) -> None:
    """The command line has the last word; and one that goes on keeps its own experiment."""
    given = ("experiment=carayol/replay", "seed=[3,4]", "episodes=2", "batch_size=8")
    assert dqn_train(*given, "eval.episodes=1", "hydra.run.dir=run").code == 0
    run = read_run(tmp_path / "run")
    assert (run.config["name"], run.config["batch_size"]) == ("carayol/replay", 8)
    assert run.choices["target"] == "none"
    assert sorted(run.scores) == [3, 4]
    refused = dqn_train("resume=run", "experiment=carayol/replay")
    assert refused.code == 2
    assert "experiment=carayol/replay: a run that goes on keeps its own" in refused.err
    refused = dqn_train("resume=run", "algo=nfq")
    assert refused.code == 2
    assert "algo=nfq: a run that goes on keeps its own; leave it out" in refused.err
    assert dqn_train("resume=run", "episodes=3").code == 0


def test_whole_floats_are_counts_in_the_configuration_too(dqn_train, tmp_path: Path) -> None:
    line = ("steps=4e1", "episodes=null", "buffer.capacity=1e3", "optimizer.lr_steps=4e4")
    assert dqn_train(*SMALL, *line).code == 0
    text = (tmp_path / "run/config.yaml").read_text()
    assert "steps: 40\n" in text and "capacity: 1000\n" in text and "lr_steps: 40000\n" in text
    assert dqn_train("resume=run", "steps=6e1", "buffer.capacity=1e3").code == 0
    assert "\nsteps: 60\n" in (tmp_path / "run/config.yaml").read_text()


@pytest.mark.parametrize("buffer", ["uniform", "per", "per_rank"])
def test_learning_may_start_when_the_buffer_has_been_full_for_long(
    dqn_train, tmp_path: Path, buffer: str
) -> None:
    ring = (
        "buffer.capacity=16",
        "learning_starts=40",
        "update_every=1",
        "episodes=null",
        "steps=100",
    )
    assert dqn_train(*SMALL, f"buffer={buffer}", *ring).code == 0
    for frame in read_run(tmp_path / "run").scores.values():
        assert list(frame["loss"].notna()) == list(frame["step"] >= 40)


def test_seed_0_is_a_seed(dqn_train, tmp_path: Path) -> None:
    assert dqn_train(*SMALL, "seed=0", "episodes=1").code == 0
    assert [path.name for path in tmp_path.glob("run/scores/*")] == ["seed_0.csv"]


def test_a_limit_in_steps_ends_a_run_in_mid_episode(dqn_train, tmp_path: Path) -> None:
    assert dqn_train(*SMALL, "episodes=null", "steps=100").code == 0
    for seed in (1, 2):
        assert load(tmp_path / f"run/checkpoints/seed_{seed}_last.pt").step == 100
        steps = read_run(tmp_path / "run").scores[seed]["step"]
        assert 50 < steps.iloc[-1] <= 100


def test_without_evaluation_there_is_no_score(dqn_train, tmp_path: Path) -> None:
    assert dqn_train(*SMALL, "eval.every_episodes=null").code == 0
    run = read_run(tmp_path / "run")
    assert run.scores[1]["score"].isna().all()
    assert run.summary["seeds"]["1"]["best_score"] is None
    files = {path.name for path in tmp_path.glob("run/checkpoints/*")}
    assert files == {f"seed_{s}_{kind}.pt" for s in (1, 2) for kind in ("last", "resume")}
    assert (tmp_path / "run/scores.png").is_file()


def at_step(steps: int, do: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something in the environments' step of that number, after the 16 of the rehearsal."""
    step, count = GymRow.step, -16

    def stepped(self, rows, action):
        nonlocal count
        count += 1
        if count == steps:
            do()
        return step(self, rows, action)

    monkeypatch.setattr("dqn_cli.env.gym.is_cartpole", lambda env: False)
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

        monkeypatch.setattr("dqn_cli.env.gym.is_cartpole", lambda env: False)
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


def test_best_networks_are_scored_on_fresh_episodes(dqn_train, tmp_path: Path) -> None:
    done = dqn_train(*SMALL, "eval.final_episodes=3")
    seeds = json.loads((tmp_path / "run/summary.json").read_text())["seeds"]
    scores = [told["best_fresh_score"] for told in seeds.values()]
    assert len(scores) == 2 and min(scores) >= 8
    mean, low, high = (f"{value:.4g}" for value in (sum(scores) / 2, min(scores), max(scores)))
    assert f"best networks, 3 fresh episodes each: {mean} [{low}, {high}]\n" in done.out


def test_speed_is_that_of_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """1200 steps in 10 s of which 6 went into evaluation: 300 a second."""
    monkeypatch.setattr(RunFiles, "seconds", 10.0)
    files = RunFiles([], None, None, None)  # type: ignore[arg-type]
    files.event(Tick([], 600, 600, 2.0))
    files.event(Tick([], 1200, 600, 4.0))
    assert files.speed == 300
