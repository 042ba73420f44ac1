"""Variants: runs equal but for the seed, pooled, and named by what tells them apart; panels: the
variants of one environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dqn_cli.results.labels import Flat, flatten, labels
from dqn_cli.results.reader import Run
from dqn_cli.results.schema import ResultError, one_line
from dqn_cli.results.selection import known, value_of
from dqn_cli.results.stats import Axis

if TYPE_CHECKING:
    import pandas as pd

# Keys in which pooled runs may differ: whose run it is, and how it was carried out.
NOT_COMPARED = (
    *("seed", "resume", "report", "eval.diagnose_every", "checkpoint.every_seconds"),
    *("device.workers", "storage._target_", "storage.stack"),
)


@dataclass(frozen=True, eq=False)
class Variant:
    """Runs of one configuration, each seed once; or, of configurations pooled `by` keys, each seed
    of each. notes say which seeds were left out, and why.
    """

    label: str
    runs: tuple[Run, ...]
    scores: dict[int, pd.DataFrame]  # seed -> CSV, as in Run.scores
    notes: tuple[str, ...] = ()
    diverged: tuple[int, ...] = ()  # seeds that went no further because their numbers became none
    evaluations: dict[int, pd.DataFrame] = field(default_factory=dict)  # as in Run.evaluations
    fresh: dict[int, float] = field(default_factory=dict)  # as in Run.fresh
    timing: dict[int, pd.DataFrame] = field(default_factory=dict)  # as in Run.timing
    index: int = 0  # of its colour: the same in every panel

    @cached_property
    def _evaluated(self) -> dict[int, pd.DataFrame]:
        """seed -> rows of episodes, and of evaluations by step if there are any."""
        import pandas as pd

        return {
            seed: pd.concat([frame, self.evaluations[seed]])
            .sort_values("step", kind="stable")
            .reset_index(drop=True)
            if seed in self.evaluations
            else frame
            for seed, frame in self.scores.items()
        }

    def rows(self, x: Axis = "step") -> dict[int, pd.DataFrame]:
        """Episodes and evaluations by step, in order. An evaluation has no value but its score; its
        step says how far the seed was trained, beyond its last whole episode.
        With x `seconds`, each row's wall-clock time, between episodes by the steps done."""
        import numpy as np

        frames = self._evaluated
        if x != "seconds":
            return frames
        timed = {}
        for seed, frame in frames.items():
            clock = self.timing.get(seed)
            if clock is not None and len(clock):
                known = np.append(0, clock["step"]), np.append(0, clock["seconds"])
                timed[seed] = frame.assign(seconds=np.interp(frame["step"], *known))
        return timed

    @property
    def by_steps(self) -> bool:
        """Whether steps are what the runs are limited in, or one of two limits."""
        return all(run.config.get("steps") is not None for run in self.runs)

    @property
    def threshold(self) -> float | None:
        """The environment's reward threshold, if any of the runs names one."""
        return next((run.threshold for run in self.runs if run.threshold is not None), None)


@dataclass(frozen=True, eq=False)
class Panel:
    """The variants that were trained in one environment, which has this id; it is followed by the
    values of other keys if these have panels of their own. x: what their curves are drawn over."""

    env: str
    variants: list[Variant]
    x: Axis = "episode"
    id: str = ""  # the environment's, if more than that tells panels apart

    @property
    def scale(self) -> str:
        """Panels for which it is the same are drawn on one scale."""
        return self.id or self.env

    @property
    def threshold(self) -> float | None:
        """The environment's reward threshold, if any of the runs names one."""
        return next((v.threshold for v in self.variants if v.threshold is not None), None)


def variants(runs: Sequence[Run]) -> list[Variant]:
    """Pool runs whose configs are equal but for the seed, in order of first appearance."""
    return [variant for panel in panels(runs) for variant in panel.variants]


def panels(
    runs: Sequence[Run],
    by: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    each: Sequence[str] = (),
    x: Axis | None = None,
) -> list[Panel]:
    """Pool runs whose configs are equal but for seed and environment into variants, and put those
    of one environment into a panel; both in order of first appearance.

    by: keys or groups that alone tell variants apart; all else is pooled. names: label -> the one
    to show instead. each: keys or groups each of whose values has a panel of its own, as an
    environment has. x: None is the step in environments whose runs are all limited in steps, and
    the episode in others. ResultError for a key or a label that there is not.
    """
    settings = [_settings(run, runs, each) for run in runs]
    _without(settings, ("env", *each))
    if by:
        settings = [(env, _picked(by, flat, run, runs), run) for env, flat, run in settings]
    configs: dict[frozenset[tuple[str, str]], Flat] = {}
    members: dict[frozenset[tuple[str, str]], list[tuple[str, Run]]] = {}
    for env, flat, run in settings:
        key = frozenset(flat.items())
        configs.setdefault(key, flat)
        members.setdefault(key, []).append((env, run))
    shown = _labels(list(configs.values()), list(members.values()), by, each)
    shown = _renamed(shown, names or {})
    found: dict[str, list[Variant]] = {env: [] for env, _, _ in settings}
    for index, (label, pool) in enumerate(zip(shown, members.values(), strict=True)):
        for env, inside in found.items():
            if there := [run for place, run in pool if place == env]:
                inside.append(_pool(label, there, index, apart=bool(by)))
    ids = {env: env_of(run) for env, _, run in settings}
    by_episodes = {ids[env] for env, vs in found.items() if not all(v.by_steps for v in vs)}
    return [
        Panel(env, vs, x or ("episode" if ids[env] in by_episodes else "step"), ids[env])
        for env, vs in found.items()
    ]


def env_of(run: Run) -> str:
    """The id of the environment it was trained in."""
    env = run.config.get("env")
    found = env.get("id") if isinstance(env, dict) else None
    return one_line(str(found or run.choices.get("env", "")))


def _settings(run: Run, runs: Sequence[Run], each: Sequence[str]) -> tuple[str, Flat, Run]:
    """The name of its panel, what is compared, and the run."""
    flat = {key: text for key, text in flatten(run.config).items() if key not in NOT_COMPARED}
    picked = _picked(each, flat, run, runs)
    values = [v if key in run.choices else f"{key}={v}" for key, v in picked.items()]
    return ", ".join(filter(None, [env_of(run), *values])), flat, run


def _without(settings: list[tuple[str, Flat, Run]], sections: Sequence[str]) -> None:
    """Leave out of each configuration what makes its panel another one, of these groups and keys,
    and nothing of what may differ within a panel."""
    of_panel: dict[str, dict[str, set[str | None]]] = {}  # key -> panel -> values
    for _, flat, _ in settings:
        for key in flat:
            if key in sections or key.split(".")[0] in sections:
                of_panel.setdefault(key, {})
    for panel, flat, _ in settings:
        for key, values in of_panel.items():
            values.setdefault(panel, set()).add(flat.get(key))
    for _, flat, _ in settings:
        for key, values in of_panel.items():
            if all(len(there) == 1 for there in values.values()):
                flat.pop(key, None)


def _picked(by: Sequence[str], flat: Flat, run: Run, runs: Sequence[Run]) -> Flat:
    for key in by:
        known(key, [value_of(key, flatten(other.config), other) for other in runs], runs)
    values = {key: value_of(key, {**flatten(run.config), **flat}, run) for key in by}
    return {key: value for key, value in values.items() if value is not None}


def _labels(
    configs: list[Flat],
    members: list[list[tuple[str, Run]]],
    by: Sequence[str],
    each: Sequence[str],
) -> list[str]:
    if by:
        return [" ".join(f"{k}={v}" for k, v in config.items()) for config in configs]
    pools = [[run for _, run in pool] for pool in members]
    choices = [next((run.choices for run in pool if run.choices), {}) for pool in pools]
    if len({panel for pool in members for panel, _ in pool}) > 1:  # a panel says which
        said = {"env", *each}
        choices = [{g: option for g, option in c.items() if g not in said} for c in choices]
    return labels(configs, choices, pools)


def _renamed(shown: list[str], names: Mapping[str, str]) -> list[str]:
    for old in names:
        if old not in shown:
            raise ResultError(f"--label {old}", f"no such variant; there are {', '.join(shown)}")
    return [names.get(label, label) for label in shown]


def _pool(label: str, runs: list[Run], index: int, apart: bool) -> Variant:
    """Join the runs' seeds; of a seed that two runs have, the one with more episodes counts. Runs
    of configurations that are kept `apart` have seeds of their own, which are numbered anew."""
    if apart:
        return _numbered(label, runs, index)
    source: dict[int, Run] = {}
    twice: dict[tuple[Path, Path], list[int]] = {}  # (used, not used) -> seeds
    for run in runs:
        for seed, frame in run.scores.items():
            used = source.setdefault(seed, run)
            if used is run:
                continue
            unused = run
            if len(frame) > len(used.scores[seed]):
                used, unused = run, used
            source[seed] = used
            twice.setdefault((used.path, unused.path), []).append(seed)
    notes = [
        f"{label}: seed {', '.join(map(str, seeds))} counted once, from {used} and not from "
        f"{unused}, which has no more episodes"
        for (used, unused), seeds in twice.items()
    ]
    return _variant(label, runs, {s: (source[s], s) for s in sorted(source)}, notes, index)


def _numbered(label: str, runs: list[Run], index: int) -> Variant:
    pools: dict[frozenset[tuple[str, str]], list[Run]] = {}
    for run in runs:
        flat = {k: v for k, v in flatten(run.config).items() if k not in NOT_COMPARED}
        pools.setdefault(frozenset(flat.items()), []).append(run)
    source: list[tuple[Run, int]] = []
    notes: list[str] = []
    for pool in pools.values():
        one = _pool(label, pool, index, apart=False)
        notes += one.notes
        source += [(next(r for r in pool if s in r.scores), s) for s in one.scores]
    if len(pools) > 1:
        notes.append(f"{label}: {len(pools)} configurations are pooled, each seed of each counts")
    return _variant(label, runs, dict(enumerate(source, start=1)), notes, index)


def _variant(
    label: str, runs: list[Run], source: dict[int, tuple[Run, int]], notes: list[str], index: int
) -> Variant:
    """source: the variant's own number of a seed -> the run that has it, and its seed there."""
    return Variant(
        label,
        tuple(runs),
        {own: run.scores[seed] for own, (run, seed) in source.items()},
        tuple(map(one_line, notes)),
        tuple(own for own, (run, seed) in source.items() if seed in run.diverged),
        {
            own: run.evaluations[seed]
            for own, (run, seed) in source.items()
            if seed in run.evaluations
        },
        {own: run.fresh[seed] for own, (run, seed) in source.items() if seed in run.fresh},
        {own: run.timing[seed] for own, (run, seed) in source.items() if seed in run.timing},
        index,
    )
