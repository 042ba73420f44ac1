"""Training on an NVIDIA GPU against one core of the same machine: env steps per second of all seeds
together, evaluation off.

python -m benchmarks.gpu [SECONDS [WORD]]        (only cases whose names have that word)
"""

from __future__ import annotations

import math
import sys
import time

import torch

from benchmarks.compose import composed
from dqn_cli.kernels import graph
from dqn_cli.training import build

WARM = 150  # env steps before the clock starts: the first updates are recorded
FIXED = (
    *("eval.every_episodes=null", "eval.every_steps=null", "episodes=null", "steps=1000000"),
    *("learning_starts=100", "device.workers=1"),
)
SMALL = ("network.hidden=[64,64]", "batch_size=64", "update_every=1", "updates=1")
MINATAR = ("experiment=minatar/dqn", "buffer.capacity=10000")
ATARI = ("experiment=atari/dqn", "buffer.capacity=5000")
CASES = {
    "CartPole, 64-64": (SMALL, (1, 30, 256, 1024)),
    "CartPole, 64-64, PER": ((*SMALL, "buffer=per"), (1, 30, 256, 1024)),
    "MinAtar Breakout, DQN": (MINATAR, (1, 5, 30)),
    "MinAtar Breakout, Rainbow": (("experiment=minatar/rainbow", *MINATAR[1:]), (1, 5, 30)),
    "Atari Pong, DQN": (ATARI, (1, 5)),
    "Atari Pong, QR-DQN": (("experiment=atari/qr", *ATARI[1:]), (1, 5)),
    "Atari Pong, Rainbow": (("experiment=atari/rainbow", *ATARI[1:]), (1, 5)),
}


def speed(line: tuple[str, ...], seeds: int, device: str, seconds: float) -> float:
    numbers = ",".join(map(str, range(1, seeds + 1)))
    checked = composed(*line, *FIXED, f"seed=[{numbers}]", f"device={device}", "device.threads=1")
    build.part(checked, "device").apply()
    loop = build.loop(checked)
    learn, began, first = loop.learner.learn, math.inf, 0

    def timed(step: int) -> None:
        nonlocal began, first
        learn(step)
        if step == WARM:
            began, first = time.perf_counter(), step
        elif time.perf_counter() > began + seconds:
            loop.stop()

    loop.learner.learn = timed  # type: ignore[method-assign]
    for _ in loop.run():
        pass
    return seeds * (loop.step - first) / (time.perf_counter() - began)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    word = sys.argv[2] if len(sys.argv) > 2 else ""
    print(f"{torch.cuda.get_device_name(0)}, PyTorch {torch.__version__}\n")
    print("| | seeds | one core | GPU, operation by operation | GPU |\n|---|---|---|---|---|")
    for name, (line, lanes) in CASES.items():
        for seeds in lanes if word in name else ():
            core = speed(line, seeds, "cpu", seconds)
            graphs, graph.EAGER = graph.EAGER, sys.maxsize
            eager = speed(line, seeds, "cuda", seconds)
            graph.EAGER = graphs
            recorded = speed(line, seeds, "cuda", seconds)
            print(
                f"| {name} | {seeds} | {core:,.0f} | {eager:,.0f} | {recorded:,.0f} |", flush=True
            )


if __name__ == "__main__":
    main()
