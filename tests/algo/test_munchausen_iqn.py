import math

import pytest
import torch

from dqn_cli.algo.munchausen import soft_value
from dqn_cli.algo.munchausen_iqn import MunchausenIQN, soft_quantiles
from dqn_cli.algo.qr import quantile_huber
from dqn_cli.maths import by_autograd
from dqn_cli.types import Output

# Action 0 is worth (0 + 4) / 2 = 2 and action 1 (1 + 2) / 2 = 1.5.
NEXT = torch.tensor([[0.0, 4.0], [1.0, 2.0]])
# Action 1 is worth (-1 + 3) / 2 = 1, the other 0: the bonus is -1 and 0, from l0 = -1 on.
STATE = torch.tensor([[-3.0, 3.0], [-1.0, 3.0]])
FRACTION = torch.tensor([[[0.25, 0.75]]])
NOW = Output(torch.tensor([[[[0.0, 1.0], [7.0, 9.0]]]]), FRACTION)


def algo(tau: float = 0.03) -> MunchausenIQN:
    return MunchausenIQN(alpha=0.9, tau=tau, l0=-1.0, kappa=1.0)


def test_the_quantiles_of_the_next_state_by_hand() -> None:
    """tau = 1: pi = softmax(2, 1.5) = (.622459, .377541), its logarithms (-.474077, -.974077):
    .622459 * .474077 + .377541 * 1.974077 = 1.04039 and
    .622459 * 4.474077 + .377541 * 2.974077 = 3.90777. Towards tau = 0 those of the best action."""
    assert soft_quantiles(NEXT, 1.0).tolist() == pytest.approx([1.04039, 3.90777], abs=1e-5)
    assert soft_quantiles(NEXT, 0.01).tolist() == pytest.approx([0.0, 4.0], abs=1e-6)


def test_their_mean_is_the_soft_value_of_munchausen() -> None:
    values = torch.randn(50, 4, 7, generator=torch.Generator().manual_seed(0)) * 10
    for tau in (0.03, 1.0, 100.0):
        found = soft_quantiles(values, tau).mean(-1)
        torch.testing.assert_close(found, soft_value(values.mean(-1), tau), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("action", "discount", "samples"),
    [
        (0, 0.5, (-0.4, 1.6)),  # .5 + .9 * -1 + .5 * (0, 4)
        (1, 0.5, (0.5, 2.5)),
        (0, 0.0, (-0.4, -0.4)),  # terminated
    ],
)
def test_the_loss_by_hand(table, one, action: int, discount: float, samples) -> None:
    """The bonus is that of the present state's target values, and goes into no other sample."""
    online = table(torch.full((2, 2, 2), math.nan))  # not asked
    batch = one(action, reward=0.5, discount=discount)
    loss = algo().loss(NOW, online, table(torch.stack([STATE, NEXT])), batch)
    theta = NOW.values[0, 0, action]
    expected, slope = quantile_huber(theta, torch.tensor(samples), FRACTION[0, 0], 1.0)
    assert loss.per_sample.item() == pytest.approx(expected.item(), abs=1e-5)
    assert loss.d_values[0, 0, action].tolist() == pytest.approx(slope.tolist(), abs=1e-5)
    assert not loss.d_values[0, 0, 1 - action].any()
    assert loss.q.item() == theta.mean()


def test_d_values_are_autograd_s(table, rows) -> None:
    """Of the present values, and nothing flows elsewhere."""
    draw = torch.Generator().manual_seed(0)
    now = torch.randn(4, 3, 7, generator=draw)
    target = torch.randn(4, 3, 5, generator=draw).requires_grad_()
    batch = rows(draw)
    fractions = torch.rand(2, 6, 7, generator=draw)
    values = table(now)(batch.obs).values

    def loss(values: torch.Tensor):
        return algo(0.5).loss(Output(values, fractions), table(target), table(target), batch)

    _, slope = by_autograd(lambda values: loss(values).per_sample, values)
    torch.testing.assert_close(loss(values).d_values, slope)
    assert not loss(values).d_values.requires_grad


def test_a_network_without_fractions_is_told(table, one) -> None:
    target = table(torch.zeros(2, 2, 2))
    with pytest.raises(ValueError, match="without the fractions"):
        algo().loss(NOW._replace(fractions=None), target, target, one())
