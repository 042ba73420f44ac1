"""Pure functions that the groups share. They name trailing axes only; leading ones come free."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def gather_action(q: Tensor, action: Tensor) -> Tensor:
    """The value [...] of the action [...] taken, out of q [..., A]."""
    return q.gather(-1, action.unsqueeze(-1)).squeeze(-1)


def by_autograd(f: Callable[[Tensor], Tensor], values: Tensor) -> tuple[Tensor, Tensor]:
    """f(values) [...] and its derivative by values [..., A, K]: for an algorithm that writes no
    derivative of its own. Each number of f may depend only on the values of its own sample."""
    with torch.enable_grad():
        leaf = values.detach().clone().requires_grad_()
        result = f(leaf)
        (slope,) = torch.autograd.grad(result.sum(), leaf)
    return result.detach(), slope


def mse(error: Tensor) -> tuple[Tensor, Tensor]:
    """error squared: PyTorch's mse_loss, without the half of many papers; and its slope."""
    return error * error, 2 * error.detach()


def huber(error: Tensor) -> tuple[Tensor, Tensor]:
    """Half the square within 1, linear beyond (Mnih et al. 2015 clip the error to this effect);
    and its slope."""
    size = error.abs()
    inner = size.clamp(max=1.0)
    return inner * (size - 0.5 * inner), error.detach().clamp(-1.0, 1.0)


# Name -> a function of the error [...] to the loss and its derivative [...].
REGRESSION: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {"mse": mse, "huber": huber}


def linear(start: float, end: float, fraction: float) -> float:
    """From start to end as fraction goes from 0 to 1, and end from there on."""
    return end if fraction >= 1 else start + (end - start) * fraction


def annealed(start: float, end: float | None, steps: int, step: int) -> float:
    """From start to end on a straight line over `steps`, at `step`; always start if end is None."""
    return start if end is None else linear(start, end, step / steps)
