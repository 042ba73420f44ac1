"""Which studies there are, what each sweeps, and where its runs lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from dqn_cli.results.reader import Run, find_runs, read_run

ROOT = Path("outputs/study")
DQN = "cartpole/algo=dqn,buffer=uniform,network=mlp,target=hard_*"  # the first of two studies


class Study(NamedTuple):
    title: str
    experiment: str  # what is swept
    each: tuple[str, ...] = ()  # groups whose options have panels of their own
    besides: str | None = None  # a run of another study, the last variant of this one
    seeds: str | None = None  # of them, if not all
    labels: Mapping[str, str] = MappingProxyType({})


GRID = ("buffer", "target")
STUDIES = {
    "cartpole": Study("CartPole, 50,000 env steps", "study/cartpole", GRID),
    "acrobot": Study("Acrobot, 100,000 env steps", "study/acrobot", GRID),
    "mountaincar": Study("MountainCar, 120,000 env steps", "study/mountaincar", GRID),
    "lunarlander": Study("LunarLander, 100,000 env steps", "study/lunarlander", GRID),
    "rainbow": Study(
        "Rainbow and its parts on CartPole, 50,000 env steps",
        "glob(study/rainbow/*)",
        besides=DQN,
        seeds="range(9001,9031)",
        labels={
            "study/cartpole": "DQN",
            "study/rainbow/all": "Rainbow",
            **{
                f"study/rainbow/without_{part}": f"without {words}"
                for part, words in {
                    **{"c51": "C51", "double": "double", "dueling": "dueling"},
                    **{"n_step": "n-step", "noisy": "noise", "per": "PER"},
                }.items()
            },
        },
    ),
}


def command(name: str, root: Path) -> list[str]:
    """What trains it, and goes on with it."""
    study = STUDIES[name]
    swept = [f"experiment={study.experiment}", *([f"seed={study.seeds}"] if study.seeds else [])]
    return ["dqn-train", "-m", *swept, f"hydra.sweep.dir={root / name}"]


def runs_of(name: str, root: Path) -> list[Run]:
    """ResultError if there are none."""
    besides = STUDIES[name].besides
    places = sorted(root.glob(besides)) if besides else []
    return [read_run(path) for path in find_runs([root / name, *places])]
