"""Against the same thing done slowly: an array, its cumulative sum, and a search.

Values are whole numbers where equality is exact, since sums of them are.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dqn_cli.buffer.sum_tree import FANOUT, SumTree

CAPACITIES = [1, 2, 15, 16, 17, 100, 256, 257, 300, 5000]


def dense_find(values: NDArray[np.float64], mass: NDArray[np.float64]) -> NDArray[np.int64]:
    """The first index at which the running sum exceeds the mass."""
    return np.searchsorted(values.cumsum(), mass, side="right")


def tree_of(values: NDArray[np.float64]) -> SumTree:
    tree = SumTree(1, len(values))
    tree.set(np.arange(len(values))[None], values[None])
    return tree


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[tuple[list[int], list[int]]]]:
    """A capacity and what is put where: any order, several at once, duplicates and zeros too."""
    capacity = draw(st.integers(1, 700))
    put = st.tuples(st.integers(0, capacity - 1), st.integers(0, 10**6) | st.just(0))
    sets = draw(st.lists(st.lists(put, min_size=1, max_size=20), min_size=1, max_size=12))
    return capacity, [([i for i, _ in puts], [v for _, v in puts]) for puts in sets]


@settings(deadline=None)
@given(histories())
def test_like_a_dense_array_whatever_is_set(
    history: tuple[int, list[tuple[list[int], list[int]]]],
) -> None:
    capacity, sets = history
    tree, dense = SumTree(1, capacity), np.zeros(capacity)
    for index, value in sets:
        tree.set(np.array([index]), np.array([value], float))
        for i, v in zip(index, value, strict=True):  # where an index comes twice, the last stays
            dense[i] = v
        assert np.array_equal(tree.get(np.arange(capacity)[None])[0], dense)
        assert tree.total[0] == dense.sum()
    if dense.any():
        edges = np.concatenate([[0.0], dense.cumsum(), dense.cumsum() - 0.5])
        edges = edges[(edges >= 0) & (edges < dense.sum())]
        assert np.array_equal(tree.find(edges[None])[0], dense_find(dense, edges))


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_every_index_is_found_where_its_share_lies(capacity: int) -> None:
    """Trap: a tree that is right for full levels only. Every value is 1: mass i + 0.5 is row i."""
    tree = tree_of(np.ones(capacity))
    assert tree.total[0] == capacity
    for mass in (0.0, 0.5):
        assert np.array_equal(tree.find(np.arange(capacity)[None] + mass)[0], np.arange(capacity))


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_the_edges_of_the_total(capacity: int) -> None:
    """Tenths do not add up exactly, and still the first and last index are right."""
    draw = np.random.default_rng(capacity)
    values = draw.integers(1, 9, capacity) / 10
    tree = tree_of(values)
    total = tree.total[0]
    mass = np.array([[0.0, np.nextafter(total, 0), total]])
    assert tree.find(mass)[0].tolist() == [0, capacity - 1, capacity - 1]


@pytest.mark.parametrize("capacity", [17, 300, 5000])
def test_zero_is_never_found(capacity: int) -> None:
    """Also at the edges: the first and last rows are empty, and so are whole nodes."""
    draw = np.random.default_rng(1)
    values = draw.random(capacity) * (draw.random(capacity) < 0.1)
    values[: capacity // 3] = values[-FANOUT // 2 :] = 0
    values[capacity // 2] = 0.1
    tree = tree_of(values)
    total = tree.total[0]
    mass = np.concatenate(
        [values.cumsum(), [0.0, np.nextafter(total, 0), total], draw.random(2000)]
    )
    found = tree.find(np.minimum(mass, total)[None])[0]
    assert found.max() < capacity
    assert (values[found] > 0).all()
    assert found[-2001] == np.flatnonzero(values)[-1]


def test_an_index_set_twice_at_once_keeps_the_last() -> None:
    tree = SumTree(2, 40)
    tree.set(np.array([[3, 20, 3], [5, 5, 5]]), np.array([[1.0, 2.0, 7.0], [1.0, 2.0, 3.0]]))
    assert tree.get(np.array([[3, 20], [5, 3]])).tolist() == [[7.0, 2.0], [3.0, 0.0]]
    assert tree.total.tolist() == [9.0, 3.0]


def test_no_drift_after_a_million_updates() -> None:
    """Trap: float32, or sums adjusted by differences. Values of 1e8 come and go over 1e-8."""
    capacity, draw = 1000, np.random.default_rng(0)
    tree, dense = SumTree(1, capacity), np.zeros(capacity)
    for _ in range(500):
        index = draw.integers(capacity, size=2000)
        value = draw.random(2000) * np.where(draw.random(2000) < 0.5, 1e8, 1e-8)
        tree.set(index[None], value[None])
        dense[index] = value
    assert np.array_equal(tree.get(np.arange(capacity)[None])[0], dense)
    assert tree.total[0] == pytest.approx(math.fsum(dense), rel=1e-14)
    small = draw.random(capacity) * 1e-8
    tree.set(np.arange(capacity)[None], small[None])
    # about 5e-6, of which the default `abs` of 1e-12 would be no small part
    assert tree.total[0] == pytest.approx(math.fsum(small), rel=1e-14, abs=0)
    tree.set(np.arange(capacity)[None], np.zeros((1, capacity)))
    assert tree.total[0] == 0


@pytest.mark.parametrize("capacity", [5, 17, 300])
def test_a_lane_does_not_depend_on_its_neighbours(capacity: int) -> None:
    draw = np.random.default_rng(2)
    company, alone = SumTree(3, capacity), [SumTree(1, capacity) for _ in range(3)]
    for n in [1, 7, 64] * 5:
        index, value = draw.integers(capacity, size=(3, n)), draw.random((3, n)) ** 3
        mass = draw.random((3, n))
        company.set(index, value)
        found = company.find(mass * company.total[:, None])
        for lane, tree in enumerate(alone):
            tree.set(index[[lane]], value[[lane]])
            assert company.total[lane] == tree.total[0]
            assert np.array_equal(found[lane], tree.find(mass[[lane]] * tree.total[:, None])[0])


def test_keep_keeps_these_lanes() -> None:
    tree = SumTree(3, 20)
    tree.set(np.full((3, 1), 4), np.array([[1.0], [2.0], [3.0]]))
    tree.keep([2, 0])
    tree.set(np.full((2, 1), 19), np.array([[10.0], [20.0]]))
    assert tree.total.tolist() == [13.0, 21.0]
    assert tree.find(np.array([[2.5, 3.5], [0.5, 1.5]])).tolist() == [[4, 19], [4, 19]]


@pytest.mark.parametrize("capacity", [1, 15, 300, 5000])
def test_a_filled_tree_is_the_one_that_grew_to_it(capacity: int) -> None:
    """To the bit, in every sum: a run that goes on must draw what it would have drawn."""
    draw = np.random.default_rng(3)
    grown = SumTree(2, capacity)
    for _ in range(200):
        index = draw.integers(capacity, size=(2, 9))
        grown.set(index, draw.random((2, 9)) ** 5 * 1e6)
        assert (grown.total >= 0).all()
    filled = SumTree(2, capacity)
    filled.fill(np.stack([grown.values(lane, capacity) for lane in (0, 1)]))
    for name in ("leaves", "nodes", "top", "running"):
        assert getattr(filled, name).tobytes() == getattr(grown, name).tobytes()


def test_a_tree_filled_in_part_has_nothing_in_the_rest() -> None:
    tree = SumTree(2, 40)
    tree.fill(np.array([[1.0, 2.0], [3.0, 0.5]]))
    assert tree.total.tolist() == [3.0, 3.5]
    assert tree.find(np.array([[0.5, 1.5], [2.9, 3.1]])).tolist() == [[0, 1], [0, 1]]
