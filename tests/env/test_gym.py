import re
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Sequence, Space, Text, Tuple

from dqn_cli import code
from dqn_cli.env.gym import Gym
from dqn_cli.events import Episode
from dqn_cli.training import build
from dqn_cli.types import EnvError

CORRIDOR = "dqn_cli_tests/Corridor-v0"
LONG = Box(np.arange(40.0), np.arange(40.0) + 5, dtype=np.float64)  # printed on several lines


class Corridor(gymnasium.Env):
    """Every step leads one further; `length` ends it. Observation: where, and the episode's own
    number. Reward: the action taken. The same array is handed out again and again."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(
        self,
        length: int = 3,
        observed: Space | None = None,
        acted: Space | None = None,
        render_mode: str | None = None,
        fault: Exception | None = None,
    ) -> None:
        if fault is not None:
            raise fault
        self.length = length
        self.observation_space = observed or Box(0, 1000, (2,), np.float64)
        self.action_space = acted or Discrete(5)
        self.render_mode = render_mode
        self.obs = np.zeros(2, self.observation_space.dtype)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.obs[:] = 0, self.np_random.integers(1000)
        return self.obs, {}

    def step(self, action: int) -> Any:
        self.obs[0] += 1
        return self.obs, float(action), bool(self.obs[0] >= self.length), False, {}

    def render(self) -> Any:
        return np.full((4, 6, 3), self.obs[0], np.uint8)


gymnasium.register(CORRIDOR, Corridor)


def make(id: str = CORRIDOR, import_: str | None = None, **kwargs: Any) -> Gym:
    return Gym(id=id, import_=import_, wrappers=[], kwargs=kwargs)


def actions(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


# What it sees


def test_cartpole_is_described() -> None:
    env = make("CartPole-v1")
    assert env.space[:3] == ((4,), np.float32, 2)
    assert (env.observation, env.max_steps, env.together) == ("float32 [4]", 500, True)
    assert env.threshold == 475.0
    assert make().threshold is None


@pytest.mark.parametrize(
    ("given", "kept"), [(np.float64, np.float32), (np.float32, np.float32), (np.uint8, np.uint8)]
)
def test_floats_become_float32_and_bytes_stay(given: Any, kept: Any) -> None:
    env = make(observed=Box(0, 255, (2,), given))
    assert env.space.obs_dtype == kept
    row = env.make(1)
    assert row.reset(0, 1).dtype == kept
    assert row.step(np.array([0]), actions(0))[0].dtype == kept


def test_steps_equal_the_raw_environment() -> None:
    """Through terminations and truncations: CartPole of at most 12 steps, random actions."""
    row = make("CartPole-v1", max_episode_steps=12).make(1)
    raw = gymnasium.make("CartPole-v1", max_episode_steps=12)
    draw, ends = np.random.default_rng(0), set()
    for seed in range(12):
        assert np.array_equal(row.reset(0, seed), raw.reset(seed=seed)[0])
        done = False
        while not done:
            action = int(draw.integers(2))
            obs, reward, terminated, truncated = row.step(np.array([0]), actions(action))
            expected, *others, _ = raw.step(action)
            assert np.array_equal(obs[0], expected)
            assert [reward[0], terminated[0], truncated[0]] == others
            done = terminated[0] or truncated[0]
        ends.add((bool(terminated[0]), bool(truncated[0])))
    assert ends >= {(True, False), (False, True)}
    raw.close()


def test_gymnasium_autoreset() -> None:
    """Trap: an environment that starts anew by itself. The last next_obs is where the episode
    ended, and the environment stays there until it is reset."""
    row = make(length=2).make(1)
    first = row.reset(0, 3)
    row.step(np.array([0]), actions(1))
    obs, _, terminated, truncated = row.step(np.array([0]), actions(1))
    assert obs[0].tolist() == [2, first[1]]
    assert (terminated.tolist(), truncated.tolist()) == ([True], [False])
    assert row.step(np.array([0]), actions(1))[0][0].tolist() == [3, first[1]]
    assert row.reset(0, 3).tolist() == first.tolist()


@pytest.mark.parametrize(
    ("length", "limit", "ends"),
    [(9, 2, (False, True)), (2, 9, (True, False)), (2, 2, (True, True))],
)
def test_truncation_is_not_termination(length: int, limit: int, ends: tuple[bool, bool]) -> None:
    """Trap. Also: a real end on the last step allowed is a real end."""
    row = make(length=length, max_episode_steps=limit).make(1)
    first = row.reset(0, 3)
    assert row.step(np.array([0]), actions(0))[2:] == (np.array([False]), np.array([False]))
    obs, _, terminated, truncated = row.step(np.array([0]), actions(0))
    assert (terminated[0], truncated[0]) == ends
    assert obs[0].tolist() == [2, first[1]]


# Seeds


def test_an_episode_is_a_function_of_its_seed() -> None:
    """Whatever was played before, in whichever row."""
    row = make("CartPole-v1").make(2)
    first = row.reset(0, 5)
    row.step(np.array([0]), actions(1))
    assert not np.array_equal(row.reset(0, 6), first)
    assert np.array_equal(row.reset(1, 5), first)
    assert np.array_equal(row.reset(0, 5), first)
    assert row.reset(0, 2**32 - 1).shape == (4,)


def test_replaying_the_actions_rebuilds_an_open_episode() -> None:
    env, chosen = make("Acrobot-v1"), np.random.default_rng(0).integers(3, size=30)
    lived, rebuilt = env.make(1), env.make(1)
    lived.reset(0, 99)
    rebuilt.reset(0, 1)
    rebuilt.step(np.array([0]), actions(0))
    rebuilt.reset(0, 99)
    for action in chosen:
        ours, theirs = (row.step(np.array([0]), actions(action)) for row in (lived, rebuilt))
        assert np.array_equal(ours[0], theirs[0])


# Rows


def test_only_the_rows_named_are_stepped() -> None:
    row = make(length=9).make(3)
    own = [row.reset(i, seed)[1] for i, seed in enumerate((10, 11, 12))]
    row.step(np.array([1]), actions(0))
    obs, reward, *_ = row.step(np.array([2, 1]), actions(3, 4))
    assert obs.tolist() == [[1, own[2]], [2, own[1]]]
    assert reward.tolist() == [3.0, 4.0]
    assert row.step(np.array([0]), actions(0))[0].tolist() == [[1, own[0]]]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_observations_are_copies(kind: Any) -> None:
    """Of an environment that hands out its own array; what `reset` gives must be copied at once."""
    row = make(length=9, observed=Box(0, 1000, (2,), kind)).make(1)
    row.reset(0, 1)
    obs = row.step(np.array([0]), actions(0))[0]
    row.step(np.array([0]), actions(0))
    assert obs[0, 0] == 1


@pytest.mark.parametrize("start", [0, 5, -2])
def test_actions_count_from_the_start_of_the_space(start: int) -> None:
    env = make(acted=Discrete(3, start=start), length=9)
    row = env.make(1)
    row.reset(0, 1)
    assert env.space.actions == 3
    taken = [row.step(np.array([0]), actions(a))[1][0] for a in (0, 1, 2)]
    assert taken == [start, start + 1, start + 2]


def test_frames_are_pictures_of_now() -> None:
    row = make().make(2, render=True)
    row.reset(1, 1)
    row.step(np.array([1]), actions(0))
    frame = row.frame(1)
    assert (frame.shape, frame.dtype, frame.max()) == ((4, 6, 3), np.uint8, 1)
    row.close()


# Refusals: one line that names the key


@pytest.mark.parametrize(
    ("spaces", "word"),
    [
        ({"acted": Box(-1, 1, (2,))}, "action"),
        ({"acted": MultiDiscrete([2, 3])}, "action"),
        ({"observed": Text(9)}, "observation"),
        ({"observed": Dict(a=Text(9))}, "observation"),
        ({"observed": Sequence(Discrete(4))}, "observation"),
        ({"observed": Tuple([Box(0, 1), Sequence(Discrete(4))])}, "observation"),
    ],
)
def test_spaces_that_dqn_cannot_play_are_refused(spaces: dict[str, Space], word: str) -> None:
    with pytest.raises(ValueError, match=f"^id={CORRIDOR}: its {word} space is [^\n]*$"):
        make(**spaces)


@pytest.mark.parametrize("id", ["Nonesuch-v0", "CartPole-v99", "no id", "", "nonesuch:Env-v0"])
def test_unknown_ids_are_refused(id: str) -> None:
    with pytest.raises(ValueError, match=f"^id={id}: [^\n]+$"):
        make(id)


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=f"^id={CORRIDOR}: [^\n]*'lenght'[^\n]*$"):
        make(lenght=3)


@pytest.mark.parametrize("spaces", [{"acted": LONG}, {"observed": Dict(a=LONG, b=Sequence(LONG))}])
def test_a_refusal_of_a_large_space_is_one_line(spaces: dict[str, Space]) -> None:
    with pytest.raises(ValueError, match=f"^id={CORRIDOR}: [^\n]*$"):
        make(**spaces)


@pytest.mark.parametrize("fault", [ValueError, KeyError, AssertionError, RuntimeError])
def test_arguments_that_the_environment_refuses_are_one_line(fault: type[Exception]) -> None:
    """As FrozenLake's map_name=nonesuch (KeyError), or max_episode_steps=-3 (ValueError)."""
    with pytest.raises(ValueError, match=f"^id={CORRIDOR}: [^\n]*length[^\n]*$"):
        make(fault=fault("length\nis wrong"))


# import and kwargs


def test_kwargs_reach_the_environment() -> None:
    row = make(length=1).make(1)
    row.reset(0, 1)
    assert row.step(np.array([0]), actions(0))[2].tolist() == [True]


@pytest.mark.parametrize(("name", "function"), [("at_import", ""), ("by_call", ":register_all")])
def test_import_registers_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, function: str
) -> None:
    id = f"dqn_cli_tests/{name}-v0"
    call = f"gymnasium.register('{id}', 'gymnasium.envs.classic_control:CartPoleEnv')"
    call = f"def register_all():\n    {call}" if function else call
    (tmp_path / f"dqn_cli_test_{name}.py").write_text(f"import gymnasium\n{call}\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with pytest.raises(ValueError, match=f"^id={id}: "):
            make(id)
        env = make(id, import_=f"dqn_cli_test_{name}{function}")
        assert env.space.actions == 2
    finally:
        gymnasium.registry.pop(id, None)
        sys.modules.pop(f"dqn_cli_test_{name}", None)


@pytest.mark.parametrize("module", ["nonesuch", "json:nonesuch", "nonesuch:main"])
def test_an_import_that_fails_is_refused(module: str) -> None:
    with pytest.raises(ValueError, match=f"^import={module}: [^\n]+$"):
        make(import_=module)


@pytest.mark.parametrize("module", ["", ".json", "json:decoder", ":main"])
def test_an_import_that_is_no_module_or_function_is_refused(module: str) -> None:
    with pytest.raises(ValueError, match=f"^import={module}: [^\n]+$"):
        make(import_=module)


def test_the_current_folder_is_looked_in_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id may name a module there, and no file there takes the place of a library."""
    call = "gymnasium.register('Here-v0', 'gymnasium.envs.classic_control:CartPoleEnv')"
    (tmp_path / "dqn_cli_test_here.py").write_text(f"import gymnasium\n{call}\n")
    (tmp_path / "colorsys.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    try:
        assert make("dqn_cli_test_here:Here-v0").space.actions == 2
        assert hasattr(code.load("colorsys"), "rgb_to_hsv")
    finally:
        gymnasium.registry.pop("Here-v0", None)
        sys.modules.pop("dqn_cli_test_here", None)


def test_the_first_wrapper_is_the_innermost() -> None:
    names = ("ClipReward", "NormalizeReward")
    wrappers = [{"_target_": f"gymnasium.wrappers.{name}"} for name in names]
    wrappers[0] |= {"max_reward": 1.0}
    env = Gym(id=CORRIDOR, import_=None, wrappers=wrappers, kwargs={}).one()
    assert (type(env.env).__name__, type(env).__name__) == names


# What is learned in place of what happened


class Lesson(Corridor):
    """Of its five actions, 3 and 4 are learned with a reward of 1, and 4 as an end."""

    def step(self, action: int) -> Any:
        obs, reward, *rest, _ = super().step(action)
        told = {3: {"replay": (1.0, rest[0])}, 4: {"replay": (1, True)}}.get(int(action), {})
        return obs, reward, *rest, told


gymnasium.register("dqn_cli_tests/Lesson-v0", Lesson)


def test_an_environment_says_what_replay_holds() -> None:
    row = make("dqn_cli_tests/Lesson-v0", length=9).make(3)
    for i in range(3):
        row.reset(i, 1)
    _, reward, terminated, _ = row.step(np.array([0, 1, 2]), actions(2, 3, 4))
    assert (reward.tolist(), terminated.tolist()) == ([2.0, 3.0, 4.0], [False] * 3)
    learned, ends, cut = row.learned
    assert (learned.tolist(), ends.tolist()) == ([2.0, 1.0, 1.0], [False, False, True])
    assert not cut.any()
    row.step(np.array([1]), actions(2))
    assert row.learned is None


def test_an_end_that_is_not_learned_cuts_what_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap: returns over n steps that go on into the next episode."""
    row = make("dqn_cli_tests/Lesson-v0", length=9).make(3)
    ends_of = iter([(True, False, False), (False, True, True), (True, True, True)])

    def step(self: Any, _: int) -> Any:
        terminated, truncated, learned = next(ends_of)
        return self.obs, 0.0, terminated, truncated, {"replay": (1.0, learned)}

    monkeypatch.setattr(Lesson, "step", step)
    for i in range(3):
        row.reset(i, 1)
    row.step(np.arange(3), actions(0, 0, 0))
    _, ends, cut = row.learned
    assert (ends.tolist(), cut.tolist()) == ([False, True, True], [True, False, False])


class EndsAtThree(gymnasium.Wrapper):
    """`tells`: what is learned, too."""

    def __init__(self, env: gymnasium.Env, tells: bool = False) -> None:
        super().__init__(env)
        self.tells = tells

    def step(self, action: int) -> Any:
        obs, reward, terminated, truncated, info = self.env.step(action)
        end = terminated or reward == 3
        return obs, reward, end, truncated, info | {"replay": (1.0, end)} if self.tells else info


def wrapped(name: str, **keys: Any) -> Any:
    wrappers = [{"_target_": name, **keys}]
    return Gym(id="dqn_cli_tests/Lesson-v0", import_=None, wrappers=wrappers, kwargs={}).make(1)


@pytest.mark.parametrize(
    ("name", "keys", "found", "given"),
    [
        ("gymnasium.wrappers.ClipReward", {"max_reward": 2.0}, "(2.0, False)", "(3.0, False)"),
        (f"{__name__}.EndsAtThree", {}, "(3.0, True)", "(3.0, False)"),
    ],
)
def test_a_wrapper_that_changes_nothing_of_what_is_learned_is_named(
    name: str, keys: dict[str, Any], found: str, given: str
) -> None:
    """Trap: a reward wrapper round an environment that says what is learned has no effect."""
    row = wrapped(name, **keys)
    row.reset(0, 1)
    row.step(np.array([0]), actions(1))  # nothing is said of that one
    line = (
        f"step gave (reward, terminated) as {found}, which env.wrappers made of {given}, but what "
        "is learned is info['replay'], still (1.0, False): a wrapper has to change that, too"
    )
    with pytest.raises(EnvError, match=f"^{re.escape(line)}$"):
        row.step(np.array([0]), actions(3))


def test_wrappers_that_leave_it_alone_or_change_all_of_it() -> None:
    for row in (
        wrapped("gymnasium.wrappers.ClipReward", max_reward=9.0),
        wrapped(f"{__name__}.EndsAtThree", tells=True),
    ):
        row.reset(0, 1)
        *_, terminated, _ = row.step(np.array([0]), actions(3))
        assert [part.tolist() for part in row.learned] == [[1.0], terminated.tolist(), [False]]


def test_an_info_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    row = make("dqn_cli_tests/Lesson-v0", length=9).make(1)
    row.reset(0, 1)
    monkeypatch.setattr(Lesson, "step", lambda self, _: (self.obs, 0.0, False, False, 5))
    with pytest.raises(EnvError, match=r"^step gave an info that is [^\n]*expected a dictionary$"):
        row.step(np.array([0]), actions(0))


@pytest.mark.parametrize("value", [1.0, (1.0,), (np.nan, False), (1.0, 2)])
def test_a_lesson_of_another_kind_is_refused(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    row = make("dqn_cli_tests/Lesson-v0", length=9).make(1)
    row.reset(0, 1)
    monkeypatch.setattr(
        Lesson, "step", lambda self, _: (self.obs, 0.0, False, False, {"replay": value})
    )
    with pytest.raises(EnvError, match=r"^step gave [^\n]*expected [^\n]*$"):
        row.step(np.array([0]), actions(0))


def test_replay_holds_the_lesson_and_returns_what_happened(compose) -> None:
    """The end that is learned is none of the episode."""
    short = ("steps=30", "episodes=null", "seed=3", "network.hidden=[8]", "learning_starts=99")
    long = ("+env.kwargs.length=9", "eval.every_episodes=null", "exploration=constant")
    loop = build.loop(
        compose(*short, *long, "exploration.start=1", "env.id=dqn_cli_tests/Lesson-v0")
    )
    episodes, storage = [], loop.learner.replay.storage
    for event in loop.run():
        if isinstance(event, Episode):
            episodes.append(event)
            rows = storage.columns["numbers"][0, event.step - 9 : event.step]
            action, reward, discount = (np.asarray(column) for column in rows.T)
            assert event.length == 9
            assert event.return_ == action.sum()
            assert reward.tolist() == np.where(action >= 3, 1, action).tolist()
            ended = [*(action[:-1] == 4), True]
            assert (discount == 0).tolist() == ended
    assert len(episodes) == 3
