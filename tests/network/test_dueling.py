from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from dqn_cli.network.dueling import Aggregate, Dueling, aggregate

SIZES = [  # obs, hidden, streams, actions
    (4, [512, 128], [], 2),
    (3, [33, 17], [], 3),
    (6, [7], [9], 18),
    (5, [], [20, 6], 1),
    (4, [], [], 3),
]


def by_hand(
    net: Dueling, row: Tensor, x: Tensor, hidden: int, streams: int, activation: str, kind: str
) -> Tensor:
    """One lane, layer by layer from its weights by name, then equation 9, 8 or 7."""
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
    advantage = outputs["advantage"]
    less = {
        "mean": advantage.mean(1, keepdim=True),
        "max": advantage.max(1, keepdim=True).values,
        "sum": 0,
    }
    return outputs["value"] + advantage - less[kind]


def test_identifiability() -> None:
    """V = 10 and A = 1, 2, 6 (mean 3): Q = 8, 9, 13. What A gains in every action Q does not see,
    and the mean of Q is V."""
    value, advantage = torch.tensor([[10.0]]), torch.tensor([[1.0, 2.0, 6.0]])
    assert aggregate(value, advantage, "mean").tolist() == [[8.0, 9.0, 13.0]]
    assert aggregate(value, advantage + 100, "mean").tolist() == [[8.0, 9.0, 13.0]]
    assert aggregate(value, advantage, "mean").mean().item() == 10.0


def test_less_the_largest_the_value_is_that_of_the_best_action() -> None:
    value, advantage = torch.tensor([[10.0]]), torch.tensor([[1.0, 2.0, 6.0]])
    assert aggregate(value, advantage, "max").tolist() == [[5.0, 6.0, 10.0]]
    assert aggregate(value, advantage + 100, "max").tolist() == [[5.0, 6.0, 10.0]]


def test_dueling_mean_absent() -> None:
    """Trap: Q = V + A, which tells V and A apart no more than a single stream does."""
    value, advantage = torch.tensor([[10.0]]), torch.tensor([[1.0, 2.0, 6.0]])
    assert aggregate(value, advantage, "sum").tolist() == [[11.0, 12.0, 16.0]]
    assert aggregate(value - 3, advantage + 3, "sum").tolist() == [[11.0, 12.0, 16.0]]


def test_dueling_mean_axis() -> None:
    """Trap: the mean over the batch as well. Two states of different advantages:
    1 + (0, 4) - 2 and 1 + (10, 20) - 15; a common mean of 8.5 would mix them."""
    value = torch.ones(1, 2, 1)
    advantage = torch.tensor([[[0.0, 4.0], [10.0, 20.0]]])
    assert aggregate(value, advantage, "mean").tolist() == [[[-1.0, 3.0], [-4.0, 6.0]]]


def test_q_of_a_row_does_not_depend_on_the_other_rows(space) -> None:
    """Trap, in the whole network: other rows, and other lanes' rows, are replaced."""
    net = Dueling(space(3, 4), hidden=[33], streams=[17], activation="relu", aggregate="mean")
    params = net.init([0, 1])
    x = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    other = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1)) * 50
    other[0, 2] = x[0, 2]
    assert torch.equal(net(params, x)[0, 2], net(params, other)[0, 2])


@pytest.mark.parametrize(("obs", "hidden", "streams", "actions"), SIZES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("kind", get_args(Aggregate))
def test_every_lane_equals_the_layers_by_name(
    space, obs: int, hidden: list[int], streams: list[int], actions: int, activation: str, kind: str
) -> None:
    net = Dueling(
        space(obs, actions), hidden=hidden, streams=streams, activation=activation, aggregate=kind
    )
    params = net.init([0, 1])
    x = torch.randn(2, 9, obs, generator=torch.Generator().manual_seed(0))
    q = net(params, x)
    assert q.shape == (2, 9, actions)
    for lane in range(2):
        depths = len(hidden), len(streams)
        expected = by_hand(net, params[lane], x[lane], *depths, activation, kind)
        torch.testing.assert_close(q[lane], expected, rtol=1e-4, atol=1e-6)


def test_streams_have_layers_of_their_own(space) -> None:
    net = Dueling(space(3, 2), hidden=[5], streams=[7], activation="relu", aggregate="mean")
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


def test_bytes_are_scaled(space) -> None:
    net = Dueling(
        space(3, 2, np.uint8), hidden=[5], streams=[], activation="relu", aggregate="mean"
    )
    params = net.init([0])
    x = torch.tensor([[[0, 100, 255]]], dtype=torch.uint8)
    torch.testing.assert_close(net(params, x), net(params, x.float() / 255))


@pytest.mark.parametrize(("obs", "hidden", "streams", "actions"), SIZES)
@pytest.mark.parametrize("rows", [1, 5, 64])
def test_a_lane_of_a_stack_has_the_bits_it_has_alone(
    space, obs: int, hidden: list[int], streams: list[int], actions: int, rows: int
) -> None:
    net = Dueling(
        space(obs, actions), hidden=hidden, streams=streams, activation="tanh", aggregate="mean"
    )
    params = net.init(range(4))
    x = torch.randn(4, rows, obs, generator=torch.Generator().manual_seed(0))

    def bits(lanes: list[int]) -> tuple[Tensor, Tensor]:
        weights, grad = net.split(params[lanes]), torch.zeros_like(params[lanes])
        q, tape = net.forward(weights, x[lanes])
        net.backward(weights, tape, q.clone(), net.split(grad))
        return q, grad

    alone = [bits([lane]) for lane in range(4)]
    for company in ([0, 1], [3, 2, 0], [3, 2, 1, 0]):
        q, grad = bits(company)
        for place, lane in enumerate(company):
            assert torch.equal(q[place], alone[lane][0][0])
            assert torch.equal(grad[place], alone[lane][1][0])
