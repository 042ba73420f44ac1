import math

import numpy as np
import pytest

from dqn_cli.exploration.exponential import Exponential

EPISODE = np.array([3, 1])


@pytest.mark.parametrize(
    ("step", "epsilon"),
    # 0.2 + 0.8 * e^(-step / 100); half of the way at 100 ln 2 = 69.3
    [(0, 1.0), (100, 0.2 + 0.8 / math.e), (69.314718, 0.6), (200, 0.3082682), (10**9, 0.2)],
)
def test_epsilon_unit(step: float, epsilon: float) -> None:
    """Trap: an epsilon counted in episodes, or always at its end. Both ends and between."""
    exponential = Exponential(start=1.0, end=0.2, decay_steps=100)
    assert exponential.epsilon(step, EPISODE) == pytest.approx(epsilon)


def test_it_begins_exactly_never_rises_and_never_falls_below_its_end() -> None:
    exponential = Exponential(start=1.0, end=0.3, decay_steps=50)
    values = [exponential.epsilon(step, EPISODE) for step in range(0, 5000, 7)]
    assert values[0] == 1.0
    assert values == sorted(values, reverse=True)
    assert min(values) >= 0.3


def test_it_is_a_function_of_the_step_alone() -> None:
    exponential = Exponential(start=1.0, end=0.1, decay_steps=100)
    first = [exponential.epsilon(step, EPISODE) for step in range(300)]
    assert [exponential.epsilon(step, EPISODE) for step in reversed(range(300))] == first[::-1]
