"""Observations as a network gets them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dqn_cli.maths import Array, array, traced
from dqn_cli.types import Space, Weights

MOST = 2**14  # numbers of a picture that a fully connected layer may look at


def features(space: Space) -> int:
    """Numbers in one observation; ValueError for a picture that is too large to be taken apart."""
    numbers = int(np.prod(space.obs_shape))
    if numbers > MOST and len(space.obs_shape) > 1:
        raise ValueError(
            f"hidden: an observation of {' x '.join(map(str, space.obs_shape))} has {numbers} "
            f"numbers, too many for fully connected layers (up to {MOST}); make it smaller, as by "
            "env.wrappers=[{_target_: gymnasium.wrappers.GrayscaleObservation},"
            "{_target_: gymnasium.wrappers.ResizeObservation,shape:[42,42]}]"
        )
    return numbers


def scaled(obs: Tensor, space: Space) -> Tensor:
    """Observations [..., *obs] as float32; bytes are divided by the space's high."""
    if obs.dtype != torch.uint8:
        return obs
    high = space.high
    divisor = high if isinstance(high, float) else torch.from_numpy(high).to(obs.device)
    return obs.float() / divisor


def prepare(obs: Tensor, space: Space, weights: Weights) -> Array:
    """Observations [S, N, *obs] as rows [S, N, features], of the kind that these weights are."""
    return alike(scaled(obs, space).reshape(*obs.shape[:2], -1), weights)


def alike(x: Tensor, weights: Weights) -> Array:
    """x as a NumPy array, or as the tensor that it is, as these weights are. RuntimeError if
    they are arrays and PyTorch traces."""
    if not isinstance(weights[0][0], np.ndarray):
        return x
    if traced():
        raise RuntimeError("this network cannot be traced; dqn_cli.load(RUN).module() can")
    return array(x)
