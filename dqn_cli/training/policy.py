"""Acting: the best action by a network's Q-values, or an exploring one during training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.seeding import Stream
from dqn_cli.types import Algo, Exploration, Inputs, Network, Weights


class Greedy:
    """The best action of each observation, without noise: evaluation, recordings, play."""

    def __init__(self, network: Network, algo: Algo, kernels: Kernels = TORCH) -> None:
        self.network = network
        self.algo = algo
        self.kernels = kernels

    def weights(self, params: Tensor) -> Weights:
        """The networks whose parameters are the rows of params [S, P], which lies in one piece."""
        return self.network.split(self.kernels.array(params.to(self.kernels.device)))

    def q(
        self, weights: Weights, obs: NDArray[Any], noise: Array | None = None
    ) -> NDArray[np.float32]:
        """Q-values [S, N, A] of observations [S, N, *obs]."""
        found: NDArray[np.float32] = self.kernels.numpy(
            self._values(weights, self.kernels.place(obs), noise)
        )
        return found

    def _values(self, weights: Weights, obs: Array, noise: Array | None) -> Array:
        return self.algo.q(self.network.forward(weights, Inputs(obs, noise)).values)

    def recorded(self) -> Callable[..., NDArray[np.float32]]:
        """`q`, for many calls with the same networks and shapes; noise may be NumPy's, too."""
        values = self.kernels.recorded(self._values, 1, (self.network, self.algo))

        def q(
            weights: Weights, obs: NDArray[Any], noise: NDArray[np.float32] | None = None
        ) -> NDArray[np.float32]:
            found: NDArray[np.float32] = self.kernels.numpy(values(weights, obs, noise))
            return found

        return q

    def actions(self, weights: Weights, obs: NDArray[Any]) -> NDArray[np.int64]:
        """The first of the best actions [S, N] for observations [S, N, *obs]."""
        best: NDArray[np.int64] = self.q(weights, obs).argmax(-1)
        return best


class Exploring:
    """The actions of training: as the exploration decides, from Q-values with the network's noise.

    Its random numbers are those of the streams "explore" and "noise.act" at the number of env steps
    done.
    """

    def __init__(
        self, greedy: Greedy, exploration: Exploration, seeds: Sequence[int], actions: int
    ) -> None:
        self.greedy = greedy
        self.q = greedy.recorded()
        self.exploration = exploration
        self.actions = actions
        self.reseed(seeds)

    def reseed(self, seeds: Sequence[int]) -> None:
        """Act for these seeds from now on."""
        self.uniforms = Stream(seeds, "explore", (2,))
        noise = self.greedy.network.noise(1)
        self.noise = None if noise is None else Stream.of(noise, seeds, "noise.act")

    def act(
        self, weights: Weights, obs: NDArray[Any], step: int, episode: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Actions [S] for observations [S, *obs] after `step` env steps, in the open `episode` [S]
        of each seed."""

        def q() -> NDArray[np.float32]:
            noise = None if self.noise is None else self.noise.floats(step)
            return self.q(weights, obs[:, None], noise)[:, 0]

        return self.exploration.act(q, self.actions, self.uniforms.at(step), step, episode)

    def keep(self, lanes: Sequence[int]) -> None:
        self.uniforms.keep(lanes)
        if self.noise is not None:
            self.noise.keep(lanes)
