"""The least that a seed-step can take on this core, 64-64 network and batch 64 on CartPole: prints
microseconds of an update's multiply-adds at the measured rate of matrix products, microseconds of
an environment step in a row of 30, and that rate in GFLOP/s.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from dqn_cli.env.gym import Gym

BATCH, WIDTHS, SEEDS = 64, (4, 64, 64, 2), 30


def best(action: Callable[[], object], times: int) -> float:
    """Seconds of one call."""
    rounds = []
    for _ in range(9):
        started = time.perf_counter()
        for _ in range(times):
            action()
        rounds.append((time.perf_counter() - started) / times)
    return min(rounds)


def main() -> None:
    a, b = (np.random.default_rng(i).random((512, 512), np.float32) for i in range(2))
    rate = 2 * 512**3 / best(lambda: a @ b, 20)
    layers = list(pairwise(WIDTHS))
    forward = sum(i * o for i, o in layers)
    through = sum(i * o for i, o in layers[1:])
    multiply_adds = BATCH * (forward + forward + forward + through)  # online, target, weights, rows

    envs = Gym(id="CartPole-v1", import_=None, wrappers=[], kwargs={}).make(SEEDS)
    rows, left = np.arange(SEEDS), np.zeros(SEEDS, np.int64)
    for row in range(SEEDS):
        envs.reset(row, row)
    step = best(lambda: envs.step(rows, left), 200) / SEEDS
    print(2 * multiply_adds / rate * 1e6, step * 1e6, rate / 1e9)


if __name__ == "__main__":
    main()
