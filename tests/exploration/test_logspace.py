import numpy as np
import pytest

from dqn_cli.exploration.logspace import Logspace

EPISODE = np.ones(1, np.int64)


@pytest.mark.parametrize(
    ("step", "epsilon"),
    # the published schedule, 1 -> 0.3 over 20000 steps, at the places its notes tell of
    [(0, 1.0), (1000, 0.855), (5000, 0.517), (10000, 0.364), (19999, 0.3), (10**9, 0.3)],
)
def test_epsilon_unit(step: int, epsilon: float) -> None:
    """Trap: an epsilon counted in episodes, or always at its end. Both ends and between."""
    logspace = Logspace(start=1.0, end=0.3, decay_steps=20000)
    assert logspace.epsilon(step, EPISODE) == pytest.approx(epsilon, abs=5e-4)


def test_it_is_numpy_s_logspace_from_one_to_a_hundredth() -> None:
    """(10^x - 0.01) / 0.99 for evenly spaced x from 0 to -2."""
    logspace = Logspace(start=0.8, end=0.1, decay_steps=50)
    expected = 0.1 + 0.7 * (np.logspace(0, -2, 50) - 0.01) / 0.99
    got = [logspace.epsilon(step, EPISODE) for step in range(60)]
    np.testing.assert_allclose(got, [*expected, *[0.1] * 10], rtol=1e-12)
    assert got[0] == 0.8
    assert got[49:] == [0.1] * 11


def test_a_schedule_of_one_step_is_at_its_end() -> None:
    assert Logspace(start=1.0, end=0.2, decay_steps=1).epsilon(0, EPISODE) == 0.2
