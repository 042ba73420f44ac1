"""A run seed becomes independent named streams, so that nothing drawn for one purpose can shift
what is drawn for another.

Streams have no state: the numbers of a tick are a function of (run seed, name, tick). A run
can therefore be taken up at any tick without saving a generator.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dqn_cli.types import Noise

NUMBERS_AT_ONCE = 2**15  # of a network's noise that are drawn together, per lane


def sequence(seed: int, name: str, *number: int) -> np.random.SeedSequence:
    """The root of one named stream of one run seed. NumPy keeps a spawn key apart from the entropy,
    so that no seed, name or number can stand for another: a stream without a number is not its
    number 0, and a seed of more than 32 bits is none of those below."""
    return np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()), *number))


def generator(seed: int, name: str, *number: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(sequence(seed, name, *number)))


def episode_seed(seed: int, name: str, *number: int) -> int:
    """The seed (32 bits) that an environment is reset with for the episode of this number."""
    return int(sequence(seed, name, *number).generate_state(1)[0])


class Stream:
    """Random numbers, float64 [S, *shape], for tick 0, 1, 2, ...: uniform in [0, 1), or standard
    normal.

    They are drawn a block of ticks at a time; a block's generator is seeded by its number.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        name: str,
        shape: tuple[int, ...],
        block: int = 256,
        normal: bool = False,
        uniform: int = 0,
    ) -> None:
        self.seeds = list(seeds)
        self.name = name
        self.shape = shape
        self.block = block
        self.normal = normal
        self.uniform = uniform  # as in Noise
        self._number = -1
        self._numbers: NDArray[np.float64] = np.empty(0)

    def at(self, tick: int) -> NDArray[np.float64]:
        number, offset = divmod(tick, self.block)
        if number != self._number:
            self._numbers = np.empty((self.block, len(self.seeds), *self.shape))
            for lane, seed in enumerate(self.seeds):
                self._numbers[:, lane] = self._drawn(generator(seed, self.name, number))
            self._number = number
        row: NDArray[np.float64] = self._numbers[offset]
        return row

    def _drawn(self, draws: np.random.Generator) -> NDArray[np.float64]:
        """One lane's numbers of a block [block, *shape]."""
        if not self.normal:
            return draws.random((self.block, *self.shape))
        if not self.uniform:
            return draws.standard_normal((self.block, *self.shape))
        normal = draws.standard_normal((self.block, self.shape[0] - self.uniform))
        return np.concatenate([normal, draws.random((self.block, self.uniform))], axis=1)

    @classmethod
    def of(cls, noise: Noise, seeds: Sequence[int], name: str) -> Stream:
        """The random numbers that a network asks for."""
        block = max(NUMBERS_AT_ONCE // math.prod(noise.shape), 1)
        return cls(seeds, name, noise.shape, block, noise.normal, noise.uniform)

    def floats(self, tick: int) -> NDArray[np.float32]:
        """The numbers of a tick as float32."""
        return self.at(tick).astype(np.float32)

    def keep(self, lanes: Sequence[int]) -> None:
        self.seeds = [self.seeds[lane] for lane in lanes]
        self._numbers = self._numbers[:, list(lanes)] if self._number >= 0 else self._numbers


def uniform_init(seed: int, name: str, shape: tuple[int, ...], bound: float) -> NDArray[Any]:
    """float32 numbers in [-bound, bound): one lane's share of a layer's first parameters."""
    return generator(seed, name).uniform(-bound, bound, shape).astype(np.float32)
