"""A recorded function does what the function does."""

import numpy as np
import pytest
import torch
from torch import Tensor

from dqn_cli.kernels import compiled, graph
from dqn_cli.kernels.graph import EAGER, Graph
from dqn_cli.kernels.kernels import Kernels, load
from dqn_cli.network.mlp import MLP
from dqn_cli.types import Space

gpu = pytest.mark.gpu
CALLS = EAGER + 4


class Mine:
    """A part that a user wrote."""


def cuda() -> torch.device:
    return torch.device("cuda")


def test_without_a_gpu_it_is_the_function(kernels: Kernels) -> None:
    called = []

    def function(state, x, number, none):
        called.append(1)
        state += kernels.place(np.float32(number) * np.ones(3, np.float32)) * x
        return state

    state, recorded = kernels.place(np.zeros(3, np.float32)), kernels.recorded(function, 1)
    for _ in range(CALLS):
        found = recorded(state, np.array([1, 2, 3], np.float32), 2, None)
    assert len(called) == CALLS
    assert kernels.numpy(found).tolist() == [2.0 * CALLS, 4.0 * CALLS, 6.0 * CALLS]


def test_parts_of_the_package_compute_from_their_arguments_alone() -> None:
    assert graph.pure(MLP(Space((2,), np.dtype(np.float32), 2), 1, hidden=[3], activation="relu"))
    assert not graph.pure(Mine())


def test_compiled_kernels_add_nothing() -> None:
    assert compiled.recorded(len, 0) is len


@gpu
def test_the_state_is_changed_once_a_call_and_inputs_may_differ() -> None:
    called = []

    def function(total: Tensor, x: Tensor, count: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        called.append(1)
        total += x
        return x * count + share, total + 0

    recorded, total = Graph(function, 1, cuda()), torch.zeros(4, device="cuda")
    for i in range(CALLS):
        x = np.full(4, i, np.float32)
        given = x if i % 2 else torch.from_numpy(x).cuda()
        first, second = recorded(total, given, i, i / 8)
        assert first.tolist() == [i * i + i / 8] * 4
        assert second.tolist() == [i * (i + 1) / 2] * 4
    assert len(called) == EAGER + 1
    assert total.tolist() == second.tolist()


@gpu
@pytest.mark.parametrize("number", [3, 2**40 + 1, True, -1])
def test_a_whole_number_stays_whole(number: int) -> None:
    recorded = Graph(lambda x, n: x + n, 0, cuda())
    for _ in range(CALLS):
        found = recorded(np.array([5]), number)
        assert (found.dtype, found.tolist()) == (torch.int64, [5 + number])


@gpu
def test_state_elsewhere_and_another_shape_are_recorded_anew() -> None:
    recorded = Graph(lambda total, x: total.add_(x.sum()), 1, cuda())
    for total in (torch.zeros(2, device="cuda"), torch.zeros(2, device="cuda")):
        for size in (3, 5):
            before = total[0].item()
            for call in range(CALLS):
                recorded(total, np.ones(size, np.float32))
                assert total.tolist() == [before + size * (call + 1)] * 2


@gpu
def test_what_one_returns_another_takes_where_it_lies() -> None:
    first = Graph(lambda x: x * 2, 0, cuda())
    second = Graph(lambda x: x + 1, 0, cuda())
    for i in range(2 * CALLS):
        between = first(np.full(3, i, np.float32))
        assert second(between).tolist() == [2 * i + 1] * 3
    assert second.inputs[0].data_ptr() == between.data_ptr()


@gpu
def test_what_waits_for_the_gpu_is_run_as_it_is() -> None:
    recorded = Graph(lambda x: x + x.sum().item(), 0, cuda())
    for i in range(CALLS):
        assert recorded(np.full(3, i, np.float32)).tolist() == [4.0 * i] * 3
    assert not recorded.works
    assert (torch.ones(2, device="cuda") + 1).tolist() == [2, 2]


@gpu
def test_a_users_part_is_not_recorded() -> None:
    """It may count its calls."""
    kernels, calls = load("torch", cuda()), 0

    def function(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return x + calls

    recorded = kernels.recorded(function, 0, (Mine(),))
    assert [recorded(np.zeros(1)).item() for _ in range(CALLS)] == [*range(1, CALLS + 1)]
