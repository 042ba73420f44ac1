"""What stands before the fully connected layers: convolutions of a picture, or nothing.

A picture is [height, width, channels], [channels, height, width] where the first axis is shorter
than both others (as frames are stacked), or [height, width] of one channel.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from annotated_types import Len, Predicate
from numpy.typing import NDArray

from dqn_cli.kernels.kernels import ACTIVATIONS, Activation, Array, Kernels
from dqn_cli.network.layers import Convolution, Picture, biases
from dqn_cli.network.observations import features, rows, scaled
from dqn_cli.network.stages import Activate, Convolve, Pool, Stage, section
from dqn_cli.types import Count, Space, Weights


def in_order(part: list[int | str]) -> bool:
    return isinstance(part[0], int) and part[1] == "spectral_norm"


Layer = Annotated[list[Count], Len(3, 4)]  # channels out, size of the kernel, stride, padding
Section = Annotated[list[Count], Len(1, 1)]  # channels of a section of IMPALA's
Word = Literal["spectral_norm"]  # after the channels of a section: its blocks have it
Spectral = Annotated[list[Count | Word], Len(2, 2), Predicate(in_order)]
Part = Layer | Section | Spectral | Literal["pool"]
Convolutions = Literal["nature", "dopamine", "minatar", "impala"] | list[Part]
PUBLISHED: dict[str, list[Part]] = {
    "nature": [[32, 8, 4], [64, 4, 2], [64, 3, 1]],  # Mnih et al. 2015
    "dopamine": [[32, 8, 4, 2], [64, 4, 2, 2], [64, 3, 1, 1]],  # Castro et al. 2018, its code
    "minatar": [[16, 3, 1]],  # Young and Tian 2019
    "impala": [[16], [32], [32]],  # Espeholt et al. 2018
}


class Seen(NamedTuple):
    """What a torso computed."""

    kept: list[Any]  # by each stage, for the way back
    shape: tuple[int, ...]  # of the pictures [S, N, H, W, C] that came out of the last one
    rows: Array  # [S, N, features]


class Torso:
    """obs -> convolutions, each followed by the activation, and sections, whose last one is ->
    rows [features]; without any, the numbers of an observation in a row. Its layers are the
    network's first ones.

    ValueError for observations that are no pictures, or smaller than a kernel.
    """

    def __init__(
        self, space: Space, kernels: Kernels, convolutions: Convolutions, activation: Activation
    ) -> None:
        self.space = space
        self.kernels = kernels
        self.stages: list[Stage] = []
        self.picture: Picture | None = None  # that the rows are made of
        parts = PUBLISHED[convolutions] if isinstance(convolutions, str) else convolutions
        if parts:
            self.picture = self._build(parts, f"convolutions={convolutions}", activation)
        self.layers = [layer for stage in self.stages for layer in stage.layers]
        self.activation = activation
        height, width, channels = self.picture or (1, 1, features(space))
        self.features = height * width * channels

    def _build(self, parts: list[Part], place: str, activation: Activation) -> Picture:
        """Make the stages; what comes out of them."""
        size, key, bare = picture(self.space, place), ACTIVATIONS[activation], False
        for i, part in enumerate(parts):
            if part == "pool":
                stages: list[Stage] = [Pool(self.kernels)]
            elif len(part) < 3:
                channels, spectral = int(part[0]), len(part) == 2
                stages = section(self.kernels, f"section.{i}", size[2], channels, key, spectral)
                bare = True
            else:
                outputs, kernel, stride, padding = map(int, [*part, 0][:4])
                if kernel > min(size[:2]) + 2 * padding:
                    raise ValueError(
                        f"{place}: a kernel of {kernel} x {kernel} does not fit into "
                        f"{size[0]} x {size[1]}, which is what layer {i + 1} gets"
                    )
                layer = Convolution(f"convolution.{i}", size[2], outputs, kernel, stride, padding)
                stages = [Convolve(self.kernels, layer, key)]
                bare = False
            for stage in stages:
                size = stage.size(size)
            self.stages += stages
        if bare:
            self.stages.append(Activate(self.kernels, key))
        return size

    def rectified(self) -> NDArray[np.int64]:
        """The columns of the biases of its ReLU units, which are channels. One of a section that
        goes round the activation of a residual block is not silenced by it, and counts for the
        activation after the last section alone."""
        if self.activation != "relu" or not self.layers:
            return np.empty(0, np.int64)
        *followed, last = (each for stage in self.stages for each in stage.followed)
        return biases(self.layers, [*followed, last or isinstance(self.stages[-1], Activate)], 0)

    @property
    def learns(self) -> bool:
        """Whether the gradient of the rows is asked for."""
        return bool(self.layers)

    def forward(self, weights: Weights, obs: Array) -> Seen:
        if not self.stages:
            return Seen([], (), rows(obs, self.space, self.kernels))
        x, kept, first = channels_last(obs, self.space, self.kernels), [], 0
        for stage in self.stages:
            x, needed = stage.forward(weights, first, x)
            kept.append(needed)
            first += sum(layer.size for layer in stage.layers)
        return Seen(kept, x.shape, x.reshape(*obs.shape[:2], self.features))

    def backward(self, weights: Weights, seen: Seen, d_rows: Array, grad: Weights) -> None:
        """Given the gradient of the rows, writes that of every weight and bias into `grad`."""
        if not self.learns:
            return
        d_picture = d_rows.reshape(seen.shape)
        first = sum(layer.size for layer in self.layers)
        for i, stage in reversed(list(enumerate(self.stages))):
            first -= sum(layer.size for layer in stage.layers)
            d_picture = stage.backward(weights, first, seen.kept[i], d_picture, grad, i > 0)


def channels_first(space: Space) -> bool:
    shape = space.obs_shape
    return len(shape) == 3 and shape[0] < min(shape[1:])


def picture(space: Space, place: str) -> Picture:
    """Height, width and channels; ValueError for observations that are no pictures."""
    match space.obs_shape:
        case (channels, height, width) if channels_first(space):
            return height, width, channels
        case (height, width, channels):
            return height, width, channels
        case (height, width):
            return height, width, 1
    shape = " x ".join(map(str, space.obs_shape))
    raise ValueError(
        f"{place}: an observation of {shape or 'one'} number{'s' * (shape != '1')} is no picture "
        "(height x width x channels, channels x height x width, or height x width); network=mlp "
        "takes it"
    )


def channels_last(obs: Array, space: Space, kernels: Kernels) -> Array:
    """Observations [S, N, *obs] as float32 [S, N, H, W, C]."""
    x = scaled(obs, space, kernels)
    if channels_first(space):
        return kernels.channels_last(x)
    return kernels.floats(x[..., None] if len(space.obs_shape) == 2 else x)
