"""The command line of dqn-train, before Hydra reads it, and the line that refuses one."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import RangeSweep

from dqn_cli import __version__
from dqn_cli.cli.hints import option

MOST_SEEDS = 100_000  # of a range that is written out


def arranged(arguments: Sequence[str]) -> list[str]:
    """Move options to the front, because Hydra's parser takes overrides from one place only, and
    would refuse -m between two keys. Exits for --version, and with code 2 for unknown options."""
    options, overrides = divided(arguments)
    return [*options, *overrides]


def divided(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options, with their values, and the overrides. Exits as `arranged`."""
    if "--version" in arguments:
        print(f"dqn-cli {__version__}")
        sys.exit()
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        known, unknown = parser.parse_known_intermixed_args(arguments)
    except argparse.ArgumentError as error:
        refuse(error)
    if unknown:
        after = arguments[arguments.index(unknown[0]) + 1 :][:1]
        value = next((word for word in after if "=" not in word and not word.startswith("-")), None)
        refuse(option(unknown[0], value))
    options, overrides = [], list(known.overrides)
    for word in arguments:
        if overrides[:1] == [word]:
            overrides.pop(0)
        else:
            options.append(word)
    return options, list(known.overrides)


def listed(arguments: Sequence[str]) -> list[str]:
    """Write the seeds of a single run as the list that they are: seed=range(0,3) as seed=[0,1,2].
    Of a sweep they may become several jobs."""
    if {"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments):
        return list(arguments)
    return [_list(word) if word.startswith("seed=range(") else word for word in arguments]


def _list(word: str) -> str:
    value = OverridesParser.create().parse_override(word).value()
    seeds = value.range() if isinstance(value, RangeSweep) else None
    if not isinstance(seeds, range) or not 0 < len(seeds) <= MOST_SEEDS:
        return word  # Hydra says what is wrong with it
    return f"seed=[{','.join(map(str, seeds))}]"


def placed(arguments: Sequence[str]) -> list[str]:
    """Add hydra.run.dir to a `resume`, because a resumed run stays where it is."""
    line = []
    for argument in arguments:
        key, _, path = argument.partition("=")
        if key == "resume" and path != "null":
            line += [f"resume={quoted(path)}", f"hydra.run.dir={quoted(path)}"]
        else:
            line.append(argument)
    return line


def quoted(path: str) -> str:
    """The path in quotes, so that Hydra's grammar leaves the = and , in the names of a sweep's jobs
    alone."""
    last = path[len(path.rstrip("\\")) :]  # backslashes would escape the quote
    return "'" + path.replace("'", r"\'").replace("${", r"\${") + last + "'"


def go_on(directory: Path) -> str:
    """Words that name the command, for a POSIX shell, that resumes the run in a directory; empty if
    it holds none."""
    if not (directory / "config.yaml").is_file():
        return ""
    return f"; go on with: dqn-train {shlex.quote(f'resume={directory}')}"


def refuse(problem: object) -> NoReturn:
    """Print one line about bad input and exit with code 2."""
    print(f"dqn-train: {' '.join(str(problem).split())}", file=sys.stderr)
    sys.exit(2)
