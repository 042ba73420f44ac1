"""Our training loop with given overrides, an update every env step, evaluation off: prints env
steps per second, all seeds, by the clock and by processor time.

python -m benchmarks.ours [warm=512] steps=8000 seed=[1,2,3] network.hidden=[64,64] batch_size=64
"""

from __future__ import annotations

import sys
import time

from benchmarks.compose import composed
from dqn_cli.training import build

WARM = "1000"  # env steps before the clock starts: the first updates pay for allocations


def main() -> None:
    fixed = ["eval.every_episodes=null", "episodes=null", "target.every_steps=100"]
    fixed += ["update_every=1", "updates=1", "learning_starts=320"]
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    warm = int(given.pop("warm", WARM))
    given["steps"] = str(warm + int(given["steps"]))
    checked = composed(*fixed, *(f"{key}={value}" for key, value in given.items()))
    build.part(checked, "device").apply()
    loop = build.loop(checked)
    seeds, clock, processor, before = len(loop.seeds), 0.0, 0.0, 0
    for _ in loop.run():
        if not before and loop.step >= warm:
            clock, processor, before = time.perf_counter(), time.process_time(), loop.step
    done = seeds * (loop.step - before)
    print(done / (time.perf_counter() - clock), done / (time.process_time() - processor))


if __name__ == "__main__":
    main()
