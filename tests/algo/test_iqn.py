import pytest
import torch
from torch import Tensor

from dqn_cli.algo.iqn import IQN
from dqn_cli.algo.qr import QR, quantile_huber
from dqn_cli.maths import by_autograd
from dqn_cli.types import Output

# Of state 1, action 0 is worth (0 + 4) / 2 = 2 and action 1 (1 + 2) / 2 = 1.5.
CROSSING = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[0.0, 4.0], [1.0, 2.0]]])
FRACTION = torch.tensor([[[0.25, 0.75]]])
NOW = Output(torch.tensor([[[[0.0, 1.0], [7.0, 7.0]]]]), FRACTION)


def algo(double: bool = False, kappa: float = 1.0) -> IQN:
    return IQN(kappa=kappa, double=double)


def test_the_loss_by_hand(table, one) -> None:
    """Targets .5 + .5 * (0, 5) = (.5, 3) against (0, 1) at .25, .75: .90625, as in test_qr.py."""
    target = table(torch.tensor([[[0.0, 0.0]], [[0.0, 5.0]]]))
    loss = algo().loss(NOW, target, target, one(reward=0.5, discount=0.5))
    assert loss.per_sample.item() == loss.priority.item() == pytest.approx(0.90625)
    assert loss.q.item() == 0.5


def test_the_fractions_are_those_of_the_present_values(table, one) -> None:
    """Trap: those of another forward (19). Exchanged, the loss is
    (.75 * .125 + .75 * 2.5 + .75 * .125 + .25 * 1.5) / 2 = 1.21875."""
    values = torch.tensor([[[0.0, 0.0]], [[0.0, 5.0]]])
    target = table(values, FRACTION)  # what the next state's values are at changes nothing
    swapped = NOW._replace(fractions=FRACTION.flip(-1))
    loss = algo().loss(swapped, target, target, one(reward=0.5, discount=0.5))
    assert loss.per_sample.item() == pytest.approx(1.21875)


@pytest.mark.parametrize("double", [False, True])
def test_three_forwards_each_with_fractions_of_its_own(one, double: bool) -> None:
    """Trap: the same fractions for value and choice (19). The next state is looked at twice: here
    the first time its best action is 0, worth (0, 4), the second time action 1, and the target is
    (1, 2), the values of the one at the choice of the other."""
    calls = []

    def network(name: str):
        def forward(obs: Tensor) -> Output:
            calls.append(name)
            values = CROSSING[1].flip(0) if calls[1:] else CROSSING[1]
            return Output(values[None, None])

        return forward

    loss = algo(double).loss(NOW, network("online"), network("target"), one(discount=1.0))
    expected, _ = quantile_huber(NOW.values[0, 0, 0], torch.tensor([1.0, 2.0]), FRACTION[0, 0], 1.0)
    assert calls == ["target", "online" if double else "target"]
    assert loss.per_sample.item() == pytest.approx(expected.item())


def test_the_next_action_is_that_of_the_largest_mean(table, one) -> None:
    """Trap: the largest of each quantile by itself (17), which would be (1, 4)."""
    target = table(CROSSING)
    loss = algo().loss(NOW, target, target, one(discount=1.0))
    expected, _ = quantile_huber(NOW.values[0, 0, 0], torch.tensor([0.0, 4.0]), FRACTION[0, 0], 1.0)
    assert loss.per_sample.item() == pytest.approx(expected.item())


@pytest.mark.parametrize("double", [False, True])
def test_at_the_midpoints_it_is_qr(table, rows, double: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    now, online, target = torch.randn(3, 4, 3, 7, generator=draw)
    batch = rows(draw)
    middle = ((torch.arange(7) + 0.5) / 7).expand(2, 6, 7)
    ours = algo(double).loss(
        Output(table(now)(batch.obs).values, middle), table(online), table(target), batch
    )
    theirs = QR(quantiles=7, kappa=1.0, double=double).loss(
        table(now)(batch.obs), table(online), table(target), batch
    )
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("double", [False, True])
def test_d_values_are_autograd_s(table, rows, double: bool) -> None:
    """Of the present values, and nothing flows elsewhere; with another number of fractions for the
    next state."""
    draw = torch.Generator().manual_seed(0)
    now = torch.randn(4, 3, 7, generator=draw)
    online, target = torch.randn(2, 4, 3, 5, generator=draw)
    online.requires_grad_(), target.requires_grad_()
    batch = rows(draw)
    values, fractions = table(now)(batch.obs).values, torch.rand(2, 6, 7, generator=draw)

    def loss(values: Tensor):
        return algo(double, 0.3).loss(
            Output(values, fractions), table(online), table(target), batch
        )

    expected, slope = by_autograd(lambda v: loss(v).per_sample, values)
    assert not loss(values).d_values.requires_grad
    torch.testing.assert_close(loss(values).per_sample, expected)
    torch.testing.assert_close(loss(values).d_values, slope)


def test_d_values_by_finite_differences(table, one, finite_differences) -> None:
    draw = torch.Generator().manual_seed(1)
    values, following = torch.randn(2, 2, 2, 5, generator=draw, dtype=torch.float64)
    fractions = torch.rand(1, 1, 5, generator=draw, dtype=torch.float64)
    batch, target = one(1, reward=0.2, kind=torch.float64), table(2 * following)

    def loss(values: Tensor):
        return algo().loss(Output(values, fractions), target, target, batch)

    values = values[:1, None]
    finite_differences(lambda v: loss(v).per_sample.item(), values, loss(values).d_values)


def test_values_without_fractions_are_refused(table, one) -> None:
    target = table(CROSSING)
    with pytest.raises(ValueError, match="without the fractions"):
        algo().loss(NOW._replace(fractions=None), target, target, one())
