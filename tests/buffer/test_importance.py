import numpy as np
import pytest

from dqn_cli.buffer.importance import importance


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0, 2.0])
def test_weights_are_n_p_to_the_minus_beta_over_the_largest(beta: float) -> None:
    """As the paper writes it, with N = 5 rows; N is in both and cancels."""
    probability = np.array([[0.1, 0.2, 0.3, 0.15, 0.25]])
    largest = ((5 * probability) ** -beta).max()
    expected = (5 * probability) ** -beta / largest
    rarest = np.array([[0.1]])
    np.testing.assert_allclose(importance(probability, rarest, beta), expected, rtol=1e-12)


def test_the_least_probable_row_counts_most() -> None:
    """Trap: the sign. A tenth of the probability, ten times the weight."""
    weights = importance(np.array([[0.05, 0.5]]), np.array([[0.05]]), 1.0)
    assert weights[0] == pytest.approx([1.0, 0.1])


def test_each_lane_has_its_own_rarest_row() -> None:
    probability = np.array([[0.5, 0.25], [0.5, 0.125]])
    weights = importance(probability, probability.min(axis=-1, keepdims=True), 1.0)
    assert weights.tolist() == [[0.5, 1.0], [0.25, 1.0]]
