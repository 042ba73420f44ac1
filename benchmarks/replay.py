"""Prioritised replay alone: microseconds of a sample, an update and an added row, batch 256, with
10,000, 100,000 and 1,000,000 rows held.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from dqn_cli.buffer.per import Prioritized
from dqn_cli.device.device import Device
from dqn_cli.types import Space, Step

BATCH, TIMES = 256, 2000


@torch.inference_mode()
def microseconds(capacity: int) -> float:
    space = Space((4,), np.dtype(np.float32), 2)
    replay = Prioritized(
        [1],
        space,
        BATCH,
        0.99,
        torch.device("cpu"),
        capacity=capacity,
        alpha=0.6,
        beta=0.4,
        beta_end=1.0,
        beta_steps=50_000,
        epsilon=1e-6,
    )
    obs = np.zeros((1, 4), np.float32)
    step = Step(obs, np.zeros(1, np.int64), np.ones(1), obs, np.zeros(1, np.bool_))
    for _ in range(capacity):
        replay.ring.add(step)
    draws = torch.Generator().manual_seed(0)
    replay.update(np.arange(capacity)[None], torch.rand(1, capacity, generator=draws))
    errors = [torch.rand(1, BATCH, generator=draws) for _ in range(100)]
    rounds = []
    for _ in range(5):
        started = time.perf_counter()
        for k in range(TIMES):
            replay.add(step)
            replay.update(replay.sample(k).index, errors[k % 100])
        rounds.append((time.perf_counter() - started) / TIMES)
    return min(rounds) * 1e6


def main() -> None:
    Device(name="cpu", threads=1, workers=1, deterministic=True)
    print(*(microseconds(capacity) for capacity in (10_000, 100_000, 1_000_000)))


if __name__ == "__main__":
    main()
