"""Prints the seconds from a moment, given in seconds since 1970, to the first env step of
`dqn-train seed=1`, which then ends: python -m benchmarks.start MOMENT DIRECTORY
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

from dqn_cli.cli.train import main as dqn_train
from dqn_cli.events import Event
from dqn_cli.training.loop import Loop


def main() -> None:
    moment, directory = float(sys.argv[1]), sys.argv[2]

    def first(loop: Loop) -> Iterator[Event]:
        next(run(loop))
        print(time.time() - moment, flush=True)
        os._exit(0)

    run = Loop.run
    Loop.run = first  # type: ignore[assignment, method-assign]
    sys.argv = ["dqn-train", "seed=1", f"hydra.run.dir={directory}"]
    dqn_train()


if __name__ == "__main__":
    main()
