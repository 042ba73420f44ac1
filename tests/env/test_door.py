"""What an environment returns is checked at its door: docs/environments.md has the line that each
of tests/env/odd_environments.py leads to."""

import importlib.util
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DOCUMENT = (HERE.parents[1] / "docs/environments.md").read_text(encoding="utf-8").splitlines()
SMALL = (
    *("network.hidden=[8]", "learning_starts=8", "batch_size=8", "device.workers=1"),
    *("episodes=6", "eval.every_episodes=3", "eval.episodes=2", "eval.final_episodes=2"),
)
BY_STEPS = ("episodes=null", "steps=300", "eval.max_steps=20")

spec = importlib.util.spec_from_file_location("odd_environments", HERE / "odd_environments.py")
assert spec is not None and spec.loader is not None
odd_environments = importlib.util.module_from_spec(spec)
spec.loader.exec_module(odd_environments)
ODD = odd_environments.ODD


@pytest.fixture(autouse=True)
def findable(monkeypatch: pytest.MonkeyPatch, undrawn: None) -> None:
    monkeypatch.syspath_prepend(HERE)


def test_the_document_has_them_all() -> None:
    table = DOCUMENT[DOCUMENT.index("| environment | what comes of it |") + 2 :]
    rows = [line.split(" | ")[0] for line in table]
    assert rows == [f"| `{name}`: {kind.__doc__}" for name, kind in ODD.items()]


@pytest.mark.long
@pytest.mark.parametrize("name", ODD)
def test_every_odd_environment_leads_to_its_line(dqn_train, name: str) -> None:
    """And one seed to the same line as three."""
    outcomes = set()
    for number, seed in enumerate(("1", "[1,2,3]")):
        done = dqn_train(
            *("env.import=odd_environments", f"env.id=Odd/{name}", f"seed={seed}", *SMALL),
            *(BY_STEPS if name == "Endless" else ()),
            f"hydra.run.dir=run{number}",
        )
        line = done.err.removeprefix("dqn-train: ").removesuffix("\n")
        assert "\n" not in line, line
        line = line.partition("; go on with: ")[0]
        line = re.sub(r"\d+ greedy episodes of seed [\d, ]+(?= were)", "greedy episodes", line)
        outcome = {0: "trains", 1: "ends", 2: "refused"}[done.code]
        outcomes.add(f"{outcome}: `{line}`" if line else outcome)
    assert len(outcomes) == 1, outcomes
    outcome = outcomes.pop()
    row = f"| `{name}`: {ODD[name].__doc__} | {outcome} |"
    assert row in DOCUMENT, row


def test_what_cannot_begin_leaves_nothing_behind(dqn_train, tmp_path: Path) -> None:
    done = dqn_train(
        *("env.import=odd_environments", "env.id=Odd/ObsShort", "hydra.run.dir=run"), *SMALL
    )
    line = "environment Odd/ObsShort failed in its first steps: reset gave an observation of shape"
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(f"dqn-train: {line} (1,) where")
    assert list(tmp_path.iterdir()) == []
