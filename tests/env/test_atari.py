"""Atari games as DQN is trained on them: frames, lives, chance, protocols."""

import builtins
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dqn_cli.env.atari import GAMES, PROTOCOLS, Atari, area
from dqn_cli.env.gym import Gym

ale_py = pytest.importorskip("ale_py")
PONG = "dqn_cli/Atari-Pong-v0"
FIRE = 1  # of Breakout's nothing, fire, right, left


def emulator(game: str) -> Any:
    """A fresh one, as the reference has it: no stickiness, after its first reset."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    ale.setInt("random_seed", 5)
    ale.loadROM(ale_py.roms.get_rom_path(game))
    ale.reset_game()
    return ale


def shrunk(picture: Any, size: int = 84) -> Any:
    """By area, in integers: each pixel is cut into as many parts as there will be pixels, and as
    many of them as there were pixels are averaged."""
    height, width = picture.shape
    fine = picture.astype(np.int64).repeat(size, axis=0).reshape(size, height, width).sum(axis=1)
    fine = fine.repeat(size, axis=1).reshape(size, size, width).sum(axis=2)
    return fine / (height * width)


class Reference:
    """The same by other means: whole lists of frames and of observations."""

    def __init__(self, game: str) -> None:
        self.ale = emulator(game)
        self.actions = self.ale.getMinimalActionSet()
        self.frames = [self.ale.getScreenGrayscale()] * 2
        self.seen = [np.zeros((84, 84))] * 3
        self.see()

    def see(self) -> None:
        self.seen.append(shrunk(np.maximum(self.frames[-1], self.frames[-2])))

    def step(self, action: int) -> tuple[float, bool]:
        reward = 0
        for _ in range(4):
            reward += self.ale.act(self.actions[action])
            self.frames.append(self.ale.getScreenGrayscale())
            if self.ale.game_over():
                break
        self.see()
        return reward, self.ale.game_over()


def same(obs: Any, seen: list[Any]) -> bool:
    """Trap: sums of float32 shares, which round as their order has it, and so as the number of
    threads: a pixel in ten thousand lies at a half."""
    return np.array_equal(obs, np.rint(np.stack(seen[-4:])))


# Frames


@pytest.mark.long
@pytest.mark.parametrize("game", ["pong", "breakout", "freeway"])
def test_frames_are_those_of_two_buffers(game: str) -> None:
    """Step by step, a second episode like the first in a fresh emulator, and Breakout to its end,
    which comes within a skip."""
    env = Atari(game, sticky_actions=0.0)
    for seed in (0, 1):
        reference, draw = Reference(game), np.random.default_rng(seed)
        obs, _ = env.reset(seed=seed)
        assert same(obs, reference.seen)
        ended = False
        for number in range(400):
            action = int(draw.integers(env.action_space.n)) if number % 8 else FIRE
            obs, reward, ended, truncated, _ = env.step(np.int64(action))
            assert (reward, ended) == reference.step(action)
            assert same(obs, reference.seen)
            assert not truncated
            if ended:
                break
        assert ended == (game == "breakout")


def test_a_skip_that_ends_early_has_the_last_two_frames() -> None:
    """Made to end after any number of frames, by the limit of them."""
    pictures = []
    ale = emulator("breakout")
    for _ in range(12):
        ale.act(ale.getMinimalActionSet()[FIRE])
        pictures.append(ale.getScreenGrayscale())
    for frames in range(5, 9):
        env = Atari("breakout", sticky_actions=0.0, max_frames=frames)
        env.reset(seed=0)
        env.step(np.int64(FIRE))
        obs, _, terminated, truncated, _ = env.step(np.int64(FIRE))
        assert (terminated, truncated) == (False, True)
        expected = shrunk(np.maximum(pictures[frames - 1], pictures[frames - 2]))
        assert np.array_equal(obs[-1], np.rint(expected))


def test_area_by_hand() -> None:
    """Five pixels to two: each is two and a half, in halves."""
    assert area(5, 2).tolist() == [[2, 2, 1, 0, 0], [0, 0, 1, 2, 2]]
    assert area(210, 84).tolist() == area(5, 2).tolist()  # 42 times
    assert area(160, 84).shape == (21, 40) and (area(160, 84).sum(axis=1) == 40).all()
    assert (area(160, 84).sum(axis=0) == 21).all()
    assert area(3, 3).tolist() == [[1]]


@pytest.mark.parametrize("game", ["pong", "air_raid"])  # 210 and 250 lines
@pytest.mark.parametrize("size", [1, 36, 61, 64, 84, 160, 210])
def test_any_size_is_by_area(game: str, size: int) -> None:
    env = Atari(game, size=size)
    env.start_frame = np.random.default_rng(0).integers(256, size=env.start_frame.shape)
    obs, _ = env.reset(seed=0)
    assert np.array_equal(obs[-1], np.rint(shrunk(env.start_frame, size)))


def test_the_stack() -> None:
    """Zeros before the first observation, the newest last, nothing of the episode before."""
    env = Atari("pong", sticky_actions=0.0, size=42, stack=3)
    for _ in range(2):
        first, _ = env.reset(seed=0)
        assert (first.shape, first.dtype) == ((3, 42, 42), np.uint8)
        assert not first[:2].any()
        assert first[2].any()
        before = first
        for _ in range(4):
            obs, *_ = env.step(np.int64(0))
            assert np.array_equal(obs[:2], before[1:])
            before = obs
    assert not first[:2].any()  # an array of its own


# An episode


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_seed_and_actions_make_the_episode(protocol: str) -> None:
    def played(env: Atari, seed: int) -> list[Any]:
        seen = [env.reset(seed=seed)[0].tobytes()]
        for action in np.random.default_rng(seed).integers(env.action_space.n, size=60):
            obs, *told, _ = env.step(action)
            seen.append((obs.tobytes(), *told))
        return seen

    used = Atari("breakout", protocol)
    episodes = [played(used, seed) for seed in (1, 2)]
    assert played(Atari("breakout", protocol), 2) == episodes[1]
    assert played(used, 1) == episodes[0]


@pytest.mark.long
@pytest.mark.parametrize("game", GAMES)
def test_every_game_repeats_itself(game: str) -> None:
    """Whatever was played before: a reset clears not all of a game's memory, a restored state not
    where within a frame the emulator stopped, and its screen is that of before."""
    env = Atari(game)
    assert f"dqn_cli/Atari-{game.title().replace('_', '')}-v0" in gymnasium.registry
    runs = []
    for number in range(4):
        seen = [env.reset(seed=3)[0].tobytes(), env.render().tobytes()]
        for action in np.random.default_rng(0).integers(env.action_space.n, size=25):
            obs, *told, _ = env.step(action)
            seen += [obs.tobytes(), env.render().tobytes(), env.ale.getRAM().tobytes(), str(told)]
        runs.append(seen)
        draw = np.random.default_rng(number)
        for action in draw.integers(env.action_space.n, size=(9, 25, 175, 1)[number]):
            env.step(action)
    assert runs == runs[:1] * 4


@pytest.mark.long
def test_a_lost_life_does_not_end_the_game() -> None:
    """Trap: 5, 4, 3, 2, 1 and 5 again, in one episode after another; what is learned ends with
    each life, and the score is that of the whole game."""
    env, plain = Atari("breakout", "nature", noop_max=0), Atari("breakout", sticky_actions=0.0)
    for seed in range(2):
        _, info = env.reset(seed=seed)
        plain.reset(seed=seed)
        lives, learned_ends, total, terminated = [info["lives"]], 0, 0.0, False
        draw = np.random.default_rng(seed)
        while not terminated:
            action = np.int64(FIRE if draw.random() < 0.3 else draw.integers(4))
            _, reward, terminated, _, info = env.step(action)
            _, same, over, _, other = plain.step(action)
            assert (same, over, info["lives"]) == (reward, terminated, other["lives"])
            assert other["replay"] == (float(np.sign(reward)), over)
            learned, end = info["replay"]
            assert learned == np.sign(reward)
            assert end == (info["lives"] < lives[-1])
            learned_ends += end
            total += reward
            if info["lives"] != lives[-1]:
                lives.append(info["lives"])
        assert (lives, learned_ends) == ([5, 4, 3, 2, 1, 0], 5)
        assert total >= 0


def test_sticky_actions_are_drawn_frame_by_frame() -> None:
    """Machado et al., section 5: with this probability a frame has the action of the one before."""
    env = Atari("pong", sticky_actions=0.25, frame_skip=1)
    env.reset(seed=0)
    repeats = 0
    for _ in range(3000):
        before = env.last_action
        action = 2 if before != env.actions[2] else 3  # another than the last
        env.step(np.int64(action))
        assert env.last_action in (before, env.actions[action])
        repeats += env.last_action == before
    assert abs(repeats - 750) < 3 * (3000 * 0.25 * 0.75) ** 0.5
    for sticky, taken in ((1.0, env.noop), (0.0, env.actions[2])):
        env = Atari("pong", sticky_actions=sticky)
        env.reset(seed=0)
        env.step(np.int64(2))
        assert env.last_action == taken


def test_no_ops_begin_it() -> None:
    env = Atari("pong", "nature", noop_max=5)
    counts = set()
    for seed in range(60):
        env.reset(seed=seed)
        counts.add(env.count)
    assert counts == {1, 2, 3, 4, 5}
    env = Atari("pong", "dopamine")
    env.reset(seed=0)
    assert env.count == 0


def test_the_limit_counts_frames() -> None:
    env = Atari("pong", max_frames=10)
    env.reset(seed=0)
    assert [env.step(np.int64(0))[2:4] for _ in range(3)] == [(False, False)] * 2 + [(False, True)]
    assert Atari("pong").max_frames == 108_000


@pytest.mark.parametrize(
    ("protocol", "sticky", "noops", "life", "actions"),
    [
        ("nature", 0.0, 30, True, 4),
        ("dopamine", 0.25, 0, False, 4),
        ("machado", 0.25, 0, False, 18),
    ],
)
def test_protocols(protocol: str, sticky: float, noops: int, life: bool, actions: int) -> None:
    env = Atari("breakout", protocol)
    assert env.protocol[:3] == (sticky, noops, life)
    assert env.action_space.n == actions
    changed = Atari("breakout", protocol, sticky_actions=0.1, full_action_space=True)
    assert changed.protocol == (0.1, noops, life, True)


def test_rewards_are_clipped_only_where_they_are_learned_from() -> None:
    """Ms. Pac-Man's pellets are 10 each."""
    for clip, expected in ((True, {0.0, 1.0}), (False, {0.0, 10.0})):
        env = Atari("ms_pacman", sticky_actions=0.0, clip_rewards=clip)
        env.reset(seed=0)
        steps = [env.step(np.int64(3)) for _ in range(90)]
        assert {10.0, 0.0} <= {step[1] for step in steps}
        learned = [step[4].get("replay", (step[1],))[0] for step in steps]
        assert expected <= set(learned)
        assert clip == all(abs(reward) <= 1 for reward in learned)
        assert clip == ("replay" in steps[0][4])


def test_a_wrapper_may_change_rewards_that_are_not_clipped() -> None:
    """Where they are, it is a line: tests/env/test_gym.py."""
    half = [{"_target_": "gymnasium.wrappers.ClipReward", "max_reward": 5.0}]
    kwargs = {"sticky_actions": 0.0, "clip_rewards": False}
    row = Gym(id="dqn_cli/Atari-MsPacman-v0", import_=None, wrappers=half, kwargs=kwargs).make(1)
    row.reset(0, 0)
    where, right = np.zeros(1, np.int64), np.full(1, 3)
    assert {row.step(where, right)[1][0] for _ in range(90)} == {0.0, 5.0}
    assert row.learned is None


# As an environment


def test_gymnasium_finds_nothing_to_say() -> None:
    check_env(gymnasium.make(PONG, render_mode="rgb_array").unwrapped)


def test_gym_takes_it() -> None:
    gym = Gym(id=PONG, import_=None, wrappers=[], kwargs={"size": 21})
    assert gym.space == ((4, 21, 21), np.uint8, 6, 255.0)
    assert gym.rehearse().notes == []
    row = gym.make(1)
    row.reset(0, 1)
    row.step(np.zeros(1, np.int64), np.zeros(1, np.int64))
    assert [part.tolist() for part in row.learned or ()] == [[0.0], [False], [False]]


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        ({"protocol": "natural"}, "protocol=natural: there are nature, dopamine, machado"),
        ({"sticky_actions": 2}, "sticky_actions=2: expected a number from 0 to 1"),
        ({"noop_max": -1}, "noop_max=-1: expected a whole number from 0"),
        ({"frame_skip": 0}, "frame_skip=0: expected a whole number from 1"),
        ({"stack": 1.5}, "stack=1.5: expected a whole number from 1"),
        ({"clip_rewards": "no"}, "clip_rewards=no: expected true or false"),
    ],
)
def test_arguments_out_of_range_are_one_line(kwargs: Any, line: str) -> None:
    with pytest.raises(ValueError, match=f"^id={PONG}: {line}$"):
        Gym(id=PONG, import_=None, wrappers=[], kwargs=kwargs)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "ale_py":
            raise ModuleNotFoundError("No module named 'ale_py'", name="ale_py")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"^id=\S+: [^\n]*pip install 'dqn-cli\[atari\]'$"):
        Gym(id=PONG, import_=None, wrappers=[], kwargs={})


# In a run


@pytest.mark.long
@pytest.mark.usefixtures("undrawn")
def test_a_killed_run_goes_on_to_the_same_bytes(
    contents, dqn_train, killed_at, tmp_path: Path
) -> None:
    line = (
        *("env=atari/breakout", "env.kwargs.protocol=nature", "env.kwargs.sticky_actions=0.25"),
        *("env.kwargs.size=12", "steps=600", "episodes=null", "seed=[1,2]", "network.hidden=[8]"),
        *("learning_starts=30", "batch_size=8", "buffer.capacity=500", "eval.every_episodes=2"),
        *("eval.episodes=1", "eval.max_steps=20", "eval.final_episodes=null"),
        *("checkpoint.every_seconds=1e-9", "hydra.run.dir=run"),
    )
    assert dqn_train(*line, "hydra.run.dir=whole").code == 0
    killed_at(400, *line)
    assert contents(tmp_path / "run") != contents(tmp_path / "whole")
    assert dqn_train("resume=run").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
