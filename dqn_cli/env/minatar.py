"""MinAtar: five Atari games on a grid of 10 x 10 cells, from the optional package `minatar`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

CELL = 16  # pixels
# The colour of each channel; what no channel is in is dark.
DARK = (18, 20, 28)
COLOURS = (
    *((86, 180, 233), (240, 228, 66), (120, 124, 140), (213, 94, 0), (0, 158, 115)),
    *((230, 70, 90), (204, 121, 167), (0, 114, 178), (230, 159, 0), (245, 245, 245)),
)


class MinAtar(gymnasium.Env[NDArray[np.uint8], np.int64]):
    """A game of the package `minatar` (K. Young and T. Tian, "MinAtar: An Atari-Inspired Testbed
    for Thorough and Reproducible Reinforcement Learning Experiments", 2019), with its rules.

    game: asterix, breakout, freeway, seaquest or space_invaders.
    sticky_actions: the probability of a step to repeat the last action instead of the one given.
    minimal_actions: only the actions that do something in this game, in the order of the six.
    difficulty_ramping: whether Asterix, Seaquest and Space Invaders become faster with time; in
    Breakout and Freeway nothing does.

    Observation: uint8 [10, 10, C], rows x columns x channels, 1 where something is and 0 elsewhere.
    Actions: 0 nothing, 1 left, 2 up, 3 right, 4 down, 5 fire.
    Rewards and terminations are the game's. There is no time limit but Freeway's own, which
    terminates the episode with step 2,501.

    Differences from `minatar.gym`: an episode is a function of the seed and actions (there, the
    last action of one episode can be repeated in the next); observations are bytes, not booleans.

    DependencyNotInstalled without the package; ValueError for an argument out of range.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 12}  # noqa: RUF012

    def __init__(
        self,
        game: str,
        sticky_actions: float = 0.1,
        minimal_actions: bool = False,
        difficulty_ramping: bool = True,
        render_mode: str | None = None,
    ) -> None:
        if not (type(sticky_actions) in (int, float) and 0 <= sticky_actions <= 1):
            raise ValueError(f"sticky_actions={sticky_actions}: expected a number from 0 to 1")
        for name, flag in [
            ("minimal_actions", minimal_actions),
            ("difficulty_ramping", difficulty_ramping),
        ]:
            if not isinstance(flag, bool):
                raise ValueError(f"{name}={flag}: expected true or false")
        try:
            from minatar import Environment
        except ModuleNotFoundError as error:
            raise gymnasium.error.DependencyNotInstalled(
                f"{error}, not installed: pip install 'dqn-cli[minatar]'"
            ) from error
        self.render_mode = render_mode
        self.game = Environment(game, sticky_actions, difficulty_ramping)
        every = range(self.game.num_actions())
        self.actions = self.game.minimal_action_set() if minimal_actions else list(every)
        self.action_space = Discrete(len(self.actions))
        self.observation_space = Box(0, 1, tuple(self.game.state_shape()), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        super().reset(seed=seed)
        # Both draw: the package for sticky actions, and its game.
        self.game.random = np.random.RandomState(self.np_random.bit_generator)
        self.game.env.random = self.game.random
        self.game.last_action = 0  # the package leaves that of the episode before
        self.game.reset()
        return self.observed(), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        reward, terminated = self.game.act(self.actions[action])
        return self.observed(), float(reward), terminated, False, {}

    def observed(self) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = self.game.state().view(np.uint8)  # an array of its own
        return found

    def render(self) -> NDArray[np.uint8]:
        """A picture [160, 160, 3], 16 x 16 pixels a cell, in the colour of the last channel that
        has something there."""
        obs = self.observed()
        top = (obs * np.arange(1, obs.shape[-1] + 1)).max(axis=-1)
        picture: NDArray[np.uint8] = np.array((DARK, *COLOURS), np.uint8)[top]
        return picture.repeat(CELL, axis=0).repeat(CELL, axis=1)
