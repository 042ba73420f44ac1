import pytest
import torch
from torch.nn.functional import huber_loss, mse_loss

from dqn_cli.maths import (
    REGRESSION,
    annealed,
    by_autograd,
    gather_action,
    linear,
)

ERRORS = [-5.0, -1.5, -1.0, -0.3, 0.0, 0.3, 1.0, 1.5, 5.0]


def test_gather_action_picks_along_the_last_axis() -> None:
    q = torch.arange(12.0).view(2, 2, 3)
    assert gather_action(q, torch.tensor([[0, 2], [1, 1]])).tolist() == [[0, 5], [7, 10]]
    assert gather_action(q[0, 0], torch.tensor(2)).item() == 2


def test_by_autograd_finds_value_and_derivative_of_each_sample() -> None:
    """The first number of action 0, squared, times the second of action 1."""
    values = torch.tensor([[[[3.0, 0.0], [0.0, 5.0]], [[2.0, 9.0], [9.0, 7.0]]]])
    with torch.no_grad():  # as a run has it
        result, slope = by_autograd(lambda v: v[..., 0, 0] ** 2 * v[..., 1, 1], values)
    assert result.tolist() == [[45.0, 28.0]]
    assert slope.tolist() == [[[[30, 0], [0, 9]], [[28, 0], [0, 4]]]]
    assert not (result.requires_grad or slope.requires_grad or values.requires_grad)


@pytest.mark.parametrize(("name", "theirs"), [("mse", mse_loss), ("huber", huber_loss)])
def test_losses_and_their_slopes_are_those_of_pytorch(name: str, theirs) -> None:
    ours = torch.tensor(ERRORS, requires_grad=True)
    other = torch.tensor(ERRORS, requires_grad=True)
    loss, slope = REGRESSION[name](ours)
    expected = theirs(other, torch.zeros_like(other), reduction="none")
    torch.testing.assert_close(loss, expected)
    loss.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, other.grad)
    torch.testing.assert_close(slope, other.grad)


@pytest.mark.parametrize(
    ("fraction", "value"), [(0, 1.0), (0.25, 0.8), (0.5, 0.6), (1, 0.2), (1.5, 0.2), (1e9, 0.2)]
)
def test_linear_goes_from_start_to_end_and_stays(fraction: float, value: float) -> None:
    assert linear(1.0, 0.2, fraction) == pytest.approx(value)


def test_linear_arrives_exactly() -> None:
    assert linear(0.1, 0.7, 1.0) == 0.7  # 0.1 + (0.7 - 0.1) is 0.7 minus a bit


def test_annealed_goes_to_its_end_or_stays_where_it_is() -> None:
    """From 1 to 0.5 over 10 steps: 0.75 at 5; without an end 1 throughout."""
    assert [annealed(1.0, 0.5, 10, step) for step in (0, 5, 10, 99)] == [1.0, 0.75, 0.5, 0.5]
    assert [annealed(1.0, None, 10, step) for step in (0, 5, 99)] == [1.0, 1.0, 1.0]
