"""What a run shows of itself while it goes on."""

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from dqn_cli.events import Diverged, Episode, Evaluated, Finished, Rescoring, Tick
from dqn_cli.logger import jobs, progress
from dqn_cli.logger.jobs import Jobs
from dqn_cli.logger.progress import BESIDE, Display

JOB = Jobs(None, live=False)  # a job of a sweep, whose display shows nothing of its own


def episode(
    seed: int, number: int, step: int, score: float | None = None, return_: float = 0.0
) -> Episode:
    return Episode(seed, number, step, return_, 1, score, 0.1, None, None, 0, None)


def advance(display: Display, step: int, lane_steps: int, seeds: list[int]) -> None:
    """These seeds have done `step` env steps, all seeds together `lane_steps` since the start."""
    display.event(Tick(seeds, step, lane_steps - display.lane_steps, 0.0))


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (progress, jobs):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.mark.parametrize(
    ("limits", "fraction"),
    [
        ((10, None), 0.3),  # (5 + 1) / 2 of 10 episodes
        ((None, 100), 0.4),  # (60 + 20) / 2 of 100 steps
        ((10, 100), 0.4),  # the nearer limit of each: 60/100 and 20/100
        ((5, 100), 0.6),  # 5/5 and 20/100
    ],
)
def test_the_fraction_is_by_the_nearer_limit(
    limits: tuple[int | None, int | None], fraction: float
) -> None:
    display = Display([1, 2], limits, JOB, done={})
    assert display.fraction == 0
    display.event(episode(1, 5, 60))
    display.event(episode(2, 1, 20))
    assert display.fraction == pytest.approx(fraction)


def test_a_seed_that_is_done_stays_where_it_ended() -> None:
    display = Display([1, 2], (None, 100), JOB, done={})
    advance(display, 50, 100, [1, 2])
    advance(display, 80, 130, [2])
    assert display.fraction == pytest.approx((0.5 + 0.8) / 2)


def test_the_text_has_the_slowest_seed_and_the_spread_of_scores(clock: Clock) -> None:
    display = Display([0, 7], (10, None), JOB, done={})
    clock.now += 4
    advance(display, 600, 1200, [0, 7])
    assert display.text == "episode 0/10  1,200 steps  300 steps/s"
    display.event(episode(0, 3, 600, 20.0))
    assert display.text == "episode 0/10  1,200 steps  score 20  300 steps/s"
    display.event(episode(7, 2, 600, 1 / 3))
    assert display.text == "episode 2/10  1,200 steps  score 10.17 [0.3333, 20]  300 steps/s"
    display.event(episode(7, 3, 600))  # no evaluation: the last score stands
    assert display.text == "episode 3/10  1,200 steps  score 10.17 [0.3333, 20]  300 steps/s"


def test_without_a_limit_in_episodes_none_is_shown(clock: Clock) -> None:
    display = Display([1], (None, 2000), JOB, done={})
    clock.now += 1
    advance(display, 1000, 1000, [1])
    assert display.text == "episode 0  step 1,000/2,000  1,000 steps/s"


def test_a_limit_in_steps_is_shown_for_the_seed_furthest_behind(clock: Clock) -> None:
    display = Display([1, 2], (None, 2000), JOB, done={2: (3, 900)})
    clock.now += 1
    advance(display, 500, 500, [1])
    assert "step 500/2,000" in display.text
    assert "step 500/2,000" in display.short(80)
    display.event(Diverged(1, 500))
    assert "step 900/2,000" in display.text
    display.event(Diverged(2, 900))
    assert "step 2,000/2,000" in display.text


def test_the_time_left_is_in_proportion(clock: Clock) -> None:
    display = Display([1], (None, 1000), JOB, done={})
    clock.now += 60
    assert display.left == ""
    advance(display, 250, 250, [1])
    assert display.left == "0:03:00 left"


def test_plain_lines_come_every_ten_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    display = Display([1], (None, 1000), None, done={})
    for second in range(1, 26):
        clock.now = 100 + second
        advance(display, 10 * second, 10 * second, [1])
    display.close("finished")
    assert capsys.readouterr().out.splitlines() == [
        " 10 %  episode 0  step 100/1,000  10 steps/s  0:01:30 left",
        " 20 %  episode 0  step 200/1,000  10 steps/s  0:01:20 left",
    ]


def test_a_job_of_a_sweep_prints_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = Display([1], (None, 1000), JOB, done={})
    for second in range(1, 100):
        clock.now = 100 + second
        advance(display, 10 * second, 10 * second, [1])
    display.close("finished")
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    screen = Terminal()
    for module in (progress, jobs):
        monkeypatch.setattr(module, "sys", SimpleNamespace(stdout=screen))
    monkeypatch.setattr("builtins.print", lambda *parts, **_: screen.write(f"{parts[0]}\n"))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return screen


def shown(display: Display) -> Any:
    """What the bar of the run shows now."""
    assert display.bar is not None
    return display.bar.tasks[-1]


def test_a_terminal_has_a_bar(terminal: Terminal, clock: Clock) -> None:
    display = Display([1, 2], (None, 1000), None, done={})
    clock.now += 1
    advance(display, 250, 500, [1, 2])
    assert shown(display).percentage == 25
    assert shown(display).description == display.short(100 - BESIDE)
    display.close("finished")
    assert "25 %" in terminal.getvalue() and "step 250/1,000" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")  # nothing of it stays on the line


@pytest.mark.parametrize(
    ("room", "text"),
    [
        (120, "ep 120  step 12,345/50,000  score 187 [92, 282]  9,876 steps/s  0:03:49 left"),
        (76, "ep 120  step 12,345/50,000  score 187 [92, 282]  9,876 steps/s  0:03:49 left"),
        (75, "ep 120  step 12,345/50,000  score 187  9,876 steps/s  0:03:49 left"),
        (65, "ep 120  step 12,345/50,000  score 187  0:03:49 left"),
        (50, "step 12,345/50,000  score 187  0:03:49 left"),
        (40, "score 187  0:03:49 left"),
        (20, "0:03:49 left"),
        (5, "0:03:49 left"),
    ],
)
def test_a_narrow_terminal_is_spared_what_matters_least(clock: Clock, room: int, text: str) -> None:
    display = Display([1, 2], (None, 50_000), JOB, done={})
    clock.now += 75
    for seed, score in ((1, 92.0), (2, 282.0)):
        display.event(episode(seed, 120, 12_345, score))
    display.event(Tick([1, 2], 12_345, 24_690, 72.5))
    assert display.short(room) == text


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120])
def test_a_bar_stays_on_its_line(
    terminal: Terminal, clock: Clock, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    display = Display([1, 2], (1000, None), None, done={})
    clock.now += 100
    for seed in (1, 2):
        display.event(episode(seed, 250, 12345, 123.4 + seed))
    advance(display, 12345, 24690, [1, 2])
    assert display.bar is not None
    drawn = io.StringIO()
    Console(file=drawn, width=columns, color_system=None).print(display.bar.get_renderable())
    display.close("finished")
    (line,) = drawn.getvalue().splitlines()
    assert len(line) <= columns
    assert " 25 %" in line and ("left" in line or columns < 40)


def test_without_scores_the_return_is_shown(clock: Clock) -> None:
    display = Display([1, 2], (None, 1000), JOB, done={})
    clock.now += 1
    display.event(episode(1, 1, 20, return_=20.0))
    assert "  return 20  " in display.text
    display.event(episode(2, 1, 30, return_=30.0))
    assert "  return 25 [20, 30]  " in display.text
    assert display.outcome == "return 25 [20, 30]"
    display.event(episode(1, 2, 40, score=15.0, return_=20.0))
    assert "  score 15  " in display.text and "return" not in display.text


def test_a_job_of_a_sweep_has_the_sweep_above_it(terminal: Terminal, clock: Clock) -> None:
    sweep = Jobs(4, live=True)
    sweep.start(0, "gamma=0.9")
    clock.now += 10
    sweep.finish("score 3")
    sweep.start(1, "gamma=0.8")
    display = Display([1], (None, 1000), sweep, done={})
    assert display.bar is not None
    clock.now += 5
    advance(display, 500, 500, [1])
    above, own = display.bar.tasks
    assert above.percentage == 37.5
    assert above.description == "job 2/4  gamma=0.8  1 done  0:00:25 left"
    assert own.percentage == 50
    assert own.description == "ep 0  step 500/1,000  100 steps/s  0:00:05 left"
    display.close("finished")


def test_a_sweep_of_unknown_length_has_no_percentage(terminal: Terminal, clock: Clock) -> None:
    sweep = Jobs(None, live=True)
    sweep.start(6, "gamma=0.9")
    display = Display([1], (None, 1000), sweep, done={})
    clock.now += 5
    advance(display, 500, 500, [1])
    display.close("finished")
    assert "job 7  gamma=0.9" in terminal.getvalue()
    assert "50 %" in terminal.getvalue() and " 0 %" not in terminal.getvalue().split("job 7")[-1]


def test_a_job_in_another_process_has_none(terminal: Terminal) -> None:
    display = Display([1], (None, 1000), JOB, done={})
    advance(display, 250, 250, [1])
    display.close("finished")
    assert terminal.getvalue() == ""


def test_what_is_left_is_in_proportion_to_what_was_done_here(clock) -> None:
    display = Display([1, 2], (100, None), JOB, done={1: (50, 600), 2: (70, 900)})
    assert display.fraction == pytest.approx(0.6)
    assert display.left == ""
    clock.now += 10
    for seed in (1, 2):
        display.event(episode(seed, 80, 1000))
    assert display.left == "0:00:10 left"


def test_a_seed_that_diverged_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display([1, 2], (100, None), None, done={})
    display.event(episode(1, 50, 700))
    display.event(Diverged(2, 640))
    assert display.fraction == pytest.approx(0.75)
    assert capsys.readouterr().out == (
        "seed 2 diverged: its loss or Q-values are not finite (step 640)\n"
    )


def test_a_seed_that_had_diverged_before_counts_for_no_progress_of_this_run(clock: Clock) -> None:
    done = {1: (50, 600), 2: (20, 200)}
    display = Display([1, 2], (100, None), JOB, done=done, over=[2])
    assert display.fraction == pytest.approx(0.75)
    assert display.left == ""
    clock.now += 10
    display.event(episode(1, 75, 900))
    assert display.left == "0:00:10 left"


def test_an_evaluation_shows_its_score_and_a_finished_seed_its_steps() -> None:
    display = Display([1], (None, 100), JOB, done={})
    display.event(Evaluated(1, 50, 3, 12.5, 0, None, extra=False))
    assert "score 12.5" in display.text
    display.event(Finished(1, 75, np.zeros(1, np.float32)))
    assert display.fraction == 0.75


def test_the_bar_says_that_the_best_networks_are_played(terminal: Terminal, clock: Clock) -> None:
    display = Display([1], (10, None), None, done={})
    display.event(Rescoring(100))
    assert shown(display).description == "best networks: 100 fresh episodes of each"
    assert shown(display).percentage == 100
    display.close("finished")
