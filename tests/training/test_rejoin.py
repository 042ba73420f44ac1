"""Lanes that continue: at the step they belong to, in the episode that was open."""

import os
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import CartPoleEnv

from dqn_cli.events import RunError, Tick
from dqn_cli.saving.checkpoint import load_lane
from dqn_cli.state import Known
from dqn_cli.training import build

pytestmark = pytest.mark.usefixtures("undrawn")
SMALL = (
    *("network.hidden=[9]", "learning_starts=30", "batch_size=16", "eval.episodes=2"),
    *("hydra.run.dir=run", "checkpoint.every_seconds=1e-9"),  # at every tick
)
EPISODES = ("episodes=40",)


@pytest.mark.long
def test_seeds_saved_at_different_steps_join_where_they_belong(
    contents, dqn_train, killed_at, tmp_path: Path
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
            total, obs, _ = again.episodes.play(1, number, known.actions[:-1])
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
