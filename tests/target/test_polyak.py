from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dqn_cli.kernels.kernels import Kernels
from dqn_cli.target.hard import Hard
from dqn_cli.target.polyak import Polyak


@pytest.fixture
def sync(kernels: Kernels) -> Callable[..., None]:
    """sync(online, target, step, tau=.., every_steps=..), of tensors."""

    def synced(online: Tensor, target: Tensor, step: int, **keys: float) -> None:
        Polyak(kernels, **keys).sync(kernels.array(online), kernels.array(target), step)

    return synced


def test_polyak_direction(sync) -> None:
    """Trap: tau * target + (1 - tau) * online. tau = 0.25, online 4, target 0:
    0.25 * 4 = 1, then 0.25 * 4 + 0.75 * 1 = 1.75, then 1 + 0.75 * 1.75 = 2.3125."""
    online, target = torch.full((2, 16), 4.0), torch.zeros(2, 16)
    for step, expected in enumerate([1.0, 1.75, 2.3125], start=1):
        sync(online, target, step, tau=0.25, every_steps=1)
        torch.testing.assert_close(target, torch.full((2, 16), expected))
    assert (online == 4).all()


def test_the_period_counts_env_steps(sync) -> None:
    target, seen = torch.zeros(1, 16), []
    for step in range(1, 8):
        sync(torch.ones(1, 16), target, step, tau=0.5, every_steps=3)
        seen.append(target[0, 0].item())
    assert seen == [0, 0, 0.5, 0.5, 0.5, 0.75, 0.75]


@pytest.mark.parametrize("every", [1, 4])
def test_tau_1_equals_the_hard_target_to_the_bit(sync, every: int) -> None:
    draw = torch.Generator().manual_seed(0)
    target, copy = torch.zeros(2, 3, 48).unbind()
    for step in range(1, 30):
        online = torch.randn(3, 48, generator=draw) * 10.0 ** (step % 9 - 4)
        sync(online, target, step, tau=1.0, every_steps=every)
        Hard(every_steps=every).sync(online, copy, step)
        assert torch.equal(target, copy)
    assert target.any()


def test_a_lane_does_not_depend_on_its_neighbours(sync) -> None:
    """Also where a row is 17 numbers past a multiple of 32, the length of two vectors."""
    online, target = torch.randn(2, 3, 49, generator=torch.Generator().manual_seed(0)).unbind()
    alone = [target[[lane]].clone() for lane in range(3)]
    for step in range(1, 20):
        sync(online, target, step, tau=0.01, every_steps=1)
        for lane in range(3):
            sync(online[[lane]], alone[lane], step, tau=0.01, every_steps=1)
    assert torch.equal(target, torch.cat(alone))


def test_the_next_state_is_valued_by_the_target_network() -> None:
    online, target = torch.ones(1, 16), torch.zeros(1, 16)
    assert Polyak(tau=0.5, every_steps=3).choose(online, target) is target
