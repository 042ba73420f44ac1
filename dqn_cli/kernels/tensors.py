"""What the PyTorch kernels are made of: layers in a row of parameters, windows of pictures,
products, rows of replay, steps down a tree."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def layers(params: Tensor, first: int, widths: NDArray[np.int64]) -> list[tuple[Tensor, Tensor]]:
    """(weight [S, in, out], bias [S, 1, out]) of each layer, as views of params [S, P]."""
    sizes, found, at = widths.tolist(), [], first
    for inputs, outputs in itertools.pairwise(sizes):
        split = at + inputs * outputs
        weight = params[:, at:split].view(-1, inputs, outputs)
        found.append((weight, params[:, None, split : split + outputs]))
        at = split + outputs
    return found


def framed(x: Tensor, padding: int, value: float = 0.0) -> Tensor:
    """Pictures [S, N, H, W, C] with so many more rows and columns on every side."""
    if not padding:
        return x
    return torch.nn.functional.pad(x, (0, 0, padding, padding, padding, padding), value=value)


def inside(x: Tensor, padding: int) -> Tensor:
    """The inverse of `framed`."""
    kept = slice(padding, -padding or None)
    return x[:, :, kept, kept].contiguous()


def windows(x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """The windows [S, N, H', W', kernel * kernel * C] of pictures x [S, N, H, W, C]."""
    x = framed(x, padding)
    if x.is_cuda and not traced():  # one operation instead of one for each pixel of the kernel
        found = x.unfold(2, kernel, stride).unfold(3, kernel, stride)
        return found.permute(0, 1, 2, 3, 5, 6, 4).flatten(4)
    return torch.stack([x[place] for place in places(x, kernel, stride)], 4).flatten(4)


def scattered(rows: Tensor, x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """What `windows` of pictures like x have, summed where they have the same pixel."""
    lanes, count, height, width, channels = x.shape
    pixels = rows.view(*rows.shape[:4], kernel * kernel, channels)
    if x.is_cuda:
        columns = pixels.permute(0, 1, 5, 4, 2, 3).reshape(lanes * count, channels * kernel**2, -1)
        d_x = torch.nn.functional.fold(columns, (height, width), kernel, 1, padding, stride)
        return d_x.view(lanes, count, channels, height, width).permute(0, 1, 3, 4, 2).contiguous()
    d_framed = torch.zeros_like(framed(x, padding))
    for place, d_pixel in zip(places(d_framed, kernel, stride), pixels.unbind(4), strict=True):
        d_framed[place] += d_pixel
    return inside(d_framed, padding)


def places(x: Tensor, kernel: int, stride: int) -> list[tuple[slice, ...]]:
    """Where the pixels [S, N, H', W', C] lie that have the same place in all windows, row by row.
    (`unfold` would do, but for ONNX.)"""
    high, wide = x.shape[2] - kernel + 1, x.shape[3] - kernel + 1
    return [
        (slice(None), slice(None), slice(i, i + high, stride), slice(j, j + wide, stride))
        for i, j in itertools.product(range(kernel), repeat=2)
    ]


def product(a: Tensor, b: Tensor) -> Tensor:
    """The matrix products [S, N, M] of a [S, N, K] and b [S, K, M]."""
    if a.is_cpu and not (a.requires_grad or b.requires_grad or traced()):
        return torch.from_numpy(np.matmul(a.numpy(), b.numpy()))
    return a @ b


def traced() -> bool:
    """Whether PyTorch records what is computed: it would take NumPy's results for constants."""
    return torch._C._get_tracing_state() is not None or torch.compiler.is_compiling()


def sum_rows(x: Tensor) -> Tensor:
    """The sum over N of x [S, N, M], [S, 1, M]; on a CPU NumPy is quickest by a product."""
    if x.is_cpu:
        return product(torch.ones(1, 1, x.shape[1]), x)
    return x.sum(1, keepdim=True)


def relu_backward(dy: Tensor, y: Tensor) -> Tensor:
    """dy where y > 0; and not dy * (y > 0), which is nan where dy is infinite."""
    found: Tensor = torch.ops.aten.threshold_backward(dy, y, 0)
    return found


def outer(noise: Tensor, sizes: NDArray[np.int64]) -> Tensor:
    """The noise [S, P/2] of weights and biases, of the factors [S, in + out of each layer]."""
    pieces = iter(torch.split(noise, sizes.ravel().tolist(), -1))
    found = []
    for left in pieces:
        right = next(pieces)
        found += [(left.unsqueeze(-1) * right.unsqueeze(-2)).flatten(1), right]
    return torch.cat(found, -1)


def lerp(start: Tensor, end: Tensor, share: float) -> None:
    """start += share * (end - start); all of it is the end to the bit, while PyTorch's sign of a
    zero would depend on its place in memory."""
    if share == 1:
        start.copy_(end)
    else:
        start.lerp_(end, share)


def move(params: Tensor, step: Tensor, divisor: Tensor, scale: float | Tensor) -> None:
    """params += scale * step / divisor."""
    if isinstance(scale, Tensor):
        params.add_(step.mul(scale).div_(divisor))
    else:
        params.addcdiv_(step, divisor, value=scale)


def root(square: Tensor) -> Tensor:
    """The square root of numbers >= 0, as an optimizer divides by it (after adding its eps).

    Zeros and denormals are lifted to 1e-30: a CPU takes thirty times as long for their roots, and
    parameters without a gradient are full of them.
    """
    return square.clamp(min=1e-30).sqrt_()


def rows(storage: Tensor, slots: Tensor, index: Tensor) -> Tensor:
    """The rows [S, B, ...] of storage [L, C, ...] at `index` [S, B] of these slots [S]."""
    first = slots * storage.shape[1]
    found = storage.flatten(0, 1).index_select(0, (index + first[:, None]).flatten())
    return found.view(*index.shape, *storage.shape[2:])


def window(
    numbers: Tensor, ends: Tensor, slots: Tensor, index: Tensor, newest: int | Tensor, n_step: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Action, reward and discount of the transitions over up to n_step rows, and the last rows."""
    action, reward, discount = rows(numbers, slots, index).unbind(2)
    last, open_ = index, torch.ones_like(index, dtype=torch.bool)
    for _ in range(1, n_step):
        open_ = open_ & ~rows(ends, slots, last) & (last != newest)
        last = torch.where(open_, (last + 1) % numbers.shape[1], last)
        _, more, factor = rows(numbers, slots, last).unbind(2)
        reward = torch.where(open_, reward + discount * more, reward)
        discount = torch.where(open_, discount * factor, discount)
    return action.long(), reward, discount, last


@contextlib.contextmanager
def in_any_order() -> Iterator[None]:
    """Around writes at given places, each of which is written once or with equal values: where
    algorithms are deterministic, a GPU sorts the places first, ten operations instead of one."""
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)


def put_last(leaves: Tensor, index: Tensor, value: Tensor) -> None:
    """leaves [S, C] at index [S, n] become value [S, n], the last one where an index comes twice:
    PyTorch leaves it open which, so all of a pair are given the last one's value first."""
    draws = index.shape[1]
    same = index.unsqueeze(-1) == index.unsqueeze(-2)  # [S, n, n]
    number = torch.arange(draws, device=index.device)
    last = torch.where(same, number, -1).amax(-1)
    with in_any_order():
        leaves.scatter_(1, index, value.gather(1, last))


def sum_of(terms: Sequence[Tensor]) -> Tensor:
    """One after the other."""
    return functools.reduce(torch.add, terms)


def total(family: Tensor) -> Tensor:
    """The sum over the last axis, of eight, in the order of the compiled kernels."""
    for _ in range(3):
        family = family[..., ::2] + family[..., 1::2]
    return family.squeeze(-1)


def family(nodes: Tensor, at: Tensor, size: int) -> Tensor:
    """[S, n, size]: of nodes [S, N] those from size * at on, at [S, n]; the two children of a node
    of a heap, say."""
    rows = at.unsqueeze(-1).expand(-1, -1, size)
    return nodes.view(len(nodes), -1, size).gather(1, rows)


def descend(rest: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Whether to the right child, and what is left of the mass."""
    goes = (rest >= left) & (right > 0)
    return goes, torch.where(goes, rest - left, rest)
