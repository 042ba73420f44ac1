"""Pure functions that the groups share. They name trailing axes only; leading ones come free."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

# On a CPU, networks and replay compute with NumPy arrays in the memory of PyTorch's tensors: on
# matrices this small NumPy's calls cost half as much, and its product of one lane's matrices is the
# same to the last bit in any company, at any size and place in memory. On a GPU, and where
# autograd watches or PyTorch traces, the same lines run on tensors.
Array = Any


def array(x: Tensor) -> Array:
    """The tensor, or on a CPU the same memory as a NumPy array."""
    return x.numpy() if x.is_cpu and not (x.requires_grad or traced()) else x


def traced() -> bool:
    """Whether PyTorch records what is computed: it would take NumPy's results for constants."""
    return torch._C._get_tracing_state() is not None or torch.compiler.is_compiling()


def tensor(x: Array) -> Tensor:
    """The inverse of `array`."""
    return torch.from_numpy(x) if isinstance(x, np.ndarray) else x


def gather_action(q: Tensor, action: Tensor) -> Tensor:
    """The value [...] of the action [...] taken, out of q [..., A]."""
    return q.gather(-1, action.unsqueeze(-1)).squeeze(-1)


def gather_values(values: Tensor, action: Tensor) -> Tensor:
    """The K values [..., K] of the action [...] taken, out of values [..., A, K]."""
    place = action[..., None, None].expand(*action.shape, 1, values.shape[-1])
    return values.gather(-2, place).squeeze(-2)


def scatter_action(value: Tensor, action: Tensor, like: Tensor) -> Tensor:
    """Zeros shaped as `like` [..., A, K], but `value` [..., K] at the action [...] taken."""
    place = action[..., None, None].expand(*action.shape, 1, like.shape[-1])
    return torch.zeros_like(like).scatter_(-2, place, value.unsqueeze(-2))


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


def root(square: Tensor) -> Tensor:
    """The square root of numbers >= 0, as an optimizer divides by it (after adding its eps).

    Zeros and denormals are lifted to 1e-30: a CPU takes thirty times as long for their roots, and
    parameters without a gradient, such as padding, are full of them.
    """
    return square.clamp(min=1e-30).sqrt_()


def lane_norm(rows: Tensor) -> Tensor:
    """Euclidean norm [S, 1] of each row of [S, P].

    As a product of each row with itself: a sum along the rows would be split by how many lanes
    and threads there are, and a lane's last bits would depend on its neighbours.
    """
    lanes = array(rows)
    return tensor((lanes[:, None, :] @ lanes[:, :, None])[:, 0]).sqrt()


def clip_lanes(grad: Tensor, limit: float) -> Tensor:
    """Scale each row of grad [S, P] down to norm `limit`, as clip_grad_norm_ does a network."""
    return grad * (limit / (lane_norm(grad) + 1e-6)).clamp(max=1.0)
