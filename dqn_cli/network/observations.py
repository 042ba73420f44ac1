"""Observations as a network gets them."""

from __future__ import annotations

import numpy as np

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.types import Space

MOST = 2**14  # numbers of a picture that a fully connected layer may look at


def features(space: Space) -> int:
    """Numbers in one observation; ValueError for a picture that is too large to be taken apart."""
    numbers = int(np.prod(space.obs_shape))
    if numbers > MOST and len(space.obs_shape) > 1:
        match space.obs_shape:
            case (_, _, 3):  # in colour
                advice = (
                    "take network=cnn, or make it smaller, as by "
                    "env.wrappers=[{_target_: gymnasium.wrappers.GrayscaleObservation},"
                    "{_target_: gymnasium.wrappers.ResizeObservation,shape:[42,42]}]"
                )
            case (_, _) | (_, _, _):
                advice = "take network=cnn"
            case _:  # no picture
                advice = "make it smaller with a wrapper (env.wrappers)"
        raise ValueError(
            f"hidden: an observation of {' x '.join(map(str, space.obs_shape))} has {numbers} "
            f"numbers, too many for fully connected layers (up to {MOST}); {advice}"
        )
    return numbers


def scaled(obs: Array, space: Space, kernels: Kernels) -> Array:
    """Observations [..., *obs] as float32; bytes are divided by the space's high."""
    if space.obs_dtype != np.uint8:
        return obs
    high = space.high
    return kernels.scaled(obs, high if isinstance(high, float) else kernels.place(high))


def rows(obs: Array, space: Space, kernels: Kernels) -> Array:
    """Observations [S, N, *obs] as rows [S, N, features]."""
    return scaled(obs, space, kernels).reshape(*obs.shape[:2], -1)
