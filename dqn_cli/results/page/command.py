"""The command that makes a run again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dqn_cli.results.reader import Run

PACKAGE = Path(__file__).parents[2]
# The checkout has conf/ beside the package; a wheel carries it inside.
CONF = next(c for c in (PACKAGE.parent / "conf", PACKAGE / "conf") if (c / "config.yaml").is_file())
GLOBAL = "# @package _global_"  # a choice that starts so sets keys of the whole run
PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
WORDS = {"null", "true", "false", "inf", "nan"}  # of Hydra's grammar, in any case


def command(run: Run) -> str:
    """dqn-train with every choice of the run, and every key that its choices' files have another
    value for; quoted for a POSIX shell. Seeds, limits and all else are those of config.yaml, so
    that a run that was resumed is made in one go."""
    defaults = _defaults(run.choices)
    words = [f"{group}={choice}" for group, choice in run.choices.items()]
    words += _changes(run.config, defaults, "")
    return shlex.join(["dqn-train", *words])


def _defaults(choices: Mapping[str, str]) -> dict[str, Any]:
    """What config.yaml and the files of the choices say; nothing for a choice of the user's own,
    so that all of its keys are on the command line."""
    found = dict(_load(CONF / "config.yaml"))
    overlays = []
    for group, choice in choices.items():
        file = CONF / group / f"{choice}.yaml"
        if not file.is_file():
            continue
        if file.read_text(encoding="utf-8").startswith(GLOBAL):
            overlays.append(_load(file))
        else:
            found[group] = _load(file)
    for overlay in overlays:
        found = _merged(found, overlay)
    return found


@cache
def _load(file: Path) -> dict[str, Any]:
    loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded if isinstance(loaded, dict) else {}


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    found = dict(below)
    for key, value in above.items():
        old = found.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        found[key] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return found


def _changes(values: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in values.items():
        old = defaults.get(key, ...)
        if isinstance(value, dict) and isinstance(old, dict) and value:
            yield from _changes(value, old, f"{prefix}{key}.")
        elif old is ... or _number(value) != _number(old):
            add = "++" if old is ... else ""  # Hydra wants to know that a key is new
            yield f"{add}{prefix}{key}={_value(value)}"


def _number(value: Any) -> Any:
    """YAML reads 1e-8, which has no dot, as a text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _value(value: Any) -> str:
    """A value in Hydra's grammar of overrides."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(str(k))}:{_value(v)}" for k, v in value.items()) + "}"
    return _text(value) if isinstance(value, str) else str(value)


def _text(text: str) -> str:
    if PLAIN.fullmatch(text) and text.lower() not in WORDS:
        return text
    # In Hydra's quotes a backslash is one, unless a quote follows.
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)
    last = re.search(r"\\*$", text)
    return "'" + text.replace("${", r"\${") + (last[0] if last else "") + "'"
