"""Seeds are an axis: a seed's files are the same bytes alone, in company, evaluated or not."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from dqn_cli.events import Episode, Evaluated, Finished
from dqn_cli.saving.checkpoint import dump_lane
from dqn_cli.training import build
from dqn_cli.training.evaluation import evaluation_seeds, greedy_returns

SMALL = ("network.hidden=[33,17]", "episodes=9", "learning_starts=30", "batch_size=32")
SMALL = (*SMALL, "eval.diagnose_every=2")
ROOMS = {
    "plain": (),
    "all at once": ("algo=ddqn", "buffer=per", "network=dueling", "target=polyak"),
    "clipped adam": ("optimizer=adam", "grad_clip_norm=1", "algo.loss=huber", "update_every=3"),
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


class Continuing(gymnasium.Env):
    """Worth 1 a step, for ever."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.ones(1, np.float32), 1.0, False, False, {}


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
                diagnosis = event.diagnosis and event.diagnosis._asdict()
                seeds[event.seed].append((*event.row.items(), ("diagnosis", diagnosis)))
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


def test_what_is_saved_of_a_seed_is_the_same_alone_and_after_another_has_left(compose) -> None:
    """To the last array, but for what waits for its score: that is told when a seed leaves."""

    @torch.no_grad()
    def after(step: int, seeds: str) -> dict[int, bytes]:
        loop = build.loop(compose(*SMALL, "buffer=per", f"seed={seeds}"))
        while loop.step < step:
            list(loop._step())
        lanes = {seed: loop.lane(place) for place, seed in enumerate(loop.seeds)}
        assert all(lane.known is not None for lane in lanes.values())
        return {s: dump_lane(e._replace(waiting=[], best=None)) for s, e in lanes.items()}

    ends = {seed: rows[-1][0] for seed, rows in told(compose, "seed=[1,2,3]").items()}
    first, *others = sorted(ends, key=ends.__getitem__)  # those behind it move up
    step = ends[first]
    company = after(step, f"[{first},{others[1]},{others[0]}]")
    assert set(company) == set(others)
    for seed, saved in company.items():
        assert saved == after(step, str(seed))[seed]


def test_evaluation_does_not_touch_training(compose):
    scored = ("score", "diagnosis")

    def training(seeds):
        return {
            seed: [[cell for cell in row if cell[0] not in scored] for row in rows[:-1]] + rows[-1:]
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


STEPS = ("eval.every_episodes=null", "eval.episodes=2")


def evaluations(compose, *overrides: str) -> dict[int, list[Evaluated]]:
    """The evaluations by step of each seed."""
    loop = build.loop(compose(*SMALL, *STEPS, *overrides))
    found: dict[int, list[Evaluated]] = {seed: [] for seed in loop.seeds}
    for event in loop.run():
        if isinstance(event, Evaluated):
            found[event.seed].append(event._replace(best=None))
    return found


def test_evaluating_by_steps_scores_the_network_of_that_very_step(compose) -> None:
    """The score at a step is that of the network with which a run of so many steps ends."""
    limits = ("episodes=null", "steps=170", "eval.every_steps=50", "seed=[1,2]")
    found = evaluations(compose, *limits)
    config = compose(*SMALL, *STEPS, *limits)
    every = build.evaluation(config)
    for seed in (1, 2):
        assert [(e.step, e.extra) for e in found[seed]] == [
            (50, False),
            (100, False),
            (150, False),
            (170, True),
        ]
        for event in found[seed]:
            loop = build.loop(
                compose(*SMALL, "episodes=null", f"steps={event.step}", f"seed={seed}")
            )
            end = next(e for e in loop.run() if isinstance(e, Finished))
            envs = loop.env.make(every.episodes)
            seeds = [evaluation_seeds(seed, event.step, range(every.episodes))]
            params = torch.from_numpy(end.params)[None]
            played = greedy_returns(
                loop.exploring.greedy, params, envs, seeds, every.limit(loop.env)
            )
            assert played is not None and played.returns.mean() == event.score
    rows = told(compose, *STEPS, *limits)
    done = [sum(dict(row)["step"] <= 100 for row in rows[1][:-1])]
    assert [found[1][1].episode] == done  # training episodes done by then


def test_evaluating_by_steps_changes_no_byte_and_is_the_same_in_company(compose) -> None:
    limits = ("episodes=null", "steps=170")
    seldom = (*limits, "eval.every_episodes=null")
    often = (*limits, *STEPS, "eval.every_steps=7")
    assert told(compose, "seed=[1,2]", *seldom) == told(compose, "seed=[1,2]", *often)
    alone = evaluations(compose, *often, "seed=2")[2]
    assert len(alone) == 170 // 7 + 1
    assert evaluations(compose, *often, "seed=[1,2,3]")[2] == alone


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        (("episodes=null", "steps=100", "eval.every_steps=50"), [50, 100]),  # once, at the end
        (("episodes=null", "steps=100", "eval.every_steps=500"), [100]),
        (("episodes=null", "steps=100"), []),  # no evaluation at all
        (("episodes=null", "steps=30", "eval.every_episodes=1000"), [30]),
        (("episodes=3", "eval.every_episodes=3"), []),  # the last episode's row has the score
        (("episodes=3", "eval.every_episodes=2"), ["the end"]),
        (("episodes=3", "eval.every_steps=100000"), ["the end"]),
    ],
)
def test_the_end_is_always_scored(compose, overrides, steps) -> None:
    for events in evaluations(compose, *overrides, "seed=[1,2]").values():
        if steps == ["the end"]:
            assert [(event.episode, event.extra) for event in events] == [(3, True)]
        else:
            assert [event.step for event in events] == steps


def test_a_continuing_environment_is_scored(compose) -> None:
    """Which has no end that an evaluation could wait for."""
    gymnasium.register("dqn_cli_tests/Continuing-v0", Continuing)
    try:
        events = evaluations(
            compose,
            *("env.id=dqn_cli_tests/Continuing-v0", "eval.max_steps=11", "eval.every_steps=40"),
            *("episodes=null", "steps=100", "seed=1"),
        )[1]
    finally:
        gymnasium.registry.pop("dqn_cli_tests/Continuing-v0")
    assert [(e.step, e.score, e.cut) for e in events] == [(n, 11.0, 2) for n in (40, 80, 100)]


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
        assert (event.best is not None) == all(event.score >= score for score in earlier)
