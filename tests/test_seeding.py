import zlib
from itertools import combinations

import numpy as np
import pytest

from dqn_cli.seeding import NUMBERS_AT_ONCE, Stream, episode_seed, generator, uniform_init
from dqn_cli.types import Noise


def ticks(stream: Stream, numbers: range) -> np.ndarray:
    return np.stack([stream.at(tick).copy() for tick in numbers])


def test_a_stream_is_a_function_of_seed_and_name() -> None:
    again = generator(5, "replay", 2).random(4)
    assert np.array_equal(generator(5, "replay", 2).random(4), again)
    others = [(6, "replay", 2), (5, "explore", 2), (5, "replay", 3), (0, "replay", 2)]
    for other in others:
        assert not np.array_equal(generator(*other).random(4), again), other


def test_no_two_streams_are_one() -> None:
    """Trap: the words of a seed, a name and a number strung together. A 0 at the end then changes
    nothing, and a seed from 2^32 on has the words of a small seed and a number."""
    crc = zlib.crc32(b"env")
    keys = [(5, "env"), (5, "env", 0), (5, "env", 0, 0), (5, "env", 1), (5, "env", 0, 1)]
    keys += [
        (5 + 2**32, "env"),
        (5 + 2**32, "env", 0),
        (2**32, "env"),
        (0, "env"),
        (5 + (crc << 32), "env"),
    ]
    seeds = [episode_seed(*key) for key in keys]
    assert len(set(seeds)) == len(keys)


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**63 - 1])
def test_every_seed_is_a_seed_zero_included(seed: int) -> None:
    """Trap: a falsy zero, or a seed argument that seeds nothing."""
    numbers = Stream([seed], "explore", (8,)).at(0)
    assert np.array_equal(numbers, Stream([seed], "explore", (8,)).at(0))
    assert not np.array_equal(numbers, Stream([7], "explore", (8,)).at(0))


def test_numbers_lie_in_zero_to_one() -> None:
    numbers = ticks(Stream([0, 1], "explore", (50,), block=8), range(100))  # 10000 numbers
    assert numbers.shape == (100, 2, 50)
    assert numbers.dtype == np.float64
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert numbers.mean() == pytest.approx(0.5, abs=0.02)  # standard error 0.003
    assert len(np.unique(numbers)) == numbers.size  # no block begins again


def test_normal_numbers_have_mean_0_and_deviation_1() -> None:
    numbers = ticks(Stream([0, 1], "noise", (50,), block=8, normal=True), range(100))  # 10000
    assert numbers.shape == (100, 2, 50)
    assert numbers.dtype == np.float64
    assert numbers.mean() == pytest.approx(0, abs=0.05)  # standard error 0.01
    assert numbers.std() == pytest.approx(1, abs=0.04)  # standard error 0.007
    assert (np.abs(numbers) > 2).mean() == pytest.approx(0.0455, abs=0.01)
    assert len(np.unique(numbers)) == numbers.size


def test_one_draw_for_all_envs() -> None:
    """Trap: a single number that makes all lanes explore, or all greedy, together."""
    chance = ticks(Stream([3, 4, 5], "explore", ()), range(400))  # [400, S]
    for a, b in combinations(range(3), 2):
        assert abs(np.corrcoef(chance[:, a], chance[:, b])[0, 1]) < 0.2


@pytest.mark.parametrize("normal", [False, True])
def test_lane_does_not_depend_on_neighbours_or_place(normal: bool) -> None:
    alone = ticks(Stream([9], "replay", (3,), block=8, normal=normal), range(20))[:, 0]
    for company in ([9, 1], [1, 9], [4, 3, 9, 0]):
        numbers = ticks(Stream(company, "replay", (3,), block=8, normal=normal), range(20))
        assert np.array_equal(numbers[:, company.index(9)], alone)


@pytest.mark.parametrize("normal", [False, True])
def test_ticks_out_of_order_give_the_same_numbers(normal: bool) -> None:
    in_order = ticks(Stream([1, 2], "replay", (2,), block=4, normal=normal), range(12))
    stream = Stream([1, 2], "replay", (2,), block=4, normal=normal)
    for tick in [7, 0, 11, 3, 4, 3, 8]:
        assert np.array_equal(stream.at(tick), in_order[tick]), tick


def test_a_name_is_a_stream_of_its_own() -> None:
    assert not np.array_equal(Stream([1], "replay", (4,)).at(0), Stream([1], "explore", (4,)).at(0))


@pytest.mark.parametrize("normal", [False, True])
@pytest.mark.parametrize("leave_at", [0, 1, 3, 4])
def test_keep_in_mid_block_goes_on_as_if_nothing_were(leave_at: int, normal: bool) -> None:
    whole = ticks(Stream([1, 2, 3], "replay", (2,), block=4, normal=normal), range(10))
    stream = Stream([1, 2, 3], "replay", (2,), block=4, normal=normal)
    ticks(stream, range(leave_at)) if leave_at else None
    stream.keep([2, 0])
    rest = ticks(stream, range(leave_at, 10))
    assert np.array_equal(rest, whole[leave_at:, [2, 0]])
    stream.keep([1])
    assert np.array_equal(stream.at(9), whole[9, [0]])


@pytest.mark.parametrize("normal", [False, True])
@pytest.mark.parametrize("shape", [(5,), (3, 4), (NUMBERS_AT_ONCE,), (2, NUMBERS_AT_ONCE)])
def test_the_noise_that_a_network_asks_for(shape: tuple[int, ...], normal: bool) -> None:
    """A block is as many ticks as NUMBERS_AT_ONCE has room for, at least one, and its generator is
    seeded by its number; float32 of what is drawn."""
    stream = Stream.of(Noise(shape, normal), [7, 3], "noise.learn")
    block = {(5,): NUMBERS_AT_ONCE // 5, (3, 4): NUMBERS_AT_ONCE // 12}.get(shape, 1)
    for tick, number, offset in ((0, 0, 0), (block, 1, 0), (3 * block - 1, 2, block - 1)):
        drawn = stream.floats(tick)
        assert (drawn.dtype, drawn.shape) == (np.float32, (2, *shape))
        draws = generator(3, "noise.learn", number)
        expected = (draws.standard_normal if normal else draws.random)((block, *shape))[offset]
        assert np.array_equal(drawn[1], expected.astype(np.float32))


def test_episode_seeds_are_distinct() -> None:
    seeds = {
        episode_seed(seed, name, *number)
        for seed in (0, 1, 12, 34)
        for name in ("env", "eval")
        for number in [(n,) for n in range(1, 301)] + [(n, 1) for n in range(1, 301)]
    }
    assert len(seeds) == 4 * 2 * 600
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert episode_seed(12, "env", 3) == episode_seed(12, "env", 3)


def test_init_is_a_function_of_seed_and_name_within_its_bound() -> None:
    weight = uniform_init(3, "init.a", (40, 50), 0.5)
    assert weight.dtype == np.float32
    assert weight.shape == (40, 50)
    assert 0.49 < np.abs(weight).max() <= 0.5
    assert abs(weight.mean()) < 0.05
    assert np.array_equal(weight, uniform_init(3, "init.a", (40, 50), 0.5))
    for other in [(4, "init.a"), (3, "init.b")]:
        assert not np.array_equal(weight, uniform_init(*other, (40, 50), 0.5))


def test_normal_numbers_and_uniform_ones_behind_them() -> None:
    """One stream of both, a lane's the same in any company and at any time."""
    stream = Stream([1, 2, 3], "test", (40,), block=8, normal=True, uniform=30)
    drawn = np.stack([stream.at(tick) for tick in range(20)])
    normal, uniform = drawn[..., :10], drawn[..., 10:]
    assert uniform.min() >= 0 and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.05
    assert normal.min() < -1 and abs(normal.std() - 1) < 0.2
    assert len(np.unique(drawn)) == drawn.size
    alone = Stream([2], "test", (40,), block=8, normal=True, uniform=30)
    assert (alone.at(13)[0] == drawn[13, 1]).all()
