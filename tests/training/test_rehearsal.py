"""What the first steps of an environment show of a run is said before it begins."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from dqn_cli.config import BadInput
from dqn_cli.storage.transitions import Transitions
from dqn_cli.training import build
from dqn_cli.training.rehearsal import rehearsed


class Stacked(gymnasium.Env):
    """The last `stack` of numbers that count up, along the first axis; `before` precedes them, or
    the first one if it is None. A reward of 5 counts as 1, and each step as the end, in replay."""

    action_space = Discrete(2)

    def __init__(self, stack: int = 4, before: float | None = None) -> None:
        self.observation_space = Box(0, 255, (stack, 1), np.uint8)
        self.stack, self.before = stack, before

    def reset(self, *, seed=None, options=None):
        self.count = 9
        first = self.count if self.before is None else self.before
        self.seen = [first] * (self.stack - 1) + [self.count]
        return self.look(), {}

    def step(self, action):
        self.count += 1
        self.seen = [*self.seen[1:], self.count]
        return self.look(), 5.0, False, False, {"replay": (1.0, True)}

    def look(self) -> np.ndarray:
        return np.array(self.seen, np.uint8)[:, None]


gymnasium.register("dqn_cli_tests/Stacked-v0", Stacked)
STACKED = ("env.id=dqn_cli_tests/Stacked-v0", "episodes=null", "steps=20", "network.hidden=[8]")


def notes(compose, *overrides: str) -> list[str]:
    config = compose(*overrides)
    return rehearsed(config, build.loop(config))


@pytest.mark.parametrize("stack", [1, 4])
@pytest.mark.parametrize("before", ["null", "0"])
def test_frames_are_kept_of_what_is_stacked_so(compose, stack: int, before: str) -> None:
    kept = ("storage=frames", f"storage.stack={stack}", f"+env.kwargs.before={before}")
    assert notes(compose, *STACKED, *kept) == []


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["storage.stack=2"], "storage.stack=2: an observation is no stack of 2 frames that moves"),
        (["+env.kwargs.before=3"], "storage.stack=4: an observation is no stack of 4 frames of"),
        (["env=cartpole", "env.id=CartPole-v1"], "storage.stack=4: an observation is no stack"),
    ],
)
def test_what_is_not_stacked_so_is_refused(compose, overrides: list[str], line: str) -> None:
    with pytest.raises(BadInput) as refused:
        notes(compose, *STACKED, "storage=frames", *overrides)
    assert str(refused.value).startswith(line)
    assert str(refused.value).endswith("storage.stack=1 takes any, and so does storage=transitions")


def test_a_stack_that_is_none_is_refused_before_anything_is_written(
    dqn_train, tmp_path: Path
) -> None:
    done = dqn_train("storage=frames", "hydra.run.dir=run", "episodes=3")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith("dqn-train: storage.stack=4: an observation is no stack of 4 frames")
    assert list(tmp_path.iterdir()) == []


class NoNines(Transitions):
    def add(self, step):
        if (step.obs == 9).any():
            raise ValueError("storage.nines: not these")
        return super().add(step)


def test_a_storage_of_the_users_is_tried_with_real_observations(
    compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose(*STACKED)
    monkeypatch.setattr("dqn_cli.storage.transitions.Transitions", NoNines)
    with pytest.raises(BadInput, match=r"^storage\.nines: not these$"):
        rehearsed(config, build.loop(config))


def test_the_rewards_that_are_learned_are_those_that_are_advised_on(compose) -> None:
    """And not those of the game: of a clipped reward of 5 the support need not hold 500."""
    support = ("algo=c51", "algo.low=0", "gamma=0.9")
    assert notes(compose, *STACKED, *support, "algo.high=10") == []
    (note,) = notes(compose, *STACKED, *support, "algo.high=9")
    assert "with rewards from 1 to 1 " in note


def test_two_ways_to_explore_are_noted(compose) -> None:
    assert notes(compose, *STACKED, "network=noisy") == []
    (note,) = notes(compose, *STACKED, "network=noisy", "exploration=constant")
    assert note.endswith("exploration=greedy adds none")
