from typing import Any

import pytest
import torch
from torch import Tensor

from dqn_cli.kernels.kernels import Kernels
from dqn_cli.optimizer.rmsprop import RMSprop
from dqn_cli.state import stack

KEYS: dict[str, Any] = {"lr": 1e-3, "lr_end": 1e-3, "lr_steps": 7, "alpha": 0.99, "eps": 1e-8}
KEYS |= {"eps_in_root": False, "centered": False}
CENTERED = {**KEYS, "alpha": 0.95, "eps": 0.01, "centered": True}
each_kind = pytest.mark.parametrize(
    "keys", [KEYS, CENTERED, {**CENTERED, "eps_in_root": True}], ids=["plain", "centred", "in root"]
)


class Steps:
    """The optimizer of these parameters, which it changes in place: of tensors, whatever it
    computes with."""

    def __init__(self, kernels: Kernels, params: Tensor, **keys: Any) -> None:
        self.array = kernels.array
        self.optimizer = RMSprop(self.array(params), kernels, **keys)

    def step(self, params: Tensor, grad: Tensor, step: int) -> None:
        self.optimizer.step(self.array(params), self.array(grad.clone()), step)


def gradients(steps: int, lanes: int, size: int) -> torch.Tensor:
    """[steps, lanes, size] of many magnitudes; a tenth of the numbers are zero."""
    draw = torch.Generator().manual_seed(0)
    grad = torch.randn(steps, lanes, size, generator=draw)
    scale = 10.0 ** torch.randint(-4, 3, (size,), generator=draw)
    return grad * scale * (torch.rand(steps, lanes, size, generator=draw) > 0.1)


@pytest.mark.parametrize(
    "keys", [KEYS, {**KEYS, "lr": 0.01, "lr_end": 0.01, "alpha": 0.9}, CENTERED]
)
def test_fifty_steps_equal_pytorch(kernels: Kernels, keys: dict[str, Any]) -> None:
    """To the bit with PyTorch's kernels; the compiled ones round in other places."""
    ours = torch.randn(2, 48, generator=torch.Generator().manual_seed(1))
    theirs = torch.nn.Parameter(ours.clone())
    optimizer, reference = (
        Steps(kernels, ours, **keys),
        torch.optim.RMSprop(
            [theirs], keys["lr"], keys["alpha"], keys["eps"], centered=keys["centered"]
        ),
    )
    for grad in gradients(50, 2, 48):
        optimizer.step(ours, grad, 0)
        theirs.grad = grad.clone()
        reference.step()
        exact = {"rtol": 0, "atol": 0} if kernels.name == "torch" else {"rtol": 1e-6, "atol": 1e-7}
        torch.testing.assert_close(ours, theirs.detach(), **exact)


def test_the_first_step_by_hand(kernels: Kernels) -> None:
    """square = 0.1 * 2^2 = 0.4; the step is 0.5 * 2 / (sqrt 0.4 + 0.1) = 1.36535."""
    params = torch.full((1, 16), 3.0)
    optimizer = Steps(
        kernels, params, **{**KEYS, "lr": 0.5, "lr_end": 0.5, "alpha": 0.9, "eps": 0.1}
    )
    optimizer.step(params, torch.full((1, 16), 2.0), 0)
    torch.testing.assert_close(params, torch.full((1, 16), 3 - 1 / (0.4**0.5 + 0.1)))


@pytest.mark.parametrize(("in_root", "step"), [(True, 1.63299), (False, 1.42857)])
def test_the_first_step_by_hand_with_the_variance(
    kernels: Kernels, in_root: bool, step: float
) -> None:
    """Trap: "min squared gradient" is added to the variance by Mnih et al. (2015), and to its root
    by PyTorch. square = .1 * 2^2 = .4, mean = .1 * 2 = .2, their variance .36: the step is
    .5 * 2 / sqrt(.36 + eps), or 1 / (.6 + eps), of eps .015 and .1."""
    keys = {**CENTERED, "lr": 0.5, "lr_end": 0.5, "alpha": 0.9, "eps_in_root": in_root}
    params = torch.full((1, 16), 3.0)
    Steps(kernels, params, **{**keys, "eps": 0.015 if in_root else 0.1}).step(
        params, torch.full((1, 16), 2.0), 0
    )
    torch.testing.assert_close(params, torch.full((1, 16), 3 - step))


def test_a_variance_that_rounds_below_zero_counts_as_hardly_anything(kernels: Kernels) -> None:
    """Trap: nan for a gradient that stays the same, from the root of -1e-9."""
    params = torch.zeros(1, 64)
    grad = torch.linspace(0.1, 30, 64)[None]
    optimizer = Steps(kernels, params, **{**CENTERED, "alpha": 0.5, "eps": 1e-3})
    for _ in range(60):
        optimizer.step(params, grad, 0)
    assert params.isfinite().all()


@each_kind
def test_it_goes_on_from_its_state(kernels: Kernels, keys: dict[str, Any]) -> None:
    grads = gradients(20, 2, 16)
    whole, parts = torch.zeros(2, 16), torch.zeros(2, 16)
    optimizer, first, second = (Steps(kernels, p, **keys) for p in (whole, parts, parts))
    for number, grad in enumerate(grads):
        optimizer.step(whole, grad, 0)
        if number == 10:
            second.optimizer.load(2, stack([first.optimizer.state(lane) for lane in range(2)]), 10)
        (first if number < 10 else second).step(parts, grad, 0)
    assert torch.equal(whole, parts)


def test_no_gradient_no_step(kernels: Kernels) -> None:
    params = torch.ones(1, 16)
    optimizer = Steps(kernels, params, **KEYS)
    for _ in range(3):
        optimizer.step(params, torch.zeros(1, 16), 0)
    assert torch.equal(params, torch.ones(1, 16))


@each_kind
@pytest.mark.parametrize("size", [1, 16, 17, 48, 545])
def test_a_lane_has_its_bits_in_any_company_and_after_others_left(
    kernels: Kernels, size: int, keys: dict[str, Any]
) -> None:
    start = torch.randn(3, size, generator=torch.Generator().manual_seed(1))
    company, alone = start.clone(), [start[[lane]].clone() for lane in range(3)]
    optimizer = Steps(kernels, company, **keys)
    solos = [Steps(kernels, params, **keys) for params in alone]
    lanes = [0, 1, 2]
    for step, grad in enumerate(gradients(30, 3, size)):
        if step == 15:
            optimizer.optimizer.keep([2, 0])
            company, lanes = company[[2, 0]], [2, 0]
        optimizer.step(company, grad[lanes], 0)
        for lane in range(3):
            solos[lane].step(alone[lane], grad[[lane]], 0)
    assert torch.equal(company, torch.cat([alone[2], alone[0]]))


def test_the_learning_rate_goes_from_lr_to_lr_end(kernels: Kernels) -> None:
    """lr 1 at step 0, 0.6 half way, 0.2 at the end and beyond: each step is in proportion."""
    moved = []
    for step in (0, 50, 100, 1000):
        params = torch.zeros(1, 16)
        Steps(kernels, params, **{**KEYS, "lr": 1.0, "lr_end": 0.2, "lr_steps": 100}).step(
            params, torch.ones(1, 16), step
        )
        moved.append(params[0, 0])
    torch.testing.assert_close(torch.stack(moved) / moved[0], torch.tensor([1, 0.6, 0.2, 0.2]))
