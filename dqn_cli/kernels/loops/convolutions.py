"""Convolutions, with the pool and the activations between them.

Every window of a picture is unrolled into a row, and the weights are applied to all rows by one
product. A block of pictures at a time, so that the rows stay in the cache.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from dqn_cli.kernels.kernels import NO_ACTIVATION
from dqn_cli.kernels.loops.cached import Array, jit
from dqn_cli.kernels.loops.elements import (
    ZERO,
    add,
    add_relu,
    add_tanh,
    add_to,
    copy,
    d_relu,
    d_tanh,
    sum_rows,
)


@jit
def convolve(
    params: Array,
    first: int,
    outputs: int,
    kernel: int,
    stride: int,
    padding: int,
    activation: int,
    x: Array,
) -> Array:
    lanes, count, height, width, channels = x.shape
    high, wide = (
        (height + 2 * padding - kernel) // stride + 1,
        (width + 2 * padding - kernel) // stride + 1,
    )
    area, inputs, block = high * wide, kernel * kernel * channels, pictures(high * wide, x, kernel)
    split = first + inputs * outputs
    windows = np.empty((block * area, inputs), np.float32)
    frame = np.zeros((height + 2 * padding, (width + 2 * padding) * channels), np.float32)
    out = np.empty((lanes, count, high, wide, outputs), np.float32)
    for lane in range(lanes):
        images = x[lane].reshape(count, height, width * channels)
        after = out[lane].reshape(count * area, outputs)
        weight = params[lane, first:split].reshape(inputs, outputs)
        for start in range(0, count, block):
            stop = min(start + block, count)
            rows = windows[: (stop - start) * area]
            for i in range(start, stop):
                image = framed(images[i], frame, padding, channels)
                unroll(image, wide, channels, kernel, stride, rows[(i - start) * area :])
            np.dot(rows, weight, after[start * area : stop * area])
        bias = params[lane, split : split + outputs]
        if activation == 0:
            add_relu(after, bias)
        elif activation == 1:
            add_tanh(after, bias)
        else:
            add(after, bias)
    return out


@jit
def d_convolve(
    params: Array,
    first: int,
    kernel: int,
    stride: int,
    padding: int,
    activation: int,
    x: Array,
    out: Array,
    d_out: Array,
    grad: Array,
    through: bool,
) -> Array:
    lanes, count, height, width, channels = x.shape
    wide, outputs = out.shape[3], out.shape[4]
    area, inputs = out.shape[2] * wide, kernel * kernel * channels
    block, split = pictures(area, x, kernel), first + inputs * outputs
    windows = np.empty((block * area, inputs), np.float32)
    frame = np.zeros((height + 2 * padding, (width + 2 * padding) * channels), np.float32)
    d_frame = np.zeros_like(frame)
    d_after = np.empty((count * area, outputs), np.float32)
    part = np.empty((inputs, outputs), np.float32)
    d_x = np.zeros((lanes, count if through else 0, height, width, channels), np.float32)
    for lane in range(lanes):
        after = out[lane].reshape(count * area, outputs)
        d_sum = d_out[lane].reshape(count * area, outputs)
        if activation == 0:
            d_relu(d_sum, after, d_after)
            d_sum = d_after
        elif activation == 1:
            d_tanh(d_sum, after, d_after)
            d_sum = d_after
        sum_rows(d_sum, grad[lane, split : split + outputs])
        images = x[lane].reshape(count, height, width * channels)
        d_images = d_x[lane].reshape(len(d_x[lane]), height, width * channels)
        weight = params[lane, first:split].reshape(inputs, outputs)
        d_weight = grad[lane, first:split].reshape(inputs, outputs)
        d_weight[:] = ZERO
        for start in range(0, count, block):
            stop = min(start + block, count)
            rows, d_rows = windows[: (stop - start) * area], d_sum[start * area : stop * area]
            for i in range(start, stop):
                image = framed(images[i], frame, padding, channels)
                unroll(image, wide, channels, kernel, stride, rows[(i - start) * area :])
            np.dot(rows.T, d_rows, part)
            add_to(d_weight.reshape(-1), part.reshape(-1))
            if through:
                np.dot(d_rows, weight.T, rows)
                for i in range(start, stop):
                    part_of = rows[(i - start) * area :]
                    if not padding:
                        scatter(d_images[i], wide, channels, kernel, stride, part_of)
                    else:
                        d_frame[:] = ZERO
                        scatter(d_frame, wide, channels, kernel, stride, part_of)
                        left = padding * channels
                        for y in range(height):
                            line = d_frame[y + padding, left : left + width * channels]
                            copy(d_images[i, y], line)
    return d_x


@jit
def framed(image: Array, frame: Array, padding: int, channels: int) -> Array:
    """The image [H, W * C] in a frame of zeros, which is written to; without padding, itself."""
    if not padding:
        return image
    left = padding * channels
    for y in range(len(image)):
        copy(frame[y + padding, left : left + image.shape[1]], image[y])
    return frame


@jit
def pictures(area: int, x: Array, kernel: int) -> Any:
    """How many are unrolled at once: as many as fit into half a megabyte."""
    return max(1, min(x.shape[1], 2**17 // (area * kernel * kernel * x.shape[4])))


@jit
def unroll(image: Array, wide: int, channels: int, kernel: int, stride: int, rows: Array) -> None:
    """Copy the windows of image [H, W * C] into rows."""
    high, line, length = (len(image) - kernel) // stride + 1, image.shape[1], kernel * channels
    pixels, windows = image.reshape(-1), rows.reshape(-1)
    # An index without a sign is not looked at for whether it counts from the end.
    to, length = numba.uintp(0), numba.uintp(length)
    for y in range(high):
        for x in range(wide):
            for i in range(kernel):
                first = numba.uintp((y * stride + i) * line + x * stride * channels)
                for k in range(length):
                    windows[to + k] = pixels[first + k]
                to += length


@jit
def scatter(image: Array, wide: int, channels: int, kernel: int, stride: int, rows: Array) -> None:
    """The inverse: add rows to the windows of image [H, W * C]."""
    high, length = (len(image) - kernel) // stride + 1, kernel * channels
    for y in range(high):
        for x in range(wide):
            row, left = rows[y * wide + x], x * stride * channels
            for i in range(kernel):
                line = image[y * stride + i, left : left + length]
                add_to(line, row[i * length : (i + 1) * length])


@jit
def pool(x: Array) -> tuple[Array, Array]:
    lanes, count, height, width, channels = x.shape
    high, wide = (height + 1) // 2, (width + 1) // 2
    out = np.empty((lanes, count, high, wide, channels), np.float32)
    place = np.empty(out.shape, np.int64)
    for lane in range(lanes):
        for i in range(count):
            for y in range(high):
                for j in range(wide):
                    largest, found = out[lane, i, y, j], place[lane, i, y, j]
                    largest[:] = -np.inf
                    found[:] = (y == 0) * 3 + (j == 0)  # the first pixel that there is
                    for part in range(9):
                        row, column = 2 * y + part // 3 - 1, 2 * j + part % 3 - 1
                        if 0 <= row < height and 0 <= column < width:
                            take_larger(x[lane, i, row, column], part, largest, found)
    return out, place


@jit
def take_larger(pixel: Array, part: int, largest: Array, found: Array) -> None:
    for c in range(len(pixel)):
        value, most = pixel[c], largest[c]
        more = (value > most) | ((value != value) & (most == most))
        largest[c] = value if more else most
        found[c] = part if more else found[c]


@jit
def d_pool(x: Array, place: Array, d_out: Array) -> Array:
    lanes, count, high, wide, channels = d_out.shape
    d_x = np.zeros(x.shape, np.float32)
    for lane in range(lanes):
        for i in range(count):
            for y in range(high):
                for j in range(wide):
                    for c in range(channels):
                        part = place[lane, i, y, j, c]
                        row, column = 2 * y + part // 3 - 1, 2 * j + part % 3 - 1
                        d_x[lane, i, row, column, c] += d_out[lane, i, y, j, c]
    return d_x


def activate(x: Array, activation: int) -> Array:
    if activation == NO_ACTIVATION:
        return x
    out = np.empty_like(x)
    (relu if activation == 0 else tanh)(x.reshape(-1), out.reshape(-1))
    return out


@jit
def relu(x: Array, y: Array) -> None:
    for i in range(len(x)):
        y[i] = ZERO if x[i] <= ZERO else x[i]  # nan stays nan


@jit
def tanh(x: Array, y: Array) -> None:
    for i in range(len(x)):
        y[i] = math.tanh(x[i])


def d_activate(out: Array, d_out: Array, activation: int) -> Array:
    if activation == NO_ACTIVATION:
        return d_out
    d_x = np.empty_like(out)
    flat = (x.reshape(1, -1) for x in (d_out, out, d_x))
    (d_relu if activation == 0 else d_tanh)(*flat)
    return d_x
