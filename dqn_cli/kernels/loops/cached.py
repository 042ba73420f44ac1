"""Compilation by numba, to machine code that is kept on the disk.

A function holds the code of those that it calls, but numba's cache looks only at the function's own
file. Here it looks at all of them, so that what runs is what is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numpy.typing import NDArray

Array = NDArray[Any]
Number = Any  # NumPy's, of the type of the arrays
F = TypeVar("F", bound=Callable[..., Any])

HERE = Path(__file__).parent
SOURCES = [*sorted(HERE.glob("*.py")), *HERE.parent.glob("kernels.py")]
STAMP = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest()


def jit(function: F) -> F:
    compiled: Any = numba.njit(cache=True, error_model="numpy", nogil=True)(function)
    file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if file is not None:  # None where NUMBA_DISABLE_JIT is set
        file._source_stamp = STAMP
    return cast(F, compiled)
