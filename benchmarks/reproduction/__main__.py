"""Train the published experiments again, and write the report.

python -m benchmarks.reproduction train [NAME ...]      all of them: hours; a killed one goes on
python -m benchmarks.reproduction report [--runs DIR]   of the runs in DIR; others as they were
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from benchmarks.reproduction.report import write
from benchmarks.reproduction.runs import PLANNED, ROOT, RUNS, trained
from dqn_cli.results.schema import ResultError


def command(name: str) -> str:
    """What trains it; if the run is there already, it goes on, to the seeds and length of RUNS."""
    if not (ROOT / name / "config.yaml").is_file():
        return trained(name)
    given = (RUNS | PLANNED)[name].split()
    extent = [a for a in given if a.startswith(("seed=", "episodes=", "steps="))]
    return " ".join(["dqn-train", f"resume={ROOT / name}", *extent])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reproduction")
    todo = parser.add_subparsers(dest="todo", required=True)
    train = todo.add_parser("train")
    train.add_argument("names", nargs="*", metavar="NAME", help="a directory, such as berta/dqn")
    report = todo.add_parser("report")
    report.add_argument("--runs", type=Path, default=ROOT, metavar="DIR")
    args = parser.parse_args()
    if args.todo == "report":
        try:
            read = write(args.runs, Path("outputs/reference"), Path("docs/reproduction.md"))
        except (ResultError, ValueError) as error:
            parser.error(str(error))
        print(f"renewed {', '.join(read)}; {len(RUNS) - len(read)} others are as they were")
        return
    runs = RUNS | PLANNED
    if unknown := [name for name in args.names if name not in runs]:
        parser.error(f"{unknown[0]}: no such run; there are {', '.join(runs)}")
    for name in args.names or runs:
        print(command(name))
        subprocess.run(command(name).split(), check=True)


if __name__ == "__main__":
    main()
