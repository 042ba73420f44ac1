"""Who gives up a run: what is asked, when, and that it does not depend on who comes first."""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest

from dqn_cli.config import Config
from dqn_cli.events import Diverged, Episode, Evaluated, Event
from dqn_cli.results.objective import Objective
from dqn_cli.training.judge import LOOKS, Judge


@pytest.fixture
def config(compose) -> Config:
    return compose("seed=[1,2]", "episodes=null", "steps=100")


def scored(seed: int, step: int, score: float) -> Evaluated:
    return Evaluated(seed, step, 1, score, 0, None, False)


def episode(seed: int, number: int, step: int, score: float | None) -> Episode:
    return Episode(seed, number, step, 1.0, 5, score, None, None, None, 0, None)


FINAL = Objective()


def asked(config: Config, events: list[Event], objective: Objective = FINAL) -> list:
    told: list[tuple[int, float]] = []
    judge = Judge(config, objective, lambda *look: told.append(look) or False)  # type: ignore[func-returns-value]
    assert not any(judge.gives_up(event) for event in events)
    return told


def test_it_asks_once_all_seeds_have_come_there_in_whatever_order(config: Config) -> None:
    """At 5 % of a run there is nothing yet; at 10, 15 % and so on the mean of what there is."""
    seeds = [[scored(s, step, s * step) for step in (10, 20, 30)] for s in (1, 2)]
    orders = {
        tuple(asked(config, [event for s in order for event in seeds[s]]))
        for order in permutations(range(2))
    }
    mixed = [event for pair in zip(*seeds, strict=True) for event in pair]
    assert (
        orders
        == {tuple(asked(config, mixed))}
        == {((10, 15.0), (15, 15.0), (20, 30.0), (25, 30.0), (30, 45.0))}
    )


def test_scores_by_episode_count_where_the_steps_are(compose) -> None:
    """Trials of long episodes and of short ones are compared after equal parts of their runs."""
    config = compose("seed=1", "episodes=null", "steps=100")
    short = [episode(1, n, 5 * n, float(n)) for n in range(1, 5)]
    assert asked(config, [*short]) == [(5, 1.0), (10, 2.0), (15, 3.0), (20, 4.0)]
    assert asked(config, [episode(1, 1, 20, 7.0)]) == [(20, 7.0)]
    by_episodes = compose("seed=1", "episodes=20", "steps=null")
    assert [percent for percent, _ in asked(by_episodes, [*short])] == [5, 10, 15, 20]


def test_a_run_that_is_over_is_not_asked_about(compose) -> None:
    config = compose("seed=1", "episodes=null", "steps=100")
    assert asked(config, [scored(1, 50, 1.0), scored(1, 100, 2.0)])[-1][0] == 50
    assert list(LOOKS)[-1] == 95


def test_a_seed_that_diverged_counts_as_the_lowest_and_holds_up_nobody(config: Config) -> None:
    events = [scored(1, 50, 80.0), scored(2, 10, 10.0), Diverged(2, 12), scored(1, 60, 80.0)]
    assert asked(config, events)[-1] == (60, (80 + 10) / 2)


def test_it_says_once_that_a_run_is_given_up(config: Config) -> None:
    judge = Judge(config, Objective(), lambda percent, value: percent >= 30)
    events = [scored(s, step, 1.0) for step in range(10, 100, 10) for s in (1, 2)]
    assert [judge.gives_up(event) for event in events].count(True) == 1
    assert judge.percent == 30


def test_it_knows_the_rows_of_a_run_that_goes_on(
    compose, make: Callable[..., Path], tmp_path: Path
) -> None:
    """As if it had seen them: rows at steps 10, 20, ... 300 of 1000, of score 2 * step + seed."""
    config = compose("seed=[1,2]", "episodes=null", "steps=1000")
    make(tmp_path / "run")
    told: list[tuple[int, float]] = []
    judge = Judge(config, Objective("auc"), lambda *look: told.append(look) or False)  # type: ignore[func-returns-value]
    judge.recall(tmp_path / "run")
    assert not told
    judge.gives_up(scored(1, 310, 0.0))
    assert [percent for percent, _ in told] == [5, 10, 15, 20, 25, 30]
    before = asked(
        config,
        [episode(s, n, 10 * n, 20.0 * n + s) for n in range(1, 31) for s in (1, 2)],
        Objective("auc"),
    )
    assert told == before
