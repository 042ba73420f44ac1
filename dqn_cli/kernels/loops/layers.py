"""Chains of linear layers: a product of matrices for each."""

from __future__ import annotations

import numpy as np

from dqn_cli.kernels.loops.cached import Array, jit
from dqn_cli.kernels.loops.elements import add, add_relu, add_tanh, d_relu, d_tanh, sum_rows

# Weights of a layer from which on its products are NumPy's, in plain Python: for a batch of 32,
# NumPy's OpenBLAS (0.3.31) is a third faster than SciPy's (0.3.30), which numba's products are.
LARGE = 2**17


def by_numpy(params: Array, widths: Array, x: Array) -> bool:
    if params.shape[1] < LARGE or x.shape[1] == 1:
        return False
    return bool((widths[:-1] * widths[1:]).max() >= LARGE)


def forward(
    params: Array, first: int, widths: Array, activated: int, activation: int, x: Array
) -> tuple[Array, Array]:
    run = forward_lanes if by_numpy(params, widths, x) else compiled_forward
    return run(params, first, widths, activated, activation, x)


def forward_lanes(
    params: Array, first: int, widths: Array, activated: int, activation: int, x: Array
) -> tuple[Array, Array]:
    lanes, rows = x.shape[0], x.shape[1]
    layers = len(widths) - 1
    hidden = np.empty((lanes, rows * widths[1:layers].sum()), np.float32)
    out = np.empty((lanes, rows, widths[layers]), np.float32)
    for lane in range(lanes):
        before, at, filled = x[lane], first, 0
        for i in range(layers):
            inputs, outputs = widths[i], widths[i + 1]
            split = at + inputs * outputs
            after = out[lane]
            if i < layers - 1:
                after = hidden[lane, filled : filled + rows * outputs].reshape(rows, outputs)
                filled += rows * outputs
            np.dot(before, params[lane, at:split].reshape(inputs, outputs), after)
            bias = params[lane, split : split + outputs]
            if i >= activated:
                add(after, bias)
            elif activation == 0:
                add_relu(after, bias)
            else:
                add_tanh(after, bias)
            before, at = after, split + outputs
    return hidden, out


def backward(
    params: Array,
    first: int,
    widths: Array,
    activated: int,
    activation: int,
    x: Array,
    hidden: Array,
    out: Array,
    d_out: Array,
    grad: Array,
    through: bool,
) -> Array:
    run = backward_lanes if by_numpy(params, widths, x) else compiled_backward
    return run(params, first, widths, activated, activation, x, hidden, out, d_out, grad, through)


def backward_lanes(
    params: Array,
    first: int,
    widths: Array,
    activated: int,
    activation: int,
    x: Array,
    hidden: Array,
    out: Array,
    d_out: Array,
    grad: Array,
    through: bool,
) -> Array:
    lanes, rows = x.shape[0], x.shape[1]
    layers = len(widths) - 1
    size = ((widths[:-1] + 1) * widths[1:]).sum()
    most = rows * widths[1:].max()
    one, other = np.empty(most, np.float32), np.empty(most, np.float32)
    d_x = np.empty((lanes, rows if through else 0, widths[0]), np.float32)
    for lane in range(lanes):
        at, filled = first + size, hidden.shape[1]
        d_after, after = d_out[lane], out[lane]
        for i in range(layers - 1, -1, -1):
            inputs, outputs = widths[i], widths[i + 1]
            before = x[lane]
            if i:
                filled -= rows * inputs
                before = hidden[lane, filled : filled + rows * inputs].reshape(rows, inputs)
            split = at - outputs
            at = split - inputs * outputs
            d_sum = d_after
            if i < activated:
                d_sum = one[: rows * outputs].reshape(rows, outputs)
                if activation == 0:
                    d_relu(d_after, after, d_sum)
                else:
                    d_tanh(d_after, after, d_sum)
            np.dot(before.T, d_sum, grad[lane, at:split].reshape(inputs, outputs))
            sum_rows(d_sum, grad[lane, split : split + outputs])
            weight = params[lane, at:split].reshape(inputs, outputs)
            if i:
                d_after = other[: rows * inputs].reshape(rows, inputs)
                np.dot(d_sum, weight.T, d_after)
                after = before
            elif through:
                np.dot(d_sum, weight.T, d_x[lane])
    return d_x


compiled_forward, compiled_backward = jit(forward_lanes), jit(backward_lanes)
