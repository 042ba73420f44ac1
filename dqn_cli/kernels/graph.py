"""A function of arrays as one CUDA graph.

To send one operation to a GPU takes a CPU tens of microseconds, and the GPU does it in two: an
update of a small network is a hundred operations, and waits for the CPU nearly all the time. A
graph sends them all at once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

EAGER = 3  # calls before it is recorded: libraries choose and load what they use in the first ones


class Graph:
    """`function`, whose first `state` arguments are tensors that it reads and changes where they
    lie, or None. The others are its inputs: tensors, NumPy's arrays, or numbers, which it gets as
    tensors [] (int64, float64); or None.

    It does the same operations in every call: nothing but its arguments may differ. What it returns
    (a tensor, a tuple of them, or None) is overwritten by the next call. Where state lies elsewhere
    than before, or an input has another shape, it is recorded anew. What cannot be recorded is run
    as it is, to the same result.
    """

    def __init__(self, function: Callable[..., Any], state: int, device: torch.device) -> None:
        self.function = function
        self.state = state
        self.device = device
        self.key: object = None
        self.calls = 0  # with this key
        self.graph: torch.cuda.CUDAGraph | None = None
        self.works = True

    def __call__(self, *given: Any) -> Any:
        if not self.works or not all(map(known, given)):
            return self.function(*self._placed(given))
        key = tuple(map(where, given[: self.state])), tuple(map(kind, given[self.state :]))
        if key != self.key:
            self.key, self.calls, self.graph = key, 0, None
        self.calls += 1
        if self.calls <= EAGER:
            return self.function(*self._placed(given))
        if self.graph is None and not self._record(given):
            return self.function(*self._placed(given))
        assert self.graph is not None
        self._fill(given)
        self.graph.replay()
        return self.outputs

    def _placed(self, given: tuple[Any, ...]) -> list[Any]:
        """The arguments as the function gets them."""
        found = [place(x, self.device) for x in given]
        numbers = self._numbers(given)
        return self._unpacked(given, found, place(numbers, self.device))

    @staticmethod
    def _numbers(given: tuple[Any, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """All numbers in one array, which is one thing to send; whole ones fit up to 2^53."""
        return np.array([x for x in given if isinstance(x, int | float)], np.float64)

    @staticmethod
    def _unpacked(given: tuple[Any, ...], found: list[Any], numbers: Tensor) -> list[Any]:
        rest = iter(numbers.unbind())
        for i, x in enumerate(given):
            if isinstance(x, int | float):
                found[i] = next(rest).long() if isinstance(x, int) else next(rest)
        return found

    def _record(self, given: tuple[Any, ...]) -> bool:
        """Whether it could be."""
        self.inputs = [
            x if i < self.state or getattr(x, "stays", False) else copied(x, self.device)
            for i, x in enumerate(given)
        ]
        self.numbers = torch.from_numpy(self._numbers(given)).to(self.device)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                arguments = self._unpacked(given, list(self.inputs), self.numbers)
                self.outputs = self.function(*arguments)
        except RuntimeError:  # it waits for the GPU, or sends it something
            self.works = False
            return False
        for x in self.outputs if isinstance(self.outputs, tuple) else [self.outputs]:
            if isinstance(x, Tensor):
                x.stays = True  # type: ignore[attr-defined]
        self.graph = graph
        return True

    def _fill(self, given: tuple[Any, ...]) -> None:
        for mine, x in zip(self.inputs[self.state :], given[self.state :], strict=True):
            if isinstance(x, np.ndarray):
                mine.copy_(torch.from_numpy(x), non_blocking=True)
            elif isinstance(x, Tensor) and mine.data_ptr() != x.data_ptr():
                mine.copy_(x)
        if len(self.numbers):
            self.numbers.copy_(torch.from_numpy(self._numbers(given)), non_blocking=True)


def placing(function: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """`function`, given NumPy's arrays as tensors."""

    @functools.wraps(function)
    def placed(*given: Any) -> Any:
        return function(*(place(x, device) for x in given))

    return placed


def place(x: Any, device: torch.device) -> Any:
    return torch.from_numpy(x).to(device) if isinstance(x, np.ndarray) else x


def copied(x: Any, device: torch.device) -> Any:
    return x.clone() if isinstance(x, Tensor) else place(x, device)


def known(x: Any) -> bool:
    return x is None or isinstance(x, Tensor | np.ndarray | int | float)


def where(x: Any) -> object:
    return None if x is None else (x.data_ptr(), tuple(x.shape), tuple(x.stride()))


def kind(x: Any) -> object:
    """What a recording depends on of an input."""
    if isinstance(x, Tensor | np.ndarray):
        return tuple(x.shape), str(x.dtype).removeprefix("torch.")
    return type(x)


def pure(part: object) -> bool:
    """Whether it computes from its arguments alone, as all parts of this package do."""
    return type(part).__module__.partition(".")[0] == "dqn_cli"
