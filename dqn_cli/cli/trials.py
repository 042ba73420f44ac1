"""The trials of a search: Optuna's study in the search's directory, and the runs that it is told
of. A run's files are the truth, and the study learns from them: so a search that was killed at any
instant goes on, and any number of processes may work on it.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sqlite3
import warnings
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from dqn_cli.cli.space import Space
from dqn_cli.config import BadInput, Strict
from dqn_cli.results import study as record
from dqn_cli.results.objective import Objective, of_run
from dqn_cli.results.reader import Run, read_run
from dqn_cli.results.status import job
from dqn_cli.results.study import job_of, write_study
from dqn_cli.types import Count

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

log = logging.getLogger("dqn_cli")

NAME = "search"  # of the one study in its file
STORAGE = "study.db"
LOCK = ".study.lock"  # while trials are asked for and told
WAIT = 120  # seconds for another process that writes the file


class Keys(Strict):
    """Those of conf/hydra/sweeper/search.yaml."""

    trials: Count
    at_once: Count | Literal["auto"]
    sampler: Literal["tpe", "random"]
    sampler_seed: int
    pruner: Literal["median", "asha", "none"]
    prune_from: int
    tries: Count
    stop_at_failure: bool
    space: dict[str, Any]


class Taken(NamedTuple):
    """A trial that this process is to run."""

    number: int
    params: dict[str, Any]


class Trials:
    """Those of the search in `directory`, whose study is made if there is none.

    facts: what every trial has in common, by key; the study of another search has others, and is
    BadInput.
    """

    def __init__(
        self,
        directory: Path,
        keys: Keys,
        space: Space,
        objective: Objective,
        seeds: list[int],
        facts: Mapping[str, str],
    ) -> None:
        self.directory, self.keys, self.space = directory, keys, space
        self.objective, self.seeds = objective, seeds
        self.distributions = space.distributions()
        self.owned: dict[int, FileLock] = {}
        with self._alone():
            self.study = optuna_quietly().create_study(
                storage=storage_of(directory),
                study_name=NAME,
                direction="maximize",
                load_if_exists=True,
            )
            if not self.study.user_attrs:
                self.study.set_user_attr("facts", dict(facts))
        check_facts(directory, self.study, facts)

    def take(self, at_most: int, done: Collection[int]) -> list[Taken]:
        """Trials to run next: those that no process runs, because one was killed, and new ones up
        to the number that is wanted. done: those that this process has run, each once."""
        for number in self.owned.keys() & set(done):
            self.owned.pop(number).release()
        with self._alone():
            self._settle()
            taken: list[Taken] = []
            for trial in self._open():
                free = trial.number not in done and self._is_left(trial)
                if len(taken) < at_most and free and self._own(trial.number):
                    taken.append(Taken(trial.number, self._params(trial)))
            number = len(self._all())
            while len(taken) < at_most and number < self.keys.trials:
                # a function of its number and of the trials before it, whoever asks
                self.study.sampler = sampler(self.keys, number)
                trial = self.study.ask(self.distributions)
                self._own(trial.number)
                taken.append(Taken(trial.number, trial.params))
                number += 1
            self._record()
        return taken

    def _own(self, number: int) -> bool:
        """Whether this process may run the trial: until its directory is there, nothing else shows
        to others that it has been taken. The lock of a process that was killed is free."""
        lock = FileLock(self.directory / f".{job_of(number)}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        self.owned[number] = lock
        return True

    def settle(self) -> record.Study:
        """Tell the study of the runs that are over, and write the record of it."""
        with self._alone():
            self._settle()
            return self._record()

    def left(self) -> int:
        """How many trials are not over, and not begun."""
        states = [trial.state.is_finished() for trial in self._all()]
        return self.keys.trials - states.count(True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with FileLock(self.directory / LOCK):
            yield

    def _all(self) -> list[FrozenTrial]:
        found: list[FrozenTrial] = self.study.get_trials(deepcopy=False)
        return found

    def _open(self) -> list[FrozenTrial]:
        return [trial for trial in self._all() if not trial.state.is_finished()]

    def _params(self, trial: FrozenTrial) -> dict[str, Any]:
        """BadInput if they are not of this space: the file may be from elsewhere, and by a key
        that is not searched a run could be anything."""
        if trial.distributions != self.distributions:
            place = self.directory / STORAGE
            raise BadInput(f"{place}: trial {trial.number} has other keys than the search")
        return dict(trial.params)

    def _is_left(self, trial: FrozenTrial) -> bool:
        one = job(self.directory / job_of(trial.number))
        return one.state != "running" and len(one.failures) < self.keys.tries

    def _settle(self) -> None:
        from optuna.trial import TrialState

        for trial in self._open():
            state, value = over(self.directory / job_of(trial.number), self.objective, self.keys)
            if state == "open":
                continue
            told = {"pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
            as_state = told.get(state, TrialState.COMPLETE)
            if state == "diverged" and value is None:
                as_state = TrialState.PRUNED  # worse than all that have a score, for a sampler
            self.study._storage.set_trial_user_attr(trial._trial_id, "state", state)
            finite = value if as_state is TrialState.COMPLETE else None
            self.study.tell(trial.number, finite, as_state, skip_if_finished=True)

    def _record(self) -> record.Study:
        trials = self._all()
        study = record.Study(
            objective=self.objective.score,
            over_seeds=self.objective.over,
            seeds=self.seeds,
            wanted=self.keys.trials,
            sampler=self.keys.sampler,
            pruner=self.keys.pruner,
            space=self.space.searched,
            importance=importance(self.study),
            trials=[_recorded(trial) for trial in trials],
        )
        write_study(self.directory, study)
        return study


def over(path: Path, objective: Objective, keys: Keys) -> tuple[record.State, float | None]:
    """What became of a trial's run, and its objective if it has one."""
    one = job(path)
    if one.state == "pruned":
        return "pruned", None
    if one.state not in ("finished", "failed"):
        return "open", None
    try:
        run = read_run(path)
    except ValueError as error:  # it failed before it wrote anything
        log.info("%s", error)
        return ("failed" if len(one.failures) >= keys.tries else "open"), None
    value = of_run(run, objective)
    found = None if math.isnan(value) else value
    if _all_diverged(run):
        return "diverged", found
    if one.state == "failed":
        return ("failed" if len(one.failures) >= keys.tries else "open"), None
    return ("failed" if found is None else "finished"), found


def _all_diverged(run: Run) -> bool:
    return run.summary.get("status") == "finished" and len(run.diverged) == len(run.scores)


def sampler(keys: Keys, number: int) -> Any:
    """The sampler of the trial of this number."""
    optuna = optuna_quietly()
    seed = int(np.random.SeedSequence([abs(keys.sampler_seed), number]).generate_state(1)[0])
    if keys.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # that trials which run at the same time are not alike
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def importance(study: Study) -> dict[str, float]:
    """Key -> share, the largest first, by PED-ANOVA (Watanabe et al. 2023), which takes finished
    trials only and needs no more than NumPy; empty where there are too few to say."""
    from optuna.importance import get_param_importances
    from optuna.trial import TrialState

    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = {trial.value for trial in finished if trial.value is not None}
    if len(finished) < 10 or len(values) < 2 or not all(map(math.isfinite, values)):
        return {}
    return {key: float(share) for key, share in get_param_importances(study).items()}


def check_facts(directory: Path, study: Study, facts: Mapping[str, str]) -> None:
    """BadInput that names the first of the facts in which the study is another."""
    before = study.user_attrs.get("facts", {})
    for key in dict.fromkeys([*facts, *before]):
        if before.get(key) != facts.get(key):
            raise BadInput(
                f"{key}={facts.get(key)}: the search in {directory} has {before.get(key)}, and is "
                "another one; another hydra.sweep.dir begins anew"
            )


def _recorded(trial: FrozenTrial) -> record.Trial:
    state = trial.user_attrs.get("state", "open")
    looks = trial.intermediate_values
    percent = 100 if state in ("finished", "diverged") else max(looks, default=0)
    value = trial.value if state != "pruned" else looks.get(percent)
    return record.Trial(trial.number, state, value, percent, dict(trial.params))


def storage_of(directory: Path) -> RDBStorage:
    from optuna.storages import RDBStorage
    from sqlalchemy.pool import NullPool

    path = str((directory / STORAGE).absolute())
    # by its path, of which a URL would read a part after ? as options
    opened = partial(sqlite3.connect, path, timeout=WAIT, check_same_thread=False)
    # no pool: a process that runs hundreds of trials would keep the files of all open
    engine = {"creator": opened, "poolclass": NullPool}
    return RDBStorage("sqlite:///" + path.replace("?", "_"), engine_kwargs=engine)


def installed() -> None:
    """BadInput if Optuna, which is an extra, is not."""
    if find_spec("optuna") is None:
        raise BadInput("hydra/sweeper=search: needs Optuna; pip install 'dqn-cli[search]'")


def optuna_quietly() -> Any:
    """The package, which is imported when a search begins."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
