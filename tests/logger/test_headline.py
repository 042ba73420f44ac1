"""The first line of a run."""

import pytest

from dqn_cli.logger.headline import headline, listed

CHOICES = {
    **{"env": "cartpole", "algo": "ddqn", "buffer": "per", "network": "mlp"},
    **{"target": "hard", "optimizer": "adam"},
}


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        ([7], "seed 7"),
        ([1, 2], "2 seeds: 1, 2"),
        ([1, 2, 3, 4, 5], "5 seeds: 1-5"),
        ([12, 34, 56, 78, 90], "5 seeds: 12, 34, 56, 78, 90"),
        ([1, 2, 3, 9, 20, 21], "6 seeds: 1-3, 9, 20, 21"),
        ([1, 3, 5, 7, 9, 11], "6 seeds: 1, 3, 5, 7, ..."),
        ([3, 2, 1], "3 seeds: 3, 2, 1"),
    ],
)
def test_seeds_in_a_row_are_a_range_and_a_long_list_is_cut(seeds: list[int], text: str) -> None:
    assert listed(seeds) == text


def test_the_default_run_fits_a_terminal() -> None:
    choices = CHOICES | {"algo": "dqn", "buffer": "uniform"}
    line = headline("CartPole-v1", None, choices, [12, 34, 56, 78, 90], "cpu", "compiled", 0)
    assert line == ("CartPole-v1  dqn uniform mlp hard  5 seeds: 12, 34, 56, 78, 90  cpu, compiled")
    assert len(line) <= 80


def test_a_name_stands_for_the_choices() -> None:
    line = headline("CartPole-v1", "berta/dqn", CHOICES, [7], "cuda (NVIDIA H100)", "torch", 0)
    assert line == "CartPole-v1  berta/dqn  seed 7  cuda (NVIDIA H100), torch"


def test_a_name_stays_on_the_line() -> None:
    line = headline("CartPole-v1", "two\nlines" + "x" * 100, CHOICES, [7], "cpu", "compiled", 0)
    assert "\n" not in line and len(line) < 100


def test_a_run_without_known_choices_has_a_line_too() -> None:
    line = headline("Mine-v0", None, {}, [7], "cpu", "torch", 0)
    assert line == "Mine-v0  seed 7  cpu, torch"


@pytest.mark.parametrize(
    ("replay", "ending"),
    [(999_999_999, "cpu, torch"), (21_231_000_000, "cpu, torch  replay up to 21.2 GB")],
)
def test_much_memory_is_said_before_it_is_taken(replay: int, ending: str) -> None:
    assert headline("Mine-v0", None, {}, [7], "cpu", "torch", replay).endswith(ending)
