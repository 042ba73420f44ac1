"""Every algorithm with every buffer, network, target and number of steps: it runs, or one line says
why not. The choices are those of conf/, so that a new one comes in by itself."""

import sys
import types
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
import yaml
from torch import Tensor, nn

from dqn_cli.cli.train import CONF
from dqn_cli.config import BadInput
from dqn_cli.events import Finished
from dqn_cli.training import build

GROUPS = ("algo", "buffer", "network", "target")
CHOICES = {
    group: sorted(file.stem for file in Path(CONF, group).glob("*.yaml")) for group in GROUPS
}
CHOICES["n_step"] = ["1", "3"]
# These come in turn beside the others: what they do is of no concern to them.
TURNS = {
    group: sorted(file.stem for file in Path(CONF, group).glob("*.yaml"))
    for group in ("exploration", "optimizer")
}
# Algorithms that learn from fractions, and networks that choose them: only with each other.
FRACTIONS = {"iqn", "munchausen_iqn", "implicit", "noisy_implicit"}
PICTURES = {"cnn", "minatar", "impala"}  # networks that take no vectors
SMALL = (
    *("seed=[1,2]", "episodes=null", "steps=24", "learning_starts=8", "update_every=4"),
    *("updates=1", "batch_size=8", "eval.every_episodes=null"),
)

Line = tuple[str, ...]  # a choice of each group
LINES: list[Line] = list(product(*CHOICES.values()))


class Net(nn.Module):
    def __init__(self, obs_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(*obs_shape, 5), nn.SiLU(), nn.Linear(5, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = types.ModuleType("parts")
    module.Net = Net  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "parts", module)
    yield


def fits(line: Line) -> bool:
    algo, _, network, *_ = line
    return (algo in FRACTIONS) == (network in FRACTIONS)


def overrides(line: Line) -> list[str]:
    chosen = dict(zip(CHOICES, line, strict=True))
    keys = yaml.safe_load(Path(CONF, "network", f"{chosen['network']}.yaml").read_text())
    small = {"hidden": "[8]", "module": "parts.Net", "cosines": "4", "fractions": "3"}
    sizes = [f"network.{key}={value}" for key, value in small.items() if key in keys]
    if chosen["network"] in PICTURES:
        sizes += ["env=gridworld", "network.convolutions=[[4,3,2]]"]
    return [*SMALL, *(f"{key}={value}" for key, value in chosen.items()), *sizes]


def pairs(line: Line) -> set[tuple[int, str, int, str]]:
    return {(i, line[i], j, line[j]) for i, j in combinations(range(len(line)), 2)}


def covering(lines: list[Line]) -> list[Line]:
    """A few of the lines in which all pairs of choices come that come in any."""
    left = set().union(*map(pairs, lines))
    chosen = []
    while left:
        best = max(lines, key=lambda line: len(pairs(line) & left))  # the first of several
        chosen.append(best)
        left -= pairs(best)
    return chosen


def turn(number: int) -> list[str]:
    return [f"{group}={names[number % len(names)]}" for group, names in TURNS.items()]


def it_learns(compose, line: Line, number: int) -> None:
    """A few env steps and updates of two seeds, from other parameters to numbers."""
    loop = build.loop(compose(*overrides(line), *turn(number)))
    first = loop.learner.network.init(loop.seeds).numpy()
    ends = [event for event in loop.run() if isinstance(event, Finished)]
    assert [event.step for event in ends] == [24, 24]
    assert loop.learner.count == 5
    for before, end in zip(first, ends, strict=True):
        assert np.isfinite(end.params).all() and not np.array_equal(end.params, before)


GOOD = [line for line in LINES if fits(line)]
BAD = sorted({(line[0], line[2]): line for line in reversed(LINES) if not fits(line)}.values())


def test_a_few_lines_cover_all_pairs() -> None:
    few = covering(GOOD)
    assert set().union(*map(pairs, few)) == set().union(*map(pairs, GOOD))
    assert max(map(len, TURNS.values())) < len(few) < len(GOOD) / 10


@pytest.mark.long
@pytest.mark.parametrize(("number", "line"), list(enumerate(covering(GOOD))))
def test_every_two_choices_go_together(compose, number: int, line: Line) -> None:
    it_learns(compose, line, number)


@pytest.mark.parametrize("line", BAD, ids=" ".join)
def test_fractions_and_no_fractions_do_not(compose, line: Line) -> None:
    with pytest.raises(BadInput) as refused:
        build.loop(compose(*overrides(line)))
    assert str(refused.value).startswith("network.")
    assert "fractions" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.slow
def test_every_choice_goes_with_all_others(compose) -> None:
    for number, line in enumerate(GOOD):
        it_learns(compose, line, number)
