"""Functions compiled at their first call return the bits of the plain ones."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from dqn_cli.kernels.jit import jit


def plain(a: Any, b: Any, c: Any) -> Any:
    return a * b + c - a / b


def test_products_and_sums_are_rounded_one_by_one() -> None:
    pytest.importorskip("numba")
    a, b, c = np.random.default_rng(0).standard_normal((3, 10**5))
    found, expected = jit(plain)(a, b, c), plain(a, b, c)
    assert found.tobytes() == expected.tobytes()


def test_dividing_by_zero_is_numpy_s() -> None:
    pytest.importorskip("numba")
    assert jit(lambda a, b: a / b)(1.0, 0.0) == math.inf


def test_it_is_compiled_once() -> None:
    numba = pytest.importorskip("numba")
    calls = []

    class Counted:
        def __init__(self, **options: Any) -> None:
            calls.append(options)

        def __call__(self, function: Any) -> Any:
            return function

    function = jit(plain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba, "njit", Counted)
        assert not calls
        assert function(2.0, 3.0, 1.0) == function(2.0, 3.0, 1.0) == plain(2.0, 3.0, 1.0)
    options = {"error_model": "numpy", "nogil": True, "fastmath": False, "cache": True}
    assert calls == [options]


def test_without_a_folder_for_its_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba")
    njit = numba.njit

    def refused(cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", refused)
    function = jit(plain)
    assert function(2.0, 3.0, 1.0) == plain(2.0, 3.0, 1.0)


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    function = jit(plain)
    assert function(2.0, 3.0, 1.0) == plain(2.0, 3.0, 1.0)
    with pytest.raises(ZeroDivisionError):  # as Python has it
        function(1.0, 0.0, 1.0)


def test_importing_a_kernel_does_not_import_numba() -> None:
    code = "import sys, dqn_cli.env.gym; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
