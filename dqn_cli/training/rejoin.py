"""Episodes played again: how a seed that is taken up comes back to where it was.

An episode is a function of seed, number and actions. An environment for which that does not hold is
found out here, by its return or its last observation, and named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.events import RunError
from dqn_cli.seeding import episode_seed
from dqn_cli.state import Lane
from dqn_cli.types import EnvError, Envs


class Episodes:
    """Those of the seeds whose environments are the rows of `envs`. RunError if an environment
    fails, or does not repeat itself."""

    def __init__(self, env_id: str, envs: Envs, row: Mapping[int, int]) -> None:
        self.env_id = env_id
        self.envs = envs
        self.row = row  # seed -> the environment it plays in

    def rebuild(self, lane: Lane) -> tuple[float, NDArray[Any]]:
        """Play the lane's open episode up to where it was: its return and observation. Before it,
        play the last whole one: an environment that remembers more than its seed and actions gives
        itself away, also if no episode is open."""
        if lane.known is not None:
            total, obs, ended = self.play(lane.seed, lane.episode, lane.known.actions)
            whole = ended == len(lane.known.actions) and total == lane.known.return_
            if not whole or obs.tobytes() != lane.known.obs.numpy().tobytes():
                raise self._unlike(lane.seed, lane.episode)
        if not len(lane.actions):
            return 0.0, lane.obs.numpy()
        total, obs, ended = self.play(lane.seed, lane.episode + 1, lane.actions)
        if ended or obs.tobytes() != lane.obs.numpy().tobytes():
            raise self._unlike(lane.seed, lane.episode + 1)
        return total, obs

    def restore(
        self, seed: int, episode: int, actions: Tensor, total: float, obs: NDArray[Any]
    ) -> None:
        """Bring an environment that was used for something else back into an open episode, in which
        these actions had made this return and led to this observation."""
        again, found, ended = self.play(seed, episode, actions)
        if ended or again != total or found.tobytes() != obs.tobytes():
            raise self._unlike(seed, episode)

    def play(self, seed: int, episode: int, actions: Tensor) -> tuple[float, NDArray[Any], int]:
        """The return and observation [*obs] after these actions, and after which of them the
        episode ended, 0 if it is open."""
        row, total, ended = self.row[seed], 0.0, 0
        try:
            obs = self.envs.reset(row, episode_seed(seed, "env", episode))
            for number, action in enumerate(actions.numpy()[:, None], 1):
                next_obs, reward, terminated, truncated = self.envs.step(np.array([row]), action)
                obs, total = next_obs[0], total + float(reward[0])
                ended = number if ended == 0 and (terminated[0] | truncated[0]) else ended
        except EnvError as error:
            raise RunError(
                f"environment {self.env_id} failed as episode {episode} of seed {seed} was played "
                f"again: {error}"
            ) from error
        return total, obs, ended

    def _unlike(self, seed: int, episode: int) -> RunError:
        return RunError(
            f"environment {self.env_id} did not repeat itself in seed {seed}, episode {episode}: "
            "the same seed and actions led elsewhere, so the run cannot go on to the same scores"
        )
