"""All measurements, or those named: python -m benchmarks [NAME ...]

peer: against stable-baselines3; pixels: the same for pictures, and against a loop of one file, by
processor time; jax: against rejax; per: prioritised replay against uniform; rainbow: its six parts
together against none; floor: the arithmetic; start: from the command to the first env step; memory:
peaks; document: a source document's experiment against a textbook's loop.

Every program runs in a process of its own on one core, one thread, alternating with what it is
compared to; the best of three counts. `memory` and `document` are whole commands on all cores,
once; the last takes a quarter of an hour.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROUNDS = 3
THIRTY = "[" + ",".join(str(seed) for seed in range(1, 31)) + "]"
FIVE = "[12,34,56,78,90]"
SMALL = ["network.hidden=[64,64]", "batch_size=64"]
PEER = [  # environment, seeds, hidden layers, batch, our steps, reach, aim
    ("cartpole", "[1]", "64,64", 64, 8000, 10, 15),
    ("cartpole", "[1]", "120,84", 128, 6000, 5, 6.5),
    ("cartpole", THIRTY, "64,64", 64, 2000, 26, 32),
    ("cartpole", THIRTY, "120,84", 128, 1000, 6.5, 10),
    ("cartpole", FIVE, "512,128", 64, 1500, 3.3, 4.5),
    ("lunarlander", "[1]", "120,84", 128, 6000, "-", "-"),
    ("lunarlander", THIRTY, "120,84", 128, 1000, "-", "-"),
]
IDS = {"cartpole": "CartPole-v1", "lunarlander": "LunarLander-v3"}
JAX = [("[1]", 1, 20000, 0.8), (THIRTY, 30, 3000, 0.9)]  # seeds, how many, steps of each, reach
PIXELS = [  # game, seeds, our steps, theirs, reach, preset and what differs from it
    ("minatar", "[1]", 1024, 1024, 2, ["experiment=minatar/dqn"]),
    ("minatar", FIVE, 512, 1024, 4, ["experiment=minatar/dqn"]),
    (
        *("atari", "[1]", 512, 512, 1.3),
        [
            *("experiment=atari/dqn", "env.kwargs.protocol=nature", "network.convolutions=nature"),
            *("buffer.capacity=100000", "update_every=4"),
        ],
    ),
]
RAINBOW = [
    *("algo=c51", "algo.atoms=51", "algo.double=true", "buffer=per", "n_step=3"),
    *("network=noisy_dueling", "exploration=greedy"),
]


def run(*command: str, cores: str = "0") -> list[float]:
    """The numbers that a program prints last."""
    pinned = ["taskset", "-c", cores, *command] if sys.platform == "linux" else list(command)
    done = subprocess.run(pinned, check=True, capture_output=True, text=True)
    return [float(word) for word in done.stdout.split("\n")[-2].split()]


def module(name: str, *arguments: str, cores: str = "0") -> list[float]:
    return run(sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}", *arguments, cores=cores)


def alternating(ours: list[str], theirs: list[str]) -> tuple[float, float]:
    """The best of each, in turns; a list is a module and its arguments."""
    pairs = [(module(*ours)[0], module(*theirs)[0]) for _ in range(ROUNDS)]
    return max(a for a, _ in pairs), max(b for _, b in pairs)


def peer() -> Iterator[str]:
    yield "| environment | seeds | network, batch | steps/s | SB3 | ratio | reach | aim |"
    yield "|---|---|---|---|---|---|---|---|"
    for env, seeds, hidden, batch, steps, reach, aim in PEER:
        size = [f"network.hidden=[{hidden}]", f"batch_size={batch}", f"steps={steps}"]
        ours, theirs = alternating(
            ["ours", f"env={env}", f"seed={seeds}", *size],
            ["peer", f"env={IDS[env]}", f"hidden={hidden}", f"batch={batch}", "steps=5000"],
        )
        count, ratio = seeds.count(",") + 1, ours / theirs
        yield (
            f"| {IDS[env]} | {count} | {hidden.replace(',', '-')}, {batch} | {ours:,.0f} "
            f"| {theirs:,.0f} | {ratio:.1f} | {reach} | {aim} |"
        )


def pixels() -> Iterator[str]:
    """By processor time, for a machine that others use: nothing here waits or has threads."""
    yield "| game | seeds | steps/s | SB3 | ratio | loop of one file | ratio | reach |"
    yield "|---|---|---|---|---|---|---|---|"
    for game, seeds, steps, their_steps, reach, preset in PIXELS:
        given = [*preset, f"seed={seeds}", f"steps={steps}", "warm=512"]
        given += ["exploration.start=0.1", "exploration.end=0.1", "eval.every_steps=null"]
        rounds = [
            (
                module("ours", *given)[1],
                module("pictures", "sb3", game, f"{their_steps}")[1],
                module("pictures", "loop", game, f"{their_steps}")[1],
            )
            for _ in range(ROUNDS)
        ]
        ours, sb3, loop = map(max, zip(*rounds, strict=True))
        yield (
            f"| {game} | {seeds.count(',') + 1} | {ours:,.0f} | {sb3:,.0f} | {ours / sb3:.1f} "
            f"| {loop:,.0f} | {ours / loop:.1f} | {reach} |"
        )


def jax() -> Iterator[str]:
    yield "| seeds | steps/s | rejax | ratio | drawing as everywhere else | ratio | reach | aim |"
    yield "|---|---|---|---|---|---|---|---|"
    for seeds, count, steps, reach in JAX:
        as_is = ["rejax", f"seeds={count}", "steps=1000", "draws=0"]
        drawing = ["rejax", f"seeds={count}", f"steps={steps}", "draws=1"]
        ours, theirs = alternating(["ours", f"seed={seeds}", *SMALL, f"steps={steps}"], drawing)
        slow, *_ = module(*as_is)
        yield (
            f"| {count} | {ours:,.0f} | {slow:,.0f} | {ours / slow:.1f} | {theirs:,.0f} "
            f"| {ours / theirs:.2f} | {reach} | 1.1 |"
        )


def rainbow() -> Iterator[str]:
    given = [f"seed={FIVE}", *SMALL, "steps=2000"]
    plain, all_six = alternating(["ours", *given], ["ours", *given, *RAINBOW])
    yield f"five seeds, 64-64, batch 64: DQN {plain:,.0f} steps/s, Rainbow with 51 atoms"
    yield f"{all_six:,.0f}: {plain / all_six:.1f} times (aim 4)"


def start() -> Iterator[str]:
    torch = [sys.executable, "-c", "import time; t = time.time(); import torch; print(t)"]
    for _ in range(2):  # the first one fills caches
        first, alone = [], []
        for _ in range(ROUNDS):
            now = time.time()
            with tempfile.TemporaryDirectory() as place:
                first.append(module("start", f"{now}", place)[0])
            now = time.perf_counter()
            run(*torch)
            alone.append(time.perf_counter() - now)
    more = min(first) - min(alone)
    yield f"from the command to the first env step {min(first):.2f} s,"
    yield f"import torch {min(alone):.2f} s: {more:.2f} s more (reach 1.0, aim 0.5)"


def per() -> Iterator[str]:
    yield "| seeds | network, batch | uniform, us | PER, us | ratio | reach | aim |"
    yield "|---|---|---|---|---|---|---|"
    for seeds, steps, reach, aim in (("[1]", 6000, 1.2, 1.1), (THIRTY, 1000, 1.08, 1.03)):
        for hidden, batch in (("128,128", 128), ("64,64", 64)):
            size = [f"seed={seeds}", f"network.hidden=[{hidden}]", f"batch_size={batch}"]
            size += ["buffer.capacity=100000"]
            fast, slow = alternating(
                ["ours", *size, f"steps={steps}", "buffer=uniform"],
                ["ours", *size, f"steps={steps}", "buffer=per"],
            )
            count = seeds.count(",") + 1
            yield (
                f"| {count} | {hidden.replace(',', '-')}, {batch} | {1e6 / fast:.1f} "
                f"| {1e6 / slow:.1f} | {fast / slow:.2f} | {reach} | {aim} |"
            )
    yield ""
    yield "| sample + update + add, us | 10,000 rows | 100,000 | 1,000,000 | growth (reach 1.3) |"
    yield "|---|---|---|---|---|"
    for kind in ("per", "per_rank"):
        rounds = [module("replay", kind) for _ in range(ROUNDS)]
        times = [min(column) for column in zip(*rounds, strict=True)]
        cells = " | ".join(f"{microseconds:.0f}" for microseconds in times)
        yield f"| {kind} | {cells} | {times[-1] / times[0]:.2f} |"


def floor() -> Iterator[str]:
    size = [f"seed={THIRTY}", "network.hidden=[64,64]", "batch_size=64", "steps=2000"]
    ours, _ = alternating(["ours", *size], ["floor"])
    arithmetic, environment, rate = (
        min(column) for column in zip(*[module("floor")[:3] for _ in range(ROUNDS)], strict=True)
    )
    share = (arithmetic + environment) / (1e6 / ours)
    yield f"matrix products at {rate:.0f} GFLOP/s: an update's arithmetic is {arithmetic:.1f} us,"
    yield f"an environment step {environment:.1f} us, ours {1e6 / ours:.1f} us per seed-step:"
    yield f"{100 * share:.0f} % of the time is the floor (reach 35 %, aim 70 %)"


def command(directory: Path, *overrides: str) -> tuple[float, int]:
    """Seconds and peak memory in MiB (of the largest process) of a dqn-train command."""
    program = Path(sys.executable).with_name("dqn-train")
    started = time.perf_counter()
    process = subprocess.Popen(
        [program, *overrides, f"hydra.run.dir={directory}"], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"dqn-train {' '.join(overrides)} failed")
    return time.perf_counter() - started, usage.ru_maxrss // 1024


def memory() -> Iterator[str]:
    yield "| seeds | steps of each | s | MiB |"
    yield "|---|---|---|---|"
    for count, steps in ((1, 20_000), (30, 20_000), (300, 5_000)):
        seeds = f"seed=[{','.join(map(str, range(count)))}]"
        length = ["episodes=null", f"steps={steps}", "eval.every_episodes=null"]
        with tempfile.TemporaryDirectory() as place:
            seconds, peak = command(Path(place) / "run", seeds, *SMALL, *length, "device.workers=1")
        yield f"| {count} | {steps:,} | {seconds:.0f} | {peak} |"


def document() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as place:
        ours, _ = command(Path(place) / "document", f"seed={FIVE}", "experiment=berta/dqn")
    seeds = FIVE.strip("[]")
    theirs, *_ = module("textbook", f"seeds={seeds}", "episodes=250", cores="0,1")
    yield f"the document's DQN experiment: {ours:.0f} s, as a textbook writes it {theirs:.0f} s,"
    yield f"ratio {theirs / ours:.1f} (reach 10, aim 14)"


def main() -> None:
    parts = {
        part.__name__: part
        for part in (peer, pixels, jax, per, rainbow, floor, start, memory, document)
    }
    for name in sys.argv[1:] or list(parts):
        if name not in parts:
            sys.exit(f"{name}: there are {', '.join(parts)}")
        print(f"\n## {name}\n", flush=True)
        for line in parts[name]():
            print(line, flush=True)


if __name__ == "__main__":
    main()
