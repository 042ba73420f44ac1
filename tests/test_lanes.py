"""Seeds are an axis: a seed's files are the same bytes alone, in company, evaluated or not."""

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_limits

from dqn_cli import build
from dqn_cli.events import Episode, Finished

SMALL = ("network.hidden=[33,17]", "episodes=9", "learning_starts=30", "batch_size=32")
ROOMS = {
    "plain": (),
    "all at once": ("algo=ddqn", "buffer=per", "network=dueling", "target=polyak"),
    "clipped adam": ("optimizer=adam", "grad_clip_norm=1", "loss=huber", "update_every=3"),
    "bounded replay": ("buffer=per", "buffer.capacity=90", "target.every_steps=7"),
    "by rank": (
        *(
            "buffer=per_rank",
            "buffer.capacity=90",
            "buffer.sort_every_updates=5",
            "network=dueling",
        ),
        *("network.aggregate=max", "exploration=geometric", "buffer.normalize=buffer"),
    ),
    "fitted": ("algo=nfq", "update_every=32", "updates=3", "batch_size=32", "grad_clip_value=0.1"),
    "bytes": ("env=gridworld", "+env.kwargs.max_episode_steps=40", "reduction=sum"),
    "three numbers": ("env.id=Acrobot-v1", "+env.kwargs.max_episode_steps=40", "target=polyak"),
}


@pytest.fixture
def two_threads() -> Iterator[None]:
    """A run sets its threads for the whole process; the other tests get one back."""
    yield
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")


def told(compose, *overrides: str) -> dict[int, list[object]]:
    """Everything a run tells of each seed: rows, and the bits of the parameters it ends with."""
    loop = build.loop(compose(*SMALL, *overrides))
    seeds: dict[int, list[object]] = {seed: [] for seed in loop.seeds}
    for event in loop.run():
        match event:
            case Episode():
                seeds[event.seed].append(tuple(event.row.items()))
            case Finished():
                bits = hashlib.sha256(event.params.tobytes()).hexdigest()
                seeds[event.seed].append((event.step, bits))
    return seeds


@pytest.mark.parametrize("rooms", ROOMS.values(), ids=ROOMS)
def test_a_lane_in_company_is_the_same_seed_alone(compose, rooms):
    alone = told(compose, "seed=41", *rooms)[41]
    pair = told(compose, "seed=[8,41]", *rooms)
    many = told(compose, "seed=[1,2,3,41,5,6,0]", *rooms)

    assert len(alone) == 10  # nine episodes and the end
    assert alone == pair[41] == many[41]
    assert len({str(rows) for rows in many.values()}) == 7  # and no two seeds are the same


@pytest.mark.parametrize("exploration", ["linear", "geometric"])
def test_epsilon_is_that_of_the_last_action_s_step_and_of_the_lane_s_own_episode(
    compose, exploration: str
) -> None:
    """Of the step before it, counted from 0, and of the episode, from 1: both from the rows."""
    for rows in told(compose, "seed=[1,2,3]", f"exploration={exploration}").values():
        for row in rows[:-1]:
            values = dict(row)
            expected = {
                "linear": 1 - 0.95 * (values["step"] - 1) / 10000,
                "geometric": 0.995 ** (values["episode"] - 1),
            }
            assert values["epsilon"] == pytest.approx(expected[exploration], rel=1e-12)


@pytest.mark.long
def test_it_is_the_same_on_two_threads_too(compose, two_threads):
    wide = ("network.hidden=[512,300]", "grad_clip_norm=1", "device.threads=2", "episodes=3")
    alone = told(compose, *wide, "seed=41")[41]
    assert alone == told(compose, *wide, "seed=[1,2,41,5]")[41]


def test_a_rerun_is_the_same(compose):
    assert told(compose, "seed=[3,4]") == told(compose, "seed=[3,4]")


def test_a_seed_that_is_done_leaves_and_the_others_go_on(compose):
    seeds = told(compose, "seed=[1,2,3]")
    steps = [rows[-1][0] for rows in seeds.values()]

    assert len(set(steps)) == 3  # they ended at different env steps
    assert all(len(rows) == 10 for rows in seeds.values())


def test_evaluation_does_not_touch_training(compose):
    def training(seeds):
        return {
            seed: [[cell for cell in row if cell[0] != "score"] for row in rows[:-1]] + rows[-1:]
            for seed, rows in seeds.items()
        }

    every = told(compose, "seed=[1,2]")
    seldom = told(compose, "seed=[1,2]", "eval.every_episodes=4", "eval.episodes=3")
    never = told(compose, "seed=[1,2]", "eval.every_episodes=null")

    assert training(every) == training(seldom) == training(never)
    scores = [dict(row)["score"] for row in never[1][:-1]]
    assert scores == [None] * 9


def test_a_longer_run_begins_as_the_shorter_one(compose):
    short = told(compose, "seed=[1,2]")
    long = told(compose, "seed=[1,2]", "episodes=12")
    for seed in (1, 2):
        assert long[seed][:9] == short[seed][:9]


def test_evaluating_by_steps_scores_the_episode_in_which_a_multiple_was_reached(compose):
    rows = told(compose, "seed=5", "eval.every_episodes=null", "eval.every_steps=50")[5][:-1]
    steps = [0, *(dict(row)["step"] for row in rows)]
    due = [after // 50 > before // 50 for before, after in pairwise(steps)]

    assert [dict(row)["score"] is not None for row in rows] == due
    assert any(due) and not all(due)


def test_a_limit_in_steps_ends_every_seed_there(compose, tmp_path: Path):
    seeds = told(compose, "seed=[1,2]", "episodes=null", "steps=120")
    assert [rows[-1][0] for rows in seeds.values()] == [120, 120]
    assert all(dict(row)["step"] <= 120 for rows in seeds.values() for row in rows[:-1])


def test_the_best_score_starts_below_every_score(compose):
    """Acrobot's returns are negative: a best score that starts at -1 or 0 would never be saved."""
    loop = build.loop(compose(*SMALL, *ROOMS["three numbers"], "seed=[1,2]", "episodes=3"))
    episodes = [event for event in loop.run() if isinstance(event, Episode)]

    first = [event for event in episodes if event.episode == 1]
    assert all(event.score < 0 and event.best is not None for event in first)
    for event in episodes:
        earlier = [e.score for e in episodes if e.seed == event.seed and e.episode < event.episode]
        assert (event.best is not None) == all(event.score > score for score in earlier)
