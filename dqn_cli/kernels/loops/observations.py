"""Observations of bytes, and of pictures with their channels first."""

from __future__ import annotations

import numpy as np

from dqn_cli.kernels.loops.cached import Array, Number, jit


def scaled(x: Array, high: float | Array) -> Array:
    if not isinstance(high, float):
        found: Array = x.astype(np.float32) / high
        return found
    out = np.empty(x.shape, np.float32)
    divide(np.ascontiguousarray(x).reshape(-1), np.float32(high), out.reshape(-1))
    return out


@jit
def divide(x: Array, divisor: Number, y: Array) -> None:
    for i in range(len(x)):
        y[i] = np.float32(x[i]) / divisor


def channels_last(x: Array) -> Array:
    lanes, count, channels, height, width = x.shape
    out = np.empty((lanes, count, height, width, channels), np.float32)
    planes = np.ascontiguousarray(x).reshape(lanes * count, channels, height * width)
    interleave(planes, out.reshape(lanes * count, height * width, channels))
    return out


@jit
def interleave(planes: Array, pixels: Array) -> None:
    for i in range(len(planes)):
        for channel in range(planes.shape[1]):
            put_channel(planes[i, channel], pixels[i], channel)


@jit
def put_channel(plane: Array, pixels: Array, channel: int) -> None:
    for i in range(len(plane)):
        pixels[i, channel] = plane[i]
