"""The parts of a linear layer on arrays [S, ...] of all lanes: NumPy's operations where arrays are
small and on a CPU, PyTorch's elsewhere. A lane's numbers are the same to the bit in any company.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dqn_cli.maths import Array, tensor

Activation = Literal["relu", "tanh"]  # others round differently along a vector's length


def add_bias(x: Array, bias: Array) -> Array:
    """x [S, N, M] += bias [S, 1, M]."""
    return np.add(x, bias, out=x) if small(x) else same(tensor(x).add_(tensor(bias)), x)


def relu(x: Array) -> Array:
    return np.maximum(x, 0, out=x) if small(x) else same(torch.relu_(tensor(x)), x)


def relu_slope(dx: Array, y: Array) -> Array:
    """Gradient [...] of the input, given that of the output y [...]."""
    if small(y):
        np.putmask(dx, y <= 0, 0)  # and not dx * (y > 0), which is nan where dx is infinite
        return dx
    return same(torch.ops.aten.threshold_backward(tensor(dx), tensor(y), 0), dx)


def tanh(x: Array) -> Array:
    return same(torch.tanh_(tensor(x)), x)


def tanh_slope(dx: Array, y: Array) -> Array:
    return same(torch.ops.aten.tanh_backward(tensor(dx), tensor(y)), dx)


def same(result: Tensor, x: Array) -> Array:
    """The result as an array, if x is one."""
    return result.numpy() if isinstance(x, np.ndarray) else result


def small(x: Array) -> bool:
    """Whether NumPy's calls are quicker than PyTorch's; the result is the same, up to the sign of
    a zero."""
    return isinstance(x, np.ndarray) and x.size < 2**14


ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "relu": (relu, relu_slope),
    "tanh": (tanh, tanh_slope),
}


def product(a: Array, b: Array, out: Array) -> None:
    """The matrix product [S, N, M] of a [S, N, K] and b [S, K, M], lane by lane, into `out`."""
    if isinstance(a, np.ndarray):
        np.matmul(a, b, out=out)
    else:
        out.copy_(a @ b)


def sum_rows(x: Array, out: Array) -> None:
    """The sum over N of x [S, N, M], into `out` [S, 1, M]. NumPy is quickest by a product."""
    if isinstance(x, np.ndarray):
        np.matmul(np.ones((1, 1, x.shape[1]), x.dtype), x, out=out)
    else:
        out.copy_(x.sum(1, keepdim=True))
