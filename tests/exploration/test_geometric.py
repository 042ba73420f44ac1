import numpy as np

from dqn_cli.exploration.geometric import Geometric


def test_epsilon_unit() -> None:
    """Trap: a factor applied every step. Each lane has the epsilon of its own episode: 1, a half, a
    quarter, and never less than a tenth."""
    geometric = Geometric(start=1.0, end=0.1, factor=0.5)
    episode = np.array([1, 2, 3, 5, 100])
    for step in (0, 7, 10**6):
        assert geometric.epsilon(step, episode).tolist() == [1.0, 0.5, 0.25, 0.1, 0.1]


def test_a_lane_has_the_same_bits_in_any_company() -> None:
    geometric = Geometric(start=0.97, end=0.001, factor=0.995)
    episode = np.arange(1, 700)
    together = geometric.epsilon(0, episode)
    alone = [geometric.epsilon(0, episode[[i]])[0] for i in range(len(episode))]
    assert together.tolist() == alone


def test_after_919_episodes_it_is_at_one_in_a_hundred() -> None:
    """0.995^918 = 0.01004 and 0.995^919 = 0.00999."""
    geometric = Geometric(start=1.0, end=0.01, factor=0.995)
    assert geometric.epsilon(0, np.array([919])) > 0.01
    assert geometric.epsilon(0, np.array([920])) == 0.01
