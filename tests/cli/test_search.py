"""A search: trials are proposed, run, healed, pruned, recorded, and the best one handed over."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import optuna
import pytest
import yaml
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

from dqn_cli.cli import trials
from dqn_cli.cli.pruner import pruning
from dqn_cli.cli.space import Space
from dqn_cli.cli.trials import Keys, Trials
from dqn_cli.config import BadInput
from dqn_cli.env.gym_row import GymRow
from dqn_cli.results.files import claimed
from dqn_cli.results.objective import Objective, of_run
from dqn_cli.results.reader import read_run
from dqn_cli.results.study import Study, job_of, read_study
from dqn_cli.results.style import save

pytestmark = pytest.mark.usefixtures("undrawn")
TINY = (
    *("seed=[1,2]", "episodes=5", "network.hidden=[8]", "learning_starts=8", "batch_size=8"),
    *("eval.episodes=1", "eval.final_episodes=null", "checkpoint.every_seconds=0.01"),
    "device.workers=1",
)
OWN = ("hydra/sweeper=search", "hydra/sweeper/space=none", "hydra.sweep.dir=search")
SEARCH = ("-m", *OWN, *TINY, "gamma=interval(0.5,0.9)", "target.every_steps=2,5")
THREE = (*SEARCH, "hydra.sweeper.trials=3")


@pytest.fixture(autouse=True)
def uncompared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figure at the end is an empty file."""
    monkeypatch.setattr("dqn_cli.cli.plot.draw_search", lambda _, out, look: save(out, b""))


@pytest.fixture
def every(contents) -> Callable[[str], dict[str, Any]]:
    """every("search"): its record, and the hashes of its runs' files that must be the same."""
    return lambda place: {
        "record": json.loads(Path(place, "study.json").read_text()),
        **{path.name: contents(path) for path in sorted(Path(place).glob("trial_*"))},
    }


def states(place: str = "search") -> list[str]:
    return [trial.state for trial in read_study(Path(place)).trials]


@pytest.mark.long
def test_a_search_runs_its_trials_and_hands_over_the_best(dqn_train, compose) -> None:
    done = dqn_train(*THREE)
    assert (done.code, done.err) == (0, "")
    study = read_study(Path("search"))
    assert states() == ["finished"] * 3
    assert study.seeds == [1, 2]
    for trial in study.trials:
        run = read_run(Path("search", job_of(trial.number)))
        assert run.config["gamma"] == trial.params["gamma"]
        assert run.config["target"]["every_steps"] == int(str(trial.params["target.every_steps"]))
        assert run.config["seed"] == [1, 2]
        assert trial.value == of_run(run, Objective("final", "mean"))
    lines = done.out.splitlines()
    assert lines[0] == "3 trials into search, final score, mean of 2 seeds"
    assert lines[1].startswith("job 1/3  gamma=0.") and len(lines[1]) < 60
    assert "on fresh seeds: dqn-train --config-dir search/conf experiment=best" in lines
    assert Path("search/search.png").is_file()

    best = yaml.safe_load(Path("search/conf/experiment/best.yaml").read_text())
    assert best["seed"] == [0, *range(3, 12)]
    assert study.best is not None
    again = dqn_train("--config-dir", "search/conf", "experiment=best", "seed=[5]", *TINY[6:])
    assert again.code == 0
    (run,) = Path("outputs").glob("*/*/*/config.yaml")
    made, of_trial = yaml.safe_load(run.read_text()), read_run(Path("search", "trial_0000")).config
    of_best = read_run(Path("search", job_of(study.best.number))).config
    aside = ("seed", "name", "checkpoint")
    assert {k: v for k, v in made.items() if k not in aside} == {
        k: v for k, v in of_best.items() if k not in aside
    }
    assert of_trial["device"] == made["device"]


@pytest.mark.long
def test_the_same_command_does_nothing_again_and_more_trials_go_on(dqn_train, every) -> None:
    assert dqn_train(*THREE).code == 0
    before = every("search")
    done = dqn_train(*THREE)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0].endswith("mean of 2 seeds: 3 are over")
    assert every("search") == before
    assert dqn_train("resume=search", "hydra.sweeper.trials=4").code == 0
    assert states() == ["finished"] * 4
    assert every("search")["record"]["trials"][:3] == before["record"]["trials"]


@pytest.mark.long
@pytest.mark.parametrize("again", [THREE, ("resume=search",)], ids=["the command", "resume"])
@pytest.mark.parametrize("steps", [0, 60, 200])
def test_a_search_that_was_cut_makes_the_same_trials(
    dqn_train, killed_at, every, again: tuple[str, ...], steps: int
) -> None:
    """Proposals are functions of their numbers and the trials before: none is lost, none is made
    twice, and the others are the same as of a search left alone."""
    assert dqn_train(*(w.replace("dir=search", "dir=whole") for w in THREE)).code == 0
    killed_at(steps, *THREE)
    assert "open" in states()
    done = dqn_train(*again)
    assert (done.code, done.err) == (0, "")
    assert every("search") == every("whole")


def process(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "dqn_cli.cli.train", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
    )


@pytest.mark.long
def test_a_search_killed_with_sigkill_goes_on(dqn_train, every, tmp_path: Path) -> None:
    """In the middle of a trial, which the study has as running: it is gone on with, not lost."""
    longer = (*THREE, "episodes=150")
    assert dqn_train(*(w.replace("dir=search", "dir=whole") for w in longer)).code == 0
    killed = process(tmp_path, *longer)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("search/trial_0001/checkpoints/*_resume.pt")):
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert states() == ["finished", "open"]
    done = dqn_train(*longer)
    assert (done.code, done.err) == (0, "")
    assert "job 1/2" in done.out and "goes on" in done.out
    assert every("search") == every("whole")


@pytest.mark.long
def test_two_processes_share_a_search(tmp_path: Path) -> None:
    """Each trial is run by one of them, and there are as many as wanted."""
    line = (*SEARCH, "episodes=40", "hydra.sweeper.trials=7")
    workers = [process(tmp_path, *line) for _ in range(2)]
    said = [worker.communicate(timeout=300) for worker in workers]
    codes = [worker.returncode for worker in workers]
    assert 0 in codes and set(codes) <= {0, 1}, said  # the first one leaves the last trial to it
    study = read_study(tmp_path / "search")
    assert [trial.state for trial in study.trials] == ["finished"] * 7
    finished = [len(re.findall(r"finished in", out)) for out, _ in said]
    assert sum(finished) == 7 and all(finished), said


@pytest.fixture
def given_up(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Every trial but the first is given up at 40 %. What was asked."""
    asked: list[tuple[int, float]] = []

    def judged(directory: Path, keys: Keys) -> Callable[[int, float], bool]:
        hopeless = pruning(directory, keys)
        assert hopeless is not None

        def look(percent: int, value: float) -> bool:
            asked.append((percent, value))
            hopeless(percent, value)  # which writes it down
            return percent >= 40 and directory.name != "trial_0000"

        return look

    monkeypatch.setattr("dqn_cli.cli.pruner.pruning", judged)
    return asked


@pytest.mark.long
def test_a_pruned_trial_ends_in_good_order(dqn_train, given_up, capfd) -> None:
    from dqn_cli.cli.plot import main as plot

    line = (*THREE, "episodes=100")
    done = dqn_train(*line)
    assert (done.code, done.err) == (0, "")
    assert states() == ["finished", "pruned", "pruned"]
    assert "pruned at 40 % in 0:00:0" in done.out
    study = read_study(Path("search"))
    for trial in study.trials[1:]:
        run = read_run(Path("search", job_of(trial.number)))
        assert run.summary["status"] == "pruned"
        assert all(40 <= len(rows) < 100 for rows in run.scores.values())
        assert (run.path / "scores.png").is_file()
        assert trial.percent == 40
        assert (40, trial.value) in given_up
    again = dqn_train(*line)
    assert (again.code, states()) == (0, ["finished", "pruned", "pruned"])
    assert not re.search(r"^job ", again.out, re.MULTILINE)
    plot(["search", "--status"])
    assert "3 jobs: 1 finished, 2 pruned" in capfd.readouterr().out


def keys(**changes: Any) -> Keys:
    values = {
        **{"trials": 9, "at_once": 1, "sampler": "random", "sampler_seed": 0, "pruner": "median"},
        **{"prune_from": 30, "tries": 3, "stop_at_failure": False, "space": {}},
    }
    return Keys(**values | changes)


SPACE = Space([], {"gamma": "interval(0,1)"})


def some(tmp_path: Path, **changes: Any) -> Trials:
    return Trials(tmp_path, keys(**changes), SPACE, Objective(), [1], {"gamma": "x"})


def test_the_median_pruner_compares_trials_at_equal_parts_of_their_runs(tmp_path: Path) -> None:
    study = some(tmp_path).study
    distributions = SPACE.distributions()
    for number in range(5):
        trial = study.ask(distributions)
        for percent in (10, 30, 60):
            trial.report(100.0 * number + percent, percent)
        study.tell(trial, 100.0 * number)
    study.ask(distributions)
    low = pruning(tmp_path / "trial_0005", keys())
    assert low is not None
    assert not low(10, 0.0)  # not before prune_from
    assert low(30, 229.0)  # the median there is 230
    study.ask(distributions)
    high = pruning(tmp_path / "trial_0006", keys())
    assert high is not None and not high(30, 231.0)
    assert not high(10, 0.0) and not high(30, 231.0)  # asked again, since the run was cut
    assert pruning(tmp_path / "trial_0006", keys(pruner="none")) is None


def test_asha_keeps_the_best_third_at_each_rung(tmp_path: Path) -> None:
    chosen = keys(pruner="asha", prune_from=10)
    study = some(tmp_path, pruner="asha", prune_from=10).study
    kept = []
    for number, value in enumerate([5.0, 4.0, 6.0, 1.0, 7.0]):
        study.ask(SPACE.distributions())
        hopeless = pruning(tmp_path / job_of(number), chosen)
        assert hopeless is not None and not hopeless(5, value)
        kept.append(not hopeless(10, value))
    assert kept == [True, False, True, False, True]


def test_a_trial_is_a_function_of_its_number_and_those_before(tmp_path: Path) -> None:
    """Not of the process that asks: a search that goes on would begin its random numbers anew."""
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
    whole = [taken.params["gamma"] for taken in some(tmp_path / "a").take(4, [])]
    parts = [some(tmp_path / "b").take(1, range(n))[0].params["gamma"] for n in range(4)]
    assert whole == parts
    assert len(set(whole)) == 4
    (tmp_path / "c").mkdir()
    other = some(tmp_path / "c", sampler_seed=1).take(4, [])
    assert whole != [taken.params["gamma"] for taken in other]


def test_a_trial_that_another_process_runs_is_left_to_it(tmp_path: Path) -> None:
    one = some(tmp_path, trials=2)
    (first,) = one.take(1, [])
    # From the moment it is taken, when its directory is not there yet.
    assert [taken.number for taken in some(tmp_path, trials=2).take(5, [])] == [1]
    with claimed(tmp_path / job_of(first.number)):
        one.owned[0].release()  # as its end would
        assert [taken.number for taken in some(tmp_path, trials=2).take(5, [])] == [1]
    assert [taken.number for taken in some(tmp_path, trials=2).take(5, [1])] == [0]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts files as Linux has them")
def test_trap_hundreds_of_trials_in_one_process_keep_no_file_open(tmp_path: Path) -> None:
    one = some(tmp_path)
    for number in range(3):
        one.study.ask(SPACE.distributions())
        hopeless = pruning(tmp_path / job_of(number), keys())
        assert hopeless is not None and not hopeless(10, 0.0)
    files = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert not [file for file in files if file.startswith(str(tmp_path))]


def test_trap_a_study_from_elsewhere_has_no_keys_of_its_own(tmp_path: Path) -> None:
    """A trial that is running in it would be gone on with, and could import anything."""
    from optuna.distributions import CategoricalDistribution

    one = some(tmp_path)
    one.study.ask({"env.import": CategoricalDistribution(["evil"])})
    with pytest.raises(BadInput, match="trial 0 has other keys than the search"):
        some(tmp_path).take(1, [])


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """breaking(2): the environment raises in the next two runs, at their 30th step."""

    def plan(runs: int) -> None:
        step = GymRow.step
        count, broken = 0, 0

        def failing(self, rows, action):
            nonlocal count, broken
            count += 1
            if broken < runs and count == 30:
                broken, count = broken + 1, 0
                raise RuntimeError("broke")
            return step(self, rows, action)

        monkeypatch.setattr("dqn_cli.env.gym.row_for", lambda env: None)
        monkeypatch.setattr(GymRow, "step", failing)

    return plan


@pytest.mark.long
def test_a_trial_that_fails_is_tried_again_and_no_other_is_lost(dqn_train, breaking) -> None:
    breaking(1)
    line = (*THREE, "hydra.sweeper.tries=2")
    done = dqn_train(*line)
    assert done.code == 1
    assert states() == ["open", "finished", "finished"]
    assert "dqn-train: trial_0000 failed: " in done.err and "broke" in done.err
    assert done.err.splitlines()[-1] == (
        "dqn-train: 1 of 3 jobs is not finished; go on with: dqn-train resume=search"
    )
    assert dqn_train(*line).code == 0
    assert states() == ["finished"] * 3


def test_a_trial_that_fails_too_often_has_no_value(dqn_train, breaking) -> None:
    breaking(2)
    line = (*THREE, "hydra.sweeper.tries=1")
    assert dqn_train(*line).code == 1
    study = read_study(Path("search"))
    assert [(t.state, t.value is None) for t in study.trials] == [
        *[("failed", True)] * 2,
        ("finished", False),
    ]
    assert dqn_train(*line).code == 1  # and it is still said


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("scored", [True, False])
def test_a_trial_whose_seeds_all_diverge_is_an_answer(dqn_train, scored: bool) -> None:
    """It counts as its lowest score or, if there is none, as worse than all that have one, so that
    the sampler learns from it; and it is no failure, to be tried again."""
    diverges = ("optimizer.lr=1e38", "optimizer.lr_end=null", "update_every=1", "episodes=60")
    line = (*SEARCH, *diverges, f"learning_starts={200 if scored else 8}")
    done = dqn_train(*line, "hydra.sweeper.trials=2")
    study = read_study(Path("search"))
    assert [trial.state for trial in study.trials] == ["diverged"] * 2
    assert done.code == 0 and not list(Path("search").glob("*/failures.txt"))
    for trial in study.trials:
        frames = read_run(Path("search", job_of(trial.number))).scores.values()
        scores = [score for frame in frames for score in frame["score"].dropna()]
        assert bool(scores) == scored
        assert trial.value == (min(scores) if scored else None)
    assert study.best is None
    told = optuna.load_study(study_name="search", storage="sqlite:///search/study.db").trials
    assert {trial.state.name for trial in told} == {"COMPLETE" if scored else "PRUNED"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("objective=auc",), "objective=auc: the search in search has final, and is another one"),
        (("over_seeds=iqm",), "over_seeds=iqm: the search in search has mean"),
        (("seed=[1,2,3]",), "seed=[1,2,3]: the search in search has [1,2]"),
        (("episodes=6",), "episodes=6: the search in search has 5"),
        (
            ("gamma=interval(0.5,0.8)",),
            "gamma=interval(0.5,0.8): the search in search has interval",
        ),
    ],
)
def test_another_search_in_the_directory_is_refused(
    dqn_train, every, words: tuple[str, ...], said: str
) -> None:
    assert dqn_train(*SEARCH, "hydra.sweeper.trials=1").code == 0
    before = every("search")
    done = dqn_train(*SEARCH, "hydra.sweeper.trials=2", *words)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert said in done.err
    assert every("search") == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gamma=interval(0.5,2)",), "gamma=2: input should be less than or equal to 1"),
        (("batch_size=8,0",), "batch_size=0: input should be greater than or equal to 1"),
        (("nope=1,2",), "nope: no such key"),
        (("eval.every_episodes=null",), "a search needs scores"),
        (("objective=best",), "objective=best eval.final_episodes=null: "),
        (("objective=most",), "objective=most: input should be 'final', 'auc' or 'best'"),
        (("over_seeds=lower", "seed=1"), "over_seeds=lower: one seed has no interval"),
        (("hydra.sweeper.trials=0",), "hydra.sweeper.trials=0: "),
        (("hydra.sweeper.prune_from=100",), "hydra.sweeper.prune_from=100: "),
        (("hydra.sweeper.sampler=grid",), "hydra.sweeper.sampler=grid: "),
        (("gamma=0.5", "target.every_steps=2"), "nothing to search: "),
        (("hydra.sweep.subdir=x",), "hydra.sweep.subdir: "),
    ],
)
def test_a_search_that_may_not_start_is_one_line(
    dqn_train, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = dqn_train(*SEARCH, *words)
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert said in done.err
    assert not list(tmp_path.iterdir())


def test_a_search_without_m_is_not_a_run_of_its_own(dqn_train, tmp_path: Path) -> None:
    done = dqn_train("hydra/sweeper=search", *TINY)
    assert (done.code, done.err) == (
        2,
        "dqn-train: hydra/sweeper=search: -m makes a search of it\n",
    )
    assert not list(tmp_path.iterdir())


def test_sweeps_and_searches_keep_apart(dqn_train) -> None:
    assert dqn_train(*SEARCH, "hydra.sweeper.trials=1").code == 0
    done = dqn_train("-m", *TINY, "gamma=0.5,0.6", "hydra.sweep.dir=search")
    assert (done.code, done.err) == (
        2,
        "dqn-train: search: holds a search; another hydra.sweep.dir begins a sweep\n",
    )
    assert dqn_train("-m", *TINY, "gamma=0.5,0.6", "hydra.sweep.dir=sweep").code == 0
    done = dqn_train(*SEARCH, "hydra.sweep.dir=sweep")
    assert done.err == "dqn-train: sweep: holds a sweep; another hydra.sweep.dir begins a search\n"


def test_without_optuna_it_says_what_to_install(dqn_train, monkeypatch) -> None:
    monkeypatch.setattr(trials, "find_spec", lambda name: None)
    done = dqn_train(*SEARCH)
    assert (done.code, done.err) == (
        2,
        "dqn-train: hydra/sweeper=search: needs Optuna; pip install 'dqn-cli[search]'\n",
    )


@pytest.mark.parametrize("name", ["a b", "50%", "what?", "x=1,y=2", "#1"])
def test_a_search_lies_in_a_folder_of_any_name(dqn_train, name: str) -> None:
    done = dqn_train(*SEARCH, "hydra.sweeper.trials=1", f"hydra.sweep.dir='{name}'")
    assert (done.code, done.err) == (0, "")
    assert Path(name, "study.db").is_file() and states(name) == ["finished"]


def test_files_are_the_truth(dqn_train, every) -> None:
    """A trial whose run is over though nobody told the study, as after a kill between the two."""
    assert dqn_train(*SEARCH, "hydra.sweeper.trials=1").code == 0
    run = Path("search/trial_0000")
    aside = shutil.copytree(run, "aside")
    shutil.rmtree("search")
    taken = some_of(dqn_train)
    assert taken == 0
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(aside, run)
    done = dqn_train(*SEARCH, "hydra.sweeper.trials=1")
    assert done.code == 0 and not re.search(r"^job ", done.out, re.MULTILINE)
    assert states() == ["finished"]


def some_of(dqn_train) -> int:
    """Begin the search again, as far as its first trial is asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dqn_cli.cli.search.launch", lambda *_: [])
        dqn_train(*SEARCH, "hydra.sweeper.trials=1")
    return sum(trial.state == "finished" for trial in read_study(Path("search")).trials)


class Fake(Sweeper):
    """Proposes as another package's sweeper would, and keeps what it is told."""

    found: ClassVar[list[float]] = []

    def __init__(self, **keys: Any) -> None:
        pass

    def setup(self, *, hydra_context, task_function, config) -> None:
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        lines = [[*arguments, f"gamma={gamma}"] for gamma in (0.5, 0.9)]
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        Fake.found = [float(job.return_value) for job in self.launcher.launch(lines, 0)]


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The words of a command line that take it."""
    module = ModuleType("hydra_plugins.fake")
    monkeypatch.setattr(module, "Fake", Fake, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(Fake, "__module__", module.__name__)
    Plugins.instance().register(Fake)
    return ("hydra/sweeper=basic", "hydra.sweeper._target_=hydra_plugins.fake.Fake")


@pytest.mark.parametrize("objective", ["final", "auc", "best"])
def test_any_sweeper_of_hydra_s_gets_the_objective(dqn_train, other, objective: str) -> None:
    line = (*TINY, "eval.final_episodes=3", f"objective={objective}", "hydra.sweep.dir=other")
    assert dqn_train("-m", *other, *line).code == 0
    runs = sorted(map(read_run, Path("other").glob("*_*")), key=lambda run: run.config["gamma"])
    assert Fake.found == [of_run(run, Objective(objective)) for run in runs]  # type: ignore[arg-type]


def test_any_sweeper_gets_nan_for_a_job_that_failed(dqn_train, other, breaking) -> None:
    breaking(1)
    assert dqn_train("-m", *other, *TINY, "hydra.sweep.dir=other").code == 1
    assert Fake.found[0] != Fake.found[0] and Fake.found[1] > 0


@pytest.mark.long
def test_the_report_of_a_search_is_in_its_page(dqn_train) -> None:
    from dqn_cli.cli.plot import main as plot

    assert dqn_train(*THREE, "report=true").code == 0
    page = Path("search/report.html").read_text()
    assert "Objective over trials" in page and "<h2>Search</h2>" in page
    plot(["search", "--html", "again.html"])
    assert "Objective over each key" in Path("again.html").read_text()
    assert isinstance(read_study(Path("search")), Study)
