"""NumPy's matrix products on AMD processors that its OpenBLAS does not know.

OpenBLAS chooses its kernels by the processor's model while NumPy is being imported. OpenBLAS 0.3.31,
which comes with NumPy 2.4, takes a Zen 5 for a processor without AVX-512, at half the speed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

AVX512 = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}


def prefer_avx512(cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """Name the kernels to use, unless NumPy is there already or the user has named some."""
    if sys.platform != "linux" or "numpy" in sys.modules:
        return
    try:
        with cpuinfo.open(encoding="utf-8") as file:
            words = set(file.read(8192).split())  # the first processor; the others are like it
    except OSError:
        return
    if "AuthenticAMD" in words and words >= AVX512:
        os.environ.setdefault("OPENBLAS_CORETYPE", "SKYLAKEX")
