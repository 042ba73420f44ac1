"""Observations of every kind of space as one array, against arrays written out by hand."""

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    MultiBinary,
    MultiDiscrete,
    Sequence,
    Space,
    Text,
    Tuple,
)

from dqn_cli.env.spaces import encoder

F32, U8 = np.float32, np.uint8

# A space, an observation, the array that it becomes, and what the network sees.
TAKEN: dict[str, tuple[Space[Any], Any, Any, Any]] = {
    "floats": (Box(-1, 1, (2,), np.float64), np.array([0.5, -1]), F32([0.5, -1]), F32([0.5, -1])),
    "beyond the bounds of floats": (Box(-1, 1, (1,), F32), [7.0], F32([7]), F32([7])),
    "integers for floats": (Box(-9, 9, (2,), F32), [3, -4], F32([3, -4]), F32([3, -4])),
    "no axis": (Box(-1, 1, (), F32), 0.25, F32([0.25]), F32([0.25])),
    "bytes": (Box(0, 255, (2,), U8), [51, 255], U8([51, 255]), F32([0.2, 1])),
    "planes of bytes": (Box(0, 1, (1, 2), U8), [[0, 1]], U8([[0, 1]]), F32([[0, 1]])),
    "bytes by their own bounds": (
        Box(np.array([0, 0]), np.array([10, 40]), dtype=U8),
        *([5, 10], U8([5, 10]), F32([0.5, 0.25])),
    ),
    "integers as bytes": (Box(0, 200, (2,), np.int32), [50, 200], U8([50, 200]), F32([0.25, 1])),
    "integers": (Box(-10, 5, (2,), np.int64), [-10, 5], F32([-1, 0.5]), F32([-1, 0.5])),
    "integers up to 1000": (Box(0, 1000, (1,), np.int16), [250], F32([0.25]), F32([0.25])),
    "unbounded integers": (
        Box(np.iinfo(np.int64).min, np.iinfo(np.int64).max, (1,), np.int64),
        *([-7], F32([-7]), F32([-7])),
    ),
    "nothing but zero": (Box(0, 0, (1,), U8), [0], U8([0]), F32([0])),
    "truths": (Box(0, 1, (2,), np.bool_), np.array([True, False]), U8([1, 0]), F32([1, 0])),
    "binary": (MultiBinary(3), np.array([1, 0, 1], np.int8), U8([1, 0, 1]), F32([1, 0, 1])),
    "discrete": (Discrete(3, start=-1), -1, U8([1, 0, 0]), F32([1, 0, 0])),
    "discrete, of NumPy": (Discrete(3), np.int64(2), U8([0, 0, 1]), F32([0, 0, 1])),
    "several": (
        MultiDiscrete([2, 3], start=[0, 5]),
        *(np.array([1, 6]), U8([0, 1, 0, 1, 0]), F32([0, 1, 0, 1, 0])),
    ),
    "a table of several": (
        MultiDiscrete([[2], [2]]),
        *(np.array([[1], [0]]), U8([0, 1, 1, 0]), F32([0, 1, 1, 0])),
    ),
    "a tuple of bytes": (
        Tuple([Discrete(2), Box(0, 255, (1, 2), U8)]),
        *((1, [[0, 51]]), U8([0, 1, 0, 51]), F32([0, 1, 0, 0.2])),
    ),
    # In the space's order, whatever order they come in; bytes among floats are divided at once.
    "a dictionary": (
        Dict(a=Box(-9, 9, (2,), F32), b=Box(0, 255, (1,), U8)),
        *({"b": [51], "a": [3, 4]}, F32([3, 4, 0.2]), F32([3, 4, 0.2])),
    ),
    "within each other": (
        Dict(a=Tuple([Discrete(2), Dict(c=MultiBinary(1))])),
        *({"a": (1, {"c": [1]})}, U8([0, 1, 1]), F32([0, 1, 1])),
    ),
}


@pytest.mark.parametrize(("space", "obs", "kept", "seen"), TAKEN.values(), ids=TAKEN)
def test_it_becomes_the_array_that_it_should(space: Any, obs: Any, kept: Any, seen: Any) -> None:
    encode = encoder(space)
    found = encode(obs)
    assert found.dtype == encode.dtype == kept.dtype
    assert found.shape == encode.shape == kept.shape
    assert np.array_equal(found, kept)
    scaled = encode.scaled(obs)
    assert scaled.dtype == F32
    np.testing.assert_allclose(scaled, seen, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("space", "obs", "kept", "seen"), TAKEN.values(), ids=TAKEN)
def test_samples_of_the_space_are_taken(space: Any, obs: Any, kept: Any, seen: Any) -> None:
    """And what is `usual` is copied as it is."""
    space.seed(0)
    encode = encoder(space)
    for _ in range(20):
        sample = space.sample()
        found = encode(sample)
        assert np.abs(encode.scaled(sample)).max() <= max(1, np.abs(found).max())
        if encode.usual is not None and sample.shape == encode.shape:
            assert sample.dtype == encode.usual
            assert np.array_equal(found, sample.astype(encode.dtype))


def test_a_part_that_is_text_is_left_out_and_named() -> None:
    class Mission(Space[str]):  # as MiniGrid has it
        def __init__(self) -> None:
            super().__init__(dtype=str)

    encode = encoder(Dict(a=Discrete(2), mission=Mission(), more=Tuple([Text(3), Discrete(2)])))
    assert encode.notes == [
        "its part 'mission' is text, and left out",
        "its part 'more'.0 is text, and left out",
    ]
    obs = {"a": 1, "mission": "go", "more": ("up", 0)}
    assert encode(obs).tolist() == [0, 1, 1, 0]
    with pytest.raises(ValueError, match=r"with the parts \['a', 'more'\]"):
        encode({"a": 1, "more": ("up", 0)})


@pytest.mark.parametrize(
    ("space", "text"),
    [
        (Box(-1, 1, (2,), F32), "float32 [2]"),
        (Box(0, 255, (6, 2), U8), "uint8 [6, 2], divided by 255, the space's high"),
        (Box(np.array([0, 0]), np.array([10, 40]), dtype=U8), "uint8 [2], divided by 10 to 40, "),
        (Box(-10, 5, (2,), np.int64), "float32 [2], divided by 10, the space's bound"),
        (Discrete(4), "uint8 [4], divided by 1, "),
        (Dict(a=Discrete(2), b=Box(0, 1, (1,), F32)), "float32 [3]"),
    ],
)
def test_it_says_what_became_of_it(space: Any, text: str) -> None:
    assert encoder(space).text.startswith(text)


@pytest.mark.parametrize("space", [Text(3), Sequence(Discrete(2)), Dict(a=Text(3)), Tuple([])])
def test_what_has_no_fixed_size_is_refused(space: Any) -> None:
    with pytest.raises(ValueError, match=r"no fixed number|no numbers"):
        encoder(space)


BYTES, WHOLE = Box(0, 255, (2,), U8), Box(-9, 9, (2,), np.int64)
PARTS = Dict(a=Discrete(2), b=BYTES)
REFUSED: list[tuple[Space[Any], Any, str]] = [
    (BYTES, [1, 2, 3], r"of shape \(3,\)"),
    (BYTES, [[1, 2]], r"of shape \(1, 2\)"),
    (BYTES, 1, r"of shape \(\)"),
    (BYTES, [0.0, 1.0], "of float64"),  # a picture of floats from 0 to 1, say
    (BYTES, [0, 256], "with 256 in it"),
    (BYTES, [-1, 0], "with -1 in it"),
    (WHOLE, [0, 10], "with 10 in it"),
    (WHOLE, [0.0, 1.0], "of float64"),
    (Box(0, 1, (2,), F32), [0, np.nan], "with nan in it"),
    (Box(0, 1, (2,), F32), [0, -np.inf], "with -inf in it"),
    (Box(0, 1, (2,), np.float64), [0, 1e39], r"with 1e\+39 in it"),  # float32 ends at 3.4e38
    (Box(0, 1, (2,), F32), [0, None], "a list of 2"),
    (Box(0, 1, (2,), F32), ["0", "1"], "a list of 2"),
    (Box(0, 1, (2,), F32), np.array([0, 1j]), "an array of complex128"),
    (Box(0, 1, (2,), F32), None, "None"),
    (Discrete(3), 3, "with 3 in it"),
    (Discrete(3, start=1), 0, "with 0 in it"),
    (Discrete(3), 1.0, "of float64"),
    (Discrete(3), [1], r"of shape \(1,\)"),
    (MultiDiscrete([2, 3]), [0, 3], "with 3 in it"),
    (MultiBinary(2), [0, 2], "with 2 in it"),
    (PARTS, np.zeros(3), "an array of float64"),
    (PARTS, {"a": 1}, r"with the parts \['a'\]"),
    (PARTS, {"a": 1, "b": [0, 1], "c": 2}, r"with the parts \['a', 'b', 'c'\]"),
    (PARTS, {"a": 1, "b": [0, 256]}, "whose part 'b' is one with 256 in it"),
    (Tuple([Discrete(2), Discrete(2)]), (1,), r"with the parts \[0\]"),
]


@pytest.mark.parametrize(("space", "obs", "problem"), REFUSED)
def test_what_is_not_as_declared_is_an_error_that_says_what_came(
    space: Any, obs: Any, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        encoder(space)(obs)


def test_it_is_an_array_of_its_own() -> None:
    obs = np.zeros(2, F32)
    found = encoder(Box(0, 1, (2,), F32))(obs)
    obs[:] = 7
    assert found.tolist() == [0, 0]
