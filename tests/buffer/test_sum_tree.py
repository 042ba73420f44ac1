"""Against the same thing done slowly: an array, its cumulative sum, and a search.

Values are whole numbers where equality is exact, since sums of them are.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dqn_cli.buffer.sum_tree import SumTree
from dqn_cli.kernels.kernels import BLOCK, Array, Kernels

CAPACITIES = [1, 2, 7, 8, 9, 15, 16, 17, 100, 256, 257, 300, 5000]


def dense_find(values: NDArray[np.float64], mass: NDArray[np.float64]) -> NDArray[np.int64]:
    """The first index at which the running sum exceeds the mass."""
    return np.searchsorted(values.cumsum(), mass, side="right")


class Tree:
    """A sum tree with NumPy's arrays in and out."""

    def __init__(self, kernels: Kernels, lanes: int, capacity: int, minimum: bool = False) -> None:
        self.place, self.numpy = kernels.place, kernels.numpy
        self.tree = SumTree(kernels, lanes, capacity, minimum)

    @property
    def total(self) -> NDArray[np.float64]:
        return self.numpy(self.tree.total)

    @property
    def least(self) -> NDArray[np.float64]:
        return self.numpy(self.tree.least)

    def set(self, index: NDArray[np.int64], value: NDArray[np.float64]) -> None:
        self.tree.set(self.place(index), self.place(value))

    def find(self, mass: NDArray[np.float64]) -> NDArray[np.int64]:
        return self.numpy(self.tree.find(self.place(mass)))

    def values(self, lane: int, n: int) -> NDArray[np.float64]:
        return self.numpy(self.tree.values(lane, n))

    def all(self) -> dict[str, bytes]:
        """Every number in it."""
        rows = {"leaves": self.tree.leaves, "nodes": self.tree.nodes}
        rows |= {f"low {i}": rows for i, rows in enumerate(self.tree.lows)}
        return {name: self.numpy(row).tobytes() for name, row in rows.items()}


def tree_of(kernels: Kernels, values: NDArray[np.float64]) -> Tree:
    tree = Tree(kernels, 1, len(values))
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
@given(history=histories())
def test_like_a_dense_array_whatever_is_set(
    kernels: Kernels,
    history: tuple[int, list[tuple[list[int], list[int]]]],
) -> None:
    capacity, sets = history
    tree, dense = Tree(kernels, 1, capacity), np.zeros(capacity)
    for index, value in sets:
        tree.set(np.array([index]), np.array([value], float))
        for i, v in zip(index, value, strict=True):  # where an index comes twice, the last stays
            dense[i] = v
        assert np.array_equal(tree.values(0, capacity), dense)
        assert tree.total[0] == dense.sum()
    if dense.any():
        edges = np.concatenate([[0.0], dense.cumsum(), dense.cumsum() - 0.5])
        edges = edges[(edges >= 0) & (edges < dense.sum())]
        assert np.array_equal(tree.find(edges[None])[0], dense_find(dense, edges))


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_every_index_is_found_where_its_share_lies(kernels: Kernels, capacity: int) -> None:
    """Trap: a tree that is right for full levels only. Every value is 1: mass i + 0.5 is row i."""
    tree = tree_of(kernels, np.ones(capacity))
    assert tree.total[0] == capacity
    for mass in (0.0, 0.5):
        assert np.array_equal(tree.find(np.arange(capacity)[None] + mass)[0], np.arange(capacity))


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_the_edges_of_the_total(kernels: Kernels, capacity: int) -> None:
    """Tenths do not add up exactly, and still the first and last index are right."""
    draw = np.random.default_rng(capacity)
    values = draw.integers(1, 9, capacity) / 10
    tree = tree_of(kernels, values)
    total = tree.total[0]
    mass = np.array([[0.0, np.nextafter(total, 0), total]])
    assert tree.find(mass)[0].tolist() == [0, capacity - 1, capacity - 1]


@pytest.mark.parametrize("capacity", [17, 300, 5000])
def test_zero_is_never_found(kernels: Kernels, capacity: int) -> None:
    """Also at the edges: the first and last rows are empty, and so are whole nodes."""
    draw = np.random.default_rng(1)
    values = draw.random(capacity) * (draw.random(capacity) < 0.1)
    values[: capacity // 3] = values[-BLOCK // 2 :] = 0
    values[capacity // 2] = 0.1
    tree = tree_of(kernels, values)
    total = tree.total[0]
    mass = np.concatenate(
        [values.cumsum(), [0.0, np.nextafter(total, 0), total], draw.random(2000)]
    )
    found = tree.find(mass[None])[0]
    assert found.max() < capacity
    assert (values[found] > 0).all()
    assert found[-2001] == np.flatnonzero(values)[-1]


@pytest.mark.parametrize(("capacity", "place"), [(16, 8), (32, 16), (64, 20)])
def test_a_mass_that_rounding_carries_past_the_end(
    kernels: Kernels, capacity: int, place: int
) -> None:
    """1.5 and 2^52 + 2 have the sum 2^52 + 4 (to even), and 2^52 + 3 less 1.5 is 2^52 + 2 (to
    even), which is all that there is, and nothing after it."""
    values = np.zeros(capacity)
    values[0], values[place] = 1.5, 2.0**52 + 2
    tree = tree_of(kernels, values)
    assert tree.total[0] == 2.0**52 + 4
    assert tree.find(np.array([[2.0**52 + 3]])).tolist() == [[place]]


def test_an_index_set_twice_at_once_keeps_the_last(kernels: Kernels) -> None:
    tree = Tree(kernels, 2, 40)
    tree.set(np.array([[3, 20, 3], [5, 5, 5]]), np.array([[1.0, 2.0, 7.0], [1.0, 2.0, 3.0]]))
    assert tree.values(0, 21)[[3, 20]].tolist() == [7.0, 2.0]
    assert tree.values(1, 6)[[3, 5]].tolist() == [0.0, 3.0]
    assert tree.total.tolist() == [9.0, 3.0]


def test_no_drift_after_a_million_updates(kernels: Kernels) -> None:
    """Trap: float32, or sums adjusted by differences. Values of 1e8 come and go over 1e-8."""
    capacity, draw = 1000, np.random.default_rng(0)
    tree, dense = Tree(kernels, 1, capacity), np.zeros(capacity)
    for _ in range(5000):
        index = draw.integers(capacity, size=200)
        value = draw.random(200) * np.where(draw.random(200) < 0.5, 1e8, 1e-8)
        tree.set(index[None], value[None])
        dense[index] = value
    assert np.array_equal(tree.values(0, capacity), dense)
    assert tree.total[0] == pytest.approx(math.fsum(dense), rel=1e-14)
    small = draw.random(capacity) * 1e-8
    tree.set(np.arange(capacity)[None], small[None])
    # about 5e-6, of which the default `abs` of 1e-12 would be no small part
    assert tree.total[0] == pytest.approx(math.fsum(small), rel=1e-14, abs=0)
    tree.set(np.arange(capacity)[None], np.zeros((1, capacity)))
    assert tree.total[0] == 0


@pytest.mark.parametrize("capacity", [5, 17, 300])
def test_a_lane_does_not_depend_on_its_neighbours(kernels: Kernels, capacity: int) -> None:
    draw = np.random.default_rng(2)
    company, alone = Tree(kernels, 3, capacity), [Tree(kernels, 1, capacity) for _ in range(3)]
    for n in [1, 7, 64] * 5:
        index, value = draw.integers(capacity, size=(3, n)), draw.random((3, n)) ** 3
        mass = draw.random((3, n))
        company.set(index, value)
        found = company.find(mass * company.total[:, None])
        for lane, tree in enumerate(alone):
            tree.set(index[[lane]], value[[lane]])
            assert company.total[lane] == tree.total[0]
            assert np.array_equal(found[lane], tree.find(mass[[lane]] * tree.total[:, None])[0])


def test_keep_keeps_these_lanes(kernels: Kernels) -> None:
    tree = Tree(kernels, 3, 20)
    tree.set(np.full((3, 1), 4), np.array([[1.0], [2.0], [3.0]]))
    tree.tree.keep([2, 0])
    tree.set(np.full((2, 1), 19), np.array([[10.0], [20.0]]))
    assert tree.total.tolist() == [13.0, 21.0]
    assert tree.find(np.array([[2.5, 3.5], [0.5, 1.5]])).tolist() == [[4, 19], [4, 19]]


@pytest.mark.parametrize("capacity", [1, 15, 256, 300, 700])
def test_a_filled_tree_is_the_one_that_grew_to_it(kernels: Kernels, capacity: int) -> None:
    """To the bit, in every sum: a run that goes on must draw what it would have drawn."""
    draw = np.random.default_rng(3)
    grown = Tree(kernels, 2, capacity, minimum=True)
    for k in range(capacity):
        grown.set(np.full((2, 1), k), draw.random((2, 1)))
    for _ in range(200):
        index = draw.integers(capacity, size=(2, 9))
        grown.set(index, draw.random((2, 9)) ** 5 * 1e6)
        assert (grown.total >= 0).all()
    filled = Tree(kernels, 2, capacity, minimum=True)
    filled.tree.fill(np.stack([grown.values(lane, capacity) for lane in (0, 1)]))
    assert filled.all() == grown.all()


def test_a_tree_filled_in_part_has_nothing_in_the_rest(kernels: Kernels) -> None:
    tree = Tree(kernels, 2, 40)
    tree.tree.fill(np.array([[1.0, 2.0], [3.0, 0.5]]))
    assert tree.total.tolist() == [3.0, 3.5]
    assert tree.find(np.array([[0.5, 1.5], [2.9, 3.1]])).tolist() == [[0, 1], [0, 1]]


def test_a_large_tree_is_filled_in_parts(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap: all at once, where PyTorch's kernels compare each index with each: of a buffer of
    100,000 rows, 80 GB."""
    sizes, put = [], SumTree.set

    def spied(tree: SumTree, index: Array, value: Array) -> None:
        sizes.append(index.shape[1])
        put(tree, index, value)

    monkeypatch.setattr(SumTree, "set", spied)
    tree, values = Tree(kernels, 1, 20_000), np.arange(20_000.0)[None]
    tree.tree.fill(values)
    assert max(sizes) <= 1000
    assert np.array_equal(tree.values(0, 20_000), values[0])
    assert tree.total[0] == values.sum()


def test_the_smallest_value_is_kept_on_demand(kernels: Kernels) -> None:
    """Trap: a minimum that only falls, or that takes empty places for zeros."""
    tree = Tree(kernels, 2, 40, minimum=True)
    assert tree.least.tolist() == [math.inf, math.inf]
    tree.set(np.array([[3, 20], [5, 39]]), np.array([[4.0, 2.0], [0.5, 9.0]]))
    assert tree.least.tolist() == [2.0, 0.5]
    tree.set(np.array([[20, 20], [5, 39]]), np.array([[1.0, 7.0], [10.0, 0.0]]))
    assert tree.least.tolist() == [4.0, 0.0]
    tree.tree.keep([1])
    assert tree.least.tolist() == [0.0]
    assert not Tree(kernels, 2, 40).tree.lows


@pytest.mark.parametrize("capacity", [1, 9, 300])
def test_the_smallest_of_many(kernels: Kernels, capacity: int) -> None:
    draw = np.random.default_rng(4)
    tree, dense = Tree(kernels, 1, capacity, minimum=True), np.full(capacity, np.inf)
    for _ in range(100):
        index, value = draw.integers(capacity, size=5), draw.random(5)
        tree.set(index[None], value[None])
        for i, v in zip(index, value, strict=True):
            dense[i] = v
        assert tree.least[0] == dense.min()


def test_a_draw_from_each_equal_share(kernels: Kernels) -> None:
    """Values 1 and 3 at 2 and 11, and 5 at 30: a third of their sum is 3. The draws lie at
    0.5 of the first share, at its end and at the start of the last: masses 1.5, 5.97 and 6."""
    tree = Tree(kernels, 2, 40)
    tree.set(np.array([[2, 11, 30]] * 2), np.array([[1.0, 3.0, 5.0], [2.0, 3.0, 4.0]]))
    uniform = kernels.place(np.array([[0.5, 0.99, 0.0], [0.5, 0.0, 0.9]]))
    index, value, least = (kernels.numpy(x).tolist() for x in tree.tree.draw(uniform))
    assert index == [[11, 30, 30], [2, 11, 30]]
    assert value == [[3.0, 5.0, 5.0], [2.0, 3.0, 4.0]]
    assert least == [3.0, 2.0]
