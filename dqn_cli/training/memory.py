"""How much memory replay will take, and whether the machine has it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from dqn_cli.config import BadInput, Config
from dqn_cli.types import Space

# A container's share of memory (Linux, cgroup v2): bytes, or "max".
QUOTA = Path("/sys/fs/cgroup/memory.max")


def memory() -> int | None:
    """Bytes of memory that this machine, or container, has; None where it does not say."""
    try:
        here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return None
    try:
        return min(here, int(QUOTA.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no such file, or no limit
        return here


def row_bytes(space: Space) -> int:
    """What one row of replay takes: two observations, and action, reward, discount and end."""
    return 2 * int(np.prod(space.obs_shape)) * space.obs_dtype.itemsize + 3 * 4 + 1


def check_memory(config: Config, space: Space, max_steps: int | None) -> None:
    """BadInput if the replay of all seeds will not fit into the machine; an episode has at most
    `max_steps`. It is not the buffer that finds out: memory is only taken as rows are written, and
    a run would end in the middle."""
    rows = config.buffer.get("capacity")
    if rows is None:  # a buffer of the user's, or one of a batch
        return
    if config.steps is not None:
        rows = min(rows, config.steps)
    if config.episodes is not None and max_steps is not None:
        rows = min(rows, config.episodes * max_steps)
    seeds, there = len(config.seeds), memory()
    needed = seeds * rows * row_bytes(space)
    if there is not None and needed > there:
        raise BadInput(
            f"buffer.capacity={config.buffer['capacity']}: the replay of {seeds} seeds takes "
            f"{needed / 2**30:.3g} GiB when it is full, and this machine has {there / 2**30:.3g} "
            f"GiB, which is {there // (seeds * row_bytes(space))} rows of each"
        )
