"""A search: trials that Optuna proposes, launched like the jobs of a sweep and healed like them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from dqn_cli.cli.again import not_plain, parsed
from dqn_cli.cli.hints import no_such
from dqn_cli.cli.hooks import current
from dqn_cli.cli.line import divided
from dqn_cli.cli.planning import Planned, at_once, hash_of_sources, spelled_out
from dqn_cli.cli.prepare import settled, values_of
from dqn_cli.cli.presets import plain
from dqn_cli.cli.space import Space, overrides, space
from dqn_cli.cli.sweeper import launch, place, shown_live
from dqn_cli.cli.sweeps import failed_since
from dqn_cli.cli.trials import Keys, Trials, installed
from dqn_cli.config import GROUPS, BadInput, Config, command, refuse_foreign, validate
from dqn_cli.results.labels import flatten
from dqn_cli.results.objective import Objective
from dqn_cli.results.schema import STUDY, SWEEP
from dqn_cli.results.study import job_of
from dqn_cli.results.sweep import Sweep, write_sweep
from dqn_cli.training.signals import stopped_by_sigterm
from dqn_cli.words import counted

# What of a trial's configuration changes no score.
FREE = ("device.", "report", "checkpoint.", "eval.diagnose_every", "storage.")


def search(
    config: DictConfig,
    launcher: Launcher,
    loader: ConfigLoader,
    given: Mapping[str, Any],
    arguments: Sequence[str],
) -> None:
    """Run the search. BadInput or one of Hydra's exceptions, before anything is written, if it may
    not start. The arguments are those of sweeper.sweep."""
    installed()
    directory = place(config)
    if (directory / SWEEP).exists() and not (directory / STUDY).exists():
        raise BadInput(f"{directory}: holds a sweep; another hydra.sweep.dir begins a search")
    keys = validate(Keys, {k: plain(v) for k, v in given.items()}, "hydra.sweeper.")
    if not 0 <= keys.prune_from < 100:
        raise BadInput(
            f"hydra.sweeper.prune_from={keys.prune_from}: percent of a run, from 0 to 99"
        )
    _known_space(config, loader)
    found, absent = space(keys.space, spelled_out(arguments, config), config)
    checked, objective, foreign = _check(found, config, loader)
    options, words = divided(current().command)
    foreign |= bool(not_plain(options, parsed(words)))

    directory.mkdir(parents=True, exist_ok=True)
    facts = _facts(checked, found) | {"objective": objective.score, "over_seeds": objective.over}
    trials = Trials(directory, keys, found, objective, checked.seeds, facts)
    OmegaConf.save(config, directory / "multirun.yaml")
    names = [job_of(number) for number in range(keys.trials)]
    sources = hash_of_sources(config)
    write_sweep(directory, Sweep(current().command, names, None, sources, foreign))
    study = trials.settle()
    for key in absent:
        print(f"{key} is not searched: this configuration has no such key", flush=True)
    over = sum(trial.state != "open" for trial in study.trials)
    told = f": {over} are over" if study.trials else ""
    print(f"{counted(keys.trials, 'trial')} into {directory}, {study.aim}{told}", flush=True)

    current().swept = frozenset(found.searched)
    shown_live(config, directory, trials.left())
    together = at_once(config) if keys.at_once == "auto" else keys.at_once
    done: list[int] = []
    try:
        with stopped_by_sigterm():
            while taken := trials.take(together, done):
                batch = [
                    Planned(job_of(one.number), [*found.fixed, *overrides(one.params)])
                    for one in taken
                ]
                launch(batch, len(done), directory, config, launcher, keys.tries)
                done += [one.number for one in taken]
                if keys.stop_at_failure and failed_since(directory):
                    break
    finally:
        trials.settle()


def _known_space(config: DictConfig, loader: ConfigLoader) -> None:
    """BadInput if there is no such hydra/sweeper/space. Hydra passes it over, since an algorithm
    may be without one; one that was typed may not."""
    group = "hydra/sweeper/space"
    chosen = config.hydra.runtime.choices.get(group)
    there = loader.get_group_options(group)
    if chosen != config.hydra.runtime.choices.algo and chosen not in there:
        raise BadInput(no_such(group, chosen, there))


def _check(
    found: Space, config: DictConfig, loader: ConfigLoader
) -> tuple[Config, Objective, bool]:
    """Compose every choice and both ends of every interval once, so that what is wrong with one is
    known before any trial begins. Returns the first configuration, what is searched for, and
    whether one names code from elsewhere."""
    configs = []
    foreign = False
    for corner in found.corners():
        line = [*found.fixed, *corner]
        composed = loader.load_sweep_config(config, line)
        try:
            refuse_foreign(current().recorded, values_of(composed), "trust=true")
        except BadInput:
            if current().recorded is not None:
                raise
            foreign = True
        configs.append(settled(composed, line))
        own, _ = command(values_of(composed))
    objective = Objective(own.objective, own.over_seeds)
    for one in configs:
        check_objective(one, objective)
    return configs[0], objective, foreign


def check_objective(config: Config, objective: Objective) -> None:
    """BadInput if runs of this configuration have no such objective."""
    if config.eval.every_episodes is None and config.eval.every_steps is None:
        raise BadInput(
            "eval.every_episodes=null eval.every_steps=null: a search needs scores; give one"
        )
    if objective.score == "best" and config.eval.final_episodes is None:
        raise BadInput(
            "objective=best eval.final_episodes=null: the score that chose the best network is the "
            "luckiest of many; give a number of fresh episodes"
        )
    if objective.over == "lower" and len(config.seeds) < 2:
        raise BadInput("over_seeds=lower: one seed has no interval; give two or more")


def _facts(config: Config, found: Space) -> dict[str, str]:
    """What all trials have in common, by key; and the space."""
    groups = tuple(f"{key}." for key in found.searched if key in GROUPS)
    flat = flatten(config.model_dump())
    own = {key: text for key, text in flat.items() if not key.startswith((*groups, *FREE))}
    return own | found.searched
