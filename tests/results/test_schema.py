import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqn_cli.results.schema import (
    ResultError,
    checkpoint_file,
    format_number,
    one_line,
    scores_file,
    shorten,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0, "0"),
        (np.int64(168853), "168853"),
        (12345678901, "12345678901"),  # whole numbers keep every digit
        (500.0, "500"),
        (np.float64(-3.0), "-3"),
        (0.0, "0"),
        (9876543164.0, "9.87654316e+09"),
        (0.1, "0.1"),
        (1 / 3, "0.333333333"),  # nine digits
        (np.float32(0.1), "0.100000001"),  # what a float32 holds: 0.100000001490116
        (1e-5, "1e-05"),
        (-12.5, "-12.5"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
    ],
)
def test_a_number_is_written_short(value: float | None, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((None, ""), (500.0, "500"), (np.float64(9.2), "9.2"), (1 / 3, "0.3333333333333333")),
        *((9876543164.0, "9876543164"), (1e22, "1e+22"), (-1e-7, "-1e-07"), (-0.0, "-0")),
        *((float("nan"), "nan"), (float("-inf"), "-inf"), (7, "7")),
    ],
)
def test_an_exact_number_keeps_every_digit_that_tells(value: float | None, text: str) -> None:
    assert format_number(value, exact=True) == text


@given(st.floats(allow_nan=False))
def test_an_exact_number_survives_being_written(value: float) -> None:
    assert float(format_number(value, exact=True)).hex() == value.hex()


@given(st.floats(width=32, allow_nan=False))
def test_a_float32_survives_being_written(value: float) -> None:
    assert np.float32(format_number(value)) == np.float32(value)


def test_file_names_carry_the_seed() -> None:
    assert scores_file(12) == "scores/seed_12.csv"
    assert checkpoint_file(12, "best") == "checkpoints/seed_12_best.pt"


def test_an_error_is_one_line_that_names_the_file_and_the_line() -> None:
    error = ResultError(Path("runs/a\nb/x.csv"), "bad\x1b[31m cell", line=3)
    assert str(error) == r"runs/a\nb/x.csv: line 3: bad\x1b[31m cell"
    assert str(ResultError(Path("x"), "is empty")) == "x: is empty"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@given(st.text())
def test_any_text_can_be_put_on_one_printable_line(text: str) -> None:
    assert one_line(text).isprintable()


def test_a_long_text_is_cut_with_dots() -> None:
    assert shorten("abcdefghij", 10) == "abcdefghij"
    assert shorten("abcdefghijk", 10) == "abcdefg..."
