"""Spectral normalisation (Miyato et al. 2018; Gogianu et al. 2021 and Bjorck et al. 2021 for deep
RL): the weights W [in, out] of a layer are divided by their largest singular value, so that it
makes no difference between two inputs longer; of a convolution, between two windows.

    W / s,   s = u^T W v,   d s / d W = u v^T

u and v are the singular vectors of s. Elsewhere one step of the power iteration brings them up to
date in every forward, and they are a state besides the parameters. Here they are a function of the
weights: the matrix W^T W is squared SQUARINGS times, which leaves the eigenvector v as 2^SQUARINGS
steps would, from the best of the unit vectors on.
"""

from __future__ import annotations

from typing import NamedTuple

from dqn_cli.kernels.kernels import Array, Kernels

SQUARINGS = 10  # singular values that differ by a hundredth are then a billion times apart
TINY = 1e-12  # weights that are all 0 stay so


class Spectrum(NamedTuple):
    """Of one layer of every lane."""

    largest: Array  # s [S, 1, 1]
    left: Array  # u [S, in, 1]
    right: Array  # v [S, out, 1]


def spectrum(kernels: Kernels, weight: Array) -> Spectrum:
    """The largest singular value of weight [S, in, out], and its vectors."""
    lanes = len(weight)
    power = kernels.product(weight.swapaxes(1, 2), weight)
    for _ in range(SQUARINGS):
        power = power / length(kernels, power.reshape(lanes, -1, 1))
        power = kernels.product(power, power)
    best = power.diagonal(0, 1, 2).argmax(-1)
    right = power[list(range(lanes)), best][..., None]
    right = right / length(kernels, right)
    left = kernels.product(weight, right)
    largest = length(kernels, left)
    return Spectrum(largest, left / largest, right)


def length(kernels: Kernels, x: Array) -> Array:
    """The Euclidean norm [S, 1, 1] of x [S, n, 1]."""
    squared = kernels.product(x.swapaxes(1, 2), x)
    norm: Array = squared**0.5 + TINY
    return norm


def d_weight(kernels: Kernels, found: Spectrum, normal: Array, d_normal: Array) -> Array:
    """The gradient by the weights [S, in, out], given that by the normalised ones, `normal`."""
    lanes = len(normal)
    along = kernels.product(d_normal.reshape(lanes, 1, -1), normal.reshape(lanes, -1, 1))
    outer = kernels.product(found.left, found.right.swapaxes(1, 2))
    return (d_normal - along * outer) / found.largest
