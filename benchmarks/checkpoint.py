"""What the last, largest checkpoint of a run costs, all seeds together: prints milliseconds, MB.

python -m benchmarks.checkpoint steps=60000 buffer=per
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.compose import composed
from dqn_cli.results.schema import checkpoint_file
from dqn_cli.results.writer import RunWriter
from dqn_cli.saving.blocks import Blocks
from dqn_cli.saving.save import save
from dqn_cli.training import build


def main() -> None:
    """The ring is filled without learning: what is in it costs the same."""
    given = ["episodes=null", "eval.every_episodes=null", "updates=1", *sys.argv[1:]]
    checked = composed(*given)
    if checked.steps is None:
        sys.exit("steps=N: how full the replay is")
    build.part(checked, "device").apply()
    loop = build.loop(checked)
    loop.learner.learn = lambda step: None  # type: ignore[method-assign]
    while loop.step < checked.steps - 1:
        for _ in loop._step():
            pass
    with (
        tempfile.TemporaryDirectory(dir=".") as folder,
        RunWriter(
            Path(folder), config="", choices={}, seeds=loop.seeds, threshold=None, versions={}
        ) as writer,
    ):
        blocks, times = Blocks(Path(folder), {}), []
        for _ in range(7):
            started = time.perf_counter()
            for lane in range(len(loop.seeds)):
                for saved in save(loop.lane(lane), Path(folder), blocks):
                    writer.commit(saved.seed, saved.file)
            times.append(time.perf_counter() - started)
        size = sum((Path(folder) / checkpoint_file(s, "resume")).stat().st_size for s in loop.seeds)
    print(1000 * statistics.median(times), size / 1e6)


if __name__ == "__main__":
    main()
