import numpy as np
import pytest

from dqn_cli.exploration.constant import Constant

EPISODE = np.array([3, 1])


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0])
def test_epsilon_stays_where_it_is(epsilon: float) -> None:
    assert {Constant(start=epsilon).epsilon(step, EPISODE) for step in (0, 1, 1000, 10**9)} == {
        epsilon
    }
