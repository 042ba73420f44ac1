"""Which saved lanes a run of a configuration can continue."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dqn_cli.config import BadInput
from dqn_cli.events import Tick
from dqn_cli.saving import resume
from dqn_cli.training import build
from dqn_cli.training.fits import check_lane

pytestmark = pytest.mark.usefixtures("undrawn")
SMALL = (
    *("network.hidden=[9]", "learning_starts=30", "batch_size=16", "eval.episodes=2"),
    *("hydra.run.dir=run", "checkpoint.every_seconds=1e-9"),  # at every tick
)


def test_a_checkpoint_of_another_seed_or_environment_is_refused(compose) -> None:
    """CartPole has the actions 0 and 1."""
    config = compose(*SMALL[:-2], "seed=1", "episodes=90")
    loop, probe = build.loop(config), build.loop(config)
    for event in loop.run():
        if isinstance(event, Tick):
            break
    lane = loop.lane(0)
    assert len(lane.actions)
    resume._check(Path("x.pt"), lane, 1, partial(check_lane, probe))
    for other, words in (
        (lane._replace(seed=2), "it is of seed 2"),
        (lane._replace(actions=torch.full_like(lane.actions, 2)), "expected those of the env"),
        (lane._replace(actions=torch.full_like(lane.actions, -1)), "expected those of the env"),
        (lane._replace(obs=torch.zeros(3)), "obs: expected"),
    ):
        with pytest.raises(BadInput, match=rf"x.pt: not of the run's configuration: .*{words}"):
            resume._check(Path("x.pt"), other, 1, partial(check_lane, probe))


TENSORS = st.builds(
    lambda shape, kind, value: torch.full(shape, value).to(kind),
    st.lists(st.integers(0, 40), max_size=3).map(tuple),
    st.sampled_from([torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool]),
    st.sampled_from([0.0, 1.0, -1.0, 3.0, float("nan"), float("inf"), 1e30]),
)


def test_whatever_a_checkpoint_holds_it_is_taken_or_refused_in_one_line(compose) -> None:
    config = compose(*SMALL[:-2], "seed=1", "buffer=per", "buffer.capacity=300", "episodes=100")
    loop = build.loop(config)
    for event in loop.run():
        if isinstance(event, Tick):
            break
    whole = loop.lane(0)
    probe = build.loop(config)
    path = Path("seed_1_resume.pt")
    refused = 0

    def judge(name: str, value: torch.Tensor) -> None:
        nonlocal refused
        if name in whole.learner:
            lane = whole._replace(learner={**whole.learner, name: value})
        else:
            lane = whole._replace(**{name: value})
        try:
            resume._check(path, lane, 1, partial(check_lane, probe))
        except BadInput as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
        else:  # and then it can be gone on with
            probe.learner.learn(whole.step + 1)

    assert resume._check(path, whole, 1, partial(check_lane, probe)) is None
    for step in (0, whole.step + 1, 2**50):  # other rows, other counts
        with pytest.raises(BadInput):
            resume._check(path, whole._replace(step=step), 1, partial(check_lane, probe))
    names = st.sampled_from([*whole.learner, "obs", "actions"])
    run: Callable[[], None] = given(name=names, value=TENSORS)(judge)
    settings(max_examples=500, deadline=None)(run)()
    assert refused > 400
    for name, value in {**whole.learner}.items():
        judge(name, value)
