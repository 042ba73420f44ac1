"""The versions that the bytes of a result depend on."""

from __future__ import annotations

import platform
from importlib.metadata import version
from importlib.util import find_spec

import torch
from threadpoolctl import threadpool_info

PACKAGES = ("dqn-cli", "torch", "numpy", "gymnasium", "numba", "scipy")
NAMES = ("python", *PACKAGES, "kernels", "blas")


def versions() -> dict[str, str]:
    """Version by name: Python, the packages that are installed, and the CPU kernels of PyTorch and
    NumPy."""
    kernels = {pool.get("architecture") for pool in threadpool_info() if pool["user_api"] == "blas"}
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES if find_spec(name.replace("-", "_"))},
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "blas": "+".join(sorted(map(str, kernels - {None}))) or platform.machine(),
    }
