"""The launcher hydra/launcher=slurm as a plugin: Hydra takes plugins from this package only."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.utils import JobReturn

try:
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher
except ImportError:  # the extra is not installed, and there is no such launcher
    pass
else:

    class DQNSlurmLauncher(BaseSubmititLauncher):  # type: ignore[misc]  # it has no types
        """submitit's, but for the waiting; the keys are those of conf/hydra/launcher/slurm.yaml."""

        def launch(
            self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
        ) -> list[JobReturn]:
            from dqn_cli.cli.slurm import (
                submit,
                wait,
            )  # not for every command that looks for plugins

            return wait(submit(self, self.params, job_overrides, initial_job_idx))
