"""Choices of the reader's own, in docs/extending.md: the files are written down as they stand
there, the commands are run."""

import re
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
OWN = re.compile(r"--config-dir|=(mine|nets)\.")
# "`name.py`, ...:" or "`name.yaml`:", and the block that follows
FILES = re.findall(
    r"^`([\w/]+\.(?:py|yaml))`[^\n]*(?:\n[^\n`]+)*\n\n```\w+\n(.*?)```", TEXT, re.M | re.S
)
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S)
    for line in block.splitlines()
    if line.startswith("dqn-train ") and OWN.search(line)
]
SHORT = ("steps=500", "seed=[1,2]", "learning_starts=50", "eval.final_episodes=null")


def test_nothing_of_it_is_passed_over() -> None:
    assert [name for name, _ in FILES] == [
        *("mine.py", "nets.py", "conservative.py", "mine/algo/conservative.yaml"),
        *("wavering.py", "mine/exploration/wavering.yaml"),
    ]
    assert len(COMMANDS) == 7


@pytest.mark.long
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_choice_of_one_s_own_trains(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    for name, text in FILES:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, file.stem, raising=False)  # of another test's
    monkeypatch.syspath_prepend(tmp_path)
    words = [word for word in shlex.split(command)[1:] if not word.startswith("steps=")]
    done = dqn_train(*words, *SHORT, "hydra.run.dir=run")
    assert (done.code, done.err) == (0, "")
    assert len(list((tmp_path / "run/checkpoints").glob("*_last.pt"))) == 2
