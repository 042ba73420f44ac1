"""dqn-plot --watch: compare again whenever something in the directories has changed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console

from dqn_cli.cli.console import print_to_reader
from dqn_cli.results.schema import CONFIG, EVALUATIONS, SCORES, SUMMARY, TIMING, ResultError

Files = dict[str, tuple[int, int]]  # path -> when it was written (ns), and its size


def watch(
    compare: Callable[[], str],
    directories: Iterable[Path],
    seconds: float,
    always: bool = False,
) -> None:
    """Show what `compare` returns now, and again after each change, with `seconds` between looks,
    until Ctrl-C; `always`, whether or not there is a change, if it speaks of the time. What cannot
    be compared yet is one line, and is tried again after a change: a run may not have begun, and
    its files may be half written."""
    directories = list(directories)
    seen: Files | None = None
    try:
        while True:
            found = files(directories)
            if always or found != seen:
                seen = found  # as it was before it is read: what comes meanwhile is a change
                try:
                    _show(compare())
                except ResultError as error:
                    _show(f"waiting: {error}")
            time.sleep(seconds)
    except KeyboardInterrupt:
        # on a terminal over the ^C that it has written
        print_to_reader("\r" * sys.stdout.isatty() + "stopped watching")


def files(directories: Iterable[Path]) -> Files:
    """The files of runs in the directories, of those that a comparison reads."""
    found: Files = {}
    for top in directories:
        for folder, _, names in os.walk(top):
            rows = os.path.basename(folder) in (SCORES, EVALUATIONS)
            for name in names:
                if name in (CONFIG, SUMMARY, TIMING) or (rows and name.endswith(".csv")):
                    path = os.path.join(folder, name)
                    try:
                        state = os.stat(path)
                    except FileNotFoundError:  # it was just replaced
                        continue
                    found[path] = (state.st_mtime_ns, state.st_size)
    return found


def _show(text: str) -> None:
    """Print it, on a terminal in the place of what was there and with the time."""
    console = Console(file=sys.stdout)
    console.clear()
    print_to_reader(f"{text}\n{time.strftime('%X')}  Ctrl-C ends" if console.is_terminal else text)
