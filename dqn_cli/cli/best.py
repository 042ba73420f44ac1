"""The best trial of a search as an experiment, for seeds that the search never saw."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path
from typing import Any

import yaml

from dqn_cli.config import GROUPS
from dqn_cli.results.files import write_atomic
from dqn_cli.results.reader import read_config, read_summary
from dqn_cli.results.report import number
from dqn_cli.results.study import Study, Trial, job_of

FOLDER = "conf"  # in a search's directory, for --config-dir
FRESH = 10  # seeds
# How a run was carried out, and what is not of its configuration: these stay the user's.
LEFT_OUT = ("seed", "name", "report", "checkpoint", "device")


def write_best(search: Path, study: Study, best: Trial) -> str:
    """Write conf/experiment/best.yaml into the search's directory, and return the command line that
    trains it on fresh seeds. ResultError if the trial's files cannot be read; OSError."""
    run = search / job_of(best.number)
    config, choices = read_config(run), read_summary(run).get("choices", {})
    seeds = fresh_seeds(study.seeds)
    values: dict[str, Any] = {"name": "best", "seed": seeds}
    for key, value in config.items():
        if key in GROUPS and isinstance(value, dict):
            value = {name: part for name, part in value.items() if name != "_target_"}
        if key not in LEFT_OUT and value != {}:
            values[key] = value
    defaults = [
        {f"override /{group}": choices[group]}
        for group in GROUPS
        if group in choices and group not in LEFT_OUT
    ]
    done = sum(trial.state == "finished" for trial in study.trials)
    head = (
        "# @package _global_\n"
        f"# The best of {done} finished trials, number {best.number}: {number(best.value)} "
        f"({study.aim}).\n"
        "# Luck made it the best, too: what it is worth, these seeds say, which are fresh.\n"
    )
    body = {"defaults": defaults, **values}
    text = head + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, default_flow_style=None)
    folder = search / FOLDER / "experiment"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "best.yaml", text)
    return shlex.join(["dqn-train", "--config-dir", str(search / FOLDER), "experiment=best"])


def fresh_seeds(used: list[int]) -> list[int]:
    """The smallest ones that the search did not use."""
    return list(itertools.islice((s for s in itertools.count() if s not in used), FRESH))
