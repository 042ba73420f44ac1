"""The launchers that are presets: jobs side by side, in processes, and as Slurm would have them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from dqn_cli.cli.hints import CONF, LAUNCHERS, choices
from dqn_cli.cli.hooks import jobs_at_once

ROOT = Path(__file__).parents[2]
TINY = (
    *("seed=[1,2]", "episodes=5", "network.hidden=[8]", "learning_starts=8", "batch_size=8"),
    *("eval.episodes=1", "eval.final_episodes=null", "hydra.sweep.dir=sweep"),
)


def train(folder: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """A process group of its own, so that all of its processes can be counted and killed."""
    return subprocess.Popen(
        [sys.executable, "-m", "dqn_cli.cli.train", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # what starts tests in the background has them ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def names(sweep: Path) -> list[str]:
    found: list[str] = json.loads((sweep / "sweep.json").read_text())["jobs"]
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep whose jobs ran one after the other."""
    folder = tmp_path_factory.mktemp("alone")
    process = train(folder, "-m", *TINY, "gamma=0.9,0.8,0.7")
    out, err = process.communicate()
    assert (process.returncode, err) == (0, ""), out + err
    return folder / "sweep"


@pytest.mark.long
@pytest.mark.parametrize("launcher", ["processes", "joblib", "submitit_local"])
def test_a_launcher_of_this_machine_makes_the_same_sweep(
    tmp_path: Path, alone: Path, contents, launcher: str
) -> None:
    """The same names, so that any of them may go on, and the same bytes."""
    process = train(tmp_path, "-m", *TINY, "gamma=0.9,0.8,0.7", f"hydra/launcher={launcher}")
    out, err = process.communicate()
    assert (process.returncode, err) == (0, ""), out + err
    sweep = tmp_path / "sweep"
    assert names(sweep) == names(alone)
    assert all(contents(sweep / name) == contents(alone / name) for name in names(alone))
    config = yaml.safe_load((sweep / names(sweep)[0] / "config.yaml").read_text())
    assert config["device"]["workers"] == 1
    assert "dqn-plot sweep --status" in out


@pytest.mark.long
def test_a_job_that_fails_beside_others_is_named(tmp_path: Path) -> None:
    line = ("-m", *TINY, "batch_size=0,8,x", "hydra/launcher=processes")
    process = train(tmp_path, *line)
    out, err = process.communicate()
    assert process.returncode == 1
    said = [line for line in err.splitlines() if " failed: " in line]
    assert [re.sub("_[0-9a-f]{8} ", " ", line).split(" failed: ")[0] for line in said] == [
        *("dqn-train: batch_size=0", "dqn-train: batch_size=x")
    ]
    assert err.splitlines()[-1].endswith("go on with: dqn-train resume=sweep")
    assert out.count("failed: batch_size=") == 2  # at once, too
    (done,) = (tmp_path / "sweep").glob("batch_size=8_*")
    assert json.loads((done / "summary.json").read_text())["status"] == "finished"


def members(group: int) -> list[int]:
    """The processes of a session that train: joblib's."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"popen_loky" in stat.read_bytes() and os.getsid(int(stat.parent.name)) == group:
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes as Linux has them")
def test_a_process_that_is_killed_takes_no_job_with_it(
    tmp_path: Path, alone: Path, contents
) -> None:
    """joblib gives up all of its jobs then; they are started again."""
    long = ("checkpoint.every_seconds=0.05", "episodes=300", "gamma=0.9,0.8,0.7")
    whole = train(tmp_path, "-m", *TINY[:-1], *long, "hydra.sweep.dir=whole")
    process = train(tmp_path, "-m", *TINY, *long, "hydra/launcher=processes")
    sweep = tmp_path / "sweep"
    deadline = time.monotonic() + 120
    while not list(sweep.glob("*/timing.csv")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(members(process.pid)[0], signal.SIGKILL)
    out, err = process.communicate()
    assert err == "dqn-train: a process was killed (out of memory?); its jobs go on\n"
    assert process.returncode == 0, out
    whole.communicate()
    expected = {name: contents(tmp_path / "whole" / name) for name in names(sweep)}
    assert {name: contents(sweep / name) for name in names(sweep)} == expected


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "processes"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_sweep_that_is_stopped_names_one_command_that_goes_on(
    tmp_path: Path, launcher: str, number: signal.Signals, code: int
) -> None:
    """The processes of its jobs end, too."""
    line = ("-m", *TINY, "episodes=100000", "gamma=0.9,0.8,0.7", f"hydra/launcher={launcher}")
    process = train(tmp_path, *line)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("sweep/*/timing.csv")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err.splitlines()[-1] == (
        "dqn-train: stopped; 3 of 3 jobs are not finished; go on with: dqn-train resume=sweep"
    )
    assert not members(process.pid)


@pytest.mark.slow
def test_a_sweep_through_which_jobs_are_killed_has_its_bytes() -> None:
    """benchmarks/sweeps.py does it with more jobs."""
    line = [sys.executable, "-m", "benchmarks.sweeps", "12", "3"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith("files, same bytes")


@pytest.mark.parametrize("preset", choices("hydra/launcher"))
def test_a_preset_composes_and_has_an_extra(preset: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        hydra = compose("config", [f"hydra/launcher={preset}"], return_hydra_config=True).hydra
    assert hydra.launcher._target_.startswith("hydra_plugins.")
    extras = (ROOT / "pyproject.toml").read_text()
    assert re.search(rf"^{preset} = \[", extras, re.MULTILINE)
    assert preset in LAUNCHERS.values()
    if preset == "processes":
        assert hydra.launcher.n_jobs == jobs_at_once("auto")
    else:
        assert hydra.launcher.gpus_per_node is None


def test_a_slurm_job_asks_for_a_gpu_if_it_computes_on_one() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        line = ["hydra/launcher=slurm", "device=cuda"]
        assert compose("config", line, return_hydra_config=True).hydra.launcher.gpus_per_node == 1


@pytest.mark.parametrize("launcher", ["processes", "slurm", "joblib", "submitit_local"])
def test_a_launcher_that_is_not_installed_is_one_line(
    dqn_train, monkeypatch: pytest.MonkeyPatch, launcher: str
) -> None:
    from hydra.core.config_store import ConfigStore

    monkeypatch.setattr(ConfigStore.instance(), "repo", without_plugins())
    done = dqn_train("-m", "algo=dqn,ddqn", f"hydra/launcher={launcher}")
    extra = LAUNCHERS.get(launcher, launcher)
    assert done.code == 2
    assert done.err == (
        f"dqn-train: hydra/launcher={launcher}: not installed; pip install 'dqn-cli[{extra}]'\n"
    )


def without_plugins() -> dict[str, object]:
    """Hydra's store of configurations as it is without the plugins."""
    import copy

    from hydra.core.config_store import ConfigStore

    repo = copy.copy(ConfigStore.instance().repo)
    repo["hydra"] = {**repo["hydra"], "launcher": dict(repo["hydra"]["launcher"])}
    for name in LAUNCHERS:
        repo["hydra"]["launcher"].pop(f"{name}.yaml", None)
    return repo


def test_another_launcher_is_no_choice(dqn_train) -> None:
    done = dqn_train("-m", "algo=dqn,ddqn", "hydra/launcher=ray")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "hydra/launcher=ray: no such choice; there are basic, " in done.err
