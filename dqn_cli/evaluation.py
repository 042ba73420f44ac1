"""Greedy episodes in environments of their own, seeded by (run seed, training episode, number).

Nothing here draws from a stream of training, so scores can be taken often, seldom or later, and
training is the same to the byte.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.events import Episode, RunError
from dqn_cli.seeding import episode_seed
from dqn_cli.state import Best
from dqn_cli.types import EnvError, EnvMaker, Envs, Network

WAITING = 32  # snapshots evaluated together


class Evaluation(NamedTuple):
    """When greedy episodes are played, and how many; never, if both periods are None."""

    every_episodes: int | None
    every_steps: int | None
    episodes: int

    def due(self, episode: int, step: int, length: int) -> bool:
        """Whether the episode that ended at `step` is followed by an evaluation.

        A period in steps is due at the end of the episode in which its multiple was reached.
        """
        by_episode = self.every_episodes is not None and episode % self.every_episodes == 0
        by_step = (
            self.every_steps is not None
            and step // self.every_steps > (step - length) // self.every_steps
        )
        return by_episode or by_step


class Scorer:
    """Holds back the episodes that ended until enough snapshots can be evaluated together."""

    def __init__(self, env: EnvMaker, network: Network, evaluation: Evaluation) -> None:
        self.env_id = env.id
        self.envs = env.make(WAITING * evaluation.episodes)
        self.network = network
        self.numbers = range(evaluation.episodes)
        self.waiting: list[tuple[Episode, Tensor | None]] = []  # with a snapshot if it is evaluated
        self.best: dict[int, Best] = {}  # of every seed that has a score
        self.seconds = 0.0  # spent here

    def tell(self, least: int = 1, together: int = WAITING) -> Iterator[Episode]:
        """The episodes held back, in order and scored, until fewer than `least` are left.

        RunError if an environment fails; the episodes evaluated `together` are then still held.
        """
        while len(self.waiting) >= least:
            scores = self._scores(self.waiting[:together])
            for score in scores:
                event, params = self.waiting.pop(0)
                yield event._replace(score=score, best=self._if_best(event, score, params))

    def _if_best(
        self, event: Episode, score: float | None, params: Tensor | None
    ) -> NDArray[np.float32] | None:
        best = self.best.get(event.seed)
        if score is None or params is None or (best is not None and score <= best.score):
            return None
        self.best[event.seed] = Best(score, event.episode, event.step, params.cpu().numpy())
        return self.best[event.seed].params

    def _scores(self, waiting: list[tuple[Episode, Tensor | None]]) -> list[float | None]:
        """The mean greedy return of the parameters that each episode ended with."""
        due = [(event, params) for event, params in waiting if params is not None]
        if not due:
            return [None] * len(waiting)
        started = time.perf_counter()
        seeds = [evaluation_seeds(event.seed, event.episode, self.numbers) for event, _ in due]
        params = torch.stack([params for _, params in due])
        try:
            returns = greedy_returns(self.network, params, self.envs, seeds).mean(axis=-1)
        except EnvError as error:
            event, _ = due[error.row // len(self.numbers)]
            raise RunError(
                f"environment {self.env_id} failed in the evaluation of seed {event.seed} "
                f"after episode {event.episode}, step {event.step}: {error}"
            ) from error
        self.seconds += time.perf_counter() - started
        found = iter(returns.tolist())
        return [None if params is None else next(found) for _, params in waiting]


def evaluation_seeds(seed: int, episode: int, episodes: range) -> list[int]:
    """Environment seeds of the greedy episodes after training episode `episode` of run `seed`."""
    return [episode_seed(seed, "eval", episode, number) for number in episodes]


def greedy_returns(
    network: Network,
    params: Tensor,
    envs: Envs,
    seeds: Sequence[Sequence[int]],
    watch: Callable[[Envs], None] | None = None,
) -> NDArray[np.float64]:
    """Undiscounted returns [K, E] of E greedy episodes for each of K networks params [K, P].

    `envs` has at least K * E rows; episode seeds[k][e] is played in row k * E + e. Networks whose
    episodes are over leave; the E rows of a network stay together, so that the shape its
    Q-values are computed in, and with it every bit of them, is the same in any company.
    `watch` is called before every step while the first episode lasts.
    """
    networks, episodes = len(seeds), len(seeds[0])
    returns = np.zeros((networks, episodes))
    open_ = np.ones((networks, episodes), np.bool_)
    first = [
        [envs.reset(k * episodes + e, seed) for e, seed in enumerate(row)]
        for k, row in enumerate(seeds)
    ]
    obs = np.asarray(first)  # [K, E, *obs]
    playing, playing_params = np.arange(networks), params
    while len(playing):
        if watch is not None and open_[0, 0]:
            watch(envs)
        with torch.no_grad():
            rows = torch.from_numpy(obs[playing]).to(params.device)
            actions = network(playing_params, rows).argmax(-1).cpu().numpy()  # [playing, E]
        where = np.nonzero(open_[playing])
        k, e = playing[where[0]], where[1]
        next_obs, reward, terminated, truncated = envs.step(k * episodes + e, actions[where])
        obs[k, e] = next_obs
        returns[k, e] += reward
        open_[k, e] = ~(terminated | truncated)
        still = open_[playing].any(axis=-1)
        if not still.all():
            playing = playing[still]
            playing_params = params[torch.from_numpy(playing).to(params.device)]
    return returns
