import pytest
import torch
from torch import Tensor

from dqn_cli.algo.qr import QR, midpoints, quantile_huber
from dqn_cli.maths import by_autograd
from dqn_cli.types import Output

# theta = (0, 1) at the fractions .25, .75 against the targets (.5, 3), kappa = 1.
THETA, TARGET, FRACTION = torch.tensor([[0.0, 1.0], [0.5, 3.0], [0.25, 0.75]])


def test_the_loss_of_two_quantiles_by_hand() -> None:
    """u = target - theta; rho = |fraction - 1{u < 0}| huber(u):

        theta 0: u =  .5, rho = .25 * .125 = .03125;  u = 3, rho = .25 * 2.5 = .625
        theta 1: u = -.5, rho = .25 * .125 = .03125;  u = 2, rho = .75 * 1.5 = 1.125

    summed over theta, averaged over the targets: 1.8125 / 2 = .90625. Trap: a squared error,
    quantile by quantile (15), would be (.25 + 4) / 2 = 2.125."""
    loss, slope = quantile_huber(THETA, TARGET, FRACTION, 1.0)
    assert loss.item() == pytest.approx(0.90625)
    # d rho / d theta = -|fraction - 1{u < 0}| * clip(u), averaged over the targets:
    # -(.25 * .5 + .25 * 1) / 2, -(.25 * -.5 + .75 * 1) / 2
    assert slope.tolist() == pytest.approx([-0.1875, -0.3125])


def test_it_is_a_sum_over_predictions_and_a_mean_over_targets() -> None:
    """Trap (18). Every target twice: the same loss and slope. Every prediction twice: the loss is
    twice as large, and no slope changes."""
    loss, slope = quantile_huber(THETA, TARGET.repeat(2), FRACTION, 1.0)
    assert loss.item() == pytest.approx(0.90625)
    assert slope.tolist() == pytest.approx([-0.1875, -0.3125])
    loss, slope = quantile_huber(THETA.repeat(2), TARGET, FRACTION.repeat(2), 1.0)
    assert loss.item() == pytest.approx(2 * 0.90625)
    assert slope.tolist() == pytest.approx([-0.1875, -0.3125] * 2)


def test_the_fractions_are_those_of_the_predictions() -> None:
    """Trap: on the axis of the targets (16) the same case is 1.5625:
    (.25 * .125 + .75 * 2.5 + .75 * .125 + .75 * 1.5) / 2."""
    transposed = torch.tensor([[0.25, 0.75], [0.75, 0.75]])  # |fraction_j - 1{u_ij < 0}|
    error = TARGET - THETA.unsqueeze(-1)
    huber = torch.tensor([[0.125, 2.5], [0.125, 1.5]])
    assert (transposed * huber).sum() / 2 == 1.5625
    assert (error < 0).tolist() == [[False, False], [True, False]]
    assert quantile_huber(THETA, TARGET, FRACTION, 1.0)[0].item() != pytest.approx(1.5625)


def test_kappa_divides() -> None:
    """kappa = 2: theta 0: .25 * (.125, 4), theta 1: .25 * .125, .75 * 2; all by 2, halved:
    (.03125 + 1 + .03125 + 1.5) / 4 = .640625."""
    loss, _ = quantile_huber(THETA, TARGET, FRACTION, 2.0)
    assert loss.item() == pytest.approx(0.640625)


@pytest.mark.parametrize("kappa", [1e-3, 1.0])
def test_quantiles_of_two_points_are_found(kappa: float) -> None:
    """Trap: a sign or axis that is wrong (16). Of -1 and 2, a quarter and three quarters, the
    quantiles at .1 and .2 are -1 and those at .4 to .9 are 2; on the way they are in order. A wide
    kappa moves them inwards, in order still."""
    target = torch.tensor([-1.0, 2.0, 2.0, 2.0])
    fraction = torch.tensor([0.1, 0.2, 0.4, 0.6, 0.9])
    theta = torch.zeros(5)
    for step in range(4000):
        rate = 0.02 * (1 - step / 4000)
        theta -= rate * quantile_huber(theta, target, fraction, kappa)[1]
    assert (theta.diff() >= -1e-3).all()
    assert theta.min() > -1.01 and theta.max() < 2.01
    if kappa < 1:
        assert theta.tolist() == pytest.approx([-1, -1, 2, 2, 2], abs=0.02)


def test_a_uniform_distribution_s_quantiles_are_its_fractions() -> None:
    """Also between the points: of 0, .01, .. 1 the quantile at f is f."""
    target, fraction = torch.linspace(0, 1, 101), midpoints(5, torch.device("cpu"))
    assert fraction.tolist() == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    theta = torch.zeros(5)
    for _ in range(2000):
        theta -= 0.01 * quantile_huber(theta, target, fraction, 1e-3)[1]
    assert theta.tolist() == pytest.approx(fraction.tolist(), abs=0.02)


# Two states, two actions, two quantiles that cross: of state 1, action 0 is worth (0 + 4) / 2 = 2
# and action 1 is worth (1 + 2) / 2 = 1.5; the largest of each quantile are 1 and 4.
CROSSING = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[0.0, 4.0], [1.0, 2.0]]])
AGAINST = CROSSING.flip(1)  # the online network prefers action 1


@pytest.mark.parametrize(
    ("double", "targets"),
    [(False, [0.0, 2.0]), (True, [0.5, 1.0])],  # half of action 0's, or of action 1's
)
def test_the_next_action_is_that_of_the_largest_mean(
    table, one, double: bool, targets: list[float]
) -> None:
    """Trap: the largest of each quantile by itself (17), which would be (.5, 2)."""
    part = QR(quantiles=2, kappa=1.0, double=double)
    assert part.q(CROSSING[1]).tolist() == [2.0, 1.5]
    now = Output(torch.tensor([[[[0.0, 1.0], [7.0, 7.0]]]]))
    loss = part.loss(now, table(AGAINST), table(CROSSING), one(discount=0.5))
    expected, slope = quantile_huber(THETA, torch.tensor(targets), FRACTION, 1.0)
    assert loss.per_sample.item() == loss.priority.item() == pytest.approx(expected.item())
    assert loss.q.item() == 0.5
    assert loss.d_values[0, 0].tolist() == [slope.tolist(), [0.0, 0.0]]


def test_a_terminal_transition_is_worth_its_reward(table, one) -> None:
    """All targets are 3: u = 3, 2, rho = .25 * 2.5 + .75 * 1.5 = 1.75."""
    part = QR(quantiles=2, kappa=1.0, double=False)
    now = Output(torch.tensor([[[[0.0, 1.0], [7.0, 7.0]]]]))
    following = table(CROSSING)
    loss = part.loss(now, following, following, one(reward=3.0, discount=0.0))
    assert loss.per_sample.item() == pytest.approx(1.75)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("kappa", [0.3, 1.0])
def test_d_values_are_autograd_s(table, rows, double: bool, kappa: float) -> None:
    """Of the present values, and nothing flows elsewhere."""
    draw = torch.Generator().manual_seed(0)
    now, online, target = torch.randn(3, 4, 3, 7, generator=draw)
    online.requires_grad_(), target.requires_grad_()
    batch = rows(draw)
    values = table(now)(batch.obs).values
    part = QR(quantiles=7, kappa=kappa, double=double)
    loss = part.loss(Output(values), table(online), table(target), batch)
    expected, slope = by_autograd(
        lambda v: part.loss(Output(v), table(online), table(target), batch).per_sample, values
    )
    assert not loss.d_values.requires_grad
    torch.testing.assert_close(loss.per_sample, expected)
    torch.testing.assert_close(loss.d_values, slope)


def test_d_values_by_finite_differences(table, one, finite_differences) -> None:
    draw = torch.Generator().manual_seed(1)
    values = torch.randn(1, 1, 2, 5, generator=draw, dtype=torch.float64)
    following = table(2 * torch.randn(2, 2, 5, generator=draw, dtype=torch.float64))
    batch = one(1, reward=0.2, kind=torch.float64)
    part = QR(quantiles=5, kappa=1.0, double=False)

    def f(values: Tensor) -> float:
        return part.loss(Output(values), following, following, batch).per_sample.item()

    slope = part.loss(Output(values), following, following, batch).d_values
    finite_differences(f, values, slope)
    assert slope[0, 0, 1].abs().min() > 1e-3
