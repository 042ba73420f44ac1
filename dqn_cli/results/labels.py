"""Names for variants: what tells configurations from each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dqn_cli.results.reader import Run
from dqn_cli.results.schema import one_line, shorten

MAIN_GROUPS = ("algo", "buffer", "network", "target")  # these name a variant that stands alone
LABEL_LENGTH = 60
VALUE_LENGTH = 20

Flat = dict[str, str]  # dotted key -> text of the value


def flatten(value: Any, prefix: str = "") -> Flat:
    """Dotted key -> text of every leaf. A list is one leaf unless it holds mappings."""
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        children = list(enumerate(value))
    else:
        return {prefix: text(value)}
    flat: Flat = {}
    for key, child in children:
        flat |= flatten(child, f"{prefix}.{key}" if prefix else str(key))
    return flat


def text(value: Any) -> str:
    """The value as YAML would show it; 1 and 1.0 are the same."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list):
        return "[" + ",".join(text(item) for item in value) + "]"
    return str(value)


def labels(
    configs: Sequence[Flat], choices: Sequence[Mapping[str, str]], pools: Sequence[Sequence[Run]]
) -> list[str]:
    """A label for every pool of runs of one configuration. Where labels clash, all that clash take
    their next, longer choice: the name, unless all have the same, what differs from the other pools
    (of that name, if it has one), the directory.
    """
    names = [pool[0].config.get("name") for pool in pools]
    if len(pools) > 1 and len({str(name) for name in names}) == 1:
        names = [None] * len(pools)
    differences = _differences(configs, choices)
    for shared in {str(name) for name in names if name not in (None, "")}:
        same = [i for i, name in enumerate(names) if str(name) == shared]
        own = _differences([configs[i] for i in same], [choices[i] for i in same])
        for i, difference in zip(same, own, strict=True):
            differences[i] = difference or differences[i]
    ladders = []
    for name, difference, choice, pool in zip(names, differences, choices, pools, strict=True):
        path = pool[0].path
        alone = " ".join(choice[group] for group in MAIN_GROUPS if group in choice) or path.name
        what = shorten(difference or alone, LABEL_LENGTH)
        ladder = [what]
        if name not in (None, ""):
            short = shorten(text(name), LABEL_LENGTH)
            ladder = [short, f"{short} {what}"]
        ladder += [one_line(f"{ladder[-1]} ({place})") for place in (path.name, path)]
        ladders.append(ladder)
    found = [ladder.pop(0) for ladder in ladders]
    while clashes := {label for label, count in Counter(found).items() if count > 1}:
        for i, ladder in enumerate(ladders):
            if found[i] in clashes:
                found[i] = ladder.pop(0) if ladder else f"{found[i]} #{i + 1}"
    return found


def _differences(configs: Sequence[Flat], choices: Sequence[Mapping[str, str]]) -> list[str]:
    """What tells each pool from the others: the options it chose in the groups where they differ,
    then `key=value`. The keys of a group are compared among the pools that chose the same option
    there, because another option has other keys.
    """
    # how replay is kept changes no score, and older runs do not say it
    groups = list(dict.fromkeys(g for choice in choices for g in choice if g != "storage"))
    differing = [g for g in groups if len({choice.get(g) for choice in choices}) > 1]
    keys = list(dict.fromkeys(key for config in configs for key in config))
    shown: list[list[str]] = [[] for _ in configs]
    for key in keys:
        first, last = key.split(".")[0], key.split(".")[-1]
        if last == "_target_" or key == "name":
            continue
        values: dict[str | None, set[str | None]] = {}  # option chosen in the key's group -> values
        for config, choice in zip(configs, choices, strict=True):
            values.setdefault(choice.get(first), set()).add(config.get(key))
        for i, (config, choice) in enumerate(zip(configs, choices, strict=True)):
            if key in config and len(values[choice.get(first)]) > 1:
                shown[i].append(key)
    return [
        _join(
            [
                *(choice[group] for group in differing if group in choice),
                *(f"{key}={shorten(config[key], VALUE_LENGTH)}" for key in row),
            ]
        )
        for config, choice, row in zip(configs, choices, shown, strict=True)
    ]


def _join(parts: list[str]) -> str:
    """The parts with spaces between; those past LABEL_LENGTH are only counted."""
    room = LABEL_LENGTH - len(" +99 more")
    label = ""
    for i, part in enumerate(parts):
        longer = f"{label} {part}".strip()
        if label and len(longer) > room:
            return f"{label} +{len(parts) - i} more"
        label = longer
    return label
