"""`resume=DIR` of a sweep: the command that it was started with, as its directory has it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from dqn_cli.cli.line import divided, quoted, refuse
from dqn_cli.results.schema import SWEEP, ResultError
from dqn_cli.results.sweep import read_sweep

PLACE = "hydra.sweep.dir"
MULTIRUN = ("-m", "--multirun")
# What a recorded command may have Hydra do without `trust=true`.
PLAIN = re.compile(
    r"hydra\.mode=MULTIRUN|hydra/(launcher|sweeper|sweeper/space)=[\w/]+"
    r"|hydra\.(launcher|sweeper)\.[a-z]\w*=[\w.:+-]*"
)


def again(arguments: Sequence[str]) -> tuple[list[str], Path | None]:
    """The arguments, with `resume=DIR` replaced by the command of the sweep that DIR holds, if it
    holds one, changed by what else is given; and DIR, if its command is not trusted. Exits with
    code 2 if that may not be."""
    places = [word.removeprefix("resume=") for word in arguments if word.startswith("resume=")]
    if len(places) != 1 or not (Path(places[0]) / SWEEP).is_file():
        return list(arguments), None
    directory = Path(places[0])
    try:
        options, overrides = divided(read_sweep(directory).command)
    except ResultError as error:
        refuse(error)
    trusted = "trust=true" in arguments
    aside = {f"resume={places[0]}", "trust=true"}
    more, changes = divided([word for word in arguments if word not in aside])
    before, given = parsed(overrides), parsed(changes)
    for override in given:
        _check_change(directory, override)
    if not trusted and (words := not_plain(options, before)):
        refuse(
            f"{words[0]}: in the command that {directory / SWEEP} has, and Hydra may run other "
            "code by it; trust=true allows it"
        )
    keys = {override.key_or_group for override in given}
    kept = [
        str(override.input_line)
        for override in before
        if override.key_or_group not in keys
        and not ("hydra/launcher" in keys and override.key_or_group.startswith("hydra.launcher."))
    ]
    options = [word for word in [*options, *more] if word not in MULTIRUN]
    line = ["-m", *options, *kept, *changes, f"{PLACE}={quoted(places[0])}"]
    return line, None if trusted else directory


def without_place(arguments: Sequence[str]) -> list[str]:
    """A sweep's command as its directory has it, which may be moved."""
    return [word for word in arguments if not word.startswith(f"{PLACE}=")]


def parsed(overrides: Sequence[str]) -> list[Override]:
    return OverridesParser.create().parse_overrides(list(overrides))


def _check_change(directory: Path, override: Override) -> None:
    """Exit with code 2 for a change by which the sweep would become another one."""
    from dqn_cli.saving.resume import MAY_CHANGE

    key = override.key_or_group
    if key not in MAY_CHANGE and not re.match(r"hydra/launcher|hydra\.(launcher|sweeper)\.", key):
        refuse(
            f"{override.input_line}: the sweep in {directory} keeps its own (with resume may "
            f"change: {', '.join(MAY_CHANGE)}, hydra/launcher, hydra.launcher, hydra.sweeper)"
        )


def not_plain(options: Sequence[str], overrides: Sequence[Override]) -> list[str]:
    """The words of a command by which Hydra may do more than run jobs."""
    words = [word for word in options if word not in MULTIRUN]
    words += [str(o.input_line) for o in overrides if o.is_hydra_override()]
    return [word for word in words if not PLAIN.fullmatch(word)]
