"""The command line of dqn-train, before Hydra reads it, and the line that refuses one."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from dqn_cli import __version__
from dqn_cli.cli.hints import option


def arranged(arguments: Sequence[str]) -> list[str]:
    """Move options to the front, because Hydra's parser takes overrides from one place only, and
    would refuse -m between two keys. Exits for --version, and with code 2 for unknown options."""
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
    return [*options, *known.overrides]


def placed(arguments: Sequence[str]) -> list[str]:
    """Add hydra.run.dir to a `resume`, because a resumed run stays where it is. The path is quoted,
    so that Hydra's grammar leaves the = and , in the names of a sweep's jobs alone."""
    quoted_line = []
    for argument in arguments:
        key, _, path = argument.partition("=")
        if key == "resume" and path != "null":
            last = path[len(path.rstrip("\\")) :]  # backslashes would escape the quote
            quoted = "'" + path.replace("'", r"\'").replace("${", r"\${") + last + "'"
            quoted_line += [f"resume={quoted}", f"hydra.run.dir={quoted}"]
        else:
            quoted_line.append(argument)
    return quoted_line


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
