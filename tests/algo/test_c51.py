"""Numbers worked out by hand on five atoms: z = -1, -0.5, 0, 0.5, 1."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dqn_cli.algo.c51 import C51
from dqn_cli.kernels.kernels import Kernels
from dqn_cli.maths import by_autograd
from dqn_cli.types import Output

P = [0.1, 0.2, 0.4, 0.2, 0.1]


def projected(
    kernels: Kernels,
    p: list[float],
    reward: float,
    discount: float,
    low: float = -1.0,
    high: float = 1.0,
) -> NDArray[np.float64]:
    """Of one row, of one lane."""
    numbers = (np.array(x, np.float32) for x in ([[p]], [[reward]], [[discount]]))
    support = torch.linspace(low, high, len(p)).numpy()
    new = kernels.project(*map(kernels.place, (*numbers, support)), low, high)
    return kernels.numpy(new)[0, 0].astype(np.float64)


@pytest.mark.parametrize(
    ("reward", "discount", "expected"),
    [
        # z -> 0.25 + 0.5 z = -0.25, 0, 0.25, 0.5, 0.75; in atoms 1.5, 2, 2.5, 3, 3.5: the mass at
        # 1.5, 2.5 and 3.5 is halved: 0 | .05 | .05 + .2 + .2 | .2 + .2 + .05 | .05
        (0.25, 0.5, [0.0, 0.05, 0.45, 0.45, 0.05]),
        # terminated: all at r = 0.5, the atom of index 3
        (0.5, 0.0, [0.0, 0.0, 0.0, 1.0, 0.0]),
        # terminated at r = 0.3, atom 2.6: 0.4 below, 0.6 above
        (0.3, 0.0, [0.0, 0.0, 0.4, 0.6, 0.0]),
        # outside of the support: its ends
        (5.0, 0.9, [0.0, 0.0, 0.0, 0.0, 1.0]),
        (-5.0, 0.9, [1.0, 0.0, 0.0, 0.0, 0.0]),
        # far outside: an index made of it would overflow
        (1e30, 0.9, [0.0, 0.0, 0.0, 0.0, 1.0]),
        (-1e30, 0.0, [1.0, 0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_projection_by_hand(
    kernels: Kernels, reward: float, discount: float, expected: list[float]
) -> None:
    """Traps: atoms of a terminal state, clipping, overflow (12)."""
    assert projected(kernels, P, reward, discount) == pytest.approx(expected, abs=1e-6)


def test_projection_at_an_atom_keeps_its_mass(kernels: Kernels) -> None:
    """Trap: of an atom that lands on another exactly, floor = ceiling, and both shares are 0 (11).
    With r = 0 and discount 1 all do, and the distribution must come back whole."""
    assert projected(kernels, P, 0.0, 1.0) == pytest.approx(P)
    place = torch.arange(5.0)
    naive = (place.ceil() - place) + (place - place.floor())
    assert naive.sum() == 0  # what the trap would leave of it


SUPPORTS = st.tuples(st.floats(-100, 99), st.floats(0.1, 200)).map(lambda x: (x[0], x[0] + x[1]))


@settings(max_examples=200, deadline=None)
@given(
    support=SUPPORTS,
    logits=st.lists(st.floats(-20, 20), min_size=2, max_size=60),
    reward=st.floats(-1e4, 1e4),
    discount=st.floats(0, 1),
)
def test_projection_conserves_mass(
    kernels: Kernels,
    support: tuple[float, float],
    logits: list[float],
    reward: float,
    discount: float,
) -> None:
    p = torch.tensor(logits).softmax(-1)
    new = projected(kernels, p.tolist(), reward, discount, *support)
    assert (new >= 0).all()
    assert new.sum() == pytest.approx(1, abs=1e-4)


@settings(max_examples=200, deadline=None)
@given(
    support=SUPPORTS,
    logits=st.lists(st.floats(-20, 20), min_size=2, max_size=60),
    where=st.floats(0, 1),
    discount=st.floats(0, 1),
)
def test_projection_keeps_the_mean_where_nothing_is_clipped(
    kernels: Kernels,
    support: tuple[float, float],
    logits: list[float],
    where: float,
    discount: float,
) -> None:
    """Rewards from low - discount * low to high - discount * high leave all atoms inside."""
    low, high = support
    reward = (1 - discount) * (low + where * (high - low))
    p, z = torch.tensor(logits).softmax(-1), torch.linspace(low, high, len(logits))
    new = projected(kernels, p.tolist(), reward, discount, low, high)
    expected = reward + discount * (p * z).sum().item()
    assert (new * z.numpy()).sum() == pytest.approx(expected, abs=1e-4 * max(-low, high))


def test_a_distribution_of_no_numbers_does_not_end_the_run(kernels: Kernels) -> None:
    """It diverges, and is seen to: nan, and no index out of range."""
    assert np.isnan(projected(kernels, P, math.nan, 0.9)).any()


def algo(double: bool = False, atoms: int = 5) -> C51:
    return C51(0.99, atoms=atoms, low=-1.0, high=1.0, double=double)


def test_the_best_action_is_that_of_the_largest_mean() -> None:
    """And not that of the largest atom or logit: the means are 0.5 * (-1) + 0.5 * 1 = 0 and
    0.4 * (-0.5) + 0.6 * 0.5 = 0.1."""
    p = torch.tensor([[0.5, 0, 0, 0, 0.5], [0, 0.4, 0, 0.6, 0]])
    assert algo().q(p.log()).tolist() == pytest.approx([0.0, 0.1], abs=1e-6)


@pytest.mark.parametrize(
    ("double", "goal"),
    [
        # target: a0 is worth 1, a1 -1, so a0: 0.5 * 1 = 0.5, the atom of index 3
        (False, 3),
        # online prefers a1, which the target network values at -1: -0.5, index 1
        (True, 1),
    ],
)
def test_double_is_chosen_by_the_online_network(table, one, double: bool, goal: int) -> None:
    """Cross-entropy -log p(goal), p of the action taken: softmax of (1, 2, 3, 4, 5) * log 2, or
    (2, 4, 8, 16, 32) / 62. Its slope is p less 1 at the goal."""
    online, target = torch.full((2, 2, 2, 5), -1e4)
    target[1, 0, 4] = target[1, 1, 0] = 0
    online[1, 0, 0] = online[1, 1, 4] = 0
    now = torch.stack([torch.zeros(5), torch.arange(1, 6) * math.log(2)])[None, None]
    loss = algo(double).loss(Output(now), table(online), table(target), one(1, discount=0.5))
    p = torch.tensor([2.0, 4.0, 8.0, 16.0, 32.0]) / 62
    assert loss.per_sample.item() == pytest.approx(-p[goal].log().item(), rel=1e-5)
    assert loss.priority.item() == loss.per_sample.item()
    # (-2 - 2 + 0 + 8 + 32) / 62
    assert loss.q.item() == pytest.approx(36 / 62, rel=1e-5)
    p[goal] -= 1
    torch.testing.assert_close(loss.d_values[0, 0, 1], p)
    assert not loss.d_values[0, 0, 0].any()


@pytest.mark.parametrize("double", [False, True])
def test_d_values_are_autograd_s(table, rows, double: bool) -> None:
    """Of the present values, and nothing flows elsewhere."""
    draw = torch.Generator().manual_seed(0)
    now, online, target = torch.randn(3, 4, 3, 7, generator=draw) * 3
    online.requires_grad_(), target.requires_grad_()
    batch = rows(draw)
    values = table(now)(batch.obs).values
    part = algo(double, atoms=7)
    loss = part.loss(Output(values), table(online), table(target), batch)
    expected, slope = by_autograd(
        lambda v: part.loss(Output(v), table(online), table(target), batch).per_sample, values
    )
    assert not loss.d_values.requires_grad
    torch.testing.assert_close(loss.per_sample, expected)
    torch.testing.assert_close(loss.d_values, slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("action", [0, 1])
def test_d_values_by_finite_differences(table, one, finite_differences, action: int) -> None:
    """Trap: a probability clamped before its logarithm has no gradient where it is small (14). The
    second action's logits are up to 40 apart."""
    draw = torch.Generator().manual_seed(1)
    values = torch.randn(1, 1, 2, 5, generator=draw, dtype=torch.float64)
    values[0, 0, 1] = torch.tensor([-20.0, 20.0, 0.0, 5.0, -5.0])
    following = table(torch.randn(2, 2, 5, generator=draw, dtype=torch.float64))
    batch = one(action, reward=0.2, kind=torch.float64)
    loss = algo().loss(Output(values), following, following, batch)
    finite_differences(
        lambda v: algo().loss(Output(v), following, following, batch).per_sample.item(),
        values,
        loss.d_values,
    )
    assert loss.d_values[0, 0, action].abs().max() > 0.1


def test_the_loss_is_least_at_the_projected_distribution(table, one) -> None:
    """There its slope is 0, and it is the distribution's entropy."""
    goal = torch.tensor([0.0, 0.05, 0.45, 0.45, 0.05]).clamp(min=1e-30)  # as by hand above
    target = table(torch.tensor(P).log().expand(2, 1, 5))
    now = Output(goal.log()[None, None, None])
    loss = algo().loss(now, target, target, one(reward=0.25, discount=0.5))
    assert loss.d_values.abs().max() < 1e-6
    assert loss.per_sample.item() == pytest.approx(-(goal * goal.log()).sum().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("gamma", "low", "high", "rewards", "told"),
    [
        # CartPole: 1 / (1 - 0.99) = 100
        (0.99, 0.0, 100.0, (1.0, 1.0), None),
        # a support of 10, as for Atari, where values come to 100
        (0.99, -10.0, 10.0, (1.0, 1.0), "0 to 100"),
        (0.9, -10.0, 10.0, (-1.0, 1.0), None),  # though 1 / (1 - 0.9) is 10.000000000000002
        (0.9, -9.0, 10.0, (-1.0, 1.0), "-10 to 10"),
        # -1 a step; 0 is what the end is worth
        (0.99, -100.0, 0.0, (-1.0, -1.0), None),
        (0.99, -100.0, -1.0, (-1.0, -1.0), "-100 to 0"),
        # without a discount nothing can be said
        (1.0, -1.0, 1.0, (-1.0, 1.0), None),
    ],
)
def test_a_support_that_cannot_hold_the_returns_is_noted(
    gamma: float, low: float, high: float, rewards: tuple[float, float], told: str | None
) -> None:
    """Trap (13): |r| / (1 - gamma) beyond the ends of the support."""
    notes = C51(gamma, atoms=51, low=low, high=high, double=False).notes(rewards)
    assert len(notes) == (told is not None)
    if told is not None:
        assert f"values may reach {told}," in notes[0]
        assert "algo.low=" in notes[0] and "\n" not in notes[0]


def test_a_support_of_no_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"low=1\.0: expected less than high=1\.0"):
        C51(0.9, atoms=5, low=1.0, high=1.0, double=False)
