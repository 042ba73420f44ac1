"""The sweepers of dqn-train as plugins: Hydra takes plugins from this package only."""

from __future__ import annotations

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class DQNSweeper(Sweeper):
    """Launch a job for every combination of values that is not done already; the keys are those of
    conf/hydra/sweeper/dqn.yaml."""

    def __init__(self, **keys: Any) -> None:
        self.keys = keys

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        from dqn_cli.cli.sweeper import sweep  # not for every command that looks for plugins

        assert self.config and self.launcher and self.hydra_context
        loader = self.hydra_context.config_loader
        return sweep(self.config, self.launcher, loader, self.keys, arguments)


class SearchSweeper(DQNSweeper):
    """Launch trials that Optuna proposes; the keys are those of conf/hydra/sweeper/search.yaml."""

    def sweep(self, arguments: list[str]) -> Any:
        from dqn_cli.cli.search import search

        assert self.config and self.launcher and self.hydra_context
        loader = self.hydra_context.config_loader
        return search(self.config, self.launcher, loader, self.keys, arguments)
