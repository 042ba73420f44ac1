"""Loops over elements that several kernels share: functions of their own, since only then does the
compiler make vector instructions of them."""

from __future__ import annotations

import math

import numpy as np

from dqn_cli.kernels.loops.cached import Array, jit

ZERO, HALF, ONE, TWO = (np.float32(x) for x in (0, 0.5, 1, 2))


@jit
def add(y: Array, bias: Array) -> None:
    for row in range(y.shape[0]):
        for unit in range(y.shape[1]):
            y[row, unit] += bias[unit]


@jit
def add_relu(y: Array, bias: Array) -> None:
    for row in range(y.shape[0]):
        for unit in range(y.shape[1]):
            value = y[row, unit] + bias[unit]
            y[row, unit] = ZERO if value <= ZERO else value  # nan stays nan


@jit
def add_tanh(y: Array, bias: Array) -> None:
    for row in range(y.shape[0]):
        for unit in range(y.shape[1]):
            y[row, unit] = math.tanh(y[row, unit] + bias[unit])


@jit
def d_relu(dy: Array, y: Array, dx: Array) -> None:
    for row in range(y.shape[0]):
        for unit in range(y.shape[1]):
            dx[row, unit] = ZERO if y[row, unit] <= ZERO else dy[row, unit]


@jit
def d_tanh(dy: Array, y: Array, dx: Array) -> None:
    for row in range(y.shape[0]):
        for unit in range(y.shape[1]):
            dx[row, unit] = dy[row, unit] * (ONE - y[row, unit] * y[row, unit])


@jit
def sum_rows(x: Array, total: Array) -> None:
    total[:] = ZERO
    for row in range(x.shape[0]):
        for unit in range(x.shape[1]):
            total[unit] += x[row, unit]


@jit
def copy(y: Array, x: Array) -> None:
    for i in range(len(x)):
        y[i] = x[i]


@jit
def add_to(y: Array, x: Array) -> None:
    for i in range(len(x)):
        y[i] += x[i]


@jit
def best(q: Array) -> int:
    """The first of the largest; the first nan, if there is one."""
    found = 0
    for a in range(1, len(q)):
        if q[a] > q[found] or (q[a] != q[a] and q[found] == q[found]):
            found = a
    return found
