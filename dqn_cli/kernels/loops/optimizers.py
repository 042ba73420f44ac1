"""From a gradient to parameters, and from those to a target network's."""

from __future__ import annotations

import math

import numpy as np

from dqn_cli.kernels.loops.cached import Array, Number, jit
from dqn_cli.kernels.loops.elements import HALF, ONE

TINY = np.float32(1e-30)  # see `adam_lane`


@jit
def clip_value(grad: Array, limit: float) -> None:
    most = np.float32(limit)
    for lane in range(len(grad)):
        for i in range(grad.shape[1]):
            value = grad[lane, i]
            grad[lane, i] = most if value > most else -most if value < -most else value


@jit
def clip_norm(grad: Array, limit: float) -> None:
    for lane in range(len(grad)):
        norm = np.sqrt(np.dot(grad[lane], grad[lane]))
        share = np.float32(limit) / (norm + np.float32(1e-6))
        if not share >= ONE:
            grad[lane] *= share


@jit
def adam(
    params: Array,
    grad: Array,
    mean: Array,
    square: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    steps: int,
) -> None:
    step = np.float32(lr / (1 - beta1**steps))
    root = np.float32(math.sqrt(1 - beta2**steps))
    old, new1, new2 = np.float32(beta2), np.float32(1 - beta1), np.float32(1 - beta2)
    small = np.float32(eps)
    for lane in range(len(params)):
        adam_lane(
            params[lane], grad[lane], mean[lane], square[lane], step, root, old, new1, new2, small
        )


@jit
def adam_lane(
    params: Array,
    grad: Array,
    mean: Array,
    square: Array,
    step: Number,
    root: Number,
    old: Number,
    new1: Number,
    new2: Number,
    small: Number,
) -> None:
    for i in range(len(params)):
        g = grad[i]
        mean[i] = lerp(mean[i], g, new1)
        square[i] = old * square[i] + new2 * g * g
        # A CPU takes thirty times as long for the root of a denormal number.
        lifted = TINY if square[i] <= TINY else square[i]  # nan stays nan
        params[i] -= step * mean[i] / (np.sqrt(lifted) / root + small)


@jit
def lerp(start: Number, end: Number, share: Number) -> Number:
    """As PyTorch rounds it; a share of 1 is the end, whatever the start."""
    if share == ONE:
        return end
    if share < HALF:
        return start + share * (end - start)
    return end - (ONE - share) * (end - start)


@jit
def rmsprop(
    params: Array,
    grad: Array,
    square: Array,
    mean: Array,
    lr: float,
    alpha: float,
    eps: float,
    in_root: float,
) -> None:
    step, old, new, small, within = (
        np.float32(lr),
        np.float32(alpha),
        np.float32(1 - alpha),
        np.float32(eps),
        np.float32(in_root),
    )
    for lane in range(len(params)):
        if mean.shape[1]:
            rmsprop_centered(
                params[lane], grad[lane], square[lane], mean[lane], step, old, new, small, within
            )
        else:
            rmsprop_lane(params[lane], grad[lane], square[lane], step, old, new, small, within)


@jit
def rmsprop_lane(
    params: Array,
    grad: Array,
    square: Array,
    step: Number,
    old: Number,
    new: Number,
    small: Number,
    within: Number,
) -> None:
    for i in range(len(params)):
        square[i] = old * square[i] + new * grad[i] * grad[i]
        raised = square[i] + within
        lifted = TINY if raised <= TINY else raised  # nan stays nan
        params[i] -= step * grad[i] / (np.sqrt(lifted) + small)


@jit
def rmsprop_centered(
    params: Array,
    grad: Array,
    square: Array,
    mean: Array,
    step: Number,
    old: Number,
    new: Number,
    small: Number,
    within: Number,
) -> None:
    for i in range(len(params)):
        square[i] = old * square[i] + new * grad[i] * grad[i]
        mean[i] = lerp(mean[i], grad[i], new)
        raised = square[i] - mean[i] * mean[i] + within
        lifted = TINY if raised <= TINY else raised
        params[i] -= step * grad[i] / (np.sqrt(lifted) + small)


@jit
def polyak(target: Array, online: Array, tau: float) -> None:
    share = np.float32(tau)
    for lane in range(len(target)):
        for i in range(target.shape[1]):
            target[lane, i] = lerp(target[lane, i], online[lane, i], share)
