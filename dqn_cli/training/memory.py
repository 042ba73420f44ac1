"""How much memory replay will take, and whether the machine has it."""

from __future__ import annotations

import os
from pathlib import Path

from dqn_cli.config import BadInput, Config
from dqn_cli.words import counted

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


def full(config: Config, capacity: int, row_bytes: int, max_steps: int | None) -> int:
    """How many bytes the replay of one seed takes when it is as full as it will be; an episode has
    at most `max_steps`."""
    rows = capacity
    if config.steps is not None:
        rows = min(rows, config.steps)
    if config.episodes is not None and max_steps is not None:
        rows = min(rows, config.episodes * max_steps)
    return rows * row_bytes


def check_memory(config: Config, capacity: int, row_bytes: int, max_steps: int | None) -> None:
    """BadInput if the replay of all seeds will not fit into the machine. It is not the storage that
    finds out: memory is only taken as rows are written, and a run would end in the middle."""
    seeds, there = len(config.seeds), memory()
    needed = seeds * full(config, capacity, row_bytes, max_steps)
    if there is not None and needed > there:
        pairs = config.storage["_target_"] == "dqn_cli.storage.transitions.Transitions"
        raise BadInput(
            f"buffer.capacity={capacity}: the replay of {counted(seeds, 'seed')} takes "
            f"{needed / 2**30:.3g} GiB when it is full, and this machine has {there / 2**30:.3g} "
            f"GiB, which is {counted(there // (seeds * row_bytes), 'row')} of each"
            + "; storage=frames takes less for stacks of frames"
            * pairs
        )
