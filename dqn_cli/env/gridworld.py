"""A maze with coins to collect, poison to step round and two patrollers to keep clear of."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

ROWS, COLUMNS = 10, 20
MAZE = (  # walls, coins (o), poison (x), the player (@), and two patrols, each with a way round it
    "####################"
    "#..o..o#o....#.|.o.#"
    "#o####.#x###o#.|x#o#"
    "#.#o..x..#x....|.o.#"
    "#-----------##o|.#x#"
    "#.o..x..o..x.o.|...#"
    "#o##.###.#.###.|.#o#"
    "#.#o.x.#.#x#...|x.o#"
    "#@..##o......#o|.o.#"
    "####################"
)


def drawn(mark: str) -> list[int]:
    """The cells with this mark, which are numbered row by row."""
    return [cell for cell, found in enumerate(MAZE) if found == mark]


WALLS, COINS, POISONS, (START,) = map(drawn, "#ox@")
FREE = [cell for cell in range(ROWS * COLUMNS) if cell not in WALLS]
PATROLS = [path + path[-2:0:-1] for path in map(drawn, "-|")]  # there and back, round and round
MOVES = (-COLUMNS, COLUMNS, -1, 1)  # up, down, left, right

WALL, FLOOR, PLAYER, COIN, POISON, PATROLLER = range(6)
REWARD = 100.0


def tile(norm: float, radius: float) -> NDArray[np.float64]:
    """How much of each pixel [16, 16] a disc of that norm and radius covers: norm 1 makes it a
    diamond, 2 round, infinity a square."""
    size = np.linalg.norm(np.mgrid[:16, :16] - 7.5, norm, axis=0)
    return np.asarray(np.clip(radius + 0.5 - size, 0.0, 1.0))


# How each plane is drawn, one above the other: its colour and shape.
LOOKS = (
    ((52, 61, 82), tile(np.inf, 8)),
    ((242, 239, 230), tile(np.inf, 7.5)),
    ((38, 110, 214), tile(2, 6)),
    ((240, 180, 30), tile(2, 4)),
    ((130, 60, 170), tile(1, 6)),
    ((214, 48, 49), tile(4, 6.5)),
)


class GridWorld(gymnasium.Env[NDArray[np.uint8], np.int64]):
    """Collect the coins of a maze; inspired by the one in R. T. Lange's tutorial slides on deep
    Q-learning (2019), with a map and rules of its own.

    Observation: uint8 [6, 10, 20], planes of 10 rows x 20 columns which are 255 where something is
    and 0 elsewhere: walls, floor, player, coins, poison, patrollers. Of walls, floor, coins and
    poison each cell is exactly one; the player and the patrollers stand on it. Which way a
    patroller is heading is not seen.

    Actions: 0 up, 1 down, 2 left, 3 right, by one cell; into a wall, the player stays.

    Rewards: 100 for a coin and -100 for poison, which are gone then (a floor is left); else 0.

    Player and patrollers move at once. The patrollers go to and fro, one along a row and one along
    a column, one cell a step, and turn at the walls; coins and poison do not concern them.

    The episode terminates with the last coin, or when the player and a patroller come to be in one
    cell or change places: there is no reward for that step, whatever lies there. The limit of 200
    steps is the registration's.

    `reset` draws where on their ways the patrollers are; all else is as the map has it.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 8}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = Box(0, 255, (6, ROWS, COLUMNS), np.uint8)
        self.action_space = Discrete(len(MOVES))
        # What is where, and so most of the state.
        self.planes = np.zeros((6, ROWS * COLUMNS), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        super().reset(seed=seed)
        phases = [int(self.np_random.integers(len(patrol))) for patrol in PATROLS]
        self.place(START, COINS, POISONS, phases)
        return self.observed(), {}

    def place(self, player: int, coins: list[int], poison: list[int], phases: list[int]) -> None:
        """Put everything into its cell, the patrollers as far into their patrols as `phases`."""
        self.player = player
        self.coins = len(coins)
        self.phases = phases
        met = [patrol[phase] for patrol, phase in zip(PATROLS, phases, strict=True)]
        self.planes[:] = 0
        for plane, cells in enumerate((WALLS, FREE, [player], coins, poison, met)):
            self.planes[plane, cells] = 255
        self.planes[FLOOR, coins + poison] = 0

    def step(self, action: np.int64) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        planes, was = self.planes, self.player
        now = was + MOVES[action]
        if MAZE[now] == "#":
            now = was
        self.player = now
        planes[PLAYER, was] = 0
        planes[PLAYER, now] = 255

        caught = False
        for i, patrol in enumerate(PATROLS):  # which have no cell in common
            here = patrol[self.phases[i]]
            self.phases[i] = (self.phases[i] + 1) % len(patrol)
            there = patrol[self.phases[i]]
            planes[PATROLLER, here] = 0
            planes[PATROLLER, there] = 255
            caught |= there == now or (there == was and here == now)

        reward = 0.0
        if not caught and not planes[FLOOR, now]:
            if planes[COIN, now]:
                reward = REWARD
                self.coins -= 1
            else:
                reward = -REWARD
            planes[COIN, now] = planes[POISON, now] = 0
            planes[FLOOR, now] = 255
        return self.observed(), reward, caught or self.coins == 0, False, {}

    def observed(self) -> NDArray[np.uint8]:
        return self.planes.reshape(6, ROWS, COLUMNS).copy()

    def render(self) -> NDArray[np.uint8]:
        """A picture [160, 320, 3], 16 x 16 pixels a cell."""
        planes = self.observed()
        planes[FLOOR] = 255 - planes[WALL]  # drawn under coins and poison, too
        picture = np.full((16 * ROWS, 16 * COLUMNS, 3), 225.0)  # what shows between the cells
        for plane, (colour, shape) in zip(planes / 255, LOOKS, strict=True):
            picture += np.kron(plane, shape)[..., None] * (np.array(colour) - picture)
        return picture.round().astype(np.uint8)
