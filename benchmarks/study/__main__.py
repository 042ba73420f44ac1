"""Train a reference study, and show what came out.

python -m benchmarks.study train NAME       cartpole, rainbow, ...; what is done already is kept
python -m benchmarks.study report NAME      of the runs in outputs/study (--runs DIR)
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
from pathlib import Path

from benchmarks.study.report import write
from benchmarks.study.studies import ROOT, STUDIES, command
from dqn_cli.results.schema import ResultError

OUT = Path("outputs/reference/study")
PAGE = Path("docs/study.md")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study")
    parser.add_argument("todo", choices=("train", "report"))
    parser.add_argument("name", choices=STUDIES)
    parser.add_argument("--runs", type=Path, default=ROOT, metavar="DIR")
    args = parser.parse_args()
    if args.todo == "train":
        words = command(args.name, args.runs)
        print(shlex.join(words), flush=True)
        raise SystemExit(subprocess.run(words).returncode)
    try:
        write(args.name, args.runs, OUT, PAGE)
    except (ResultError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
