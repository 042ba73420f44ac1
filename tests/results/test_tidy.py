from pathlib import Path

import pytest

from dqn_cli import results
from dqn_cli.results.schema import ResultError


def test_a_frame_has_a_row_for_each_episode_of_each_seed(make, tmp_path: Path) -> None:
    make(tmp_path / "a", episodes=3)
    make(tmp_path / "b", "ddqn", seeds=(7,), episodes=2)
    frame = results.frame(tmp_path)
    assert frame.columns.tolist()[:6] == [
        *("environment", "variant", "run", "seed", "step", "episode"),
    ]
    assert frame.groupby(["variant", "seed"]).size().to_dict() == {
        ("dqn", 1): 3,
        ("dqn", 2): 3,
        ("ddqn", 7): 2,
    }
    last = frame[frame.variant == "ddqn"].iloc[-1]
    assert (last.step, last.episode, last.score) == (20, 2, 47)
    assert last.run == str(tmp_path / "b")


def test_evaluations_by_step_are_rows_too(dqn_train, tmp_path: Path) -> None:
    short = ("seed=[1]", "episodes=null", "steps=40", "network.hidden=[4]", "learning_starts=10")
    often = ("eval.every_episodes=null", "eval.every_steps=20", "eval.episodes=1")
    assert dqn_train(*short, *often, "hydra.run.dir=run").code == 0
    frame = results.frame(tmp_path / "run")
    assert frame[frame.score.notna()].step.tolist() == [20, 40]
    assert frame.environment.unique().tolist() == ["CartPole-v1"]
    assert frame.step.is_monotonic_increasing


def test_no_episode_yet_is_an_empty_frame_and_no_run_is_one_line(make, tmp_path: Path) -> None:
    assert len(results.frame(make(tmp_path / "a", episodes=0))) == 0
    with pytest.raises(ResultError, match="does not exist"):
        results.frame(tmp_path / "gone")
