"""What stands before the fully connected layers: convolutions of a picture, or nothing.

A picture is [height, width, channels], [channels, height, width] where the first axis is shorter
than both others (as frames are stacked), or [height, width] of one channel.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from annotated_types import Len

from dqn_cli.kernels.kernels import ACTIVATIONS, Activation, Array, Kernels
from dqn_cli.network.layers import Convolution, Picture
from dqn_cli.network.observations import features, rows, scaled
from dqn_cli.types import Count, Space, Weights

Layer = Annotated[list[Count], Len(3, 3)]  # channels out, size of the kernel, stride
Convolutions = Literal["nature", "minatar"] | list[Layer]
PUBLISHED: dict[str, list[Layer]] = {
    "nature": [[32, 8, 4], [64, 4, 2], [64, 3, 1]],  # Mnih et al. 2015
    "minatar": [[16, 3, 1]],  # Young and Tian 2019
}


class Seen(NamedTuple):
    """What a torso computed."""

    pictures: list[Array]  # [S, N, H, W, C]: the observations, then the output of each convolution
    rows: Array  # [S, N, features]


class Torso:
    """obs -> convolutions, each followed by the activation -> rows [features]; without
    convolutions, the numbers of an observation in a row. Its layers are the network's first ones.

    ValueError for observations that are no pictures, or smaller than a kernel.
    """

    def __init__(
        self, space: Space, kernels: Kernels, convolutions: Convolutions, activation: Activation
    ) -> None:
        self.space = space
        self.kernels = kernels
        self.activation = ACTIVATIONS[activation]
        self.layers: list[Convolution] = []
        self.picture: Picture | None = None  # that the rows are made of
        shapes = PUBLISHED[convolutions] if isinstance(convolutions, str) else convolutions
        if not shapes:
            self.features = features(space)
            return
        place = f"convolutions={convolutions}"
        height, width, channels = picture(space, place)
        for i, (outputs, kernel, stride) in enumerate(shapes):
            if kernel > min(height, width):
                raise ValueError(
                    f"{place}: a kernel of {kernel} x {kernel} does not fit into "
                    f"{height} x {width}, which is what layer {i + 1} gets"
                )
            self.layers.append(Convolution(f"convolution.{i}", channels, outputs, kernel, stride))
            height, width = ((size - kernel) // stride + 1 for size in (height, width))
            channels = outputs
        self.picture = (height, width, channels)
        self.features = height * width * channels

    @property
    def learns(self) -> bool:
        """Whether the gradient of the rows is asked for."""
        return bool(self.layers)

    def forward(self, weights: Weights, obs: Array) -> Seen:
        if not self.learns:
            return Seen([], rows(obs, self.space, self.kernels))
        pictures, first = [channels_last(obs, self.space, self.kernels)], 0
        for layer in self.layers:
            how = layer.outputs, layer.kernel, layer.stride, self.activation
            pictures.append(self.kernels.convolve(weights, first, *how, pictures[-1]))
            first += layer.size
        return Seen(pictures, pictures[-1].reshape(*obs.shape[:2], self.features))

    def backward(self, weights: Weights, seen: Seen, d_rows: Array, grad: Weights) -> None:
        """Given the gradient of the rows, writes that of every weight and bias into `grad`."""
        first = sum(layer.size for layer in self.layers)
        for i, layer in reversed(list(enumerate(self.layers))):
            first -= layer.size
            x, out = seen.pictures[i : i + 2]
            how = layer.kernel, layer.stride, self.activation, x, out, d_rows.reshape(out.shape)
            d_rows = self.kernels.d_convolve(weights, first, *how, grad, i > 0)


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
    if len(space.obs_shape) == 2:
        x = x[..., None]
    elif channels_first(space):
        x = x.swapaxes(2, 3).swapaxes(3, 4)
    return kernels.floats(x)
