"""dqn-train from the command line to the run directory."""

import csv
import json
import re
from pathlib import Path

import pytest
import yaml

from dqn_cli.config import check
from dqn_cli.results.reader import read_run
from dqn_cli.saving.checkpoint import load
from dqn_cli.training import run

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
        *(f"{folder}/seed_{seed}.csv" for folder in ("scores", "diagnostics") for seed in (1, 2)),
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
        (("episodes=4", "steps=6000"), "step", "episode 4/4  step "),
        (("episodes=null", "steps=60"), "step", "  step 60/60  "),
    ],
)
def test_the_figure_and_the_progress_are_over_what_limits_the_run(
    dqn_train, monkeypatch: pytest.MonkeyPatch, limits: tuple[str, str], x: str, progress: str
) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(run, "draw", lambda panels, _: drawn.extend(p.x for p in panels))
    done = dqn_train(*SMALL, *limits)
    assert done.code == 0
    assert drawn == [x]
    assert progress in done.out
    assert ("step " in done.out) == (limits[1] != "steps=null")


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
        "storage": "transitions",
    }
    packages = {"python", "dqn-cli", "torch", "numpy", "gymnasium", "numba", "scipy"}
    assert packages | {"blas", "kernels"} == found["versions"].keys()
    assert found["kernels"] == "compiled"
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


def test_what_is_printed_is_what_runs_the_outcome_and_the_place(trained: Path) -> None:
    head, outcome, best, place = (trained.parent / "stdout").read_text().splitlines()
    assert head == "CartPole-v1  dqn uniform mlp hard  2 seeds: 1, 2  cpu, compiled"
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
    assert done.out.splitlines()[1] in (tmp_path / "run/train.log").read_text()


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
