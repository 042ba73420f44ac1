"""Seeds shared out to processes: the same bytes, one stream of events, no process left behind."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from dqn_cli.events import Episode, Finished, RunError, Saved, Tick
from dqn_cli.results.reader import read_run
from dqn_cli.training import build, workers
from dqn_cli.training.signals import STOPS

SMALL = (
    *("seed=[3,1,2]", "network.hidden=[8]", "learning_starts=8", "batch_size=8"),
    *("eval.episodes=2", "hydra.run.dir=run"),
)

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(autouse=True)
def none_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every process that a test started has ended when its run has, and was waited for: the system
    keeps one that nobody waits for."""
    started: list[Any] = []
    start = multiprocessing.context.SpawnProcess.start

    def starting(process: Any) -> None:
        start(process)
        started.append(process)

    monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", starting)
    yield
    left = [process for process in started if not waited_for(process)]
    for process in left:  # or pytest would wait for it
        process.kill()
        process.join()
    assert not left


def waited_for(process: Any) -> bool:
    try:
        os.waitpid(process.pid, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("device.workers=1", "episodes=5000"), 1),
        (("device.workers=2", "episodes=1"), 2),
        (("device.workers=9", "episodes=1"), 3),  # no more than seeds
        (("episodes=167",), 3),  # 501 in all
        (("episodes=166",), 1),
        (("seed=[1,2]", "episodes=250"), 2),  # 500
        (("seed=[1,2]", "episodes=null", "steps=25000"), 2),  # 50,000
        (("episodes=null", "steps=17000"), 3),  # 51,000 in all
        (("episodes=null", "steps=16000"), 1),
        (("episodes=5000", "steps=16000"), 1),  # the nearer limit counts
    ],
)
def test_auto_starts_processes_where_a_run_is_long(compose, monkeypatch, overrides, expected):
    monkeypatch.setattr(workers, "cores", lambda: 4)
    config = compose(*SMALL[:-1], *overrides)
    assert workers.processes(config, "cpu") == expected


def test_auto_is_never_more_than_the_cores_and_one_on_a_gpu(compose, monkeypatch):
    monkeypatch.setattr(workers, "cores", lambda: 2)
    config = compose(*SMALL[:-1], "episodes=5000")
    assert workers.processes(config, "cpu") == 2
    assert workers.processes(config, "cuda") == 1


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("5000 100000", 1),
        ("900000 100000", 8),
        ("max 100000", 8),
        (None, 8),
    ],
)
def test_a_container_s_quota_limits_the_cores(monkeypatch, tmp_path: Path, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(workers, "QUOTA", tmp_path / "cpu.max")
    if quota:
        workers.QUOTA.write_text(f"{quota}\n", encoding="ascii")
    assert workers.cores() == expected


@pytest.mark.long
def test_how_seeds_are_shared_out_changes_no_byte(dqn_train, tmp_path: Path):
    for number in ("1", "2"):
        place = f"hydra.run.dir=by{number}"
        done = dqn_train(*SMALL, "episodes=6", f"device.workers={number}", place)
        assert (done.code, done.err) == (0, "")
    files = [p.relative_to(tmp_path / "by1") for p in (tmp_path / "by1").glob("[cs]*/*")]
    assert len(files) == 12  # scores, best, last and what to go on from of three seeds
    for file in files:
        assert (tmp_path / "by1" / file).read_bytes() == (tmp_path / "by2" / file).read_bytes()


@pytest.mark.long
def test_the_events_are_those_of_one_loop(compose, tmp_path: Path):
    (tmp_path / "checkpoints").mkdir()

    def told(source):
        events = list(source.run(tmp_path))
        rows = {}
        for event in events:
            if not isinstance(event, Tick):
                rows.setdefault(event.seed, []).append(type(event))
        return rows, sum(event.lane_steps for event in events if isinstance(event, Tick))

    config = compose(*SMALL[:-1], "episodes=6")
    shared = workers.Workers(config, build.loop(config), {}, 2)
    assert [share.seeds for share in shared.shares] == [[3, 2], [1]]
    ours, theirs = told(shared), told(workers.Alone(config, build.loop(config), {}))
    assert ours == theirs
    assert ours[0] == dict.fromkeys([3, 1, 2], [Episode] * 6 + [Finished, Saved])


@pytest.mark.long
def test_stopping_tells_what_is_known(compose, tmp_path: Path):
    (tmp_path / "checkpoints").mkdir()
    config = compose(*SMALL[:-1], "episodes=100000")
    shared = workers.Workers(config, build.loop(config), {}, 2)
    events = []
    for event in shared.run(tmp_path):
        events.append(event)
        if {event.seed for event in events if isinstance(event, Episode)} == {1, 2, 3}:
            shared.stop()
    assert {event.seed for event in events if isinstance(event, Finished)} == {1, 2, 3}
    assert {event.seed for event in events if isinstance(event, Episode)} == {1, 2, 3}


@pytest.mark.long
def test_stopping_before_they_have_started_stops_them(compose, tmp_path: Path):
    (tmp_path / "checkpoints").mkdir()
    config = compose(*SMALL[:-1], "episodes=100000")
    shared = workers.Workers(config, build.loop(config), {}, 2)
    shared.stop()
    steps = [event.step for event in shared.run(tmp_path) if isinstance(event, Finished)]
    assert len(steps) == 3 and max(steps) < 50_000


@pytest.mark.long
def test_a_signal_to_a_process_alone_is_not_for_it_to_follow(dqn_train, tmp_path, monkeypatch):
    """SIGTERM comes to single processes where memory is short, and Slurm sends SIGUSR2 to all
    processes of a job that nears its time limit; they are not done because of it."""
    run_ = workers.Workers.run

    def signalling(self, directory):
        for event in run_(self, directory):
            if isinstance(event, Episode) and event.episode == 3:
                for process, number in product(self.processes, STOPS):
                    os.kill(process.pid, number)
            yield event

    monkeypatch.setattr(workers.Workers, "run", signalling)
    assert dqn_train(*SMALL, "episodes=40", "device.workers=2").code == 0
    run = read_run(tmp_path / "run")
    assert [len(frame) for frame in run.scores.values()] == [40, 40, 40]


@pytest.mark.long
def test_a_process_that_is_killed_ends_the_run_and_what_was_written_stays(
    dqn_train, tmp_path: Path, monkeypatch
):
    run_ = workers.Workers.run
    killed = []

    def killing(self, directory):
        for event in run_(self, directory):
            if isinstance(event, Tick) and not killed:
                os.kill(self.processes[1].pid, signal.SIGKILL)
                killed.append(event)
            yield event

    monkeypatch.setattr(workers.Workers, "run", killing)
    done = dqn_train(*SMALL, "episodes=100000", "device.workers=2")
    line = "a worker process died, exit code -9 (out of memory?)"
    assert done.code == 1
    assert done.err == f"dqn-train: {line}; go on with: dqn-train resume={tmp_path}/run\n"
    run = read_run(tmp_path / "run")
    assert (run.summary["status"], run.summary["error"]) == ("failed", line)
    # the other process ended after its step, with all that it takes to go on
    assert {path.name for path in tmp_path.glob("run/checkpoints/*_resume.pt")} == {
        *("seed_3_resume.pt", "seed_2_resume.pt")
    }


@pytest.mark.long
def test_an_environment_that_raises_in_a_process_is_told_in_one_line(
    compose, tmp_path: Path, monkeypatch
):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "brittle.py").write_text(
        "import gymnasium\n"
        "class Brittle(gymnasium.envs.classic_control.CartPoleEnv):\n"
        "    def step(self, action):\n"
        "        raise OSError('the cart\\nis gone')\n"
        "gymnasium.register('Brittle-v0', Brittle)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = compose(*SMALL[:-1], "episodes=9", "env.id=Brittle-v0", "env.import=brittle")
    shared = workers.Workers(config, build.loop(config), {}, 2)
    with pytest.raises(RunError) as caught:
        list(shared.run(tmp_path))
    place, _, what = str(caught.value).partition(": ")
    assert place in {
        f"environment Brittle-v0 failed in seed {seed}, episode 1, step 1" for seed in (3, 1)
    }
    assert what == "OSError: the cart is gone"


@pytest.mark.long
def test_what_else_raises_in_a_process_is_told_with_its_place(compose, tmp_path: Path, monkeypatch):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "careless.py").write_text(
        "from dqn_cli.exploration.constant import Constant\n"
        "class Exploration(Constant):\n"
        "    def epsilon(self, step, episode):\n"
        "        if step > 5: raise OSError('nobody\\nexplores')\n"
        "        return super().epsilon(step, episode)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine = ("exploration=constant", "exploration._target_=careless.Exploration")
    config = compose(*SMALL[:-1], "episodes=9", *mine)
    shared = workers.Workers(config, build.loop(config), {}, 2)
    with pytest.raises(RuntimeError) as caught:
        list(shared.run(tmp_path))
    assert str(caught.value) == "nobody explores"
    assert "careless.py" in caught.value.__notes__[0]


@pytest.mark.long
def test_a_run_that_nobody_listens_to_any_more_is_ended(compose, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    config = compose(*SMALL[:-1], "episodes=100000")
    shared = workers.Workers(config, build.loop(config), {}, 2)
    events = shared.run(tmp_path)
    next(events)
    events.close()
    assert [process.exitcode for process in shared.processes] == [-signal.SIGKILL] * 2


@pytest.mark.long
def test_a_process_that_does_not_end_is_not_waited_for_long(
    compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread of an environment's, say, that goes on after all seeds are done."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "clinging.py").write_text(
        "import multiprocessing, threading, time\n"
        "if multiprocessing.parent_process() is not None:\n"
        "    threading.Thread(target=time.sleep, args=(90,)).start()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(workers, "ENDING_SECONDS", 0.2)
    config = compose(*SMALL[:-1], "episodes=1", "env.import=clinging")
    shared = workers.Workers(config, build.loop(config), {}, 2)
    seeds = []
    for event in shared.run(tmp_path):
        if isinstance(event, Finished):
            seeds.append(event.seed)
        ended = time.monotonic()
    assert sorted(seeds) == [1, 2, 3]
    assert time.monotonic() - ended < 60  # and not ninety seconds
    assert [process.exitcode for process in shared.processes] == [-signal.SIGKILL] * 2


def test_the_first_failure_is_told_and_stops_the_other_processes(compose) -> None:
    config = compose(*SMALL[:-1])
    shared = workers.Workers(config, build.loop(config), {}, 2)
    here, there = multiprocessing.Pipe()
    shared.processes, shared.pipes = [None, None], [there]
    for line in ("first", "second"):
        shared.inbox.put(workers.Failure(line, None))
        shared.inbox.put(None)
    with pytest.raises(StopIteration) as ended:
        next(shared._received())
    assert ended.value.value == workers.Failure("first", None)
    assert here.poll() and here.recv() == "stop"


def test_seconds_of_processes_side_by_side_are_shares_of_the_run_s(compose) -> None:
    config = compose(*SMALL[:-1])
    shared = workers.Workers(config, build.loop(config), {}, 2)
    shared.processes = [None, None]
    for message in (Tick([1], 256, 256, 3.0), None, Tick([2], 256, 256, 5.0), None):
        shared.inbox.put(message)
    assert [event.seconds for event in shared._received()] == [1.5, 2.5]  # 4 s of both together
