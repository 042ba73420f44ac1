"""Atari 2600 games, straight on the emulator of the optional package `ale-py`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

Frame = NDArray[np.uint8]

# What ale-py has a ROM of, for one player.
GAMES = """
adventure air_raid alien amidar assault asterix asteroids atlantis atlantis2 backgammon bank_heist
basic_math battle_zone beam_rider berzerk blackjack bowling boxing breakout carnival casino
centipede chopper_command crazy_climber crossbow darkchambers defender demon_attack donkey_kong
double_dunk earthworld elevator_action enduro entombed et fishing_derby flag_capture freeway
frogger frostbite galaxian gopher gravitar hangman haunted_house hero human_cannonball ice_hockey
jamesbond journey_escape kaboom kangaroo keystone_kapers king_kong klax koolaid krull
kung_fu_master laser_gates lost_luggage mario_bros miniature_golf montezuma_revenge mr_do
ms_pacman name_this_game othello pacman phoenix pitfall pitfall2 pong pooyan private_eye qbert
riverraid road_runner robotank seaquest sir_lancelot skiing solaris space_invaders space_war
star_gunner superman surround tennis tetris tic_tac_toe_3d time_pilot trondead turmoil tutankham
up_n_down venture video_checkers video_chess video_cube video_pinball wizard_of_wor word_zapper
yars_revenge zaxxon
""".split()  # noqa: SIM905


class Protocol(NamedTuple):
    """Where published experiments differ."""

    sticky_actions: float  # probability per frame of repeating the last action
    noop_max: int  # an episode begins with 1 to so many frames without action; 0: with none
    terminal_on_life_loss: bool  # training takes a lost life for the end
    full_action_space: bool  # all 18 actions, or those that the game uses


PROTOCOLS = {
    # Mnih et al., "Human-level control through deep reinforcement learning" (2015)
    "nature": Protocol(0.0, 30, True, False),
    # Castro et al., "Dopamine" (2018), its defaults
    "dopamine": Protocol(0.25, 0, False, False),
    # Machado et al., "Revisiting the Arcade Learning Environment" (2018), its recommendations
    "machado": Protocol(0.25, 0, False, True),
}


class Atari(gymnasium.Env[Frame, np.int64]):
    """A game of ale-py, as DQN is trained on it.

    game: a name in GAMES.
    protocol: a name in PROTOCOLS, whose values the next four arguments replace where they are not
    None.
    clip_rewards: training learns from the sign of the reward; returns and scores have all of it.
    frame_skip: frames per step, in which the action is repeated and rewards are summed.
    stack: observations per observation, the newest last; zeros before the first.
    size: height and width of an observation, in pixels.
    max_frames: per episode, no-ops included; then it is truncated.

    Observation: uint8 [stack, size, size], grey. Each is the maximum, pixel by pixel, of the last
    two frames of the emulator (also if the game ends within the skip), made smaller by area: a
    pixel is the mean of what it covers, rounded.

    An episode is one game, whatever the protocol: it terminates when the game is over. What
    training learns in place of `reward` and `terminated`, if that is something else, is in
    `info["replay"]`, as `dqn_cli.types.Envs.learned` describes.

    The emulator has no randomness here: sticky actions and no-ops are drawn from `np_random`, and
    an episode begins with the emulator's state after its first reset. So it is a function of the
    seed and the actions. To load the ROM again would do the same in twenty times the time.

    DependencyNotInstalled without the package; ValueError for an argument out of range.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012

    def __init__(
        self,
        game: str,
        protocol: str = "dopamine",
        sticky_actions: float | None = None,
        noop_max: int | None = None,
        terminal_on_life_loss: bool | None = None,
        full_action_space: bool | None = None,
        clip_rewards: bool = True,
        frame_skip: int = 4,
        stack: int = 4,
        size: int = 84,
        max_frames: int = 108_000,
        render_mode: str | None = None,
    ) -> None:
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol={protocol}: there are {', '.join(PROTOCOLS)}")
        own = {
            "sticky_actions": sticky_actions,
            "noop_max": noop_max,
            "terminal_on_life_loss": terminal_on_life_loss,
            "full_action_space": full_action_space,
        }
        named: Any = {name: value for name, value in own.items() if value is not None}
        self.protocol = PROTOCOLS[protocol]._replace(**named)
        check(
            **self.protocol._asdict(),
            clip_rewards=clip_rewards,
            frame_skip=frame_skip,
            stack=stack,
            size=size,
            max_frames=max_frames,
        )
        try:
            from ale_py import ALEInterface, LoggerMode, roms
        except ModuleNotFoundError as error:
            raise gymnasium.error.DependencyNotInstalled(
                f"{error}, not installed: pip install 'dqn-cli[atari]'"
            ) from error
        self.render_mode = render_mode
        self.clip_rewards = clip_rewards
        self.frame_skip = frame_skip
        self.max_frames = max_frames

        ALEInterface.setLoggerMode(LoggerMode.Error)
        self.ale = ALEInterface()
        self.ale.setFloat("repeat_action_probability", 0.0)  # `_frame` repeats them
        self.ale.setInt("random_seed", 0)
        self.ale.loadROM(roms.get_rom_path(game))
        self.ale.reset_game()
        self.start = self.ale.cloneState(include_rng=True)
        # A restored emulator shows the frame it had before.
        self.start_frame = self.ale.getScreenGrayscale()
        self.start_picture = self.ale.getScreenRGB()

        every, few = self.ale.getLegalActionSet(), self.ale.getMinimalActionSet()
        self.actions = every if self.protocol.full_action_space else few
        self.noop = every[0]
        self.action_space = Discrete(len(self.actions))
        self.observation_space = Box(0, 255, (stack, size, size), np.uint8)
        height, width = self.start_frame.shape
        self.rows, self.columns = area(height, size), area(width, size).T.copy()
        # By each pixel, in parts of a pixel.
        self.covered = np.float32(self.rows.shape[1] * len(self.columns))
        self.frames = np.zeros((2, height, width), np.uint8)  # the last two
        self.stack = np.zeros((stack, size, size), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frame, dict[str, Any]]:
        super().reset(seed=seed)
        # Each alone leaves something of the episode before: memory that a game does not clear, or
        # where within a frame the emulator stopped.
        self.ale.reset_game()
        self.ale.restoreState(self.start)
        self.frames[:] = self.start_frame
        self.last_action = self.noop
        self.count = 0  # frames of this episode
        if self.protocol.noop_max:
            for _ in range(self.np_random.integers(1, self.protocol.noop_max + 1)):
                self._frame(self.noop)
        self.stack[:] = 0
        return self._observed(), {"lives": self.ale.lives()}

    def step(self, action: np.int64) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        lives, reward, number = self.ale.lives(), 0.0, self.actions[action]
        for _ in range(self.frame_skip):
            reward += self._frame(number)
            terminated = self.ale.game_over(with_truncation=False)
            truncated = not terminated and self.count >= self.max_frames
            if terminated or truncated:
                break
        left = self.ale.lives()
        lost = self.protocol.terminal_on_life_loss and left < lives
        info: dict[str, Any] = {"lives": left}
        if self.clip_rewards or lost:
            learned = float(np.sign(reward)) if self.clip_rewards else reward
            info["replay"] = learned, terminated or lost
        return self._observed(), reward, terminated, truncated, info

    def _frame(self, action: Any) -> float:
        """Advance the emulator by one frame, with this action or, by chance, the last one; the
        reward."""
        sticky = self.protocol.sticky_actions
        if not sticky or self.np_random.random() >= sticky:
            self.last_action = action
        reward = float(self.ale.act(self.last_action))
        self.count += 1
        self.ale.getScreenGrayscale(self.frames[self.count % 2])
        return reward

    def _observed(self) -> Frame:
        picture = np.maximum(*self.frames).astype(np.float32)
        # Whole numbers below 2^24, which float32 holds: the sums are exact, in whatever order.
        lines = self.rows @ picture.reshape(-1, self.rows.shape[1], picture.shape[1])
        sums = lines.reshape(-1, len(self.columns)) @ self.columns
        self.stack[:-1] = self.stack[1:]
        self.stack[-1] = np.rint(sums / self.covered).reshape(self.stack.shape[1:])
        return self.stack.copy()

    def render(self) -> Frame:
        """The screen as it is, [210, 160, 3] in most games."""
        picture: Frame = self.ale.getScreenRGB() if self.count else self.start_picture
        return picture


def area(given: int, wanted: int) -> NDArray[np.float32]:
    """The matrix [W, G] that makes G pixels of a line W, each the sum of the stretch it covers: a
    pixel has W parts, and a stretch G of them. G : W is given : wanted in lowest terms, since what
    stretches cover repeats along the line."""
    times = math.gcd(given, wanted)
    given, wanted = given // times, wanted // times
    edges, pixels = np.arange(wanted + 1) * given, np.arange(given) * wanted
    upper = np.minimum(edges[1:, None], pixels + wanted)
    lower = np.maximum(edges[:-1, None], pixels)
    parts: NDArray[np.int64] = np.maximum(upper - lower, 0)
    return parts.astype(np.float32)


def check(**arguments: Any) -> None:
    """ValueError if one is out of range."""
    for name, value in arguments.items():
        if name == "sticky_actions":
            fits = type(value) in (int, float) and 0 <= value <= 1
            expected = "a number from 0 to 1"
        elif name in ("terminal_on_life_loss", "full_action_space", "clip_rewards"):
            fits, expected = isinstance(value, bool), "true or false"
        else:
            least = 0 if name == "noop_max" else 1
            fits, expected = type(value) is int and value >= least, f"a whole number from {least}"
        if not fits:
            raise ValueError(f"{name}={value}: expected {expected}")
