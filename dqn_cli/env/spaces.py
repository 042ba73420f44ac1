"""What an environment observes, as one array: any space of Gymnasium's that has a fixed size.

    Box of floats                     float32, as they are
    Box of integers or booleans       bytes or, beyond 0 to 255, float32; divided by the bound
    Discrete, MultiDiscrete           one-hot
    MultiBinary                       0 and 1
    Dict, Tuple                       their parts one after the other, in the space's order

Nothing is cast unseen: an observation that is not what its space declares is a ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

BYTE, FLOAT = np.dtype(np.uint8), np.dtype(np.float32)
LARGEST = 2**24  # from here on float32 does not hold every whole number


class Encoder:
    """Observations of one space as arrays [*shape] of one `dtype`, bytes or float32.

    A byte stands for a number of at most `high`, by which networks divide it; a float32 is that
    already. `notes` say what is left out. An array of the type `usual`, if there is one, is what it
    is encoded to, unless there are numbers in it that are none.
    """

    usual: np.dtype[Any] | None = None

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], high: Any = 1.0) -> None:
        self.shape = shape
        self.dtype = dtype
        self.high: float | NDArray[np.float32] = high
        self.notes: list[str] = []

    def __call__(self, obs: Any) -> NDArray[Any]:
        """An array of its own [*shape]; ValueError, which tells what `obs` is instead."""
        raise NotImplementedError

    def scaled(self, obs: Any) -> NDArray[np.float32]:
        """As a network sees it."""
        array = self(obs)
        return array if array.dtype == FLOAT else array.astype(FLOAT) / np.float32(self.high)

    @property
    def text(self) -> str:
        """Type, shape and, where there is a scale, where it is from."""
        by = "" if self.dtype == FLOAT else f", divided by {span(self.high)}, the space's high"
        return f"{self.dtype.name} {list(self.shape)}{by}"

    @property
    def highs(self) -> NDArray[np.float32]:
        """`high` of each number [*shape]."""
        return np.broadcast_to(np.float32(self.high), self.shape)


class Floats(Encoder):
    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        super().__init__(shape or (1,), FLOAT)
        self.given = shape
        self.usual = dtype

    def __call__(self, obs: Any) -> NDArray[Any]:
        array = numbers(obs, self.given, "fiub").reshape(self.shape)
        with np.errstate(over="ignore"):
            found = array.astype(FLOAT)
        if not np.isfinite(found).all():
            raise ValueError(f"with {first(array[~np.isfinite(found)])} in it")
        return found


class Integers(Encoder):
    """Whole numbers within bounds [*shape]: bytes, or float32 divided by the largest bound."""

    def __init__(self, shape: tuple[int, ...], low: NDArray[Any], high: NDArray[Any]) -> None:
        self.bounds = low, high
        largest = np.maximum(np.abs(low.astype(np.float64)), np.abs(high.astype(np.float64)))
        largest = np.where(largest > 0, largest, 1.0)
        alike = largest.size > 0 and (largest == largest.flat[0]).all()
        fits = bool((low >= 0).all() and (high <= 255).all())
        # Bounds that are those of the type alone, such as of int64, bound nothing.
        self.divisor: Any = np.where(largest < LARGEST, largest, 1.0).astype(FLOAT)
        if alike:
            self.divisor = float(self.divisor.flat[0])
        super().__init__(shape or (1,), BYTE if fits else FLOAT, self.divisor if fits else 1.0)
        self.given = shape
        if (low == 0).all() and (high == 255).all():
            self.usual = BYTE

    @property
    def text(self) -> str:
        if self.dtype == BYTE or np.all(self.divisor == 1):
            return super().text
        return f"{super().text}, divided by {span(self.divisor)}, the space's bound"

    def __call__(self, obs: Any) -> NDArray[Any]:
        array, (low, high) = numbers(obs, self.given, "iub").reshape(self.shape), self.bounds
        outside = (array < low) | (array > high)
        if outside.any():
            raise ValueError(f"with {first(array[outside])} in it")
        if self.dtype == BYTE:
            return array.astype(BYTE)
        return array.astype(FLOAT) / np.float32(self.divisor)


class OneHot(Encoder):
    """One of several numbers, or some such choices [*choices.shape] one after the other."""

    def __init__(self, choices: Any, start: Any) -> None:
        self.choices = np.asarray(choices, np.int64)
        self.start = np.asarray(start, np.int64)
        self.before = np.cumsum(self.choices.ravel()) - self.choices.ravel()
        super().__init__((int(self.choices.sum()),), BYTE)

    def __call__(self, obs: Any) -> NDArray[Any]:
        chosen = numbers(obs, self.choices.shape, "iub") - self.start
        outside = (chosen < 0) | (chosen >= self.choices)
        if outside.any():
            raise ValueError(f"with {first((chosen + self.start)[outside])} in it")
        hot = np.zeros(self.shape, BYTE)
        hot[self.before + chosen.ravel()] = 1
        return hot


class Parts(Encoder):
    """The parts of a Dict or Tuple, by key, each flat: bytes if all of them are."""

    def __init__(self, parts: dict[Any, Encoder], keys: Sequence[Any], mapping: bool) -> None:
        self.parts = parts
        self.keys = keys  # also those of parts left out
        self.mapping = mapping
        size = sum(int(np.prod(part.shape)) for part in parts.values())
        if all(part.dtype == BYTE for part in parts.values()):
            highs = np.concatenate([part.highs.ravel() for part in parts.values()])
            alike = (highs == highs[0]).all()
            super().__init__((size,), BYTE, float(highs[0]) if alike else highs)
        else:
            super().__init__((size,), FLOAT)

    def __call__(self, obs: Any) -> NDArray[Any]:
        kind = Mapping if self.mapping else tuple | list
        if not isinstance(obs, kind):
            raise ValueError(f"that is {kind_of(obs)}")
        keys = list(obs) if self.mapping else list(range(len(obs)))
        if set(keys) != set(self.keys):
            raise ValueError(f"with the parts {keys}")
        flat = []
        for key, part in self.parts.items():
            try:
                flat.append(
                    (part(obs[key]) if self.dtype == BYTE else part.scaled(obs[key])).ravel()
                )
            except ValueError as error:
                raise ValueError(f"whose part {key!r} is one {error}") from None
        return np.concatenate(flat)


def encoder(space: Any) -> Encoder:
    """How observations of a space are encoded; ValueError for a kind without a fixed size."""
    match space:
        case spaces.Box() if space.dtype.kind == "f":
            return Floats(space.shape, space.dtype)
        case spaces.Box() if space.dtype.kind in "iub":
            return Integers(space.shape, space.low, space.high)
        case spaces.MultiBinary():
            return Integers(space.shape, np.zeros(space.shape), np.ones(space.shape))
        case spaces.Discrete():
            return OneHot(space.n, space.start)
        case spaces.MultiDiscrete():
            return OneHot(space.nvec, space.start)
        case spaces.Dict() | spaces.Tuple():
            mapping = isinstance(space, spaces.Dict)
            members: dict[Any, Any] = dict(
                space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
            )
            words = {key for key, part in members.items() if is_text(part)}
            parts = {key: encoder(part) for key, part in members.items() if key not in words}
            if not parts:
                raise ValueError("it has no numbers in it")
            found = Parts(parts, list(members), mapping)
            found.notes = [
                f"its part {key!r} is text, and left out" for key in sorted(words, key=str)
            ]
            for key, part in parts.items():
                found.notes += [
                    note.replace("its part ", f"its part {key!r}.") for note in part.notes
                ]
            return found
    raise ValueError(f"{type(space).__name__} has no fixed number of numbers")


def is_text(space: Any) -> bool:
    return isinstance(space, spaces.Text) or getattr(space, "dtype", None) in (str, np.dtype(str))


def numbers(obs: Any, shape: tuple[int, ...], kinds: str) -> NDArray[Any]:
    """The observation as an array of this shape, its numbers of one of these kinds."""
    try:
        array = np.asarray(obs)
    except Exception:  # of rows of several lengths, or of an object of its own mind
        raise ValueError(f"that is no array: {kind_of(obs)} of unequal parts") from None
    if array.dtype.kind not in "fiub":
        raise ValueError(f"that is {kind_of(obs)}")
    if array.shape != shape:
        raise ValueError(f"of shape {array.shape}")
    if array.dtype.kind not in kinds:
        raise ValueError(f"of {array.dtype}")
    return array


def span(high: Any) -> str:
    """One number, or the smallest and the largest of several."""
    low, top = np.min(high), np.max(high)
    return f"{top:g}" if low == top else f"{low:g} to {top:g}"


def first(values: NDArray[Any]) -> str:
    return f"{values.flat[0]:.10g}" if values.dtype.kind == "f" else str(values.flat[0])


def kind_of(value: Any) -> str:
    """What it is, for people: `None`, `a tuple of 2`."""
    if value is None:
        return "None"
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}, shape {value.shape}"
    article = "an" if kind[0].lower() in "aeiou" else "a"
    return f"{article} {kind}" + (f" of {len(value)}" if isinstance(value, tuple | list) else "")
