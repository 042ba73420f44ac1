import pytest
import torch

from dqn_cli.optimizer.adam import Adam

KEYS = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


def gradients(steps: int, lanes: int, size: int) -> torch.Tensor:
    """[steps, lanes, size] of many magnitudes; a tenth of the numbers are zero."""
    draw = torch.Generator().manual_seed(0)
    grad = torch.randn(steps, lanes, size, generator=draw)
    scale = 10.0 ** torch.randint(-4, 3, (size,), generator=draw)
    return grad * scale * (torch.rand(steps, lanes, size, generator=draw) > 0.1)


@pytest.mark.parametrize("keys", [KEYS, {"lr": 0.01, "beta1": 0.5, "beta2": 0.9, "eps": 1e-3}])
def test_fifty_steps_equal_pytorch_to_the_bit(keys: dict[str, float]) -> None:
    ours = torch.randn(2, 48, generator=torch.Generator().manual_seed(1))
    theirs = torch.nn.Parameter(ours.clone())
    optimizer = Adam(ours, **keys)
    betas = keys["beta1"], keys["beta2"]
    reference = torch.optim.Adam([theirs], keys["lr"], betas, keys["eps"], foreach=False)
    for grad in gradients(50, 2, 48):
        optimizer.step(ours, grad)
        theirs.grad = grad.clone()
        reference.step()
        assert torch.equal(ours, theirs.detach())


def test_the_first_two_steps_by_hand() -> None:
    """Gradients 2, then 0; betas 0.5 and 0.75, eps 0.1, lr 1.
    1: mean 1 / (1 - 0.5) = 2, square 1 / (1 - 0.75) = 4: a step of 2 / (2 + 0.1)
    2: mean 0.5 / (1 - 0.25) = 2/3, square 0.75 / (1 - 0.5625) = 12/7: (2/3) / (sqrt 12/7 + 0.1)"""
    params = torch.full((1, 16), 3.0)
    optimizer = Adam(params, lr=1.0, beta1=0.5, beta2=0.75, eps=0.1)
    optimizer.step(params, torch.full((1, 16), 2.0))
    expected = 3 - 2 / 2.1
    torch.testing.assert_close(params, torch.full((1, 16), expected))
    optimizer.step(params, torch.zeros(1, 16))
    expected -= (2 / 3) / ((12 / 7) ** 0.5 + 0.1)
    torch.testing.assert_close(params, torch.full((1, 16), expected))


def test_no_gradient_no_step() -> None:
    params = torch.ones(1, 16)
    optimizer = Adam(params, **KEYS)
    for _ in range(3):
        optimizer.step(params, torch.zeros(1, 16))
    assert torch.equal(params, torch.ones(1, 16))


@pytest.mark.parametrize("size", [16, 48, 544])
def test_a_lane_has_its_bits_in_any_company_and_after_others_left(size: int) -> None:
    start = torch.randn(3, size, generator=torch.Generator().manual_seed(1))
    company, alone = start.clone(), [start[[lane]].clone() for lane in range(3)]
    optimizer = Adam(company, **KEYS)
    solos = [Adam(params, **KEYS) for params in alone]
    lanes = [0, 1, 2]
    for step, grad in enumerate(gradients(30, 3, size)):
        if step == 15:
            optimizer.keep([2, 0])
            company, lanes = company[[2, 0]], [2, 0]
        optimizer.step(company, grad[lanes])
        for lane in range(3):
            solos[lane].step(alone[lane], grad[[lane]])
    assert torch.equal(company, torch.cat([alone[2], alone[0]]))
