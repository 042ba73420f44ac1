import numpy as np
import pytest

from dqn_cli.exploration.linear import Linear

EPISODE = np.array([3, 1])


@pytest.mark.parametrize(
    ("step", "epsilon"),
    # 1 - 0.9 * step / 200
    [(0, 1.0), (1, 0.9955), (50, 0.775), (100, 0.55), (199, 0.1045), (200, 0.1), (201, 0.1)],
)
def test_epsilon_unit(step: int, epsilon: float) -> None:
    """Trap: an epsilon counted in episodes, or always at its end. Both ends and between."""
    assert Linear(start=1.0, end=0.1, decay_steps=200).epsilon(step, EPISODE) == pytest.approx(
        epsilon
    )


def test_it_arrives_exactly_and_stays() -> None:
    linear = Linear(start=1.0, end=0.05, decay_steps=7)
    assert linear.epsilon(0, EPISODE) == 1.0
    assert {linear.epsilon(step, EPISODE) for step in (7, 8, 10**9)} == {0.05}


def test_it_never_rises_and_never_leaves_its_ends() -> None:
    linear = Linear(start=0.9, end=0.3, decay_steps=333)
    values = [linear.epsilon(step, EPISODE) for step in range(400)]
    assert values == sorted(values, reverse=True)
    assert (max(values), min(values)) == (0.9, 0.3)


def test_it_may_rise_where_end_is_above_start() -> None:
    assert Linear(start=0.0, end=1.0, decay_steps=4).epsilon(1, EPISODE) == 0.25


def test_it_is_a_function_of_the_step_alone() -> None:
    linear = Linear(start=1.0, end=0.1, decay_steps=100)
    first = [linear.epsilon(step, EPISODE) for step in range(300)]
    assert [linear.epsilon(step, EPISODE) for step in reversed(range(300))] == first[::-1]
