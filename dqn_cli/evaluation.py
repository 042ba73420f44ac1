"""Greedy episodes in environments of their own, seeded by (run seed, training episode, number).

Nothing here draws from a stream of training, so scores can be taken often, seldom or later, and
training is the same to the byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.seeding import episode_seed
from dqn_cli.types import Envs, Network


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
