"""The run: environment -> action -> replay -> learner, for all seeds in step with each other.

`Loop.run` is a generator of plain events. Files, progress and plots are made by whoever
iterates, and nothing they do can change the run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.evaluation import evaluation_seeds, greedy_returns
from dqn_cli.learner import Learner
from dqn_cli.seeding import Uniforms, episode_seed
from dqn_cli.types import EnvMaker, Exploration, Network, Step

TICK = 256  # env steps between signs of life
WAITING = 32  # snapshots evaluated together


class Episode(NamedTuple):
    """A training episode that ended: the columns of scores/, as the run directory has them."""

    seed: int
    episode: int
    step: int
    return_: float
    length: int
    score: float | None
    epsilon: float
    loss: float | None
    q: float | None
    best: NDArray[np.float32] | None  # the lane's parameters [P] if no earlier score was as high

    @property
    def row(self) -> dict[str, int | float | None]:
        """Column -> value."""
        return {name.rstrip("_"): getattr(self, name) for name in self._fields[1:-1]}


class Finished(NamedTuple):
    """A seed that reached its limit, or was stopped, and the parameters [P] it ends with."""

    seed: int
    step: int
    params: NDArray[np.float32]


class Tick(NamedTuple):
    """A sign of life: these seeds have done `step` env steps each. Since the last one there were
    `lane_steps` of all together, and `seconds` went into evaluation."""

    seeds: list[int]
    step: int
    lane_steps: int
    seconds: float


Event = Episode | Finished | Tick


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


class Loop:
    """Trains `seeds` until each has done `episodes` episodes or `steps` env steps."""

    def __init__(
        self,
        seeds: Sequence[int],
        env: EnvMaker,
        network: Network,
        learner: Learner,
        exploration: Exploration,
        evaluation: Evaluation,
        *,
        episodes: int | None,
        steps: int | None,
    ) -> None:
        self.seeds = list(seeds)
        self.env = env
        self.network = network
        self.learner = learner
        self.exploration = exploration
        self.evaluation = evaluation
        self.limits = (episodes, steps)
        self.step = 0
        self.since_tick = [0, 0.0]  # env steps of all seeds, seconds of evaluation
        self.draws = Uniforms(seeds, "explore", (2,))
        self.waiting: list[tuple[Episode, Tensor | None]] = []  # with a snapshot if it is evaluated
        self.best = dict.fromkeys(seeds, -np.inf)

        self.envs = env.make(len(seeds))
        self.rows = np.arange(len(seeds))  # the environment each lane plays in
        self.score_envs = env.make(WAITING * evaluation.episodes)
        self.episode = np.ones(len(seeds), np.int64)  # number of the open episode, from 1
        self.returns = np.zeros(len(seeds))
        self.lengths = np.zeros(len(seeds), np.int64)
        self.obs = np.stack([self._reset(lane) for lane in range(len(seeds))])

    @torch.inference_mode()
    def run(self) -> Iterator[Event]:
        """Until every seed is finished; then everything is closed."""
        while self.seeds:
            epsilon = self.exploration(self.step)
            ended = self._advance(epsilon)
            leaving = []
            for lane in ended:
                yield from self._end_episode(lane, epsilon)
                if self.episode[lane] == self.limits[0]:
                    leaving.append(lane)
                else:
                    self.episode[lane] += 1
                    self.obs[lane] = self._reset(lane)
            if self.step == self.limits[1]:
                leaving = list(range(len(self.seeds)))
            if leaving:
                yield from self._leave(leaving)
            if self.step % TICK == 0:
                yield self._tick()
        self.close()
        yield self._tick()

    @torch.inference_mode()
    def stop(self) -> Iterator[Event]:
        """End early, with everything known so far told."""
        if self.seeds:
            yield from self._leave(list(range(len(self.seeds))))
            self.close()
            yield self._tick()

    def close(self) -> None:
        self.envs.close()
        self.score_envs.close()

    def _tick(self) -> Tick:
        lane_steps, seconds = self.since_tick
        self.since_tick = [0, 0.0]
        return Tick(self.seeds, self.step, int(lane_steps), seconds)

    def _advance(self, epsilon: float) -> list[int]:
        """One env step of every lane and what is learned from it; the lanes whose episode ended."""
        chance, choice = self.draws.at(self.step).T
        action = (choice * self.env.space.actions).astype(np.int64)
        greedy = chance >= epsilon
        if greedy.any():
            action[greedy] = self.learner.act(torch.from_numpy(self.obs)).numpy()[greedy]
        next_obs, reward, terminated, truncated = self.envs.step(self.rows, action)
        self.learner.buffer.add(Step(self.obs, action, reward, next_obs, terminated))
        self.step += 1
        self.since_tick[0] += len(self.seeds)
        self.learner.learn(self.step)
        self.obs = next_obs
        self.returns += reward
        self.lengths += 1
        return [int(lane) for lane in np.flatnonzero(terminated | truncated)]

    def _reset(self, lane: int) -> NDArray[Any]:
        self.returns[lane] = 0
        self.lengths[lane] = 0
        seed = episode_seed(self.seeds[lane], "env", int(self.episode[lane]))
        return self.envs.reset(int(self.rows[lane]), seed)

    def _end_episode(self, lane: int, epsilon: float) -> Iterator[Event]:
        loss, q = self.learner.report(lane)
        event = Episode(
            seed=self.seeds[lane],
            episode=int(self.episode[lane]),
            step=self.step,
            return_=float(self.returns[lane]),
            length=int(self.lengths[lane]),
            score=None,
            epsilon=epsilon,
            loss=loss,
            q=q,
            best=None,
        )
        due = self.evaluation.due(event.episode, event.step, event.length)
        self.waiting.append((event, self.learner.online[lane].clone() if due else None))
        if len(self.waiting) == WAITING:
            yield from self._tell()

    def _tell(self) -> Iterator[Event]:
        """Evaluate all snapshots that wait for it together, and tell their episodes in order."""
        scores = self._scores([(event, row) for event, row in self.waiting if row is not None])
        while self.waiting:
            event, params = self.waiting.pop(0)
            score = scores.get((event.seed, event.episode))
            best = None
            if params is not None and score is not None and score > self.best[event.seed]:
                self.best[event.seed] = score
                best = params.cpu().numpy()
            yield event._replace(score=score, best=best)

    def _scores(self, due: list[tuple[Episode, Tensor]]) -> dict[tuple[int, int], float]:
        """(seed, episode) -> mean greedy return of the parameters that the episode ended with."""
        if not due:
            return {}
        started = time.perf_counter()
        numbers = range(self.evaluation.episodes)
        seeds = [evaluation_seeds(event.seed, event.episode, numbers) for event, _ in due]
        params = torch.stack([params for _, params in due])
        returns = greedy_returns(self.network, params, self.score_envs, seeds).mean(axis=-1)
        self.since_tick[1] += time.perf_counter() - started
        return {
            (event.seed, event.episode): float(score)
            for (event, _), score in zip(due, returns, strict=True)
        }

    def _leave(self, leaving: list[int]) -> Iterator[Event]:
        yield from self._tell()
        for lane in leaving:
            params = self.learner.online[lane].cpu().numpy().copy()
            yield Finished(self.seeds[lane], self.step, params)
        lanes = [lane for lane in range(len(self.seeds)) if lane not in leaving]
        self.seeds = [self.seeds[lane] for lane in lanes]
        self.rows = self.rows[lanes]
        self.obs = self.obs[lanes]
        self.episode = self.episode[lanes]
        self.returns = self.returns[lanes]
        self.lengths = self.lengths[lanes]
        self.draws.keep(lanes)
        self.learner.keep(lanes)
