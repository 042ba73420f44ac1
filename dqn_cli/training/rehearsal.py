"""A new run's parts and the first steps of its environment, tried together before it begins."""

from __future__ import annotations

import numpy as np

from dqn_cli.config import BadInput, Config
from dqn_cli.training import build
from dqn_cli.training.loop import Loop
from dqn_cli.types import Advises, EnvError


def rehearsed(config: Config, loop: Loop) -> list[str]:
    """Notes on what the first steps of the environment show, for it and for the algorithm; and on a
    network and an exploration that both explore. BadInput if the environment fails in these steps,
    or the storage cannot keep them: training would begin with their like."""
    env, learner, exploration = loop.env, loop.learner, loop.exploring.exploration
    try:
        rehearsal = env.rehearse()
    except EnvError as error:
        raise BadInput(f"environment {env.id} failed in its first steps: {error}") from error
    if rehearsal.steps:
        offers = build.on_offer(config, env, learner.kernels) | {
            "seeds": config.seeds[:1],
            "atoms": learner.algo.atoms or 1,
            "params": learner.online[:1],
        }
        storage = build.stored(config, len(rehearsal.steps), offers)
        try:
            for step in rehearsal.steps:
                storage.add(step)
        except ValueError as error:
            raise BadInput(str(error)) from error
    notes = list(rehearsal.notes)
    if isinstance(learner.algo, Advises):
        notes += learner.algo.notes(rehearsal.rewards)
    noise, epsilon = learner.network.noise(1), exploration.epsilon(0, np.ones(1, np.int64))
    if noise is not None and noise.normal and (epsilon is None or np.any(epsilon > 0)):
        notes.append(
            "network: it explores by its own noise, and the exploration adds random actions; "
            "exploration=greedy adds none"
        )
    return notes
