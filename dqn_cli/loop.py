"""The run: environment -> action -> replay -> learner, for all seeds in step with each other.

`Loop.run` is a generator of plain events. Files, progress and plots are made by whoever
iterates, and nothing they do can change the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dqn_cli.evaluation import WAITING, Evaluation, Scorer
from dqn_cli.events import Diverged, Episode, Event, Finished, RunError, Tick
from dqn_cli.learner import Learner
from dqn_cli.seeding import Uniforms, episode_seed
from dqn_cli.state import Lane, stack
from dqn_cli.types import EnvError, EnvMaker, Exploration, Network, Step

TICK = 256  # env steps between signs of life


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
        self.lane_steps = 0  # of all seeds, since the last tick
        self.draws = Uniforms(seeds, "explore", (2,))
        self.scorer = Scorer(env, network, evaluation)
        self.later: list[Lane] = []  # seeds taken up that wait for the others to come to their step
        self.stopping = False

        self.envs = env.make(len(seeds))
        self.row = {seed: row for row, seed in enumerate(seeds)}  # the environment it plays in
        self.episode = np.ones(len(seeds), np.int64)  # number of the open episode, from 1
        self.returns = np.zeros(len(seeds))
        self.lengths = np.zeros(len(seeds), np.int64)  # 0: it is yet to begin
        self.beginning = True  # some are
        self.actions = np.zeros((len(seeds), 64), np.int64)  # of the open episode [S, T]
        self.obs = np.zeros((len(seeds), *env.space.obs_shape), env.space.obs_dtype)
        self._index()

    def _index(self) -> None:
        self.lanes = np.arange(len(self.seeds))
        self.rows = np.array([self.row[seed] for seed in self.seeds], np.int64)

    def stop(self) -> None:
        """End after the present step."""
        self.stopping = True

    @torch.inference_mode()
    def run(self, due: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Until every seed is finished or `stop` is called; then everything is closed.

        Where `due` says so, no episode is held back at the next tick. RunError if an environment
        fails, once everything known so far has been told.
        """
        failure: RunError | None = None
        try:
            while (self.seeds or self.later) and not self.stopping:
                yield from self._step(due)
        except RunError as error:
            failure = error
        for together in (WAITING, 1):  # if an evaluation fails, one by one up to the one that does
            try:
                yield from self.scorer.tell(together=together)
            except RunError as error:
                failure = failure or error
        for lane in self.lanes.tolist():
            yield self._finished(lane)
        self._keep([])
        self.envs.close()
        self.scorer.envs.close()
        yield self._tick()
        if failure is not None:
            raise failure

    def _step(self, due: Callable[[], bool]) -> Iterator[Event]:
        """One env step of every lane, and what is to be told of it."""
        if self.later:
            self._join()
        if self.beginning:
            for lane in np.flatnonzero(self.lengths == 0).tolist():
                self._reset(lane)
            self.beginning = False
        epsilon = np.broadcast_to(self.exploration(self.step, self.episode), self.episode.shape)
        ended = self._advance(epsilon)
        diverged = [lane for lane in ended if not self._end_episode(lane, float(epsilon[lane]))]
        if self.step % TICK == 0:
            diverged += [i for i, finite in enumerate(self.learner.finite()) if not finite]
        if len(self.scorer.waiting) >= WAITING:
            yield from self.scorer.tell(least=WAITING)
        if self.step == self.limits[1]:
            done = self.lanes.tolist()
        else:
            done = [lane for lane in ended if self.episode[lane] - 1 == self.limits[0]]
        if done or diverged:
            yield from self.scorer.tell()
            for lane in diverged:
                yield Diverged(self.seeds[lane], self.step)
            for lane in sorted(set(done) - set(diverged)):
                yield self._finished(lane)
            self._keep([lane for lane in self.lanes.tolist() if lane not in {*done, *diverged}])
        if self.step % TICK == 0:
            if due():
                yield from self.scorer.tell()
            yield self._tick()

    def _advance(self, epsilon: NDArray[np.float64]) -> list[int]:
        """One env step of every lane and what is learned from it; the lanes whose episode ended."""
        chance, choice = self.draws.at(self.step).T
        action = (choice * self.env.space.actions).astype(np.int64)
        greedy = chance >= epsilon
        if greedy.any():
            action[greedy] = self.learner.act(torch.from_numpy(self.obs)).numpy()[greedy]
        try:
            next_obs, reward, terminated, truncated = self.envs.step(self.rows, action)
        except EnvError as error:
            raise self._located(error) from error
        self.learner.buffer.add(Step(self.obs, action, reward, next_obs, terminated))
        self.step += 1
        self.lane_steps += len(self.seeds)
        self.learner.learn(self.step)
        self.obs = next_obs
        try:
            self.actions[self.lanes, self.lengths] = action
        except IndexError:  # longer than any episode so far
            self.actions = np.concatenate([self.actions, np.zeros_like(self.actions)], axis=1)
            self.actions[self.lanes, self.lengths] = action
        self.returns += reward
        self.lengths += 1
        return [int(lane) for lane in np.flatnonzero(terminated | truncated)]

    def _reset(self, lane: int) -> None:
        seed = episode_seed(self.seeds[lane], "env", int(self.episode[lane]))
        try:
            self.obs[lane] = self.envs.reset(int(self.rows[lane]), seed)
        except EnvError as error:
            raise self._located(error) from error

    def _located(self, error: EnvError) -> RunError:
        lane = self.rows.tolist().index(error.row)
        return RunError(
            f"environment {self.env.id} failed in seed {self.seeds[lane]}, "
            f"episode {self.episode[lane]}, step {self.step + 1}: {error}"
        )

    def _end_episode(self, lane: int, epsilon: float) -> bool:
        """Whether the lane may go on: its losses and Q-values are numbers."""
        loss, q = self.learner.report(lane)
        finite = loss is None or q is None or (math.isfinite(loss) and math.isfinite(q))
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
        due = finite and self.evaluation.due(event.episode, event.step, event.length)
        self.scorer.waiting.append((event, self.learner.online[lane].clone() if due else None))
        self.episode[lane] += 1
        self.returns[lane] = self.lengths[lane] = 0
        self.beginning = True
        return finite

    def _finished(self, lane: int) -> Finished:
        return Finished(self.seeds[lane], self.step, self.learner.online[lane].cpu().numpy().copy())

    def _tick(self) -> Tick:
        told = Tick(self.seeds, self.step, self.lane_steps, self.scorer.seconds)
        self.lane_steps, self.scorer.seconds = 0, 0.0
        return told

    def _keep(self, lanes: Sequence[int]) -> None:
        chosen = list(lanes)
        self.seeds = [self.seeds[lane] for lane in chosen]
        self.episode = self.episode[chosen]
        self.returns = self.returns[chosen]
        self.lengths = self.lengths[chosen]
        self.actions = self.actions[chosen]
        self.obs = self.obs[chosen]
        self.draws.keep(chosen)
        self.learner.keep(chosen)
        self._index()

    # A run taken up again: its seeds may have come to different steps. The one furthest behind
    # begins, and each of the others joins where it belongs.

    def lane(self, lane: int) -> Lane:
        """All of a lane, between two steps; partly views of what changes with the next one."""
        seed, length = self.seeds[lane], int(self.lengths[lane])
        return Lane(
            seed,
            int(self.episode[lane]) - 1,
            self.step,
            self.scorer.best.get(seed),
            torch.from_numpy(self.actions[lane, :length]),
            torch.from_numpy(self.obs[lane]),
            self.learner.state(lane),
        )

    def take_up(self, lanes: Sequence[Lane]) -> None:
        """These seeds go on from where they were."""
        self.later = sorted(lanes, key=lambda lane: lane.step)
        taken = {lane.seed for lane in lanes}
        self._keep([i for i, seed in enumerate(self.seeds) if seed not in taken])
        self.scorer.best |= {lane.seed: lane.best for lane in lanes if lane.best is not None}

    def _join(self) -> None:
        if self.seeds and self.later[0].step > self.step:
            return
        self.step = self.later[0].step
        joining = [lane for lane in self.later if lane.step == self.step]
        rebuilt = [self._rebuild(lane) for lane in joining]  # nothing has changed if this fails
        self.later = self.later[len(joining) :]
        lanes = [self.lane(lane) for lane in self.lanes.tolist()] + joining
        states = stack([lane.learner for lane in lanes])
        self.learner.load([lane.seed for lane in lanes], states, self.step)

        longest = max(len(lane.actions) for lane in lanes)
        self.actions = np.zeros((len(lanes), max(longest, 64)), np.int64)
        for row, lane in zip(self.actions, lanes, strict=True):
            row[: len(lane.actions)] = lane.actions
        self.seeds += [lane.seed for lane in joining]
        self.draws = Uniforms(self.seeds, "explore", (2,))
        self.episode = np.append(self.episode, [lane.episode + 1 for lane in joining])
        self.lengths = np.append(self.lengths, [len(lane.actions) for lane in joining])
        self.returns = np.append(self.returns, [total for total, _ in rebuilt])
        self.obs = np.concatenate([self.obs, np.stack([obs for _, obs in rebuilt])])
        self.beginning = True
        self._index()

    def _rebuild(self, lane: Lane) -> tuple[float, NDArray[Any]]:
        """The open episode's return and observation: an episode is a function of seed, number and
        actions."""
        row, total, obs, ended = self.row[lane.seed], 0.0, lane.obs.numpy(), False
        try:
            if len(lane.actions):
                seed = episode_seed(lane.seed, "env", lane.episode + 1)
                obs = self.envs.reset(row, seed)
            for action in lane.actions.numpy()[:, None]:
                told = self.envs.step(np.array([row]), action)
                obs, total = told[0][0], total + float(told[1][0])
                ended |= bool(told[2][0] | told[3][0])
        except EnvError as error:
            raise RunError(
                f"environment {self.env.id} failed as episode {lane.episode + 1} of seed "
                f"{lane.seed} was played again: {error}"
            ) from error
        if ended or obs.tobytes() != lane.obs.numpy().tobytes():
            raise RunError(
                f"environment {self.env.id} did not repeat itself in seed {lane.seed}, episode "
                f"{lane.episode + 1}: the same seed and actions led elsewhere, so the run cannot "
                "go on to the same scores"
            )
        return total, obs
