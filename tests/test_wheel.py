"""What `pip install dqn-cli` gives: the wheel alone, in its own environment, in another folder."""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"

pytestmark = pytest.mark.long


def run(*command: str | Path, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    run(*build, "--outdir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of a fresh environment: dqn_cli from the wheel, dependencies from this one."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", home, cwd=wheel.parent)
    paths = sysconfig.get_paths("venv", vars={"base": str(home), "platbase": str(home)})
    folder = Path(paths["scripts"])
    python = folder / "python"
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=home)
    # A .pth file inside a folder that was added by one is not read: the checkout stays out.
    Path(paths["purelib"], "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    where = run(python, "-c", "import dqn_cli; print(dqn_cli.__file__)", cwd=home)
    assert Path(where.strip()).is_relative_to(home)
    return folder


def test_wheel_holds_the_code_and_every_config(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {f"dqn_cli/conf/{path.relative_to(CONF).as_posix()}" for path in CONF.rglob("*.yaml")}
    assert "dqn_cli/conf/config.yaml" in configs
    plugins = {"hydra_plugins/dqn_cli_sweeper.py", "hydra_plugins/dqn_cli_slurm.py"}
    code = {"dqn_cli/py.typed", "dqn_cli/cli/train.py"} | plugins
    assert configs | code <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"dqn_cli", "hydra_plugins"}


def test_help_names_every_group(scripts: Path, tmp_path: Path) -> None:
    text = run(scripts / "dqn-train", "--help", cwd=tmp_path)
    groups = {path.name for path in CONF.iterdir() if path.is_dir()} - {"hydra"}
    assert groups - set(re.findall(r"\w+", text)) == set()


def test_trains_and_plots_anywhere(scripts: Path, tmp_path: Path) -> None:
    tiny = "seed=[1,2] episodes=2 network.hidden=[16] eval.episodes=1 device=cpu"
    run(scripts / "dqn-train", *tiny.split(), "hydra.run.dir=run", cwd=tmp_path)
    assert (tmp_path / "run/scores/seed_1.csv").is_file()
    sweep = ("-m", *tiny.split(), "gamma=0.9,0.8", "hydra.sweep.dir=sweep")
    run(scripts / "dqn-train", *sweep, cwd=tmp_path)  # by a plugin, which Hydra must find
    assert "2 finished" in run(scripts / "dqn-train", "resume=sweep", cwd=tmp_path)
    run(scripts / "dqn-plot", "run", "-o", "c.png", cwd=tmp_path)
    assert (tmp_path / "c.png").stat().st_size > 0
