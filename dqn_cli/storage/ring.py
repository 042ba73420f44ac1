"""Columns of rows: the last `capacity` rows of every lane, the oldest overwritten first.

Lanes store their rows together, so one write position serves them all. Each has a slot, a place in
every column, so that a lane that leaves moves nothing of the others', which may be gigabytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.state import Rows, State, spans, take
from dqn_cli.words import counted


class Column(NamedTuple):
    """One array [L, length, *shape]: row number r, from 0 on, lies at r % length."""

    length: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | type[np.generic]

    @property
    def bytes(self) -> int:
        """Of one row."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


class Ring:
    """`lanes` lanes of such columns, by name. MemoryError if they do not fit."""

    def __init__(
        self, lanes: int, capacity: int, columns: Mapping[str, Column], kernels: Kernels
    ) -> None:
        self.capacity = capacity
        self.kinds = columns
        self.kernels = kernels
        self.row_bytes = sum(column.bytes for column in columns.values())
        self._make(lanes)

    def _make(self, lanes: int) -> None:
        self.stored = 0  # rows ever stored, per lane
        self.lanes = lanes  # that there is room for
        self._use(np.arange(lanes))
        try:
            # NumPy's zeros take memory only as they are written to.
            self.columns: dict[str, Array] = {
                name: self.kernels.place(np.zeros((lanes, kind.length, *kind.shape), kind.dtype))
                for name, kind in self.kinds.items()
            }
        except (RuntimeError, MemoryError, ValueError) as error:
            what = f"capacity={self.capacity}: no room for {counted(lanes, 'seed')}"
            raise MemoryError(f"{what}: {error}") from error

    def __len__(self) -> int:
        """Rows held, per lane."""
        return min(self.stored, self.capacity)

    @property
    def newest(self) -> int:
        """The position of the newest row."""
        return (self.stored - 1) % self.capacity

    def keep(self, lanes: Sequence[int]) -> None:
        self._use(self.own[list(lanes)])

    def rows(self, lane: int) -> Rows:
        """Those that are held of a lane."""
        slot = int(self.own[lane])

        def taken(first: int, stop: int) -> State:
            return {
                name: self.kernels.tensor(array[slot, self._at(name, first, stop)]).cpu()
                for name, array in self.columns.items()
            }

        first = self.stored - len(self)
        return Rows(first, self.stored, self.row_bytes, taken, lambda: self._rest(slot))

    def load(self, stored: int, rows: Sequence[Rows | None]) -> None:
        """Go on with these lanes after so many rows of each: with the one that is in this place
        already (None), or with these rows. ValueError if they are not of such a storage."""
        first = max(stored - self.capacity, 0)
        if len(rows) > self.lanes:
            self._make(len(rows))
        kept = self.own.tolist() if None in rows else []
        free = iter([slot for slot in range(self.lanes) if slot not in kept])
        slots = [kept[i] if held is None else next(free) for i, held in enumerate(rows)]
        self.stored = stored
        for slot, held in zip(slots, rows, strict=True):
            if held is None:
                continue
            if (held.first, held.stop) != (first, stored):
                raise ValueError(
                    f"rows: expected {first} to {stored}, found {held.first} to {held.stop}"
                )
            for start, stop in spans(*held[:3]):
                self._put(slot, start, stop, held.take(start, stop))
            self._go_on(slot, held.rest())
        self._use(np.array(slots, np.int64))

    def _put(self, slot: int, first: int, stop: int, state: State) -> None:
        for name, column in self.kinds.items():
            kind = torch.from_numpy(np.empty(0, column.dtype)).dtype
            part = take(state, name, (stop - first, *column.shape), kind)
            self.columns[name][slot, self._at(name, first, stop)] = self.kernels.place(part.numpy())

    def _at(self, name: str, first: int, stop: int) -> Array:
        """Where these rows lie in a column."""
        return self.kernels.place(np.arange(first, stop) % self.kinds[name].length)

    def _use(self, slots: NDArray[np.int64]) -> None:
        """Lane s has slots[s]."""
        self.own = slots
        self.slots = self.kernels.place(slots)

    def _rest(self, slot: int) -> State:
        """What there is of a lane besides its rows."""
        return {}

    def _go_on(self, slot: int, rest: State) -> None:
        """Take up what `_rest` gave, after the rows."""
