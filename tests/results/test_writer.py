import json
from pathlib import Path
from typing import Any

import pytest

from dqn_cli.events import Diagnosis
from dqn_cli.results.reader import read_run
from dqn_cli.results.schema import ResultError, Rows
from dqn_cli.results.writer import RunWriter, holds_run

HEADER = "episode,step,return,length,score,epsilon,loss,q\n"


def writer(path: Path, seeds: list[int]) -> RunWriter:
    return RunWriter(
        path,
        config="name: null\nseed: [12, 34]\n",
        choices={"algo": "ddqn"},
        seeds=seeds,
        threshold=475.0,
        versions={"torch": "2.6"},
    )


def row(episode: int, score: float | None = None, **more: Any) -> dict[str, Any]:
    cells = {"episode": episode, "step": 10 * episode, "return": 10.0, "length": 10}
    return {**cells, "score": score, "epsilon": 0.5, "loss": None, "q": None, **more}


def summary(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((path / "summary.json").read_text())
    return loaded


def test_a_run_starts_with_config_headers_and_a_summary(tmp_path: Path) -> None:
    run = tmp_path / "deep" / "run"
    with writer(run, [12, 34]):
        assert (run / "config.yaml").read_text() == "name: null\nseed: [12, 34]\n"
        assert (run / "scores/seed_12.csv").read_text() == HEADER
        assert (run / "timing.csv").read_text() == "seed,episode,step,seconds\n"
    nothing = dict.fromkeys(["final_score", "final_episode", "final_step"])
    nothing |= dict.fromkeys(["best_score", "best_episode", "best_step", "best_fresh_score"])
    nothing |= {"diverged": False}
    assert summary(run) == {
        "status": "running",
        "error": None,
        "choices": {"algo": "ddqn"},
        "threshold": 475.0,
        "versions": {"torch": "2.6"},
        "env_steps_per_second": None,
        "seeds": {"12": nothing, "34": nothing},
    }


def test_rows_are_on_disk_at_once_and_times_elsewhere(tmp_path: Path) -> None:
    with writer(tmp_path, [12, 34]) as run:
        run.episode(12, row(1, 9.5), seconds=0.25)
        run.episode(34, row(1, loss=float("nan"), q=1 / 3), seconds=0.5)
        # read while the files are still open: nothing waits in a buffer
        assert (tmp_path / "scores/seed_12.csv").read_text() == HEADER + "1,10,10,10,9.5,0.5,,\n"
        text = (tmp_path / "scores/seed_34.csv").read_text()
        assert text == HEADER + "1,10,10,10,,0.5,nan,0.333333333\n"
        timing = (tmp_path / "timing.csv").read_text()
        assert timing == "seed,episode,step,seconds\n12,1,10,0.25\n34,1,10,0.5\n"


def test_a_column_without_a_value_may_be_left_out(tmp_path: Path) -> None:
    short = {"episode": 1, "step": 10, "return": 10.0, "length": 10, "epsilon": 0.5}
    with writer(tmp_path, [12]) as run:
        run.episode(12, short, 0.0)
    assert (tmp_path / "scores/seed_12.csv").read_text() == HEADER + "1,10,10,10,,0.5,,\n"


def test_the_summary_tells_final_and_best_of_each_seed(tmp_path: Path) -> None:
    with writer(tmp_path, [12, 34]) as run:
        for episode, score in enumerate([9.0, 500.0, 500.0, 462.6, None], start=1):
            run.episode(12, row(episode, score), 0.0)
        run.outcome(12).best_fresh_score = 480.5
        run.finish("finished", env_steps_per_second=1234.5)
    found = summary(tmp_path)
    assert found["status"] == "finished"
    assert found["env_steps_per_second"] == 1234.5
    assert found["seeds"]["12"] == {
        "final_score": 462.6,  # the last one there was, from episode 4
        "final_episode": 5,
        "final_step": 50,
        "best_score": 500.0,  # the last of two: it has learned for longer
        "best_episode": 3,
        "best_step": 30,
        "best_fresh_score": 480.5,
        "diverged": False,
    }
    assert found["seeds"]["34"]["best_score"] is None
    assert read_run(tmp_path).threshold == 475.0


def test_a_failed_run_says_so(tmp_path: Path) -> None:
    with writer(tmp_path, [12]) as run:
        run.episode(12, row(1, float("nan")), 0.0)  # a score that JSON cannot say is none
        run.finish("failed", env_steps_per_second=float("inf"), error="out of memory")
    found = summary(tmp_path)
    assert (found["status"], found["error"]) == ("failed", "out of memory")
    assert found["env_steps_per_second"] is None
    assert found["seeds"]["12"]["final_score"] is None


@pytest.mark.parametrize("name", ["config.yaml", "summary.json", "scores"])
def test_a_run_is_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / "train.log").touch()
    assert not holds_run(tmp_path)
    (tmp_path / name).mkdir()
    assert holds_run(tmp_path)
    with pytest.raises(ResultError, match="already holds a run"):
        writer(tmp_path, [12])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["train.log", name])


def test_a_directory_that_cannot_be_made_is_a_result_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultError, match=r"file/run: cannot be written: "):
        writer(tmp_path / "file" / "run", [12])


@pytest.mark.parametrize(
    ("seed", "cells", "problem"),
    [
        (7, row(2), "seed 7 is not one of this run's"),
        (12, row(1), "episode 1 comes after episode 1"),
        (12, row(0), "episode 0 comes after episode 1"),
        (12, row(2, reward=1.0), "no such column: reward"),
        (12, row(2, length=None), "no value for length"),
        (12, {"episode": 2}, "no value for step, return, length"),
    ],
)
def test_an_impossible_row_is_refused_and_not_written(
    tmp_path: Path, seed: int, cells: dict[str, Any], problem: str
) -> None:
    with writer(tmp_path, [12]) as run:
        run.episode(12, row(1), 0.0)
        with pytest.raises(ValueError, match=problem):
            run.episode(seed, cells, 0.0)
    assert (tmp_path / "scores/seed_12.csv").read_text().count("\n") == 2


def test_a_fraction_is_no_step(tmp_path: Path) -> None:
    with writer(tmp_path, [12]) as run, pytest.raises(TypeError):
        run.episode(12, row(1, step=1.5), 0.0)


@pytest.mark.parametrize("seeds", [[], [12, 12]])
def test_seeds_are_distinct(tmp_path: Path, seeds: list[int]) -> None:
    with pytest.raises(ValueError, match="seeds must be distinct"):
        writer(tmp_path / "run", seeds)
    assert not (tmp_path / "run").exists()


def test_evaluations_by_step_have_a_file_of_their_own(tmp_path: Path) -> None:
    with writer(tmp_path, [12, 34]) as run:
        run.episode(12, row(1), 0.0)
        run.evaluation(12, {"step": 15, "episode": 1, "score": 7.5})
        run.episode(12, row(2), 0.0)
        run.evaluation(12, {"step": 30, "episode": 2, "score": 6.5})
        with pytest.raises(ValueError, match="no value for step"):
            run.evaluation(12, {"step": None, "episode": 2, "score": 6.5})
        run.finish("finished", env_steps_per_second=1.0)
    text = (tmp_path / "evaluations/seed_12.csv").read_text()
    assert text == "step,episode,score\n15,1,7.5\n30,2,6.5\n"
    assert not (tmp_path / "evaluations/seed_34.csv").exists()
    found = summary(tmp_path)["seeds"]["12"]
    assert [found[f"final_{name}"] for name in ("episode", "step", "score")] == [2, 30, 6.5]
    assert [found[f"best_{name}"] for name in ("episode", "step", "score")] == [1, 15, 7.5]
    frame = read_run(tmp_path).evaluations[12]
    assert frame.to_dict("list") == {"step": [15, 30], "episode": [1, 2], "score": [7.5, 6.5]}


def test_diagnoses_have_a_file_of_their_own(tmp_path: Path) -> None:
    with writer(tmp_path, [12, 34]) as run:
        run.diagnosis(12, {"step": 10, "episode": 1, "q_mean": 1 / 3, "ess": None})
        run.diagnosis(12, {"step": 10, "episode": 1, "q_mean": float("nan"), "age": 4.5})
        for cells, problem in (({"episode": 1}, "no value for step"), ({"luck": 1}, "no such")):
            with pytest.raises(ValueError, match=problem):
                run.diagnosis(12, cells)
        with pytest.raises(ValueError, match="seed 7 is not one of this run's"):
            run.diagnosis(7, {"step": 10, "episode": 1})
    head, first, second = (tmp_path / "diagnostics/seed_12.csv").read_text().splitlines()
    assert head.split(",") == ["step", "episode", *Diagnosis._fields]
    assert first == "10,1,0.333333333" + "," * 14
    assert second == "10,1,nan" + "," * 12 + "4.5,,"
    assert not (tmp_path / "diagnostics/seed_34.csv").exists()
    assert read_run(tmp_path).diagnostics[12]["age"].tolist()[1] == 4.5
    with RunWriter(tmp_path, **AGAIN, seeds=[12], kept={12: Rows(0, 0, 1)}):
        assert (tmp_path / "diagnostics/seed_12.csv").read_text() == f"{head}\n{first}\n"


def test_rows_after_those_kept_are_cut_off(tmp_path: Path) -> None:
    """Of episodes and evaluations each as many as the checkpoint has."""
    with writer(tmp_path, [12]) as run:
        for episode in (1, 2, 3):
            run.episode(12, row(episode), 0.0)
            run.evaluation(12, {"step": 10 * episode, "episode": episode, "score": 50 - episode})
    again = {"config": "name: null\n", "choices": {}, "seeds": [12], "threshold": None}
    with RunWriter(tmp_path, **again, versions={}, kept={12: Rows(2, 1)}) as run:
        assert run.outcome(12).final_episode == 2
        assert run.outcome(12).final_step == 20
        assert (run.outcome(12).final_score, run.outcome(12).best_step) == (49, 10)
    frames = read_run(tmp_path)
    assert frames.scores[12]["episode"].tolist() == [1, 2]
    assert frames.evaluations[12]["step"].tolist() == [10]


def test_a_run_taken_up_knows_what_its_rows_say(tmp_path: Path) -> None:
    scores = [None, 3.0, 9.5, float("inf"), 9.5, 4.0, None]
    with writer(tmp_path, [12]) as run:
        for episode, score in enumerate(scores, start=1):
            run.episode(12, row(episode, score), 0.0)
        run.finish("finished", env_steps_per_second=1.0)
    before = summary(tmp_path)["seeds"]
    assert (before["12"]["best_episode"], before["12"]["final_score"]) == (5, 4.0)
    with RunWriter(
        tmp_path,
        config="seed: [12]\n",
        choices={},
        seeds=[12],
        threshold=None,
        versions={},
        kept={12: Rows(len(scores), 0)},
    ):
        assert summary(tmp_path)["seeds"] == before


AGAIN = {"config": "name: null\n", "choices": {}, "threshold": None, "versions": {}}


def test_what_rows_say_is_taken_in_the_order_of_steps(tmp_path: Path) -> None:
    """Of episodes and evaluations together: the last score is that of the last step."""
    with writer(tmp_path, [12]) as run:
        run.evaluation(12, {"step": 15, "episode": 1, "score": 7.5})
        run.episode(12, row(1, 3.0, step=30), 0.0)
    with RunWriter(tmp_path, **AGAIN, seeds=[12], kept={12: Rows(1, 1)}) as run:
        found = run.outcome(12)
        assert (found.final_step, found.final_score) == (30, 3.0)
        assert (found.best_step, found.best_score) == (15, 7.5)


def test_times_of_episodes_that_stay_stay(tmp_path: Path) -> None:
    with writer(tmp_path, [12, 34]) as run:
        for episode in (1, 2, 3):
            run.episode(12, row(episode), episode / 2)
            run.episode(34, row(episode), episode / 4)
    with RunWriter(tmp_path, **AGAIN, seeds=[12, 34], kept={12: Rows(2, 0), 34: Rows(1, 0)}) as run:
        assert run.seconds == 1.0
    rows = (tmp_path / "timing.csv").read_text().splitlines()[1:]
    assert rows == ["12,1,10,0.5", "34,1,10,0.25", "12,2,20,1"]
