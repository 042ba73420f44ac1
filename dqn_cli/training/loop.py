"""The run: environment -> action -> replay -> learner, for all seeds in step with each other.

`Loop.run` is a generator of plain events. Loggers turn them into files, progress and plots, and
nothing that they do can change the run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dqn_cli.events import (
    Diagnosis,
    Diverged,
    Episode,
    Evaluated,
    Event,
    Finished,
    Note,
    RunError,
    Tick,
)
from dqn_cli.seeding import episode_seed
from dqn_cli.state import Known, Lane, Rows, stack
from dqn_cli.training.diagnosis import Diagnostics
from dqn_cli.training.evaluation import Evaluation, Scorer
from dqn_cli.training.learner import Learner
from dqn_cli.training.policy import Exploring
from dqn_cli.training.rejoin import Episodes
from dqn_cli.types import EnvError, EnvMaker, Step

TICK = 256  # env steps between signs of life
GRACE = 2.0  # seconds in which what waits for its score is still played after `stop`


class Loop:
    """Trains `seeds` until each has done `episodes` episodes or `steps` env steps. `autograd` lets
    parts use it. `notes` are what a user should know of how it was built."""

    def __init__(
        self,
        seeds: Sequence[int],
        env: EnvMaker,
        learner: Learner,
        exploring: Exploring,
        evaluation: Evaluation,
        *,
        episodes: int | None,
        steps: int | None,
        autograd: bool,
        notes: Sequence[str] = (),
    ) -> None:
        self.seeds = list(seeds)
        self.env = env
        self.learner = learner
        self.exploring = exploring
        self.evaluation = evaluation
        self.limits = (episodes, steps)
        self.autograd = autograd
        self.notes = list(notes)
        self.step = 0
        self.lane_steps = 0  # of all seeds, since the last tick
        self.later: list[Lane] = []  # seeds taken up that wait for the others to come to their step
        self.stopping = False
        self.patience_ends = math.inf  # when evaluations are given up

        self.envs = env.make(len(seeds))
        self.row = {seed: row for row, seed in enumerate(seeds)}  # the environment it plays in
        self.episodes = Episodes(env.id, self.envs, self.row)
        shared = (self.envs, self.row) if evaluation.envs == "shared" else None
        self.diagnostics = Diagnostics(learner) if evaluation.diagnose_every else None
        self.scorer = Scorer(env, exploring.greedy, evaluation, self._out_of_time, shared)
        self.episode = np.ones(len(seeds), np.int64)  # number of the open episode, from 1
        self.returns = np.zeros(len(seeds))
        self.lengths = np.zeros(len(seeds), np.int64)  # 0: it is yet to begin
        self.beginning = True  # some are
        self.actions = np.zeros((len(seeds), 64), np.int64)  # of the open episode [S, T]
        self.known: list[Known | None] = [None] * len(seeds)  # the episode before it
        self.obs = np.zeros((len(seeds), *env.space.obs_shape), env.space.obs_dtype)
        self._index()

    def _index(self) -> None:
        self.lanes = np.arange(len(self.seeds))
        self.rows = np.array([self.row[seed] for seed in self.seeds], np.int64)

    def stop(self) -> None:
        """End after the present step, and after an evaluation if it takes no longer than GRACE."""
        self.patience_ends = time.monotonic() + GRACE
        self.stopping = True

    def _out_of_time(self) -> bool:
        return self.stopping and time.monotonic() >= self.patience_ends

    def run(self) -> Iterator[Event]:
        """Until every seed is finished or `stop` is called; then everything is closed. What still
        waits for its score then is a part of the lanes' states.

        RunError if an environment fails, after the events up to there.
        """
        # Inference mode saves a sixth of the time of small networks, and forbids autograd.
        mode = torch.no_grad() if self.autograd else torch.inference_mode()
        yield from mode(self._run)()

    def _run(self) -> Iterator[Event]:
        failure: RunError | None = None
        try:
            while (self.seeds or self.later) and not self.stopping:
                yield from self._step()
        except RunError as error:
            failure = error
        for alone in (False, True):  # if an evaluation fails, one by one up to the one that does
            try:
                yield from self.scorer.tell(alone=alone)
            except RunError as error:
                failure = failure or error
        for lane in self.lanes.tolist():
            yield self._finished(lane)
        self._keep([])
        rows = dict.fromkeys([self.envs, self.scorer.envs])  # one and the same if they are shared
        for problem in dict.fromkeys(problem for row in rows for problem in row.close()):
            yield Note(f"environment {self.env.id}: {problem}")
        yield self._tick()
        if failure is not None:
            raise failure

    def _step(self) -> Iterator[Event]:
        """Do one env step of every lane; the events that come of it."""
        if self.later:
            self._join()
            if any(map(self._at_limit, self.lanes.tolist())):  # it had been stopped at its very end
                yield from self._leave([])
                return
        if self.beginning:
            for lane in np.flatnonzero(self.lengths == 0).tolist():
                self._reset(lane)
            self.beginning = False
        ended, diverged = self._advance(), []
        if ended:
            epsilon = self.exploring.exploration.epsilon(self.step - 1, self.episode)
            diverged = [lane for lane in ended if not self._end_episode(lane, epsilon)]
        if self.step % TICK == 0:
            diverged += [i for i, finite in enumerate(self.learner.finite()) if not finite]
        done = self.step == self.limits[1] or any(map(self._at_limit, ended))
        every = self.evaluation.every_steps
        due = every is not None and self.step % every == 0
        if done or due:
            self._evaluate(due, diverged)
        if self.scorer.ready():
            yield from self.scorer.tell(early=True)
        if done or diverged:
            yield from self._leave(diverged)
        if self.scorer.disturbed:
            self._restore()
        if self.step % TICK == 0:
            yield self._tick()

    def _at_limit(self, lane: int) -> bool:
        return self.step == self.limits[1] or self.episode[lane] - 1 == self.limits[0]

    def _evaluate(self, due: bool, diverged: Sequence[int]) -> None:
        """Have networks scored as they are after this step: all if it is `due`, else those at their
        limit, unless the end of an episode had it done."""
        for lane in self.lanes.tolist():
            seed = self.seeds[lane]
            scored = self.scorer.scored.get(seed) == self.step
            end = self.evaluation.on and self._at_limit(lane) and not scored
            if (due or end) and lane not in diverged:
                episodes = int(self.episode[lane]) - 1
                event = Evaluated(seed, self.step, episodes, None, 0, None, extra=not due)
                event = event._replace(diagnosis=self._diagnosis(lane))
                self.scorer.hold(event, self.learner.params(lane))

    def _diagnosis(self, lane: int) -> Diagnosis | None:
        if self.diagnostics is None:
            return None
        return self.diagnostics.take(lane, self.seeds[lane], self.step)

    def _leave(self, diverged: Sequence[int]) -> Iterator[Event]:
        """Drop the lanes that have diverged or are at their limit, after the events that wait."""
        yield from self.scorer.tell()
        if self.scorer.waiting:  # stopped: they will leave when the run is taken up again
            return
        done = [lane for lane in self.lanes.tolist() if self._at_limit(lane)]
        for lane in diverged:
            yield Diverged(self.seeds[lane], self.step)
        for lane in sorted(set(done) - set(diverged)):
            yield self._finished(lane)
        self._keep([lane for lane in self.lanes.tolist() if lane not in {*done, *diverged}])

    def _advance(self) -> list[int]:
        """One env step of every lane and what is learned from it; the lanes whose episode ended."""
        learner = self.learner
        action = self.exploring.act(learner.weights, self.obs, self.step, self.episode)
        try:
            next_obs, reward, terminated, truncated = self.envs.step(self.rows, action)
        except EnvError as error:
            raise self._located(error) from error
        worth, *ends = self.envs.learned or (reward, terminated, truncated)
        try:
            learner.replay.add(Step(self.obs, action, worth, next_obs, *ends))
        except ValueError as error:
            raise RunError(f"environment {self.env.id}, step {self.step + 1}: {error}") from error
        self.step += 1
        self.lane_steps += len(self.seeds)
        learner.learn(self.step)
        self.obs = next_obs
        try:
            self.actions[self.lanes, self.lengths] = action
        except IndexError:  # longer than any episode so far
            self.actions = np.concatenate([self.actions, np.zeros_like(self.actions)], axis=1)
            self.actions[self.lanes, self.lengths] = action
        self.returns += reward
        self.lengths += 1
        over = terminated | truncated
        return np.flatnonzero(over).tolist() if np.count_nonzero(over) else []

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

    def _end_episode(self, lane: int, epsilon: float | NDArray[np.float64] | None) -> bool:
        """Whether the lane may go on: its losses and Q-values are numbers."""
        loss, q = self.learner.report(lane)
        finite = loss is None or q is None or (math.isfinite(loss) and math.isfinite(q))
        chance = epsilon[lane] if isinstance(epsilon, np.ndarray) else epsilon
        event = Episode(
            seed=self.seeds[lane],
            episode=int(self.episode[lane]),
            step=self.step,
            return_=float(self.returns[lane]),
            length=int(self.lengths[lane]),
            score=None,
            epsilon=None if chance is None else float(chance),
            loss=loss,
            q=q,
            cut=0,
            best=None,
        )
        every = self.evaluation.every_episodes
        due = finite and every is not None and event.episode % every == 0
        if finite and self.evaluation.diagnoses(event.episode):
            event = event._replace(diagnosis=self._diagnosis(lane))
        self.scorer.hold(event, self.learner.params(lane) if due else None)
        actions = torch.from_numpy(self.actions[lane, : event.length].copy())
        self.known[lane] = Known(actions, torch.from_numpy(self.obs[lane].copy()), event.return_)
        self.episode[lane] += 1
        self.returns[lane] = self.lengths[lane] = 0
        self.beginning = True
        return finite

    def _finished(self, lane: int) -> Finished:
        params = self.learner.params(lane).cpu().numpy().copy()
        return Finished(self.seeds[lane], self.step, params)

    def _tick(self) -> Tick:
        tick = Tick(self.seeds, self.step, self.lane_steps, self.scorer.seconds)
        self.lane_steps, self.scorer.seconds = 0, 0.0
        return tick

    def _keep(self, lanes: Sequence[int]) -> None:
        chosen = list(lanes)
        self.seeds = [self.seeds[lane] for lane in chosen]
        self.episode = self.episode[chosen]
        self.returns = self.returns[chosen]
        self.lengths = self.lengths[chosen]
        self.actions = self.actions[chosen]
        self.known = [self.known[lane] for lane in chosen]
        self.obs = self.obs[chosen]
        self.exploring.keep(chosen)
        self.learner.keep(chosen)
        self._index()

    # A run taken up again: its seeds may have come to different steps. The one with the fewest
    # steps begins, and each of the others joins at its own step.

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
            self.known[lane],
            [held for held in self.scorer.waiting if held[0].seed == seed],
            self.learner.state(lane),
            self.rows_of(lane),
        )

    def rows_of(self, lane: int) -> Rows:
        """The rows of a lane's replay."""
        return self.learner.replay.storage.rows(lane)

    def take_up(self, lanes: Sequence[Lane]) -> None:
        """These seeds go on from where they were."""
        self.later = sorted(lanes, key=lambda lane: lane.step)
        for lane in self.later:
            over = lane.step == self.limits[1] or lane.episode == self.limits[0]
            for event, params in lane.waiting:
                if over or not (isinstance(event, Evaluated) and event.extra):
                    self.scorer.hold(event, params)
        taken = {lane.seed for lane in lanes}
        self._keep([i for i, seed in enumerate(self.seeds) if seed not in taken])
        self.scorer.best |= {lane.seed: lane.best for lane in lanes if lane.best is not None}

    def _join(self) -> None:
        if self.seeds and self.later[0].step > self.step:
            return
        self.step = self.later[0].step
        joining = [lane for lane in self.later if lane.step == self.step]
        rebuilt = [
            self.episodes.rebuild(lane) for lane in joining
        ]  # nothing has changed if this fails
        self.later = self.later[len(joining) :]
        lanes = [self.lane(lane) for lane in self.lanes.tolist()] + joining
        states = stack([lane.learner for lane in lanes])
        rows = [None] * len(self.seeds) + [lane.rows for lane in joining]
        self.learner.load([lane.seed for lane in lanes], states, self.step, rows)

        longest = max(len(lane.actions) for lane in lanes)
        self.actions = np.zeros((len(lanes), max(longest, 64)), np.int64)
        for row, lane in zip(self.actions, lanes, strict=True):
            row[: len(lane.actions)] = lane.actions
        self.seeds += [lane.seed for lane in joining]
        self.exploring.reseed(self.seeds)
        self.episode = np.append(self.episode, [lane.episode + 1 for lane in joining])
        self.lengths = np.append(self.lengths, [len(lane.actions) for lane in joining])
        self.returns = np.append(self.returns, [lane_return for lane_return, _ in rebuilt])
        self.obs = np.concatenate([self.obs, np.stack([obs for _, obs in rebuilt])])
        self.known += [lane.known for lane in joining]
        self.beginning = True
        self._index()

    def _restore(self) -> None:
        """Bring environments in which networks were scored back to where their episodes were."""
        disturbed, self.scorer.disturbed = self.scorer.disturbed, set()
        for lane in np.flatnonzero(self.lengths).tolist():
            if self.seeds[lane] in disturbed:
                self.episodes.restore(
                    self.seeds[lane],
                    int(self.episode[lane]),
                    torch.from_numpy(self.actions[lane, : self.lengths[lane]]),
                    float(self.returns[lane]),
                    self.obs[lane],
                )
