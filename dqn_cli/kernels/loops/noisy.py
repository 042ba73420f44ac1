"""Weights with noise in them."""

from __future__ import annotations

import numpy as np

from dqn_cli.kernels.loops.cached import Array, Number, jit
from dqn_cli.kernels.loops.elements import ONE, copy


def factors(numbers: Array) -> Array:
    found: Array = np.sign(numbers) * np.sqrt(np.abs(numbers))
    return found


@jit
def noisy(params: Array, first: int, noise: Array, widths: Array) -> Array:
    lanes, size = params.shape[0], (params.shape[1] - first) // 2
    weights = np.empty((lanes, first + size), np.float32)
    for lane in range(lanes):
        copy(weights[lane, :first], params[lane, :first])
        at, left = first, 0
        for i in range(len(widths)):
            inputs, outputs = widths[i]
            right = left + inputs
            for unit in range(inputs + 1):  # a row of weights for each, and the bias
                factor = noise[lane, left + unit] if unit < inputs else ONE
                perturb(
                    params[lane, at : at + outputs],
                    params[lane, size + at : size + at + outputs],
                    factor,
                    noise[lane, right : right + outputs],
                    weights[lane, at : at + outputs],
                )
                at += outputs
            left = right + outputs
    return weights


@jit
def perturb(mean: Array, spread: Array, factor: Number, noise: Array, weight: Array) -> None:
    for j in range(len(mean)):
        weight[j] = mean[j] + spread[j] * (factor * noise[j])


@jit
def d_noisy(grad: Array, first: int, noise: Array, widths: Array) -> None:
    lanes, size = grad.shape[0], (grad.shape[1] - first) // 2
    for lane in range(lanes):
        at, left = first, 0
        for i in range(len(widths)):
            inputs, outputs = widths[i]
            right = left + inputs
            for unit in range(inputs + 1):
                factor = noise[lane, left + unit] if unit < inputs else ONE
                d_perturb(
                    grad[lane, at : at + outputs],
                    factor,
                    noise[lane, right : right + outputs],
                    grad[lane, size + at : size + at + outputs],
                )
                at += outputs
            left = right + outputs


@jit
def d_perturb(d_weight: Array, factor: Number, noise: Array, d_spread: Array) -> None:
    for j in range(len(noise)):
        d_spread[j] = d_weight[j] * (factor * noise[j])
