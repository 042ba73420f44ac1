"""Variants: runs equal but for the seed, pooled, and named by what tells them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqn_cli.results.reader import Run
from dqn_cli.results.schema import one_line, shorten

if TYPE_CHECKING:
    import pandas as pd

# Keys in which pooled runs may differ: whose run it is, and how it was carried out.
NOT_COMPARED = (
    *("seed", "resume", "eval.diagnose_every", "checkpoint.every_seconds", "device.workers"),
)
MAIN_GROUPS = ("algo", "buffer", "network", "target")  # these name a variant that stands alone
LABEL_LENGTH = 60
VALUE_LENGTH = 20

Flat = dict[str, str]  # dotted key -> text of the value


@dataclass(frozen=True, eq=False)
class Variant:
    """Runs of one configuration, each seed once. notes say which seeds were left out, and why."""

    label: str
    runs: tuple[Run, ...]
    scores: dict[int, pd.DataFrame]  # seed -> CSV, as in Run.scores
    notes: tuple[str, ...] = ()
    diverged: tuple[int, ...] = ()  # seeds that went no further because their numbers became none
    evaluations: dict[int, pd.DataFrame] = field(default_factory=dict)  # as in Run.evaluations
    fresh: dict[int, float] = field(default_factory=dict)  # as in Run.fresh

    def rows(self, metric: str) -> dict[int, pd.DataFrame]:
        """What has the metric's values, in order: scores are also those of evaluations by step."""
        import pandas as pd

        if metric != "score" or not self.evaluations:
            return self.scores
        return {
            seed: pd.concat([frame[["episode", "step", "score"]], self.evaluations[seed]])
            .sort_values("step", kind="stable")
            .reset_index(drop=True)
            if seed in self.evaluations
            else frame
            for seed, frame in self.scores.items()
        }

    @property
    def by_steps(self) -> bool:
        """Whether it is steps that the runs are limited by, and steps alone."""
        return all(run.config.get("episodes", 0) is None for run in self.runs)

    @property
    def threshold(self) -> float | None:
        """The environment's reward threshold, if any of the runs names one."""
        return next((run.threshold for run in self.runs if run.threshold is not None), None)


def variants(runs: Sequence[Run]) -> list[Variant]:
    """Pool runs whose configs are equal but for the seed, in order of first appearance."""
    pools: dict[frozenset[tuple[str, str]], list[Run]] = {}
    configs: list[Flat] = []
    for run in runs:
        flat = _flatten(run.config)
        config = {key: text for key, text in flat.items() if key not in NOT_COMPARED}
        pool = pools.setdefault(frozenset(config.items()), [])
        if not pool:
            configs.append(config)
        pool.append(run)
    members = list(pools.values())
    labels = _labels(configs, members)
    return [_pool(label, pool) for label, pool in zip(labels, members, strict=True)]


def _pool(label: str, runs: list[Run]) -> Variant:
    """Join the runs' seeds; of a seed that two runs have, the one with more episodes counts."""
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
    scores = {seed: source[seed].scores[seed] for seed in sorted(source)}
    diverged = tuple(seed for seed in scores if seed in source[seed].diverged)
    evaluations = {
        seed: run.evaluations[seed] for seed, run in source.items() if seed in run.evaluations
    }
    fresh = {seed: run.fresh[seed] for seed, run in source.items() if seed in run.fresh}
    remarks = tuple(map(one_line, notes))
    return Variant(label, tuple(runs), scores, remarks, diverged, evaluations, fresh)


def _flatten(value: Any, prefix: str = "") -> Flat:
    """Dotted key -> text of every leaf. A list is one leaf unless it holds mappings."""
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        children = list(enumerate(value))
    else:
        return {prefix: _text(value)}
    flat: Flat = {}
    for key, child in children:
        flat |= _flatten(child, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _text(value: Any) -> str:
    """The value as YAML would show it; 1 and 1.0 are the same."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list):
        return "[" + ",".join(_text(item) for item in value) + "]"
    return str(value)


def _labels(configs: list[Flat], pools: list[list[Run]]) -> list[str]:
    """A label for every pool. Where labels clash, all that clash take their next, longer choice:
    the name, what differs from the other pools (of that name, if it has one), the directory.
    """
    choices = [next((run.choices for run in pool if run.choices), {}) for pool in pools]
    names = [pool[0].config.get("name") for pool in pools]
    differences = _differences(configs, choices)
    for shared in {str(name) for name in names if name not in (None, "")}:
        same = [i for i, name in enumerate(names) if str(name) == shared]
        own = _differences([configs[i] for i in same], [choices[i] for i in same])
        for i, difference in zip(same, own, strict=True):
            differences[i] = difference or differences[i]
    ladders = []
    for name, difference, choice, pool in zip(names, differences, choices, pools, strict=True):
        path = pool[0].path
        alone = " ".join(choice[group] for group in MAIN_GROUPS if group in choice) or path.name
        what = shorten(difference or alone, LABEL_LENGTH)
        ladder = [what]
        if name not in (None, ""):
            short = shorten(_text(name), LABEL_LENGTH)
            ladder = [short, f"{short} {what}"]
        ladder += [one_line(f"{ladder[-1]} ({place})") for place in (path.name, path)]
        ladders.append(ladder)
    labels = [ladder.pop(0) for ladder in ladders]
    while clashes := {label for label, count in Counter(labels).items() if count > 1}:
        for i, ladder in enumerate(ladders):
            if labels[i] in clashes:
                labels[i] = ladder.pop(0) if ladder else f"{labels[i]} #{i + 1}"
    return labels


def _differences(configs: list[Flat], choices: list[dict[str, str]]) -> list[str]:
    """What tells each pool from the others: the options it chose in the groups where they differ,
    then `key=value`. The keys of a group are compared among the pools that chose the same option
    there, because another option has other keys.
    """
    groups = list(dict.fromkeys(group for choice in choices for group in choice))
    differing = [g for g in groups if len({choice.get(g) for choice in choices}) > 1]
    keys = list(dict.fromkeys(key for config in configs for key in config))
    shown: list[list[str]] = [[] for _ in configs]
    for key in keys:
        first, last = key.split(".")[0], key.split(".")[-1]
        if last == "_target_" or key == "name":
            continue
        values: dict[str | None, set[str | None]] = {}  # option chosen in the key's group -> values
        for config, choice in zip(configs, choices, strict=True):
            values.setdefault(choice.get(first), set()).add(config.get(key))
        for i, (config, choice) in enumerate(zip(configs, choices, strict=True)):
            if key in config and len(values[choice.get(first)]) > 1:
                shown[i].append(key)
    lasts = Counter(key.split(".")[-1] for key in {key for row in shown for key in row})
    labels = []
    for config, choice, row in zip(configs, choices, shown, strict=True):
        parts = [choice[group] for group in differing if group in choice]
        for key in row:
            last = key.split(".")[-1]
            parts.append(
                f"{last if lasts[last] == 1 else key}={shorten(config[key], VALUE_LENGTH)}"
            )
        labels.append(_join(parts))
    return labels


def _join(parts: list[str]) -> str:
    """The parts with spaces between; those past LABEL_LENGTH are only counted."""
    room = LABEL_LENGTH - len(" +99 more")
    label = ""
    for i, part in enumerate(parts):
        longer = f"{label} {part}".strip()
        if label and len(longer) > room:
            return f"{label} +{len(parts) - i} more"
        label = longer
    return label
