"""What is ours about MinAtar: seeds, actions, bytes, pictures. The rules are the package's."""

import builtins
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dqn_cli.env.gym import Gym
from dqn_cli.env.minatar import MinAtar

minatar = pytest.importorskip("minatar")

# game -> its id, its channels, and which of the six actions do something in it, by hand:
# 0 nothing, 1 left, 2 up, 3 right, 4 down, 5 fire
GAMES = {
    "asterix": ("Asterix", 4, [0, 1, 2, 3, 4]),
    "breakout": ("Breakout", 4, [0, 1, 3]),
    "freeway": ("Freeway", 7, [0, 2, 4]),
    "seaquest": ("Seaquest", 10, [0, 1, 2, 3, 4, 5]),
    "space_invaders": ("SpaceInvaders", 6, [0, 1, 3, 5]),
}
PADDLE, BALL, TRAIL, BRICK = range(4)  # of Breakout
LEFT, RIGHT = 1, 3


def named(game: str) -> str:
    return f"dqn_cli/MinAtar-{GAMES[game][0]}-v0"


def played(env: Any, seed: int, steps: int = 300) -> list[tuple[Any, ...]]:
    """What a random player sees, up to the end of the episode or so many steps."""
    actions = np.random.default_rng(seed).integers(env.action_space.n, size=steps)
    seen: list[tuple[Any, ...]] = [(env.reset(seed=seed)[0].tobytes(),)]
    for action in actions:
        obs, *told, _ = env.step(action)
        seen.append((obs.tobytes(), *told))
        if told[1]:
            break
    return seen


# As an environment


@pytest.mark.parametrize("game", GAMES)
def test_gymnasium_finds_nothing_to_say(game: str) -> None:
    check_env(gymnasium.make(named(game), render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("game", GAMES)
def test_gym_takes_it(game: str) -> None:
    """Bytes of at most 1, so that networks see 0 and 1; no limit of steps."""
    _, channels, minimal = GAMES[game]
    gym = Gym(id=named(game), import_=None, wrappers=[], kwargs={})
    assert gym.space == ((10, 10, channels), np.uint8, 6, 1.0)
    assert (gym.max_steps, gym.threshold, gym.notes) == (None, None, [])
    few = Gym(id=named(game), import_=None, wrappers=[], kwargs={"minimal_actions": True})
    assert few.space.actions == len(minimal)
    assert gym.rehearse().notes == []


@pytest.mark.parametrize("game", GAMES)
def test_observations_are_bytes_of_their_own(game: str) -> None:
    env = MinAtar(game)
    first, _ = env.reset(seed=0)
    before = first.copy()
    second, *_ = env.step(np.int64(1))
    assert (first.dtype, first.shape, set(np.unique(second))) == (np.uint8, before.shape, {0, 1})
    assert np.array_equal(first, before)


# Seeds


@pytest.mark.parametrize("game", GAMES)
def test_a_seed_and_actions_make_the_episode(game: str) -> None:
    """Trap: the package repeats, with the sticky probability, the last action of the episode before
    in the first step of the next."""
    used = MinAtar(game, sticky_actions=0.5)
    for seed in range(10):
        used.reset(seed=99)
        for action in (3, 2, 5, 4, 1):
            used.step(np.int64(action))
        assert played(used, seed) == played(MinAtar(game, sticky_actions=0.5), seed)


def test_the_package_alone_does_not_repeat_itself() -> None:
    """Why `last_action` is set: if this fails, that has become superfluous."""
    game = minatar.Environment("space_invaders", sticky_action_prob=0.5)

    def first(last: int) -> set[bytes]:
        seen = set()
        for seed in range(20):
            game.act(last)
            game.seed(seed)
            game.reset()
            game.act(0)
            seen.add(game.state().tobytes())
        return seen

    assert first(0) != first(LEFT)


def test_resets_without_a_seed_go_on_drawing() -> None:
    env = MinAtar("freeway")
    starts = [env.reset(seed=0)[0], env.reset()[0], env.reset()[0]]
    assert len({start.tobytes() for start in starts}) == 3
    assert env.reset(seed=0)[0].tobytes() == starts[0].tobytes()


@pytest.mark.parametrize("game", GAMES)
def test_it_is_the_package_step_by_step(game: str) -> None:
    """With the same random numbers, the package's own environment does the same."""
    env, own = MinAtar(game, sticky_actions=0.25), minatar.Environment(game, 0.25)
    for seed in range(3):
        generator = np.random.PCG64(np.random.SeedSequence(seed))  # as Gymnasium seeds
        own.random = own.env.random = np.random.RandomState(generator)
        own.last_action = 0
        own.reset()
        assert np.array_equal(env.reset(seed=seed)[0], own.state())
        for action in np.random.default_rng(seed).integers(6, size=500):
            obs, reward, terminated, truncated, _ = env.step(action)
            assert (reward, terminated) == own.act(int(action))
            assert np.array_equal(obs, own.state())
            assert not truncated
            if terminated:
                break


# Actions


def paddle(obs: Any) -> int:
    ((row, column),) = np.argwhere(obs[:, :, PADDLE])
    assert row == 9
    return int(column)


def test_a_step_repeats_the_last_action_by_chance() -> None:
    """In Breakout, as the paddle shows: it starts in column 4, and before the first action the last
    one is 0, nothing."""
    always = MinAtar("breakout", sticky_actions=1.0)
    always.reset(seed=0)
    assert [paddle(always.step(np.int64(RIGHT))[0]) for _ in range(3)] == [4, 4, 4]
    never = MinAtar("breakout", sticky_actions=0.0)
    never.reset(seed=0)
    moved = [paddle(never.step(np.int64(a))[0]) for a in (RIGHT, RIGHT, LEFT, 0, 2, 4, 5)]
    assert moved == [5, 6, 5, 5, 5, 5, 5]

    env, moves, repeated = MinAtar("breakout"), 0, 0
    for seed in range(2000):
        assert paddle(env.reset(seed=seed)[0]) == 4
        first, second = (paddle(env.step(np.int64(a))[0]) for a in (RIGHT, LEFT))
        moves += 2
        repeated += (first == 4) + (second == first + (first == 5))
    # 0.1 of 4,000, and three standard deviations of sqrt(4000 * 0.1 * 0.9) = 19
    assert abs(repeated - 0.1 * moves) < 57


@pytest.mark.parametrize("game", GAMES)
def test_minimal_actions_are_those_that_do_something(game: str) -> None:
    _, _, minimal = GAMES[game]
    env, every = MinAtar(game, 0.0, minimal_actions=True), MinAtar(game, 0.0)
    assert env.actions == minimal == minatar.Environment(game).minimal_action_set()
    assert every.actions == list(range(6))
    draw = np.random.default_rng(0)
    env.reset(seed=5)
    every.reset(seed=5)
    for number in draw.integers(len(minimal), size=100):
        ours, theirs = env.step(number), every.step(np.int64(minimal[number]))
        assert np.array_equal(ours[0], theirs[0])
        assert ours[1:] == theirs[1:]
        if ours[2]:
            break


# Rules that a user is told of


def test_breakout_ends_when_the_ball_is_lost() -> None:
    """The ball starts in row 3 and falls to row 8 in five steps: from column 0 to column 5, where
    the paddle in column 4 misses it, or from column 9 to column 4, where it is thrown back."""
    env, sides = MinAtar("breakout", sticky_actions=0.0), set()
    for seed in range(8):
        obs, _ = env.reset(seed=seed)
        assert obs[1:4, :, BRICK].all()
        assert obs[:, :, BRICK].sum() == 30
        ((row, side),) = np.argwhere(obs[:, :, BALL])
        sides.add(int(side))
        told = [env.step(np.int64(0))[1:4] for _ in range(6)]
        assert (row, told) == (3, [(0.0, False, False)] * 5 + [(0.0, bool(side == 0), False)])
    assert sides == {0, 9}


def test_freeway_ends_with_step_2501() -> None:
    env = MinAtar("freeway", sticky_actions=0.0)
    env.reset(seed=0)
    ends = [env.step(np.int64(0))[2:4] for _ in range(2501)]
    assert ends.index((True, False)) == 2500
    assert (False, True) not in ends


def test_difficulty_ramping() -> None:
    """Asterix becomes faster after 100 steps; before that it is the same game."""
    lasted = []
    for seed in range(40):
        ramped, plain = (
            played(MinAtar("asterix", 0.1, False, ramp), seed) for ramp in (True, False)
        )
        assert ramped[:100] == plain[:100]
        lasted.append((len(ramped), len(plain)))
        if ramped != plain:
            break
    assert ramped != plain, lasted


# Pictures


def test_the_picture() -> None:
    env = MinAtar("breakout", sticky_actions=0.0)
    env.reset(seed=0)
    env.step(np.int64(0))
    obs, *_ = env.step(np.int64(0))  # the ball and its trail have left the bricks
    picture = env.render()
    assert (picture.shape, picture.dtype) == ((160, 160, 3), np.uint8)
    cells = picture.reshape(10, 16, 10, 16, 3)
    assert (cells == cells[:, :1, :, :1]).all()  # one colour each
    colours = cells[:, 0, :, 0]
    kinds = {tuple(colour) for colour in colours.reshape(-1, 3).tolist()}
    assert len(kinds) == 5
    for channel in (PADDLE, BALL, TRAIL, BRICK):
        assert len({tuple(c) for c in colours[obs[:, :, channel] == 1].tolist()}) == 1


def test_every_channel_has_a_colour() -> None:
    from dqn_cli.env.minatar import COLOURS, DARK

    assert len({DARK, *COLOURS}) == 1 + max(channels for _, channels, _ in GAMES.values())


# Refusals


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        ({"sticky_actions": 1.5}, "sticky_actions=1.5: expected a number from 0 to 1"),
        ({"sticky_actions": "often"}, "sticky_actions=often: expected a number from 0 to 1"),
        ({"sticky_actions": True}, "sticky_actions=True: expected a number from 0 to 1"),
        ({"minimal_actions": "yes"}, "minimal_actions=yes: expected true or false"),
        ({"difficulty_ramping": 1}, "difficulty_ramping=1: expected true or false"),
    ],
)
def test_arguments_out_of_range_are_one_line(kwargs: Any, line: str) -> None:
    id = named("breakout")
    with pytest.raises(ValueError, match=f"^id={id}: {line}$"):
        Gym(id=id, import_=None, wrappers=[], kwargs=kwargs)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "minatar":
            raise ModuleNotFoundError("No module named 'minatar'", name="minatar")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"^id=\S+: [^\n]*pip install 'dqn-cli\[minatar\]'$"):
        Gym(id=named("asterix"), import_=None, wrappers=[], kwargs={})


# In a run

RUN = (
    *("episodes=40", "seed=[1,2]", "network.hidden=[8]", "learning_starts=30", "batch_size=8"),
    *("eval.episodes=2", "eval.max_steps=50", "eval.final_episodes=null"),
    *("checkpoint.every_seconds=1e-9", "hydra.run.dir=run"),
)


@pytest.mark.long
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("game", ["breakout", "space_invaders"])
def test_a_killed_run_goes_on_to_the_same_bytes(
    contents, dqn_train, killed_at, tmp_path: Path, game: str
) -> None:
    line = (*RUN, f"env=minatar/{game}", "env.kwargs.sticky_actions=0.3")
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    killed_at(300, *line)
    assert contents(tmp_path / "run") != contents(tmp_path / "whole")
    assert dqn_train("resume=run").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_over_games(dqn_train, tmp_path: Path) -> None:
    """A choice with a slash in it names no directory within a directory."""
    short = (*RUN[1:-1], "steps=60", "hydra.sweep.dir=sweep")
    done = dqn_train("-m", *short, "env=minatar/breakout,minatar/freeway")
    assert done.code == 0, done.err
    jobs = sorted(path.parent.relative_to(tmp_path) for path in tmp_path.rglob("summary.json"))
    assert len(jobs) == 2
    assert all(job.parent == Path("sweep") for job in jobs)
    assert all(game in str(job) for job, game in zip(jobs, ("breakout", "freeway"), strict=True))
