from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dqn_cli.cli.plot import main as plot
from dqn_cli.exploration.boltzmann import Boltzmann
from dqn_cli.results.reader import read_run

EPISODE = np.array([3, 1])


def constant(temperature: float) -> Boltzmann:
    return Boltzmann(start=temperature, end=temperature, decay_steps=1)


def acts(part: Boltzmann, q: list[float], uniform: np.ndarray, step: int = 0) -> np.ndarray:
    """The actions of as many lanes as there are numbers, all of the same Q-values."""
    lanes = np.tile(np.float32(q), (len(uniform), 1))
    both = np.stack([uniform, np.full(len(uniform), np.nan)], axis=-1)  # it needs one number
    return part.act(lambda: lanes, len(q), both, step, np.ones(len(uniform), np.int64))


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("q", [[1.0, 2.0, 0.0], [0.0, 0.0], [-3.0], [1e4, 1e4 + 1, 1e4 - 2]])
def test_actions_come_as_often_as_softmax_has_them(q: list[float], temperature: float) -> None:
    """Counted over an even grid of numbers, which an action's share of [0, 1) cuts out of."""
    n = 10_000
    chosen = acts(constant(temperature), q, (np.arange(n) + 0.5) / n)
    assert chosen.dtype == np.int64
    weight = np.exp((np.array(q) - max(q)) / temperature)
    expected = weight / weight.sum()
    np.testing.assert_allclose(np.bincount(chosen, minlength=len(q)) / n, expected, atol=2 / n)


def test_by_hand() -> None:
    """Q = (0, log 2), temperature 1: 1/3 and 2/3."""
    numbers = np.array([0.0, 0.33, 0.34, 0.999])
    assert acts(constant(1.0), [0.0, np.log(2)], numbers).tolist() == [0, 0, 1, 1]


def test_the_temperature_is_in_the_units_of_the_return() -> None:
    """Trap: Q times the temperature. Q = (0, 1) at 0.01 is e^100 to 1, at 100 nearly even."""
    grid = (np.arange(1000) + 0.5) / 1000
    assert acts(constant(0.01), [0.0, 1.0], grid).mean() == 1.0
    assert acts(constant(100.0), [0.0, 1.0], grid).mean() == pytest.approx(0.5025, abs=1e-3)


def test_the_temperature_falls_on_a_line() -> None:
    """From 2 to 1 over 100 steps: 1.5 at 50, 1 from 100 on; P(1) = 1 / (1 + e^(-1 / t))."""
    part, grid = Boltzmann(start=2.0, end=1.0, decay_steps=100), (np.arange(10_000) + 0.5) / 10_000
    for step, temperature in [(0, 2.0), (50, 1.5), (100, 1.0), (10**9, 1.0)]:
        share = acts(part, [0.0, 1.0], grid, step).mean()
        assert share == pytest.approx(1 / (1 + np.exp(-1 / temperature)), abs=2e-4)


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
@pytest.mark.parametrize(
    ("q", "possible"),
    [
        ([-1e6, 0.0, -1e6], {1}),
        ([0.0, -1e6, 0.0], {0, 2}),
        ([3e38, -3e38], {0}),
        ([0.1] * 18, set(range(18))),
        ([np.nan, 1.0], {0, 1}),  # it diverges, and is seen to
        ([np.inf, 1.0], {0, 1}),
    ],
)
def test_no_action_without_probability_and_none_too_many(q, possible, uniform: float) -> None:
    with np.errstate(invalid="ignore"):  # as a run has it
        assert set(acts(constant(1e-3), q, np.array([uniform])).tolist()) <= possible


def test_a_lane_acts_as_it_would_alone() -> None:
    draws = np.random.default_rng(0)
    for actions in (2, 3, 7, 18):
        q = draws.standard_normal((5, actions)).astype(np.float32)
        uniform = draws.random((5, 2))
        part, ones = constant(0.5), np.ones(5, np.int64)
        many = part.act(lambda q=q: q, actions, uniform, 0, ones)
        for lane in range(5):
            one = slice(lane, lane + 1)
            alone = part.act(lambda q=q, one=one: q[one], actions, uniform[one], 0, ones[one])
            assert alone[0] == many[lane]


def test_a_run_has_no_epsilon_and_can_be_read_and_plotted(
    dqn_train: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cell is empty, and so the column may be."""
    assert constant(1.0).epsilon(0, EPISODE) is None
    done = dqn_train(
        *("exploration=boltzmann", "seed=[1,2]", "episodes=3", "network.hidden=[8]"),
        *("learning_starts=8", "batch_size=8", "hydra.run.dir=run", "eval.final_episodes=null"),
    )
    assert (done.code, done.err) == (0, "")
    header, *lines = (tmp_path / "run/scores/seed_1.csv").read_text().splitlines()
    column = header.split(",").index("epsilon")
    assert [line.split(",")[column] for line in lines] == [""] * 3
    run = read_run(tmp_path / "run")
    assert run.scores[1]["epsilon"].isna().all() and run.scores[1]["return"].notna().all()
    plot([str(tmp_path / "run"), "-o", str(tmp_path / "again.png")])
    assert (tmp_path / "again.png").stat().st_size > 0
