"""No character ends a command, whatever the console can show."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = ("seed=1", "network.hidden=[8]", "learning_starts=8", "batch_size=8", "eval.episodes=1")


def run(folder: Path, *line: str, **environment: str) -> tuple[int, str, str]:
    command = Path(sys.executable).with_name(line[0])
    shown = {"PYTHONIOENCODING": "ascii:strict", "SDL_VIDEODRIVER": "dummy"}
    env = {**os.environ, **shown, **environment}
    done = subprocess.run([command, *line[1:]], cwd=folder, env=env, capture_output=True)
    return done.returncode, done.stdout.decode("ascii"), done.stderr.decode("ascii")


@pytest.mark.long
def test_text_that_the_console_cannot_show_is_escaped(tmp_path: Path) -> None:
    code, out, err = run(
        tmp_path, "dqn-train", *SMALL, "episodes=2", "name='ε-größe'", "hydra.run.dir='läufe/ä'"
    )
    assert (code, err) == (0, "")
    assert out.endswith(r"l\xe4ufe/\xe4" + "\n")
    log = (tmp_path / "läufe/ä/train.log").read_text(encoding="utf-8")
    assert f"into {tmp_path}/läufe/ä" in log

    code, out, err = run(tmp_path, "dqn-train", *SMALL, "hydra.run.dir='läufe/ä'")
    assert (code, out) == (2, "")
    assert err.startswith(r"dqn-train: l\xe4ufe/\xe4: already holds a run")

    code, out, err = run(tmp_path, "dqn-plot", "läufe", "-o", "ä.png")
    assert (code, err) == (0, "")
    assert r"\u03b5-gr\xf6\xdfe" in out and (tmp_path / "ä.png").is_file()

    code, out, err = run(tmp_path, "dqn-play", "läufe/ä", "--gif", "ö.gif")
    assert (code, err) == (0, "")
    assert r"\xf6.gif: episode 1" in out

    code, out, err = run(tmp_path, "dqn-play", "läufe/ö")
    assert (code, out) == (2, "")
    assert err.startswith(r"dqn-play: l\xe4ufe/\xf6/config.yaml: cannot be read")


@pytest.mark.long
def test_a_system_that_knows_no_letters_but_ascii(tmp_path: Path) -> None:
    (tmp_path / "läufe").mkdir()
    line = ("dqn-train", *SMALL, "episodes=1", "hydra.run.dir=run")
    posix = {"PYTHONUTF8": "0", "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}
    code, out, err = run(tmp_path / "läufe", *line, **posix)
    assert (code, err) == (0, "")
    assert out.endswith(r"l\udcc3\udca4ufe/run" + "\n")
    log = (tmp_path / "läufe/run/train.log").read_text(encoding="utf-8")
    assert r"l\udcc3\udca4ufe/run" in log and "finished: " in log


@pytest.mark.long
def test_a_sweep_of_such_names(tmp_path: Path) -> None:
    line = ("-m", *SMALL, "episodes=1", "name='ä','ö'", "hydra.sweep.dir='läufe'")
    code, out, err = run(tmp_path, "dqn-train", *line)
    assert (code, err) == (0, "")
    assert {p.name[:-9] for p in (tmp_path / "läufe").iterdir() if p.is_dir()} == {
        "name=ä",
        "name=ö",
    }
    assert out.endswith("l\\xe4ufe\n")
