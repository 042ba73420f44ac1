"""Environments that each do one thing that users' environments do; docs/environments.md says what
comes of each. Registered as Odd/NAME."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

F32, F64, U8, I64 = np.float32, np.float64, np.uint8, np.int64


class Odd(gymnasium.Env):
    """Twelve steps along a line: action 1 leads up and is worth 1, action 0 leads down."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    seen: Any = Box(-10, 10, (3,), F32)
    acted: Any = Discrete(2)
    length = 12

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space, self.action_space = self.seen, self.acted

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.place, self.time = int(self.np_random.integers(3)), 0
        return self.look(), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        self.place += 1 if action == 1 else -1
        return self.look(), self.reward(action), self.time >= self.length, False, {}

    def look(self) -> Any:
        return np.full(3, self.place, F32)

    def reward(self, action: Any) -> Any:
        return float(action == 1)


def late(wrong: Any, right: Any, odd: Odd) -> Any:
    """Wrong from the tenth step on: the first steps of an environment do not show it."""
    return wrong if odd.time >= 10 else right


# What is taken


class Plain(Odd):
    """nothing odd"""


class Doubles(Odd):
    """float64 where float32 is declared"""

    def look(self) -> Any:
        return np.full(3, self.place, F64)


class HalfFloats(Odd):
    """a Box of float16"""

    seen = Box(-10, 10, (3,), np.float16)

    def look(self) -> Any:
        return np.full(3, self.place, np.float16)


class ListObs(Odd):
    """a list of numbers for an observation"""

    def look(self) -> Any:
        return [self.place, 0, 1.5]


class NoAxis(Odd):
    """a Box of shape (), and a number"""

    seen = Box(-10, 10, (), F32)

    def look(self) -> Any:
        return float(self.place)


class Whole(Odd):
    """a Box of int64 within -20 and 20"""

    seen = Box(-20, 20, (3,), I64)

    def look(self) -> Any:
        return np.full(3, self.place, I64)


class Truths(Odd):
    """a Box of bool"""

    seen = Box(0, 1, (3,), np.bool_)

    def look(self) -> Any:
        return np.array([self.place > 0, self.place < 0, True])


class Places(Odd):
    """Discrete observations, counted from 5"""

    seen = Discrete(30, start=5)

    def look(self) -> Any:
        return 20 + self.place


class Bits(Odd):
    """MultiBinary observations"""

    seen = MultiBinary([2, 2])

    def look(self) -> Any:
        return np.array([[self.place > 0, 0], [0, 1]], np.int8)


class Choices(Odd):
    """MultiDiscrete observations"""

    seen = MultiDiscrete([30, 13])

    def look(self) -> Any:
        return np.array([15 + self.place, self.time])


class Named(Odd):
    """a Dict with a text in it"""

    seen = Dict(place=Box(-10, 10, (1,), F32), time=Discrete(13), mission=Text(20))

    def look(self) -> Any:
        return {"place": np.array([self.place], F32), "time": self.time, "mission": "go up"}


class Pair(Odd):
    """a Tuple, as a tuple of Python numbers"""

    seen = Tuple([Discrete(30), Discrete(2)])

    def look(self) -> Any:
        return 15 + self.place, self.place > 0


class Buffer(Odd):
    """one array handed out again and again"""

    array = np.zeros(3, F32)

    def look(self) -> Any:
        self.array[:] = self.place
        return self.array


class RewardOne(Odd):
    """a reward that is an array of one"""

    def reward(self, action: Any) -> Any:
        return np.array([1.0])


class EndsAsInts(Odd):
    """0 and 1 for terminated, no info"""

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, _ = super().step(action)
        return obs, reward, int(terminated), np.bool_(truncated), None


class ActsBelowZero(Odd):
    """actions -1, 0 and 1, as action_space.sample() gives them"""

    acted = Discrete(3, start=-1, dtype=np.int32)

    def step(self, action: Any) -> Any:
        assert self.acted.contains(action) and action.dtype == np.int32
        return super().step(action.item())


# What is said, and the run goes on


class TimeStamps(Odd):
    """observations of 1.7e9"""

    seen = Box(-np.inf, np.inf, (3,), F64)

    def look(self) -> Any:
        return np.full(3, 1.7e9 + self.place)


class OwnRandomness(Odd):
    """draws from a generator that reset(seed=) does not know"""

    draws = np.random.default_rng()

    def look(self) -> Any:
        return self.draws.random(3).astype(F32)


class Remembers(Odd):
    """starts further along with every reset"""

    resets = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.resets += 1
        self.place = min(self.resets, 100) / 100
        return self.look(), {}


class Endless(Odd):
    """no end if it is played greedily (no end at all; the run is limited in steps)"""

    length = 10**9
    seen = Box(-np.inf, np.inf, (3,), F32)


class ClosesBadly(Odd):
    """close() raises"""

    def close(self) -> None:
        raise RuntimeError("the window is gone")


# What ends the run


class ObsRow(Odd):
    """(1, 3) where (3,) is declared, from the tenth step on"""

    def look(self) -> Any:
        return late(np.zeros((1, 3), F32), np.zeros(3, F32), self)


class ObsNone(Odd):
    """None"""

    def look(self) -> Any:
        return late(None, np.zeros(3, F32), self)


class ObsNan(Odd):
    """a NaN, from the tenth step on"""

    def look(self) -> Any:
        return np.array([0, 0, late(np.nan, 0, self)], F32)


class ObsHuge(Odd):
    """1e300, which float32 does not have"""

    seen = Box(-np.inf, np.inf, (3,), F64)

    def look(self) -> Any:
        return np.array([0, 0, late(1e300, 0, self)])


class BytesBeyond(Odd):
    """300 in a space of bytes"""

    seen = Box(0, 255, (3,), U8)

    def look(self) -> Any:
        return np.full(3, late(300, 7, self))


class BytesAboveHigh(Odd):
    """2 in a space of bytes up to 1"""

    seen = Box(0, 1, (3,), U8)

    def look(self) -> Any:
        return np.full(3, late(2, 1, self), U8)


class PlaceOutside(Odd):
    """-1 in Discrete(16)"""

    seen = Discrete(16)

    def look(self) -> Any:
        return late(-1, 3, self)


class RewardNone(Odd):
    """no reward in the tenth step"""

    def reward(self, action: Any) -> Any:
        return late(None, 1.0, self)


class RewardNan(Odd):
    """a reward of NaN"""

    def reward(self, action: Any) -> Any:
        return late(float("nan"), 1.0, self)


class RewardInfinite(Odd):
    """an infinite reward"""

    def reward(self, action: Any) -> Any:
        return late(-np.inf, 1.0, self)


class Raises(Odd):
    """an exception in the tenth step"""

    def reward(self, action: Any) -> Any:
        return 1 / late(0, 1, self)


# What is refused


class ObsShort(Odd):
    """(1,) where (3,) is declared"""

    def look(self) -> Any:
        return np.array([self.place], F32)


class ObsLong(Odd):
    """(4,) where (3,) is declared"""

    def look(self) -> Any:
        return np.zeros(4, F32)


class ObsNumber(Odd):
    """a number where (3,) is declared"""

    def look(self) -> Any:
        return 1.0


class ObsRagged(Odd):
    """rows of unequal length"""

    def look(self) -> Any:
        return [1.0, np.zeros(2)]


class ObsText(Odd):
    """numbers as text"""

    def look(self) -> Any:
        return np.array(["1", "2", "3"])


class FloatsAsBytes(Odd):
    """floats from 0 to 1 in a space of bytes"""

    seen = Box(0, 255, (3,), U8)

    def look(self) -> Any:
        return np.full(3, 0.5)


class KeyMissing(Odd):
    """a Dict without one of its parts"""

    seen = Dict(place=Box(-10, 10, (1,), F32), time=Discrete(9))

    def look(self) -> Any:
        return {"place": np.array([self.place], F32)}


class PartWrong(Odd):
    """a Dict with a part of another shape"""

    seen = Dict(place=Box(-10, 10, (1,), F32), time=Discrete(9))

    def look(self) -> Any:
        return {"place": np.array([self.place, 1], F32), "time": 1}


class RewardTwo(Odd):
    """two rewards"""

    def reward(self, action: Any) -> Any:
        return np.array([1.0, 2.0])


class RewardText(Odd):
    """a reward as text"""

    def reward(self, action: Any) -> Any:
        return "1"


class EndsAsArray(Odd):
    """terminated is an array"""

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, info = super().step(action)
        return obs, reward, np.array([terminated]), truncated, info


class EndsAsNone(Odd):
    """truncated is None"""

    def step(self, action: Any) -> Any:
        obs, reward, terminated, _, info = super().step(action)
        return obs, reward, terminated, None, info


class FourValues(Odd):
    """step gives four values, as gym's did"""

    def step(self, action: Any) -> Any:
        obs, reward, terminated, _, info = super().step(action)
        return obs, reward, terminated, info


class ObsAlone(Odd):
    """reset gives the observation alone"""

    seen = Box(-10, 10, (2,), F32)

    def look(self) -> Any:
        return np.zeros(2, F32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed=seed)[0]


class PairAlone(Odd):
    """reset gives the observation alone, which is a tuple of two"""

    seen = Tuple([Discrete(3), Discrete(3)])

    def look(self) -> Any:
        return 1, 2

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed=seed)[0]


class NoSeed(Odd):
    """reset takes no seed"""

    def reset(self) -> Any:  # type: ignore[override]
        return super().reset()


class TwoActions(Odd):
    """a MultiDiscrete action space"""

    acted = MultiDiscrete([2, 3])


class Words(Odd):
    """observations of text"""

    seen = Text(20)


class Picture(Odd):
    """a picture of 210 x 160 x 3 bytes"""

    seen = Box(0, 255, (210, 160, 3), U8)

    def look(self) -> Any:
        return np.zeros((210, 160, 3), U8)


ODD: dict[str, type[Odd]] = {}
for name, kind in list(globals().items()):
    if isinstance(kind, type) and issubclass(kind, Odd) and kind is not Odd:
        ODD[name] = kind
        if f"Odd/{name}" not in gymnasium.registry:
            gymnasium.register(f"Odd/{name}", kind)
