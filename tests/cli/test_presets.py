"""Another choice on the command line next to a preset."""

from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.usefixtures("undrawn")
# What the file of a game says, with what the preset makes of it.
NATURE = {
    **{"protocol": "nature", "sticky_actions": None, "noop_max": None, "clip_rewards": True},
    **{"terminal_on_life_loss": None, "full_action_space": None, "frame_skip": 4, "stack": 4},
    **{"size": 84, "max_frames": 108000},
}
SIX = {"minimal_actions": False}


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
        # another game of the same kind
        (
            "experiment=atari/nature env=atari/breakout buffer.capacity=64",
            "env",
            {"id": "dqn_cli/Atari-Breakout-v0", "kwargs": NATURE},
        ),
        (
            "experiment=minatar/dqn env=minatar/seaquest buffer.capacity=64",
            "env",
            {"kwargs": {"sticky_actions": 0.1, "difficulty_ramping": True}},
        ),
        # typed keys below one that holds keys
        (
            "experiment=minatar/dqn env=minatar/asterix env.kwargs.sticky_actions=0.0",
            "env",
            {"kwargs": {"sticky_actions": 0.0, **SIX, "difficulty_ramping": True}},
        ),
        (
            "experiment=minatar/dqn env=minatar/asterix env.kwargs.difficulty_ramping=false",
            "env",
            {"kwargs": {"sticky_actions": 0.1, **SIX, "difficulty_ramping": False}},
        ),
        (
            "experiment=minatar/dqn env=acrobot network=mlp +env.kwargs.max_episode_steps=9",
            "env",
            {"id": "Acrobot-v1", "kwargs": {"max_episode_steps": 9}},
        ),
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
