"""All measurements, or those named: python -m benchmarks [peer] [per] [floor] [memory] [document]

Every program of the first three runs in a process of its own on one core, one thread, alternating
with what it is compared to; the best of three counts. `memory` and `document` are whole commands on
all cores, once; the last takes a quarter of an hour.
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
PEER = [  # seeds, hidden layers, batch, our steps, reach, aim
    ("[1]", "64,64", 64, 8000, 10, 15),
    ("[1]", "120,84", 128, 6000, 5, 6.5),
    (THIRTY, "64,64", 64, 2000, 26, 32),
    (THIRTY, "120,84", 128, 1000, 6.5, 10),
    (FIVE, "512,128", 64, 1500, 3.3, 4.5),
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
    yield "| seeds | network, batch | steps/s | SB3 | ratio | reach | aim |"
    yield "|---|---|---|---|---|---|---|"
    for seeds, hidden, batch, steps, reach, aim in PEER:
        size = [f"network.hidden=[{hidden}]", f"batch_size={batch}", f"steps={steps}"]
        ours, theirs = alternating(
            ["ours", f"seed={seeds}", *size],
            ["peer", f"hidden={hidden}", f"batch={batch}", "steps=5000"],
        )
        count, ratio = seeds.count(",") + 1, ours / theirs
        yield (
            f"| {count} | {hidden.replace(',', '-')}, {batch} | {ours:,.0f} | {theirs:,.0f} "
            f"| {ratio:.1f} | {reach} | {aim} |"
        )


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
    with tempfile.TemporaryDirectory() as place:
        for workers in (1, 2):
            seconds, peak = command(Path(place) / str(workers), f"device.workers={workers}")
            yield f"default run, {workers} process(es): {seconds:.0f} s, peak {peak} MiB in one"


def document() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as place:
        ours, _ = command(Path(place) / "document", f"seed={FIVE}", "experiment=berta/dqn")
    seeds = FIVE.strip("[]")
    theirs, *_ = module("textbook", f"seeds={seeds}", "episodes=250", cores="0,1")
    yield f"the document's DQN experiment: {ours:.0f} s, as a textbook writes it {theirs:.0f} s,"
    yield f"ratio {theirs / ours:.1f} (reach 10, aim 14)"


def main() -> None:
    parts = {part.__name__: part for part in (peer, per, floor, memory, document)}
    for name in sys.argv[1:] or list(parts):
        if name not in parts:
            sys.exit(f"{name}: there are {', '.join(parts)}")
        print(f"\n## {name}\n", flush=True)
        for line in parts[name]():
            print(line, flush=True)


if __name__ == "__main__":
    main()
