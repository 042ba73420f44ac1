"""What a torso is made of, one after the other: each maps pictures [S, N, H, W, C] to others, and a
gradient back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from dqn_cli.kernels.kernels import NO_ACTIVATION, Array, Kernels
from dqn_cli.network.layers import Convolution, Picture
from dqn_cli.network.spectral import d_weight, spectrum
from dqn_cli.types import Weights


class Stage(Protocol):
    @property
    def layers(self) -> Sequence[Convolution]:
        """Whose parameters lie one after the other."""

    @property
    def followed(self) -> Sequence[bool]:
        """Of each of them, whether what comes out of it goes through the activation and nowhere
        else."""

    def size(self, picture: Picture) -> Picture:
        """Height, width and channels of what comes out of such pictures."""

    def forward(self, weights: Weights, first: int, x: Array) -> tuple[Array, Any]:
        """What comes out of x, and what `backward` needs. first: the column of its parameters."""

    def backward(
        self, weights: Weights, first: int, kept: Any, d_out: Array, grad: Weights, through: bool
    ) -> Array:
        """Given the gradient of what came out, writes that of its parameters into `grad` and
        returns that of x, if asked to go `through` to it."""


class Convolve:
    """A convolution and its activation."""

    def __init__(self, kernels: Kernels, layer: Convolution, activation: int) -> None:
        self.kernels = kernels
        self.layer = layer
        self.layers = [layer]
        self.followed = [activation != NO_ACTIVATION]
        self.activation = activation
        self.window = layer.kernel, layer.stride, layer.padding, activation

    def size(self, picture: Picture) -> Picture:
        _, _, outputs, kernel, stride, padding = self.layer
        height, width = ((n + 2 * padding - kernel) // stride + 1 for n in picture[:2])
        return height, width, outputs

    def forward(self, weights: Weights, first: int, x: Array) -> tuple[Array, Any]:
        out = self.kernels.convolve(weights, first, self.layer.outputs, *self.window, x)
        return out, (x, out)

    def backward(
        self, weights: Weights, first: int, kept: Any, d_out: Array, grad: Weights, through: bool
    ) -> Array:
        x, out = kept
        return self.kernels.d_convolve(weights, first, *self.window, x, out, d_out, grad, through)


class Spectral:
    """A convolution whose weights are divided by their largest singular value."""

    def __init__(self, convolve: Convolve) -> None:
        self.kernels = convolve.kernels
        self.convolve = convolve
        self.layer = convolve.layer
        self.layers, self.followed = convolve.layers, convolve.followed
        self.size = convolve.size
        biases = np.arange(self.layer.size) >= self.layer.inputs * self.layer.outputs
        self.biases = self.kernels.place(biases.astype(np.float32))  # 1 where one lies, else 0

    def forward(self, weights: Weights, first: int, x: Array) -> tuple[Array, Any]:
        row = weights[:, first : first + self.layer.size]
        found = spectrum(self.kernels, self._weight(row))
        own = row / (found.largest[:, 0] * (1 - self.biases) + self.biases)
        out, kept = self.convolve.forward(own, 0, x)
        return out, (own, found, kept)

    def backward(
        self, weights: Weights, first: int, kept: Any, d_out: Array, grad: Weights, through: bool
    ) -> Array:
        own, found, seen = kept
        d_own = own * 0
        d_x = self.convolve.backward(own, 0, seen, d_out, d_own, through)
        d_normal = self._weight(d_own)
        d_normal[:] = d_weight(self.kernels, found, self._weight(own), d_normal)
        grad[:, first : first + self.layer.size] = d_own
        return d_x

    def _weight(self, row: Array) -> Array:
        """The weight [S, in, out] of the layer's parameters, a view."""
        inputs, outputs = self.layer.inputs, self.layer.outputs
        return row[:, : inputs * outputs].reshape(len(row), inputs, outputs)


class Pool:
    """The largest of 3 x 3 pixels, at every other one: half the height and width, rounded up."""

    layers: Sequence[Convolution] = ()
    followed: Sequence[bool] = ()

    def __init__(self, kernels: Kernels) -> None:
        self.kernels = kernels

    def size(self, picture: Picture) -> Picture:
        height, width, channels = picture
        return (height + 1) // 2, (width + 1) // 2, channels

    def forward(self, weights: Weights, first: int, x: Array) -> tuple[Array, Any]:
        out, place = self.kernels.pool(x)
        return out, (x, place)

    def backward(
        self, weights: Weights, first: int, kept: Any, d_out: Array, grad: Weights, through: bool
    ) -> Array:
        x, place = kept
        return self.kernels.d_pool(x, place, d_out)


class Activate:
    layers: Sequence[Convolution] = ()
    followed: Sequence[bool] = ()

    def __init__(self, kernels: Kernels, activation: int) -> None:
        self.kernels = kernels
        self.activation = activation

    def size(self, picture: Picture) -> Picture:
        return picture

    def forward(self, weights: Weights, first: int, x: Array) -> tuple[Array, Any]:
        out = self.kernels.activate(x, self.activation)
        return out, out

    def backward(
        self, weights: Weights, first: int, kept: Any, d_out: Array, grad: Weights, through: bool
    ) -> Array:
        return self.kernels.d_activate(kept, d_out, self.activation)


class Residual:
    """x plus two convolutions of 3 x 3 of it, an activation before each (He et al. 2016)."""

    def __init__(
        self, kernels: Kernels, name: str, channels: int, activation: int, spectral: bool
    ) -> None:
        self.first = Activate(kernels, activation)
        plain = [
            Convolve(kernels, Convolution(f"{name}.{i}", channels, channels, 3, 1, 1), following)
            for i, following in enumerate((activation, NO_ACTIVATION))
        ]
        self.second, self.third = (Spectral(stage) if spectral else stage for stage in plain)
        self.layers = [self.second.layer, self.third.layer]
        self.followed = [True, False]

    def size(self, picture: Picture) -> Picture:
        return picture

    def forward(self, weights: Weights, first: int, x: Array) -> tuple[Array, Any]:
        middle = first + self.second.layer.size
        active, one = self.first.forward(weights, first, x)
        between, two = self.second.forward(weights, first, active)
        change, three = self.third.forward(weights, middle, between)
        return x + change, (one, two, three)

    def backward(
        self, weights: Weights, first: int, kept: Any, d_out: Array, grad: Weights, through: bool
    ) -> Array:
        middle, (one, two, three) = first + self.second.layer.size, kept
        d_between = self.third.backward(weights, middle, three, d_out, grad, True)
        d_active = self.second.backward(weights, first, two, d_between, grad, True)
        return d_out + self.first.backward(weights, first, one, d_active, grad, True)


def section(
    kernels: Kernels, name: str, inputs: int, channels: int, activation: int, spectral: bool
) -> list[Stage]:
    """A section of the residual network of IMPALA (Espeholt et al. 2018, figure 3): a convolution
    of 3 x 3, a pool, and two residual blocks, their convolutions `spectral` or not. What comes out
    is not activated."""
    widen = Convolution(f"{name}.convolution", inputs, channels, 3, 1, 1)
    names = [f"{name}.residual.{i}" for i in range(2)]
    blocks = [Residual(kernels, name, channels, activation, spectral) for name in names]
    return [Convolve(kernels, widen, NO_ACTIVATION), Pool(kernels), *blocks]
