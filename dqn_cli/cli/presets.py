"""A preset sets keys of the whole run; another choice on the command line replaces its section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from dqn_cli.cli.hints import CONF

Keys = Mapping[str, Any]


def chosen_overlays(overrides: Sequence[str]) -> list[str]:
    """The choices on the command line whose files set keys of the whole run, as GROUP=NAME. Of two
    of them one would silently undo the other."""
    overlays = {
        f"{group.name}={file.relative_to(group).with_suffix('').as_posix()}"
        for group in CONF.iterdir()
        for file in group.rglob("*.yaml")
        if file.read_text(encoding="utf-8").startswith("# @package _global_")
    }
    chosen = []
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        value = override.value()
        values = value if isinstance(value, list) else [value]
        chosen += [f"{override.key_or_group}={value}" for value in values]
    return [choice for choice in chosen if choice in overlays]


def replaced_groups(
    overlay: str, values: dict[str, Any], overrides: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The sections of the groups for which the command line names another choice than the overlay.

    The overlay's keys for its own choice stay if their default is the same in both choices, so that
    they mean the same: a buffer's capacity, but not a hard target's period, which is too long for a
    soft one. Of keys that hold keys, such as env.kwargs, each is taken by itself where they differ.
    values: the composed configuration.
    """
    from dqn_cli.config import GROUPS

    parsed = OverridesParser.create().parse_overrides(list(overrides))
    typed = {o.key_or_group for o in parsed}
    chosen = {
        o.key_or_group: str(o.value())
        for o in parsed
        if o.key_or_group in GROUPS and f"{o.key_or_group}={o.value()}" != overlay
    }
    alone = [str(o.input_line) for o in parsed if o.key_or_group.split(".")[0] not in chosen]
    own = hydra.compose("config", alone, return_hydra_config=True).hydra.runtime.choices
    groups = [group for group in chosen if own[group] != chosen[group]]
    before: Any = plain(hydra.compose("config", [f"{group}={own[group]}" for group in groups]))
    after: Any = plain(hydra.compose("config", [f"{group}={chosen[group]}" for group in groups]))
    return {g: _settled(g, typed, values[g], before[g], after[g]) for g in groups}


def _settled(path: str, typed: Set[str], values: Keys, before: Keys, after: Keys) -> dict[str, Any]:
    """Those of the keys below `path` that stay, and what else the other choice has. before, after:
    the defaults of the two choices; typed: dotted keys of the command line."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        place = f"{path}.{key}"
        below = any(name.startswith(f"{place}.") for name in typed)
        if place in typed or (key in after and before.get(key) == after[key]):
            found[key] = value
        elif isinstance(value, dict) and (below or isinstance(after.get(key), dict)):
            parts = (x[key] if isinstance(x.get(key), dict) else {} for x in (before, after))
            found[key] = _settled(place, typed, value, *parts)
        elif key in after:
            found[key] = after[key]
    return found


def plain(value: object) -> object:
    """Turn a node of a configuration into dictionaries and lists; other values stay."""
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
