"""One GPU for each of the processes that train side by side on a machine."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

VISIBLE = "CUDA_VISIBLE_DEVICES"
_TAKEN: list[FileLock] = []  # held until this process ends, however it ends


def visible() -> list[str]:
    """The CUDA devices that this process may use, by the names that CUDA_VISIBLE_DEVICES gives
    them, or by their numbers. CUDA is not set up, since it would settle on what it finds then."""
    if VISIBLE in os.environ:
        return [name for name in os.environ[VISIBLE].split(",") if name.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def take_one() -> None:
    """Have this process see one of several GPUs only: the first of those that the fewest processes
    of this machine have taken. It stays with the process, for all jobs that come to it."""
    if _TAKEN or len(devices := visible()) < 2:
        return
    lock, device = free(devices, Path(tempfile.gettempdir()))
    _TAKEN.append(lock)
    os.environ[VISIBLE] = device


def free(devices: Sequence[str], folder: Path) -> tuple[FileLock, str]:
    """Lock a place on one of the devices: the first of each, then the second of each, and so on.
    The lock files are in `folder`, and outlive their locks."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    place = 0
    while True:
        for device in devices:
            name = f"dqn-cli-{user}-gpu-{device.replace('/', '-')}-{place}.lock"
            lock = FileLock(folder / name, timeout=0)
            with contextlib.suppress(Timeout):
                lock.acquire()
                return lock, device
        place += 1
