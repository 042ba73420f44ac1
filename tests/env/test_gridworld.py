"""The maze, its rules and its draws. Cells are (row, column), as in the drawing of the maze."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dqn_cli.env.gridworld import GridWorld
from dqn_cli.env.gym import Gym

ID = "dqn_cli/GridWorld-v0"
WALL, FLOOR, PLAYER, COIN, POISON, PATROLLER = range(6)
UP, DOWN, LEFT, RIGHT = range(4)

# Where the patrollers are after 0, 1, 2, ... steps from phase 0, and then all over again.
ALONG_ROW_4 = [(4, column) for column in [*range(1, 12), *range(10, 1, -1)]]
ALONG_COLUMN_15 = [(row, 15) for row in [*range(1, 9), *range(7, 1, -1)]]


def put(
    env: GridWorld, player: Any, coins: Any = ((8, 18),), poison: Any = (), phases: Any = (0, 0)
) -> GridWorld:
    """Everything where it is said to be, and the patrollers so many steps into their patrols."""

    def numbers(cells: Any) -> list[int]:
        return [20 * row + column for row, column in cells]

    env.place(*numbers([player]), numbers(coins), numbers(poison), list(phases))
    return env


def cells(obs: Any, plane: int) -> set[tuple[int, int]]:
    """Where the plane has something."""
    return set(zip(*(axis.tolist() for axis in obs[plane].nonzero()), strict=True))


def episode(env: Any, seed: int) -> Iterator[tuple[Any, float, bool, bool]]:
    """The steps of a random player up to the end, the first observation first."""
    actions = np.random.default_rng(seed)
    yield env.reset(seed=seed)[0], 0.0, False, False
    ended = False
    while not ended:
        obs, reward, terminated, truncated, _ = env.step(int(actions.integers(4)))
        yield obs, reward, terminated, truncated
        ended = terminated or truncated


# As an environment


def test_gymnasium_finds_nothing_to_say() -> None:
    """Its checker warns of what it dislikes, and a warning is an error here."""
    env = gymnasium.make(ID, render_mode="rgb_array").unwrapped
    assert env.render_mode == "rgb_array"
    check_env(env)


def test_gym_takes_it() -> None:
    gym = Gym(id=ID, import_=None, wrappers=[], kwargs={})
    assert gym.space == ((6, 10, 20), np.uint8, 4, 255.0)
    envs = gym.make(2)
    assert envs.reset(1, 0).tobytes() == GridWorld().reset(seed=0)[0].tobytes()


def test_200_steps_truncate_it() -> None:
    env: Any = gymnasium.make(ID)
    env.reset(seed=0)
    put(env.unwrapped, (1, 18))
    ends = [env.step(RIGHT)[2:4] for _ in range(200)]  # into the wall
    assert ends == [(False, False)] * 199 + [(False, True)]


def test_a_seed_and_actions_make_the_episode() -> None:
    used = GridWorld()
    for seed in range(20):
        first, second = (
            [(obs.tobytes(), *told) for obs, *told in episode(env, seed)]
            for env in (used, GridWorld())
        )
        assert first == second


def test_resets_without_a_seed_go_on_drawing() -> None:
    env = GridWorld()
    starts = [env.reset(seed=0)[0], env.reset()[0], env.reset()[0]]
    assert len({start.tobytes() for start in starts}) == 3
    assert env.reset(seed=0)[0].tobytes() == starts[0].tobytes()


def test_the_picture() -> None:
    env = put(GridWorld(), (5, 6), phases=(2, 0))
    picture = env.render()
    assert (picture.shape, picture.dtype) == ((160, 320, 3), np.uint8)
    red, green, blue = picture[5 * 16 + 8, 6 * 16 + 8].tolist()
    assert blue > max(red, green)  # the player
    red, green, blue = picture[4 * 16 + 8, 3 * 16 + 8].tolist()
    assert red > max(green, blue)  # a patroller
    env.step(RIGHT)
    assert not np.array_equal(env.render(), picture)


# The maze


def test_walls_close_it_and_no_patroller_can_block_it() -> None:
    """From the first free cell one gets to all others, wherever the patrollers stand."""
    obs, _ = GridWorld().reset(seed=0)
    walls = cells(obs, WALL)
    everywhere = set(product(range(10), range(20)))
    assert {(r, c) for r, c in everywhere if r in (0, 9) or c in (0, 19)} <= walls
    for patrollers in product(ALONG_ROW_4, ALONG_COLUMN_15):
        left = everywhere - walls - set(patrollers)
        ahead = [min(left)]
        while ahead:
            r, c = ahead.pop()
            if (r, c) in left:
                left.remove((r, c))
                ahead += [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
        assert not left, patrollers


def test_patrollers_turn_at_walls() -> None:
    env = put(GridWorld(), (1, 18))
    walls = cells(env.step(RIGHT)[0], WALL)
    assert {(4, 0), (4, 12), (0, 15), (9, 15)} <= walls  # at the ends of their ways
    for t in range(2, 300):
        now = {ALONG_ROW_4[t % 20], ALONG_COLUMN_15[t % 14]}
        assert cells(env.step(RIGHT)[0], PATROLLER) == now


@pytest.mark.parametrize(
    ("player", "action", "then"),
    [
        ((1, 1), UP, (1, 1)),
        ((1, 1), DOWN, (2, 1)),
        ((2, 1), RIGHT, (2, 1)),
        ((2, 1), LEFT, (2, 1)),
        ((5, 6), DOWN, (5, 6)),
        ((5, 6), RIGHT, (5, 7)),
        ((5, 6), LEFT, (5, 5)),
        ((8, 18), DOWN, (8, 18)),
        ((8, 18), UP, (7, 18)),
        ((3, 16), RIGHT, (3, 17)),
        ((4, 16), RIGHT, (4, 16)),
    ],
)
def test_walls_stop_the_player(player: Any, action: int, then: Any) -> None:
    obs, reward, terminated, truncated, _ = put(GridWorld(), player, [(8, 1)]).step(action)
    assert cells(obs, PLAYER) == {then}
    assert (reward, terminated, truncated) == (0.0, False, False)


# The rules


@pytest.mark.parametrize(("plane", "worth"), [(COIN, 100.0), (POISON, -100.0)])
def test_coins_and_poison_count_once(plane: int, worth: float) -> None:
    coins, poison = [(5, 7), (8, 18)], [(5, 5), (8, 17)]
    there, away, far = {
        COIN: ((5, 7), (RIGHT, LEFT), (8, 18)),
        POISON: ((5, 5), (LEFT, RIGHT), (8, 17)),
    }[plane]
    env = put(GridWorld(), (5, 6), coins, poison, phases=(9, 0))
    obs, reward, terminated, _, _ = env.step(away[0])
    assert (reward, terminated) == (worth, False)
    assert cells(obs, plane) == {far}
    assert there in cells(obs, FLOOR)
    assert [env.step(a)[1] for a in (away[1], away[0])] == [0.0, 0.0]


def test_the_last_coin_ends_it() -> None:
    env = put(GridWorld(), (1, 1), [(1, 2), (1, 4)], [(1, 3)])
    told = [env.step(RIGHT)[1:4] for _ in range(3)]
    assert told == [(100.0, False, False), (-100.0, False, False), (100.0, True, False)]


@pytest.mark.parametrize(
    ("player", "action", "phases", "caught"),
    [
        # the first patroller goes from (4, 5) to (4, 6)
        ((5, 6), UP, (4, 0), True),  # both come
        ((4, 7), LEFT, (4, 0), True),
        ((4, 6), LEFT, (4, 0), True),  # they change places
        ((4, 6), UP, (4, 0), False),
        ((4, 6), RIGHT, (4, 0), False),  # it follows the player
        ((4, 4), RIGHT, (4, 0), False),  # the player follows it
        ((5, 5), UP, (4, 0), False),
        # and back from (4, 6) to (4, 5)
        ((4, 5), RIGHT, (15, 0), True),
        ((4, 4), RIGHT, (15, 0), True),
        ((4, 11), RIGHT, (9, 0), True),  # it comes to a player stopped by a wall
        ((4, 11), UP, (9, 0), False),
        ((4, 10), RIGHT, (10, 0), True),  # it has turned
        # the second goes from (4, 15) to (5, 15)
        ((5, 14), RIGHT, (0, 3), True),
        ((5, 15), UP, (0, 3), True),
        ((4, 14), RIGHT, (0, 3), False),
        ((3, 15), DOWN, (0, 3), False),
        ((4, 15), DOWN, (0, 10), True),  # and back from (5, 15) to (4, 15)
    ],
)
def test_patrollers_catch(player: Any, action: int, phases: Any, caught: bool) -> None:
    """With coins all around, which count for nothing where one is caught."""
    r, c = player
    around = {(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)}
    coins = around - cells(GridWorld().reset(seed=0)[0], WALL) | {(8, 1)}
    obs, reward, terminated, truncated, _ = put(GridWorld(), player, coins, (), phases).step(action)
    assert (reward, terminated, truncated) == (0.0 if caught else 100.0, caught, False)
    assert len(cells(obs, COIN)) == len(coins) - (not caught)


# What is drawn and seen


def test_what_is_drawn() -> None:
    """The patrollers: they are everywhere and go both ways, and never beside the player, who is
    where the map has it, as the coins are."""
    env, ways, players, coins = GridWorld(), set(), set(), set()
    for seed in range(500):
        obs, _ = env.reset(seed=seed)
        assert (len(cells(obs, COIN)), len(cells(obs, POISON))) == (20, 10)
        (player,) = cells(obs, PLAYER)
        players.add(player)
        coins.add(frozenset(cells(obs, COIN)))
        assert player in cells(obs, FLOOR)
        for r, c in cells(obs, PATROLLER):
            assert abs(player[0] - r) + abs(player[1] - c) > 1
        after, *_ = env.step(UP)
        before, now = (sorted(cells(o, PATROLLER), key=lambda rc: rc[1]) for o in (obs, after))
        ways |= set(zip(before, now, strict=True))
    for patrol in (ALONG_ROW_4, ALONG_COLUMN_15):
        ahead = zip(patrol, patrol[1:] + patrol[:1], strict=True)
        assert ways >= set(ahead)
    assert len(ways) == len(ALONG_ROW_4 + ALONG_COLUMN_15)
    assert players == {(8, 1)}
    assert coins == {frozenset(cells(obs, COIN))}


def test_planes_agree_all_the_way() -> None:
    env = gymnasium.make(ID)
    ends: dict[str, int] = {"terminated": 0, "truncated": 0}
    for seed in range(50):
        steps = list(episode(env, seed))
        walls, goods = cells(steps[0][0], WALL), 30
        for obs, reward, terminated, truncated in steps:
            assert (obs.shape, obs.dtype) == ((6, 10, 20), np.uint8)
            assert set(np.unique(obs)) == {0, 255}
            ground = obs[[WALL, FLOOR, COIN, POISON]] // 255
            assert (ground.sum(axis=0) == 1).all()
            assert cells(obs, WALL) == walls
            (player,) = cells(obs, PLAYER)
            assert player in cells(obs, FLOOR) or (terminated and player not in walls)
            assert len(cells(obs, PATROLLER) - walls) == 2
            goods -= reward != 0
            assert len(cells(obs, COIN) | cells(obs, POISON)) == goods
            ends["terminated"] += terminated
            ends["truncated"] += truncated
    assert min(ends.values()) > 0
