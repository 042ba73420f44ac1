"""Whether a saved lane is one that a run of this configuration can continue."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from dqn_cli.config import Config
from dqn_cli.state import Lane, stack, take
from dqn_cli.training import build
from dqn_cli.training.loop import Loop


def fits(config: Config) -> Callable[[Lane], None]:
    """Build a loop of one seed, and return a check that raises ValueError for a lane which that
    loop cannot continue. BadInput if the loop cannot be built."""
    return partial(check_lane, build.loop(config.model_copy(update={"seed": config.seeds[:1]})))


def check_lane(probe: Loop, lane: Lane) -> None:
    """ValueError if the lane's actions, observations, parameters or learner are not of the kind and
    shape that the probe's are. The probe's learner is overwritten."""
    space, width = probe.env.space, probe.learner.online.shape[1]
    played = [(lane.actions, lane.obs)]
    if lane.known is not None:
        played.append((lane.known.actions, lane.known.obs))
    networks = [params for _, params in lane.waiting if params is not None]
    if lane.best is not None:
        networks.append(torch.from_numpy(lane.best.params))
    for actions, obs in played:
        if ((actions < 0) | (actions >= space.actions)).any():
            raise ValueError("actions: expected those of the environment")
        take({"obs": obs}, "obs", space.obs_shape, torch.as_tensor(probe.obs).dtype)
    if any(len(params) != width for params in networks):
        raise ValueError(f"best, waiting: expected {width} parameters")
    probe.learner.load([lane.seed], stack([lane.learner]), lane.step, [lane.rows])
