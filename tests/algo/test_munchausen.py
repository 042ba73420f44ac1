import math

import pytest
import torch
from torch import Tensor

from dqn_cli.algo.munchausen import Munchausen, bonus, soft_value
from dqn_cli.maths import by_autograd
from dqn_cli.types import Output

Q = torch.tensor([1.0, 2.0, 0.0])
EACH = torch.arange(3)


def algo(loss: str = "mse", tau: float = 0.03, l0: float = -1.0) -> Munchausen:
    return Munchausen(alpha=0.9, tau=tau, l0=l0, loss=loss)


def test_the_soft_value_by_hand() -> None:
    """tau = .03: .03 * log(e^(1/.03) + e^(2/.03) + 1) = 2 + .03 * log(1 + e^-33 + ..) = 2.
    tau = 1: log(e + e^2 + 1) = 2.407606."""
    assert soft_value(Q, 0.03).item() == 2.0
    assert soft_value(Q, 1.0).item() == pytest.approx(2.407606)


def test_the_bonus_is_tau_times_the_log_policy() -> None:
    """Traps: without tau (21) log pi would be (-33.3, 0, -66.7), and all of it clipped to -1. It is
    q less the soft value, (-1, 0, -2), and from l0 = -1 on (-1, 0, -1)."""
    q = Q.expand(3, 3)
    assert bonus(q, EACH, 0.03, -math.inf).tolist() == pytest.approx([-1.0, 0.0, -2.0])
    assert bonus(q, EACH, 0.03, -1.0).tolist() == pytest.approx([-1.0, 0.0, -1.0])
    expected = 0.5 * (Q / 0.5).log_softmax(-1)
    torch.testing.assert_close(bonus(q, EACH, 0.5, -math.inf), expected)


def test_the_bonus_stays_within_its_bounds() -> None:
    """Trap: clipped at +1 (23). It is a log-probability and no more than 0, also where rounding
    would have it otherwise."""
    draw = torch.Generator().manual_seed(0)
    q = torch.randn(10_000, 4, generator=draw) * 10 ** torch.randint(-3, 5, (10_000, 1))
    for tau in (1e-3, 0.03, 1.0, 100.0):
        got = bonus(q, torch.zeros(10_000, dtype=torch.int64), tau, -0.5)
        assert got.min() >= -0.5 and got.max() <= 0


def test_it_is_stable_where_values_are_large() -> None:
    """Trap (23): q / tau = 1e4, at which e^x is infinite. V = 300; the others are 1 and 300
    less."""
    q = torch.tensor([[300.0, 299.0, 0.0]]).expand(3, 3)
    assert soft_value(q, 0.03).tolist() == [300.0] * 3
    assert bonus(q, EACH, 0.03, -1000.0).tolist() == [0.0, -1.0, -300.0]
    assert bonus(-q, EACH, 0.03, -1000.0).tolist() == [-300.0, -299.0, 0.0]


# Two states; the target network's values of s' are (.2, .1, .3).
TARGET = torch.tensor([[0.1, 0.5, 0.0], [0.2, 0.1, 0.3]]).unsqueeze(-1)


@pytest.mark.parametrize(
    ("action", "discount", "y"),
    [
        # V(s') = .3 + .03 * log(1 + e^(-.1/.03) + e^(-.2/.03)) = .30109
        (0, 0.9, -0.12903),  # .5 + .9 * -1 + .9 * .30109
        (1, 0.9, 0.77098),  # .5 + 0 + .9 * .30109
        (0, 0.0, -0.4),  # terminated: .5 + .9 * -1
    ],
)
def test_the_target_by_hand(table, one, action: int, discount: float, y: float) -> None:
    """r = .5, gamma = .9, alpha = .9. q(s) = (0, 1, 0) is worth 1, so the bonus is -1 for action 0
    and 0 for action 1."""
    target = torch.tensor([[0.0, 1.0, 0.0], [0.2, 0.1, 0.3]]).unsqueeze(-1)
    assert soft_value(target[1, :, 0], 0.03).item() == pytest.approx(0.30109, abs=1e-5)
    online = table(torch.full((2, 3, 1), math.nan))  # not asked
    batch = one(action, reward=0.5, discount=discount)
    now = Output(torch.zeros(1, 1, 3, 1))
    loss = algo().loss(now, online, table(target), batch)
    assert loss.priority.item() == pytest.approx(abs(y), abs=1e-5)
    assert loss.d_values[0, 0, action].item() == pytest.approx(-2 * y, abs=2e-5)
    assert loss.per_sample.item() == pytest.approx(y * y, abs=1e-4)


def test_the_bonus_is_the_target_network_s(table, one) -> None:
    """Trap: the online network's (22). Its present values prefer action 2 by far, the target
    network's action 1, by tau * log(1 + e^(-.4/.03) + e^(-.5/.03)) as good as surely."""
    now = Output(torch.tensor([[[[0.0], [0.0], [9.0]]]]))
    online = table(torch.full((2, 3, 1), math.nan))
    loss = algo().loss(now, online, table(TARGET), one(1, discount=0.0))
    assert loss.priority.item() == pytest.approx(0.0, abs=1e-6)
    loss = algo().loss(now, online, table(TARGET), one(2, discount=0.0))
    assert loss.priority.item() == pytest.approx(9 + 0.9 * 0.5, abs=1e-4)


def test_as_tau_goes_to_0_and_without_a_bonus_it_is_dqn(table, one) -> None:
    part = Munchausen(alpha=0.0, tau=1e-4, l0=-1.0, loss="mse")
    now = Output(torch.zeros(1, 1, 3, 1))
    loss = part.loss(now, table(TARGET), table(TARGET), one(0, reward=0.5))
    assert loss.priority.item() == pytest.approx(0.5 + 0.9 * 0.3)


@pytest.mark.parametrize("kind", ["mse", "huber"])
def test_d_values_are_autograd_s(table, rows, kind: str) -> None:
    """Of the present values, and nothing flows elsewhere."""
    draw = torch.Generator().manual_seed(0)
    now, online, target = torch.randn(3, 4, 3, 1, generator=draw)
    target.requires_grad_()
    batch = rows(draw)
    values = table(now)(batch.obs).values
    part = algo(kind)
    loss = part.loss(Output(values), table(online), table(target), batch)
    expected, slope = by_autograd(
        lambda v: part.loss(Output(v), table(online), table(target), batch).per_sample, values
    )
    assert not loss.d_values.requires_grad
    torch.testing.assert_close(loss.per_sample, expected)
    torch.testing.assert_close(loss.d_values, slope)


@pytest.mark.parametrize("kind", ["mse", "huber"])
def test_d_values_by_finite_differences(table, one, finite_differences, kind: str) -> None:
    draw = torch.Generator().manual_seed(1)
    values = torch.randn(1, 1, 3, 1, generator=draw, dtype=torch.float64)
    target = table(TARGET.double())
    batch = one(1, reward=0.7, kind=torch.float64)

    def loss(values: Tensor):
        return algo(kind).loss(Output(values), target, target, batch)

    finite_differences(lambda v: loss(v).per_sample.item(), values, loss(values).d_values)
