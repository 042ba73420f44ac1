"""Prioritised replay alone: microseconds of a sample, an update and an added row, batch 256, with
10,000, 100,000 and 1,000,000 rows held: python -m benchmarks.replay per|per_rank
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

from benchmarks.compose import composed
from dqn_cli.device.device import Device
from dqn_cli.kernels.kernels import load
from dqn_cli.training import build
from dqn_cli.types import Space, Step

BATCH, TIMES = 256, 2000


@torch.no_grad()
def microseconds(kind: str, capacity: int) -> float:
    space = Space((4,), np.dtype(np.float32), 2)
    config = composed(f"buffer={kind}", f"buffer.capacity={capacity}")
    kernels = load("compiled", torch.device("cpu"))
    offers = {"seeds": [1], "space": space, "gamma": 0.99, "batch_size": BATCH, "kernels": kernels}
    replay = build.replay(config, offers, None)
    obs = np.zeros((1, 4), np.float32)
    goes_on = np.zeros(1, np.bool_)
    step = Step(obs, np.zeros(1, np.int64), np.ones(1), obs, goes_on, goes_on)
    for _ in range(capacity):
        replay.add(step)
    draws = np.random.default_rng(0)
    replay.update(np.arange(capacity)[None], draws.random((1, capacity), np.float32))
    errors = [draws.random((1, BATCH), np.float32) for _ in range(100)]
    rounds = []
    for _ in range(5):
        started = time.perf_counter()
        for k in range(TIMES):
            replay.add(step)
            replay.update(replay.sample(k).index, errors[k % 100])
        rounds.append((time.perf_counter() - started) / TIMES)
    return min(rounds) * 1e6


def main() -> None:
    Device(name="cpu", threads=1, workers=1, kernels="compiled", deterministic=True).apply()
    kind = sys.argv[1]
    print(*(microseconds(kind, capacity) for capacity in (10_000, 100_000, 1_000_000)))


if __name__ == "__main__":
    main()
