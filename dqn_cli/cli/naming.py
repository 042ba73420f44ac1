"""The name of a job's directory: by what the job is, and neither by its number nor its launcher."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser

from dqn_cli.logger.headline import ranges

LONGEST = 120  # characters of what is readable in a name
DIGITS = 8  # of the hash


def slug(text: str) -> str:
    """Make a readable file name of a text: no slash, no space, at most LONGEST characters."""
    return re.sub(r"[^\w=,.+-]+", "-", text).strip("-.")[:LONGEST]


def varied(overrides: Sequence[str], swept: Collection[str] | None) -> Sequence[str]:
    """The overrides that tell a job from the others; all of them if none does, or if the keys that
    are `swept` are not known."""
    return [o for o in overrides if o.partition("=")[0] in (swept or ())] or overrides


def job_name(overrides: Sequence[str], swept: Collection[str] | None = None) -> str:
    """Name a job's directory: the keys that are swept describe it, and a hash of all overrides
    makes it unique.

    Left out of the hash is what a run may change when it goes on, such as its length, so that a
    job which is asked for more is the same one; unless it is swept, and tells jobs apart.
    """
    from dqn_cli.config import Command
    from dqn_cli.saving.resume import MAY_CHANGE

    aside = {*MAY_CHANGE, *Command.model_fields} - set(swept or ())
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    content = {o.get_key_element(): o.value() for o in parsed if o.key_or_group not in aside}
    digest = hashlib.sha256(repr(sorted(content.items())).encode()).hexdigest()
    said = (readable(override) for override in varied(overrides, swept))
    return f"{slug(','.join(said))}_{digest[:DIGITS]}"


def short(override: str) -> str:
    """The override with a number of many digits rounded to four, for people."""
    key, _, value = override.partition("=")
    long = re.fullmatch(r"-?\d*\.\d{6,}(e-?\d+)?", value)
    return f"{key}={float(value):.4g}" if long else override


def readable(override: str) -> str:
    """The override without quotes, and with a list of seeds written as ranges."""
    key, _, value = override.partition("=")
    if key == "seed" and re.fullmatch(r"\[\d+(,\d+)*\]", value):
        return f"seed={','.join(ranges([int(seed) for seed in value[1:-1].split(',')]))}"
    return re.sub("[\"']", "", override)
