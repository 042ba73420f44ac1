"""The processor that holds networks and replay, and how PyTorch and NumPy use it."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import os
from typing import Literal

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from dqn_cli.types import Count


def present() -> list[str]:
    """The devices of this machine."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def compilable() -> bool:
    """Whether numba is there, and SciPy, whose matrix products it uses."""
    return all(importlib.util.find_spec(name) is not None for name in ("numba", "scipy"))


def keep_memory() -> None:
    """Have the C library keep freed memory for the next update (glibc; elsewhere nothing).

    Arrays of megabytes come and go with every update. Otherwise they are handed back to the
    system each time, and asked for again page by page, which takes as long as the arithmetic.
    """
    trim_threshold, mmap_threshold, megabyte = -1, -3, 2**20  # from glibc's malloc.h
    with contextlib.suppress(AttributeError, TypeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 32 * megabyte)
        libc.mallopt(trim_threshold, 512 * megabyte)


class Device:
    """Choose a device; ValueError if it is not present. Nothing in the process changes until
    `apply`."""

    def __init__(
        self,
        *,
        name: Literal["auto", "cpu", "cuda", "mps"],
        threads: Count,
        workers: Count | Literal["auto"],  # dqn_cli.training.workers starts them
        kernels: Literal["auto", "compiled", "torch"],
        deterministic: bool,
    ) -> None:
        here = present()
        if name == "auto":
            # Apple's GPU is left out: for networks of this size it is slower than its CPU.
            name = "cuda" if "cuda" in here else "cpu"
        if name not in here:
            raise ValueError(f"name={name}: not present; this machine has {', '.join(here)}")
        if kernels == "compiled" and name != "cpu":
            raise ValueError(f"kernels=compiled: they are for a CPU; device {name} has torch")
        if kernels == "compiled" and not compilable():
            raise ValueError("kernels=compiled: numba is not installed; there is torch")
        if kernels == "auto":
            here = ["compiled"] if name == "cpu" and compilable() else []
            self.kernels = [*here, "torch"]
        else:
            self.kernels = [kernels]
        self.torch = torch.device(name)
        self.threads = threads
        self.deterministic = deterministic

    def apply(self) -> None:
        """Set what holds for the whole process: threads, deterministic algorithms, how the CPU and
        the C library treat denormal numbers, overflow and freed memory. A process calls this once,
        before it computes with a network."""
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic asks for
        torch.set_num_threads(self.threads)
        # Compiled kernels compute a lane with one thread, so that its bits depend on nothing else.
        serial = "compiled" in self.kernels
        if serial:
            importlib.import_module("scipy.linalg.cython_blas")  # numba's products are SciPy's
        threadpool_limits(1 if serial else self.threads, user_api="blas")
        # torch.use_deterministic_algorithms imports PyTorch's compiler, too: more than a second.
        torch.set_deterministic_debug_mode("error" if self.deterministic else "default")
        # Else PyTorch fills all new memory with nan first, a sixth of what a GPU is sent.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        # The optimizer's averages of units that no longer fire shrink into denormal numbers, on
        # which a CPU takes ten times as long.
        torch.set_flush_denormal(True)
        np.seterr(invalid="ignore", over="ignore")  # as PyTorch: a network may diverge
        keep_memory()
