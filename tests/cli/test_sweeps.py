"""dqn-train -m: a directory per job that tells what it varies, compared at the end."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_launcher import BasicLauncher

from dqn_cli.cli.plot import main as plot
from dqn_cli.env.gym_row import GymRow
from dqn_cli.results.reader import find_runs, read_run

pytestmark = pytest.mark.usefixtures("undrawn")
TINY = (
    *("seed=[1,2]", "episodes=3", "network.hidden=[8]", "learning_starts=8", "batch_size=8"),
    "eval.episodes=1",
)


def jobs(sweep: Path) -> list[str]:
    """What its jobs vary, in order: their names without the hash. Each has a directory."""
    names = json.loads((sweep / "sweep.json").read_text())["jobs"]
    assert {path.name for path in sweep.iterdir() if path.is_dir()} == set(names)
    return [re.sub(r"_[0-9a-f]{8}$", "", name) for name in names]


def place(sweep: Path, words: str) -> Path:
    """The directory of the job that varies this."""
    (found,) = sweep.glob(f"{words}_*")
    return found


def status(job: Path) -> str:
    found: str = json.loads((job / "summary.json").read_text())["status"]
    return found


@pytest.mark.long
def test_directories_tell_what_differs_and_a_figure_compares(dqn_train, tmp_path: Path) -> None:
    done = dqn_train("-m", *TINY, "algo=dqn,ddqn", "buffer=per")
    assert (done.code, done.err) == (0, "")
    (sweep,) = tmp_path.glob("outputs/sweeps/*")
    assert jobs(sweep) == ["algo=dqn", "algo=ddqn"]
    assert (sweep / "comparison.png").is_file()
    for job in jobs(sweep):
        assert status(place(sweep, job)) == "finished"
        assert (place(sweep, job) / "checkpoints/seed_2_last.pt").is_file()
        assert read_run(place(sweep, job)).choices["algo"] == job.partition("=")[2]
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]


@pytest.mark.long
def test_a_sweep_prints_its_jobs_a_table_and_its_place(dqn_train, tmp_path: Path) -> None:
    done = dqn_train("-m", *TINY, "algo=dqn,ddqn", "hydra.sweep.dir=sweep")
    lines = done.out.splitlines()
    assert lines[:2] == ["2 jobs into sweep", "job 1/2  algo=dqn  starts"]
    assert re.fullmatch(r"job 1/2  algo=dqn  finished in 0:00:\d\d  score [^/]+", lines[2])
    assert re.fullmatch(r"job 2/2  algo=ddqn  starts  1 done  0:0\d:\d\d left", lines[3])
    assert lines[4].startswith("job 2/2  algo=ddqn  finished in ")
    assert not any("steps/s" in line or line.startswith("episode") for line in lines)
    (head,) = [i for i, line in enumerate(lines) if line.startswith("variant")]
    assert [line.split()[:2] for line in lines[head + 1 : head + 3]] == [
        ["dqn", "2"],
        ["ddqn", "2"],
    ]
    assert lines[-1].endswith("sweep")
    assert len(lines) <= 12


@pytest.mark.long
def test_a_sweep_of_two_by_two_says_how_many_are_over(dqn_train) -> None:
    line = ("-m", *TINY, "gamma=0.9,0.8", "batch_size=0,8", "hydra.sweep.dir=sweep")
    done = dqn_train(*line)
    said = [re.sub(r"\d:\d\d:\d\d", "TIME", text) for text in done.out.splitlines()]
    said = [text.partition("  score")[0] for text in said if text.startswith("job")]
    reason = "failed: batch_size=0: input should be greater than or equal to 1"
    assert said == [
        "job 1/4  batch_size=0 gamma=0.9  starts",
        f"job 1/4  batch_size=0 gamma=0.9  {reason}",
        "job 2/4  batch_size=0 gamma=0.8  starts  1 failed",
        f"job 2/4  batch_size=0 gamma=0.8  {reason}",
        "job 3/4  batch_size=8 gamma=0.9  starts  2 failed",
        "job 3/4  batch_size=8 gamma=0.9  finished in TIME",
        "job 4/4  batch_size=8 gamma=0.8  starts  1 done  2 failed  TIME left",
        "job 4/4  batch_size=8 gamma=0.8  finished in TIME",
    ]


def test_a_job_of_another_launcher_speaks_for_itself(
    dqn_train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as joblib's: its jobs run in other processes, several at once."""
    for module in ("hooks", "sweeper"):
        monkeypatch.setattr(f"dqn_cli.cli.{module}.LOCAL", "another")
    monkeypatch.setattr("dqn_cli.logger.jobs.Console", lambda file: SimpleNamespace(is_terminal=1))
    done = dqn_train("-m", *TINY, "batch_size=0,8", "hydra.sweep.dir=sweep")
    said = [text.partition(" in 0:")[0] for text in done.out.splitlines() if "job " in text]
    assert said == [
        "job 1  batch_size=0  starts",
        "job 1  batch_size=0  failed: batch_size=0: input should be greater than or equal to 1",
        "job 2  batch_size=8  starts",
        "job 2  batch_size=8  finished",
    ]


@pytest.mark.long
def test_experiments_are_swept_like_any_group(dqn_train, tmp_path: Path) -> None:
    given = ("seed=1", "episodes=2", "eval.every_episodes=1", "hydra.sweep.dir=sweep")
    done = dqn_train("-m", "experiment=carayol/online,carayol/replay", *given)
    assert (done.code, done.err) == (0, "")
    assert jobs(tmp_path / "sweep") == [
        "experiment=carayol-online",
        "experiment=carayol-replay",
    ]
    assert [line.split()[0] for line in done.out.splitlines() if line.startswith("carayol/")] == [
        "carayol/online",
        "carayol/replay",
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    "line",
    [
        *(("algo=dqn,ddqn", "-m"), ("gamma=0.9", "--multirun", "algo=dqn,ddqn")),
        *(("-m", "algo=glob(d*)"), ("-m", "algo=choice(dqn,ddqn)")),
    ],
    ids=" ".join,
)
def test_a_sweep_is_asked_for_anywhere_and_in_any_of_hydra_s_ways(
    dqn_train, tmp_path: Path, line: tuple[str, ...]
) -> None:
    done = dqn_train(*TINY, *line, "episodes=1", "hydra.sweep.dir=sweep")
    assert (done.code, done.err) == (0, "")
    assert set(jobs(tmp_path / "sweep")) == {"algo=dqn", "algo=ddqn"}


@pytest.mark.long
def test_a_file_may_say_what_is_swept(dqn_train, tmp_path: Path) -> None:
    """A command line of such a file needs no -m, and neither does going on with it."""
    mine = tmp_path / "conf/experiment/rates.yaml"
    mine.parent.mkdir(parents=True)
    swept = "params: {gamma: '0.9,0.8', seed: 'range(0,2)'}"
    mine.write_text(f"# @package _global_\nhydra: {{mode: MULTIRUN, sweeper: {{{swept}}}}}\n")
    line = ("--config-dir", "conf", "experiment=rates", *TINY[1:], "hydra.sweep.dir=sweep")
    assert dqn_train(*line).code == 0
    assert jobs(tmp_path / "sweep") == ["gamma=0.9", "gamma=0.8"]
    assert (place(tmp_path / "sweep", "gamma=0.9") / "scores/seed_1.csv").is_file()
    assert dqn_train("resume=sweep").err.startswith("dqn-train: --config-dir: in the command")
    again = dqn_train("resume=sweep", "trust=true")
    assert (again.code, again.out.splitlines()[0]) == (0, "2 jobs into sweep: 2 finished")
    other = dqn_train(*line, "gamma=0.7", "seed=range(3,5)")
    assert (other.code, other.err) == (0, "")
    (name,) = json.loads((tmp_path / "sweep/sweep.json").read_text())["jobs"]
    assert name.startswith("gamma=0.7,experiment=rates,")  # nothing is swept


@pytest.mark.long
def test_a_glob_finds_what_lies_in_a_folder_of_its_group(dqn_train, tmp_path: Path) -> None:
    mine = tmp_path / "conf/experiment/mine/twin.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("# @package _global_\nname: twin\n")
    short = ("episodes=1", "eval.every_episodes=null", "eval.every_steps=null", "seed=1")
    globs = "experiment=glob([carayol/*,mine/*],exclude=[*dqn,*per])"
    own = ("--config-dir", str(tmp_path / "conf"), "hydra.sweep.dir=sweep")
    assert dqn_train(*short, globs, "-m", *own).code == 0
    assert jobs(tmp_path / "sweep") == [
        *(f"experiment=carayol-{name}" for name in ("online", "replay", "uniform")),
        "experiment=mine-twin",
    ]


def test_a_range_of_whole_numbers_is_one(dqn_train, tmp_path: Path) -> None:
    short = ("episodes=1", "hydra.sweep.dir=sweep")
    assert dqn_train("-m", *TINY, *short, "batch_size=range(8,10)").code == 0
    assert jobs(tmp_path / "sweep") == ["batch_size=8", "batch_size=9"]


def test_a_job_that_fails_leaves_the_others_and_is_named(dqn_train, tmp_path: Path) -> None:
    done = dqn_train("-m", *TINY, "batch_size=0,8", "hydra.sweep.dir=sweep")
    assert done.code == 1
    said = [line for line in done.err.splitlines() if line.startswith("dqn-train: ")]
    failed = place(tmp_path / "sweep", "batch_size=0").name
    assert said == [
        f"dqn-train: {failed} failed: batch_size=0: input should be greater than or equal to 1",
        "dqn-train: 1 of 2 jobs is not finished; go on with: dqn-train resume=sweep",
    ]
    assert "Traceback" not in done.err
    assert status(place(tmp_path / "sweep", "batch_size=8")) == "finished"
    assert (tmp_path / "sweep/comparison.png").is_file()
    assert done.out.splitlines()[-1].endswith("sweep")


def test_stderr_holds_nothing_but_the_reasons_and_what_to_do(dqn_train) -> None:
    done = dqn_train("-m", *TINY, "batch_size=0,8", "hydra.sweep.dir=sweep")
    assert done.err.count("\n") == 2


def test_a_job_that_fails_in_mid_run_is_named(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, count = GymRow.step, 0

    def failing(self, rows, action):
        nonlocal count
        count += 1
        if count == 30:
            raise RuntimeError("the pole\nbroke")
        return step(self, rows, action)

    monkeypatch.setattr("dqn_cli.env.gym.row_for", lambda env: None)
    monkeypatch.setattr(GymRow, "step", failing)
    done = dqn_train("-m", *TINY, "gamma=0.9,0.8", "hydra.sweep.dir=sweep")
    assert done.code == 1
    failed = place(tmp_path / "sweep", "gamma=0.9")
    assert f"dqn-train: {failed.name} failed: the pole broke\n" in done.err
    assert "the pole\nbroke" in (failed / "train.log").read_text()
    assert status(place(tmp_path / "sweep", "gamma=0.9")) == "failed"
    assert status(place(tmp_path / "sweep", "gamma=0.8")) == "finished"


def test_all_jobs_bad_is_said_of_each(dqn_train, tmp_path: Path) -> None:
    done = dqn_train("-m", *TINY, "batch_size=0,x", "hydra.sweep.dir=sweep")
    assert done.code == 1
    said = [
        line.partition("_size=")[2][:1] for line in done.err.splitlines() if " failed: " in line
    ]
    assert said == ["0", "x"]
    assert not list(tmp_path.rglob("scores"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("algo=dqn,nope",), "algo=nope: no such choice; there are c51, ddqn, dqn"),
        (("algo=nope,dqn",), "algo=nope: no such choice; there are c51, ddqn, dqn"),
        (("algo=dqn,ddqn", "btch_size=8"), "btch_size: no such key; did you mean batch_size?"),
        (("btch_size=8,16",), "btch_size: no such key; did you mean batch_size?"),
    ],
)
def test_a_sweep_that_cannot_be_composed_is_one_line(
    dqn_train, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = dqn_train("-m", *TINY, *arguments)
    assert done.err.startswith("dqn-train: ") and words in done.err
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert not list(tmp_path.rglob("scores"))


def test_a_job_writes_into_its_sweep_in_whatever_folder_it_runs(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's workers run where they were started."""
    there = tmp_path / "there"
    there.mkdir()
    launch = BasicLauncher.launch

    def elsewhere(self: Any, *arguments: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.chdir(there)
            return launch(self, *arguments)

    monkeypatch.setattr(BasicLauncher, "launch", elsewhere)
    assert dqn_train("-m", *TINY, "gamma=0.9,0.8", "hydra.sweep.dir='a=1,2'").code == 0
    assert [status(path.parent) for path in tmp_path.glob("a=1,2/*/summary.json")] == [
        *("finished", "finished")
    ]
    assert not [path for path in there.rglob("*") if path.is_file()]


def test_seeds_are_not_composed_one_by_one(dqn_train, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand of them would take half an hour before the first job begins, and again with
    `resume`, which does not trust the command that it finds."""
    loaded: list[Any] = []
    load = ConfigLoaderImpl.load_sweep_config

    def counting(self: Any, config: Any, overrides: Any) -> Any:
        loaded.append(overrides)
        return load(self, config, overrides)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", counting)
    monkeypatch.setattr("dqn_cli.cli.sweeper.launch", lambda *_: [])
    line = ("-m", "algo=dqn,ddqn", "seed=range(0,50)", "hydra.sweeper.seeds_per_job=1")
    assert dqn_train(*line, "hydra.sweep.dir=sweep").err.startswith("dqn-train: 100 of 100 jobs")
    assert len(loaded) == 2
    Path(
        "sweep", json.loads(Path("sweep/sweep.json").read_text())["jobs"][0]
    ).mkdir()  # it has begun
    assert dqn_train("resume=sweep").code == 1
    assert len(loaded) == 4


def test_an_interrupt_ends_the_sweep_and_keeps_what_there_is(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, interrupted = GymRow.step, False

    def failing(self, rows, action):
        nonlocal interrupted
        if list(tmp_path.glob("sweep/gamma=0.8_*/scores")) and not interrupted:
            interrupted = True
            raise KeyboardInterrupt
        return step(self, rows, action)

    monkeypatch.setattr("dqn_cli.env.gym.row_for", lambda env: None)
    monkeypatch.setattr(GymRow, "step", failing)
    done = dqn_train("-m", *TINY, "gamma=0.9,0.8,0.7", "hydra.sweep.dir=sweep")
    assert done.code == 130
    assert "Traceback" not in done.err
    assert status(place(tmp_path / "sweep", "gamma=0.9")) == "finished"
    assert status(place(tmp_path / "sweep", "gamma=0.8")) == "interrupted"
    assert not list(tmp_path.glob("sweep/gamma=0.7_*"))
    assert done.err.splitlines() == [
        "dqn-train: stopped; 2 of 3 jobs are not finished; go on with: dqn-train resume=sweep"
    ]


def test_seeds_of_a_sweep_are_one_variant(
    trained: Path, dqn_train, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    same = ("episodes=8", "eval.episodes=4", "optimizer=adam")
    apart = "hydra.sweeper.seeds_per_job=1"
    assert dqn_train("-m", *TINY, *same, "seed=1,2", apart, "hydra.sweep.dir=sweep").code == 0
    assert jobs(tmp_path / "sweep") == ["seed=1", "seed=2"]
    plot(["sweep", "-o", "x.png"])
    _, row, *_ = capfd.readouterr().out.splitlines()
    assert row.split()[:5] == ["dqn", "uniform", "mlp", "hard", "2"]
    # and each is what it was when the two were trained together
    for seed, job in ((1, "seed=1"), (2, "seed=2")):
        name = f"scores/seed_{seed}.csv"
        assert (place(tmp_path / "sweep", job) / name).read_bytes() == (trained / name).read_bytes()


@pytest.mark.long
@pytest.mark.parametrize(
    "value",
    [
        *("network.hidden=[8],[8,8]", "name='../../a/b','~'", "name='-','..'", "name='ä b','*?|'"),
        f"name={'x' * 200}1,{'x' * 200}2",
        "+env.kwargs.sutton_barto_reward=true,false",
    ],
)
def test_directory_names_are_safe_whatever_is_varied(dqn_train, tmp_path: Path, value: str) -> None:
    dqn_train("-m", "batch_size=0", value)  # jobs that fail at once have directories, too
    (sweep,) = tmp_path.glob("outputs/sweeps/*")
    names = [path.name for path in sweep.iterdir() if path.is_dir()]
    assert len(set(names)) == 2
    for name in names:
        assert value.partition("=")[0].lstrip("+") in name
        assert (sweep / name / "failures.txt").is_file()
        assert len(name.encode()) < 200
        assert name == name.strip(" .-") and not set(name) & set("/\\*?|<>:\"' \n")
    assert {path.name for path in tmp_path.iterdir()} == {"outputs"}
    assert {path.name for path in (tmp_path / "outputs").iterdir()} == {"sweeps"}


@pytest.mark.long
def test_two_sweeps_in_the_same_second_have_directories_of_their_own(
    dqn_train, tmp_path: Path
) -> None:
    for _ in range(2):
        dqn_train("-m", "batch_size=0")
    assert len(list(tmp_path.glob("outputs/sweeps/*"))) == 2


@pytest.mark.parametrize("there", ["nothing", "outputs", "sweep"])
def test_a_sweep_that_is_refused_leaves_only_the_folders_that_were_there(
    dqn_train, tmp_path: Path, there: str
) -> None:
    folders = {"nothing": (), "outputs": ("outputs",), "sweep": ("outputs", "outputs/mine")}[there]
    for folder in folders:
        (tmp_path / folder).mkdir()
    place = ("hydra.sweep.dir=outputs/mine",) if there == "sweep" else ()
    done = dqn_train("-m", *TINY, "algo=dqn,ddqn", "bufer=per", *place)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == [*folders]


@pytest.mark.slow
def test_two_sweeps_at_once_do_not_collide(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("dqn-train")
    running = [
        subprocess.Popen(
            [command, "-m", *TINY, "algo=dqn,ddqn"],
            cwd=tmp_path,
            env=os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in running:
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
    sweeps = list(tmp_path.glob("outputs/sweeps/*"))
    assert [jobs(sweep) for sweep in sweeps] == [["algo=dqn", "algo=ddqn"]] * 2
    assert all(status(run) == "finished" for run in find_runs(sweeps))
