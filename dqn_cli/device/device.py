"""The processor that holds networks and replay, and how PyTorch uses it."""

from __future__ import annotations

import os
from typing import Literal

import torch

from dqn_cli.types import Count


def present() -> list[str]:
    """The devices of this machine."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


class Device:
    """Sets PyTorch's process-wide switches; ValueError for a device that is not there."""

    def __init__(
        self,
        *,
        name: Literal["auto", "cpu", "cuda", "mps"],
        threads: Count,
        compile: bool,
        deterministic: bool,
    ) -> None:
        here = present()
        if name == "auto":
            # Apple's GPU is left out: for networks of this size it is slower than its CPU.
            name = "cuda" if "cuda" in here else "cpu"
        if name not in here:
            raise ValueError(f"name={name}: not present; this machine has {', '.join(here)}")
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic asks for
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        # The optimizer's averages of units that no longer fire shrink into denormal numbers, on
        # which a CPU takes ten times as long.
        torch.set_flush_denormal(True)
        self.torch = torch.device(name)
        self.compile = compile
