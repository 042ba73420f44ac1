"""Compilation by numba where it is installed; the same Python functions where it is not."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def jit(function: Function) -> Function:
    """Compile the function at its first call, which imports numba.

    Without `fastmath` numba neither reorders nor fuses operations: the compiled function returns
    the bits of the plain one. Functions of `math` are the C library's, as Python's are; those of
    NumPy, such as `np.cos`, are not always NumPy's own to the last bit, and are better called
    outside.
    """
    chosen: Callable[..., Any] | None = None

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        nonlocal chosen
        if chosen is None:
            chosen = compile(function)
        return chosen(*args)

    return call  # type: ignore[return-value]


def compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled by numba, if it is installed, as soon as it is called with arguments of a kind."""
    # Or numba would call Intel's library where it is installed, and not the C library.
    os.environ.setdefault("NUMBA_DISABLE_INTEL_SVML", "1")
    try:
        import numba
    except ImportError:
        return function
    njit = functools.partial(numba.njit, error_model="numpy", nogil=True, fastmath=False)
    try:
        found: Callable[..., Any] = njit(cache=True)(function)
    except RuntimeError:  # there is no folder to cache it in
        found = njit()(function)
    return found


def on_compile(tell: Callable[[], None]) -> None:
    """Call `tell` when a function is compiled that this machine has not compiled before; once."""
    try:
        from numba.core import event
    except ImportError:
        return

    class Listener(event.Listener):
        called = False

        def on_start(self, event: Any) -> None:
            if not self.called:
                self.called = True
                tell()

        def on_end(self, event: Any) -> None:
            """Some ten seconds later."""

    register: Any = event.register
    register("numba:compile", Listener())
