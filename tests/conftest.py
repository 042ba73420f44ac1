"""What several test files share."""

from collections.abc import Callable

import pytest
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from dqn_cli.config import Config, check
from dqn_cli.train import CONF

torch.set_num_threads(1)


@pytest.fixture
def compose() -> Callable[..., Config]:
    """compose("algo=ddqn", "seed=1"): the checked configuration of that command line."""

    def composed(*overrides: str) -> Config:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            values = OmegaConf.to_container(hydra_compose("config", list(overrides)), resolve=True)
        return check(values)

    return composed
