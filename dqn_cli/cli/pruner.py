"""Which trials of a search are given up early, by Optuna's pruners."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dqn_cli.cli.trials import NAME, Keys, optuna_quietly, storage_of

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

STARTUP = 5  # finished trials that the median is of, at least
REDUCTION = 3  # of trials at each rung of successive halving; the next is as much further


def pruning(directory: Path, keys: Keys) -> Callable[[int, float], bool] | None:
    """What gives up the run in a trial's directory, to be asked as Judge.hopeless; None if nothing
    does. The value is written into the study, for the pruner to compare other trials with."""
    if keys.pruner == "none":
        return None
    number = int(directory.name.rpartition("_")[2])
    optuna = optuna_quietly()
    storage = storage_of(directory.parent)
    study = optuna.load_study(storage=storage, study_name=NAME, pruner=pruner(keys))
    trial_id = study.get_trials(deepcopy=False)[number]._trial_id

    def hopeless(percent: int, value: float) -> bool:
        known = storage.get_trial(trial_id).intermediate_values
        if known and percent < max(known):
            return False  # it was asked before the run was cut, and the run went on
        try:
            storage.set_trial_intermediate_value(trial_id, percent, value)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False  # another process has done it meanwhile
        return bool(study.pruner.prune(study, storage.get_trial(trial_id)))

    return hopeless


def pruner(keys: Keys) -> BasePruner:
    """Its steps are percent of a run."""
    from optuna.pruners import MedianPruner, SuccessiveHalvingPruner

    if keys.pruner == "median":
        return MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=keys.prune_from)
    return SuccessiveHalvingPruner(keys.prune_from, REDUCTION)
