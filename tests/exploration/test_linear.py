import numpy as np
import pytest

from dqn_cli.exploration.linear import Linear

EPISODE = np.array([3, 1])


def made(start: float, end: float, decay_steps: int, delay_steps: int = 0) -> Linear:
    return Linear(start=start, end=end, decay_steps=decay_steps, delay_steps=delay_steps)


@pytest.mark.parametrize(
    ("step", "epsilon"),
    # 1 - 0.9 * step / 200
    [(0, 1.0), (1, 0.9955), (50, 0.775), (100, 0.55), (199, 0.1045), (200, 0.1), (201, 0.1)],
)
def test_epsilon_unit(step: int, epsilon: float) -> None:
    """Trap: an epsilon counted in episodes, or always at its end. Both ends and between."""
    assert made(1.0, 0.1, 200).epsilon(step, EPISODE) == pytest.approx(epsilon)


def test_it_arrives_exactly_and_stays() -> None:
    linear = made(1.0, 0.05, 7)
    assert linear.epsilon(0, EPISODE) == 1.0
    assert {linear.epsilon(step, EPISODE) for step in (7, 8, 10**9)} == {0.05}


def test_it_never_rises_and_never_leaves_its_ends() -> None:
    linear = made(0.9, 0.3, 333)
    values = [linear.epsilon(step, EPISODE) for step in range(400)]
    assert values == sorted(values, reverse=True)
    assert (max(values), min(values)) == (0.9, 0.3)


def test_it_may_rise_where_end_is_above_start() -> None:
    assert made(0.0, 1.0, 4).epsilon(1, EPISODE) == 0.25


def test_it_is_a_function_of_the_step_alone() -> None:
    linear = made(1.0, 0.1, 100)
    first = [linear.epsilon(step, EPISODE) for step in range(300)]
    assert [linear.epsilon(step, EPISODE) for step in reversed(range(300))] == first[::-1]


@pytest.mark.parametrize(
    ("step", "epsilon"), [(0, 1.0), (5000, 1.0), (5001, 0.999991), (55_000, 0.55), (105_000, 0.1)]
)
def test_it_begins_to_fall_after_a_delay(step: int, epsilon: float) -> None:
    """Trap: epsilon that falls while replay is filled, or that is cut off instead of delayed. As
    Young and Tian (2019) have it: 1 - 0.9 * (step - 5000) / 100000."""
    linear = made(1.0, 0.1, 100_000, delay_steps=5000)
    assert linear.epsilon(step, EPISODE) == pytest.approx(epsilon)
