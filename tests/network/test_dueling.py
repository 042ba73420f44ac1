from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from dqn_cli.kernels.kernels import AGGREGATES, Aggregate, Kernels
from dqn_cli.network.dueling import Dueling
from dqn_cli.types import Space

SIZES = [  # obs, hidden, streams, actions
    (4, [512, 128], [], 2),
    (3, [33, 17], [], 3),
    (6, [7], [9], 18),
    (5, [], [20, 6], 1),
    (4, [], [], 3),
]


def dueling(kernels: Kernels, space: Space, atoms: int = 1, **keys: Any) -> Dueling:
    given = {"activation": "relu", "aggregate": "mean", "trunk_gradient": 1.0, **keys}
    return Dueling(space, atoms, kernels, convolutions=[], **given)


def by_hand(
    net: Dueling, row: Tensor, x: Tensor, hidden: int, streams: int, activation: str, kind: str
) -> Tensor:
    """One lane, layer by layer from its weights by name, then equation 9, 8 or 7; [N, A, K]."""
    named = net.named(row)

    def layer(x: Tensor, name: str) -> Tensor:
        return linear(x, named[f"{name}.weight"], named[f"{name}.bias"])

    for i in range(hidden):
        x = getattr(torch, activation)(layer(x, f"hidden.{i}"))
    outputs = {}
    for stream in ("value", "advantage"):
        y = x
        for i in range(streams):
            y = getattr(torch, activation)(layer(y, f"{stream}.hidden.{i}"))
        outputs[stream] = layer(y, stream)
    value = outputs["value"].unsqueeze(1)
    advantage = outputs["advantage"].reshape(len(x), -1, net.atoms)
    less = {
        "mean": advantage.mean(1, keepdim=True),
        "max": advantage.max(1, keepdim=True).values,
        "sum": 0,
    }
    return value + advantage - less[kind]


def aggregated(kernels: Kernels, value: Tensor, advantage: Tensor, kind: Aggregate) -> Tensor:
    """Q [.., A, K] of V [.., 1, K] and A [.., A, K], with any leading axes up to two."""
    lead = (*(1,) * (4 - advantage.ndim), *advantage.shape[:-2])
    v, a = value.reshape(*lead, -1), advantage.reshape(*lead, *advantage.shape[-2:])
    q = kernels.aggregate(kernels.array(v), kernels.array(a), AGGREGATES[kind])
    return kernels.tensor(q).reshape(advantage.shape)


def test_identifiability(kernels: Kernels) -> None:
    """V = 10 and A = 1, 2, 6 (mean 3): Q = 8, 9, 13. What A gains in every action Q does not see,
    and the mean of Q is V."""
    value, advantage = torch.tensor([[10.0]]), torch.tensor([[1.0], [2.0], [6.0]])
    assert aggregated(kernels, value, advantage, "mean").tolist() == [[8.0], [9.0], [13.0]]
    assert aggregated(kernels, value, advantage + 100, "mean").tolist() == [[8.0], [9.0], [13.0]]
    assert aggregated(kernels, value, advantage, "mean").mean().item() == 10.0


def test_less_the_largest_the_value_is_that_of_the_best_action(kernels: Kernels) -> None:
    value, advantage = torch.tensor([[10.0]]), torch.tensor([[1.0], [2.0], [6.0]])
    assert aggregated(kernels, value, advantage, "max").tolist() == [[5.0], [6.0], [10.0]]
    assert aggregated(kernels, value, advantage + 100, "max").tolist() == [[5.0], [6.0], [10.0]]


def test_dueling_mean_absent(kernels: Kernels) -> None:
    """Trap: Q = V + A, which tells V and A apart no more than a single stream does."""
    value, advantage = torch.tensor([[10.0]]), torch.tensor([[1.0], [2.0], [6.0]])
    assert aggregated(kernels, value, advantage, "sum").tolist() == [[11.0], [12.0], [16.0]]
    assert aggregated(kernels, value - 3, advantage + 3, "sum").tolist() == [[11.0], [12.0], [16.0]]


def test_dueling_mean_axis(kernels: Kernels) -> None:
    """Trap: the mean over the batch as well. Two states of different advantages:
    1 + (0, 4) - 2 and 1 + (10, 20) - 15; a common mean of 8.5 would mix them."""
    value = torch.ones(1, 2, 1, 1)
    advantage = torch.tensor([[[[0.0], [4.0]], [[10.0], [20.0]]]])
    assert aggregated(kernels, value, advantage, "mean").tolist() == [
        [[[-1.0], [3.0]], [[-4.0], [6.0]]]
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    # V = 10 and 50; A of two actions 1, 5 in the first number and 8, 2 in the second
    [
        ("mean", [[8.0, 53.0], [12.0, 47.0]]),
        ("max", [[6.0, 50.0], [10.0, 44.0]]),
        ("sum", [[11.0, 58.0], [15.0, 52.0]]),
    ],
)
def test_each_number_of_an_action_is_for_itself(
    kernels: Kernels, kind: Aggregate, expected
) -> None:
    """Trap: a mean over an action's numbers. The same number of all actions counts."""
    value, advantage = torch.tensor([[10.0, 50.0]]), torch.tensor([[1.0, 8.0], [5.0, 2.0]])
    assert aggregated(kernels, value, advantage, kind).tolist() == expected


def test_q_of_a_row_does_not_depend_on_the_other_rows(kernels: Kernels, space, q_values) -> None:
    """Trap, in the whole network: other rows, and other lanes' rows, are replaced."""
    net = dueling(kernels, space(3, 4), hidden=[33], streams=[17])
    params = net.init([0, 1])
    x = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    other = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1)) * 50
    other[0, 2] = x[0, 2]
    assert torch.equal(q_values(net, params, x)[0, 2], q_values(net, params, other)[0, 2])


@pytest.mark.parametrize(("obs", "hidden", "streams", "actions"), SIZES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("kind", get_args(Aggregate))
@pytest.mark.parametrize("atoms", [1, 3])
def test_every_lane_equals_the_layers_by_name(
    kernels: Kernels,
    space,
    compute,
    obs: int,
    hidden: list[int],
    streams: list[int],
    actions: int,
    activation: str,
    kind: str,
    atoms: int,
) -> None:
    keys = {"hidden": hidden, "streams": streams, "activation": activation, "aggregate": kind}
    net = dueling(kernels, space(obs, actions), atoms, **keys)
    params = net.init([0, 1])
    x = torch.randn(2, 9, obs, generator=torch.Generator().manual_seed(0))
    values = compute(net, params, x).values
    assert values.shape == (2, 9, actions, atoms)
    for lane in range(2):
        depths = len(hidden), len(streams)
        expected = by_hand(net, params[lane], x[lane], *depths, activation, kind)
        torch.testing.assert_close(values[lane], expected, rtol=1e-4, atol=1e-6)


def test_streams_have_layers_of_their_own(kernels: Kernels, space) -> None:
    net = dueling(kernels, space(3, 2), hidden=[5], streams=[7])
    named = net.named(net.init([1])[0])
    assert {name: tuple(v.shape) for name, v in named.items() if name.endswith("weight")} == {
        "hidden.0.weight": (5, 3),
        "value.hidden.0.weight": (7, 5),
        "value.weight": (1, 7),
        "advantage.hidden.0.weight": (7, 5),
        "advantage.weight": (2, 7),
    }
    assert not torch.equal(named["value.hidden.0.weight"], named["advantage.hidden.0.weight"])
    assert torch.equal(net.flat(named), net.init([1])[0])


def test_bytes_are_scaled(kernels: Kernels, space, q_values) -> None:
    net = dueling(kernels, space(3, 2, np.uint8), hidden=[5], streams=[])
    params = net.init([0])
    x = torch.tensor([[[0, 100, 255]]], dtype=torch.uint8)
    floats = dueling(kernels, space(3, 2), hidden=[5], streams=[])
    expected = q_values(floats, params, x.float() / 255)
    torch.testing.assert_close(q_values(net, params, x), expected)


@pytest.mark.parametrize(("obs", "hidden", "streams", "actions"), SIZES)
@pytest.mark.parametrize("rows", [1, 5, 64])
def test_a_lane_of_a_stack_has_the_bits_it_has_alone(
    kernels: Kernels,
    space,
    compute,
    obs: int,
    hidden: list[int],
    streams: list[int],
    actions: int,
    rows: int,
) -> None:
    net = dueling(kernels, space(obs, actions), hidden=hidden, streams=streams, activation="tanh")
    params = net.init(range(4))
    x = torch.randn(4, rows, obs, generator=torch.Generator().manual_seed(0))

    def bits(lanes: list[int]) -> tuple[Tensor, Tensor]:
        found = compute(net, params[lanes], x[lanes])
        return found.values, found.grad

    alone = [bits([lane]) for lane in range(4)]
    for company in ([0, 1], [3, 2, 0], [3, 2, 1, 0]):
        q, grad = bits(company)
        for place, lane in enumerate(company):
            assert torch.equal(q[place], alone[lane][0][0])
            assert torch.equal(grad[place], alone[lane][1][0])


@pytest.mark.parametrize(("factor", "hidden"), [(0.5, [6, 7]), (0.25, [8]), (0.5, [])])
def test_the_shared_layers_get_a_part_of_the_gradient(
    kernels: Kernels, space, compute, factor: float, hidden: list[int]
) -> None:
    """To the bit, the factor being a power of two; the streams get all of theirs, and what the
    network says is the same."""

    def found(trunk_gradient: float) -> tuple[Tensor, dict[str, Tensor]]:
        keys = {"hidden": hidden, "streams": [9], "trunk_gradient": trunk_gradient}
        net = dueling(kernels, space(3, 4), **keys)
        params, x = net.init([5]), torch.randn(1, 6, 3, generator=torch.Generator().manual_seed(0))
        values, _, grad = compute(net, params, x)
        return values, net.named(grad[0])

    (values, whole), (same, part) = found(1.0), found(factor)
    assert torch.equal(values, same)
    shared = {f"hidden.{i}.{kind}" for i in range(len(hidden)) for kind in ("weight", "bias")}
    for name, grad in whole.items():
        assert grad.any()
        assert torch.equal(part[name], grad * factor if name in shared else grad), name
