"""What a sweep shows of its jobs."""

from types import SimpleNamespace

import pytest

from dqn_cli.logger import jobs
from dqn_cli.logger.jobs import Jobs


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_jobs_are_lines_where_there_is_no_terminal(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = Jobs(4, live=True)
    sweep.start(0, "gamma=0.9")
    clock.now += 60
    sweep.finish("score 187 [92, 500]")
    sweep.start(1, "gamma=2")
    clock.now += 1
    sweep.fail("gamma=2: too large")
    sweep.start(2, "gamma=0.8")
    clock.now += 30
    sweep.finish("")
    sweep.start(3, "gamma=0.7")
    assert capsys.readouterr().out.splitlines() == [
        "job 1/4  gamma=0.9  starts",
        "job 1/4  gamma=0.9  finished in 0:01:00  score 187 [92, 500]",
        "job 2/4  gamma=2  starts  1 done  0:03:00 left",
        "job 2/4  gamma=2  failed: gamma=2: too large",
        "job 3/4  gamma=0.8  starts  1 done  1 failed  0:02:00 left",
        "job 3/4  gamma=0.8  finished in 0:00:30",
        "job 4/4  gamma=0.7  starts  2 done  1 failed  0:00:45 left",
    ]


def test_a_job_that_knows_of_itself_alone_says_so(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Jobs(None, live=False)
    job.start(6, "")
    job.finish("score 3")
    assert capsys.readouterr().out == "job 7  starts\njob 7  finished in 0:00:00  score 3\n"
    assert job.fraction(0.5) is None and job.left(0.5) == ""


def test_the_time_left_counts_the_job_that_runs(clock: Clock) -> None:
    sweep = Jobs(3, live=True)
    sweep.start(0, "x=1")
    clock.now += 10
    assert sweep.left(0.0) == ""
    assert sweep.left(0.5) == "0:00:50 left"  # 20 s a job, and two and a half to go
    assert sweep.fraction(0.5) == pytest.approx(1 / 6)


def test_a_job_that_is_left_to_others_takes_no_time(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = Jobs(3, live=False)
    sweep.start(0, "x=1")
    clock.now += 10
    sweep.finish("")
    sweep.start(1, "x=2", "goes on")
    sweep.leave("another process has it")
    sweep.start(2, "x=3")
    assert capsys.readouterr().out.splitlines()[2:] == [
        "job 2/3  x=2  goes on  1 done  0:00:20 left",
        "job 2/3  x=2  left: another process has it",
        "job 3/3  x=3  starts  1 done  0:00:10 left",
    ]


@pytest.mark.parametrize(
    ("room", "text"),
    [
        (80, "job 1/2  algo=ddqn buffer=per network=dueling  0:00:15 left"),
        (50, "job 1/2  algo=ddqn buffer=per net...  0:00:15 left"),
        (10, "job 1/2  algo=ddqn...  0:00:15 left"),
    ],
)
def test_overrides_are_cut_where_there_is_little_room(clock: Clock, room: int, text: str) -> None:
    sweep = Jobs(2, live=True)
    sweep.start(0, "algo=ddqn buffer=per network=dueling")
    clock.now += 5
    assert sweep.text(0.5, room) == text
