"""Greedy episodes, seeded by (run seed, env step, number).

Nothing here draws from a stream of training, so scores can be taken often, seldom or later, and
training is the same to the byte.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.events import Episode, Evaluated, RunError
from dqn_cli.seeding import episode_seed
from dqn_cli.state import Best, Held
from dqn_cli.training.policy import Greedy
from dqn_cli.types import EnvError, EnvMaker, Envs

TOGETHER = 32  # networks that are evaluated at once
MAX_STEPS = 10_000  # of an episode, where neither the environment nor the user has a limit


class Evaluation(NamedTuple):
    """When greedy episodes are played, and how many; never, if both periods are None."""

    every_episodes: int | None
    every_steps: int | None
    episodes: int
    max_steps: int | None = None  # of an episode; None: the environment's own limit, or MAX_STEPS
    envs: Literal["own", "shared"] = "own"
    diagnose_every: int | None = None  # scored episodes; None: not at all
    gamma: float = 1.0  # by which a diagnosis discounts

    @property
    def on(self) -> bool:
        return self.every_episodes is not None or self.every_steps is not None

    def diagnoses(self, episode: int) -> bool:
        """Whether a diagnosis is due with the score of this episode."""
        if self.every_episodes is None or self.diagnose_every is None:
            return False
        return episode % (self.every_episodes * self.diagnose_every) == 0

    def limit(self, env: EnvMaker) -> int:
        return self.max_steps or env.max_steps or MAX_STEPS


class Returns(NamedTuple):
    """Of E greedy episodes for each of K networks."""

    returns: NDArray[np.float64]  # [K, E], undiscounted
    discounted: NDArray[np.float64]  # [K, E], the same rewards, discounted
    start_q: NDArray[np.float64]  # [K, E], the largest Q-value of the first observation
    cut: NDArray[np.bool_]  # [K, E], ended by the limit of evaluation and not by the environment


class Score(NamedTuple):
    """What the greedy episodes of one network say of it: means over them, and how many were cut."""

    score: float | None
    cut: int
    start_q: float | None
    start_return: float | None


NO_SCORE = Score(None, 0, None, None)


class Scorer:
    """Holds back what is to be scored, and all that comes after it, until enough snapshots can be
    evaluated together.

    Environments that are stepped together play 32 networks at once, others one network, which has
    no reason to wait. `shared` are the environments that train, with the row of each seed: episodes
    are then played there one after the other, and the seeds whose environment was used are put into
    `disturbed`.
    """

    def __init__(
        self,
        env: EnvMaker,
        greedy: Greedy,
        evaluation: Evaluation,
        stopped: Callable[[], bool],
        shared: tuple[Envs, Mapping[int, int]] | None = None,
    ) -> None:
        self.env_id = env.id
        self.greedy = greedy
        self.stopped = stopped
        self.numbers = range(evaluation.episodes)
        self.max_steps = evaluation.limit(env)
        self.gamma = evaluation.gamma
        self.together = TOGETHER if env.together and shared is None else 1  # networks at once
        self.shared = shared
        self.envs = shared[0] if shared else env.make(self.together * evaluation.episodes)
        self.waiting: list[Held] = []
        self.scored: dict[int, int] = {}  # seed -> the last step whose network was to be scored
        self.best: dict[int, Best] = {}  # of every seed that has a score
        self.disturbed: set[int] = set()
        self.seconds = 0.0  # spent here

    def hold(self, event: Episode | Evaluated, params: Tensor | None) -> None:
        """Tell of it later, in order; with the score of a snapshot of these parameters, if any."""
        if params is not None:
            self.scored[event.seed] = event.step
            params = params.to("cpu", copy=True)  # where those of a checkpoint are, to be stacked
        self.waiting.append((event, params))

    def ready(self) -> bool:
        """Whether the first of the events needs no score, or enough have come to evaluate them."""
        if not self.waiting:
            return False
        return self.waiting[0][1] is None or len(self.waiting) >= self.together

    def tell(self, early: bool = False, alone: bool = False) -> Iterator[Episode | Evaluated]:
        """The events held back, in order and scored, until none is left (`early`: none that is
        ready), or the run is stopped.

        RunError if an environment fails; the events evaluated with that one are then still held,
        unless each is evaluated `alone`.
        """
        while self.waiting and (self.ready() or not early) and not self.stopped():
            one = alone or self.waiting[0][1] is None
            group = self.waiting[: 1 if one else self.together]
            found = self._scores(group)
            if found is None:
                return
            for score, cut, start_q, start_return in found:
                event, params = self.waiting.pop(0)
                best, diagnosis = self._if_best(event, score, params), event.diagnosis
                if diagnosis is not None:
                    diagnosis = diagnosis._replace(start_q=start_q, start_return=start_return)
                yield event._replace(score=score, cut=cut, best=best, diagnosis=diagnosis)

    def _if_best(
        self, event: Episode | Evaluated, score: float | None, params: Tensor | None
    ) -> NDArray[np.float32] | None:
        """The parameters, if no earlier score is higher: of equal ones the later has seen more."""
        best = self.best.get(event.seed)
        if params is None or score is None or not math.isfinite(score):
            return None
        if best is not None and score < best.score:
            return None
        found = Best(score, event.episode, event.step, params.numpy())
        if not (isinstance(event, Evaluated) and event.extra):  # a longer run would not have it
            self.best[event.seed] = found
        return found.params

    def _scores(self, group: list[Held]) -> list[Score] | None:
        """The scores of the parameters held with each; None if the run was stopped meanwhile."""
        due = [(event, params) for event, params in group if params is not None]
        if not due:
            return [NO_SCORE] * len(group)
        started = time.perf_counter()
        seeds = [evaluation_seeds(event.seed, event.step, self.numbers) for event, _ in due]
        first_row = 0
        if self.shared:
            first_row = self.shared[1][due[0][0].seed]
            self.disturbed.add(due[0][0].seed)
        try:
            played = greedy_returns(
                self.greedy,
                torch.stack([params for _, params in due]),
                self.envs,
                seeds,
                self.max_steps,
                gamma=self.gamma,
                stopped=self.stopped,
                first_row=first_row,
                at_once=1 if self.shared else None,
            )
        except EnvError as error:
            event, _ = due[0 if self.together == 1 else error.row // len(self.numbers)]
            raise RunError(
                f"environment {self.env_id} failed in the evaluation of seed {event.seed} "
                f"after episode {event.episode}, step {event.step}: {error}"
            ) from error
        self.seconds += time.perf_counter() - started
        if played is None:
            return None
        columns = (
            played.returns.mean(-1),
            played.cut.sum(-1),
            played.start_q.mean(-1),
            played.discounted.mean(-1),
        )
        found = map(Score, *(column.tolist() for column in columns))
        return [NO_SCORE if params is None else next(found) for _, params in group]


def evaluation_seeds(seed: int, step: int, episodes: range) -> list[int]:
    """Environment seeds of the greedy episodes with the network of run `seed` after env step
    `step`."""
    return [episode_seed(seed, "eval", step, number) for number in episodes]


def fresh_seeds(seed: int, episodes: range) -> list[int]:
    """Environment seeds of episodes that no network was chosen by."""
    return [episode_seed(seed, "fresh", number) for number in episodes]


def fresh_scores(
    env: EnvMaker,
    greedy: Greedy,
    params: Mapping[int, Tensor],
    evaluation: Evaluation,
    episodes: int,
    stopped: Callable[[], bool],
) -> dict[int, float]:
    """The mean return of each seed's network over fresh episodes, as far as it was not stopped.

    They are played in groups of the size of an evaluation, as dqn-play does. EnvError if an
    environment fails.
    """
    size = evaluation.episodes
    together = len(params) if env.together else 1
    at_once = 1 if evaluation.envs == "shared" else size
    envs = env.make(together * at_once)
    scores: dict[int, float] = {}
    seeds = list(params)
    for start in range(0, len(seeds), together):
        group = seeds[start : start + together]
        rows = torch.stack([params[seed] for seed in group])
        returns = np.empty((len(group), 0))
        for first in range(0, episodes, size):
            numbers = [fresh_seeds(seed, range(first, first + size)) for seed in group]
            played = greedy_returns(
                greedy,
                rows,
                envs,
                numbers,
                evaluation.limit(env),
                stopped=stopped,
                at_once=at_once,
            )
            if played is None:
                break
            returns = np.concatenate([returns, played.returns], axis=1)
        else:
            means = returns[:, :episodes].mean(-1).tolist()
            scores |= dict(zip(group, means, strict=True))
    envs.close()
    return scores


def greedy_returns(
    greedy: Greedy,
    params: Tensor,
    envs: Envs,
    seeds: Sequence[Sequence[int]],
    max_steps: int,
    *,
    gamma: float = 1.0,
    stopped: Callable[[], bool] = lambda: False,
    first_row: int = 0,
    at_once: int | None = None,
    watch: Callable[[Envs], None] | None = None,
) -> Returns | None:
    """E greedy episodes, of at most `max_steps`, for each of K networks params [K, P]; None as soon
    as they are `stopped`.

    `at_once` episodes of each network (all, if None) are played side by side, the seeds seeds[k][e]
    in the rows from `first_row` on. Networks whose episodes are over leave; all E rows of a network
    stay together, played or not, so that the shape its Q-values are computed in, and with it every
    bit of them, is the same in any company and any number of environments. `watch` is called as the
    first episode begins and after each of its steps.
    """
    networks, episodes = len(seeds), len(seeds[0])
    at_once = at_once or episodes
    start_q = np.zeros((networks, episodes))
    returns, discounted = np.zeros((2, networks * episodes))  # [K * E]: one axis is quicker
    cut = np.zeros((networks, episodes), np.bool_)
    obs: NDArray[Any] | None = None  # [K, E, *obs]
    q_values = greedy.recorded()
    for start in range(0, episodes, at_once):
        group = range(start, min(start + at_once, episodes))
        open_ = np.zeros((networks, episodes), np.bool_)
        open_[:, group] = True
        for lane, row in enumerate(seeds):
            for number in group:
                place = first_row + lane * at_once + number - start
                first = envs.reset(place, row[number])
                if obs is None:
                    obs = np.zeros((networks, episodes, *first.shape), first.dtype)
                obs[lane, number] = first
        assert obs is not None
        if watch is not None and start == 0:
            watch(envs)
        playing, length, discount = np.arange(networks), 0, 1.0
        weights = greedy.weights(params)
        while len(playing):
            if stopped():
                return None
            if length == max_steps:
                cut |= open_
                break
            length += 1
            with torch.no_grad():
                q = q_values(weights, obs[playing])  # [playing, E, A]
            actions = q.argmax(-1)
            if length == 1:
                start_q[:, group] = q.max(-1)[:, group]
            where = np.nonzero(open_[playing])
            k, e = playing[where[0]], where[1]
            watching = watch is not None and open_[0, 0]
            places = first_row + k * at_once + e - start
            next_obs, reward, terminated, truncated = envs.step(places, actions[where])
            obs[k, e] = next_obs
            at = k * episodes + e
            returns[at] += reward
            discounted[at] += discount * reward
            discount *= gamma
            open_[k, e] = ~(terminated | truncated)
            if watch is not None and watching:
                watch(envs)
            still = open_[playing].any(axis=-1)
            if not still.all():
                playing = playing[still]
                weights = greedy.weights(params[torch.from_numpy(playing).to(params.device)])
    returns, discounted = (sums.reshape(start_q.shape) for sums in (returns, discounted))
    return Returns(returns, discounted, start_q, cut)
