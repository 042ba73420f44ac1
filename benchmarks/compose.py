"""The checked configuration of a command line of dqn-train."""

from __future__ import annotations

from typing import Any, cast

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from dqn_cli import config
from dqn_cli.cli.hints import CONF


def composed(*overrides: str) -> config.Config:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        values = OmegaConf.to_container(compose("config", list(overrides)), resolve=True)
    return config.check(config.command(cast(dict[str, Any], values))[1])
