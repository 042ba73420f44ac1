"""A preset sets keys of the whole run; another choice on the command line replaces its section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from dqn_cli.cli.hints import CONF


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
    soft one. values: the composed configuration.
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
    before = hydra.compose("config", [f"{group}={own[group]}" for group in groups])
    after = hydra.compose("config", [f"{group}={chosen[group]}" for group in groups])
    return {
        group: {
            key: value
            if f"{group}.{key}" in typed or before[group].get(key) == after[group].get(key, ...)
            else plain(after[group][key])
            for key, value in values[group].items()
            if key in after[group] or f"{group}.{key}" in typed
        }
        for group in groups
    }


def plain(value: object) -> object:
    """Turn a node of a configuration into dictionaries and lists; other values stay."""
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
