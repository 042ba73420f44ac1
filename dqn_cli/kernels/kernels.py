"""What the groups compute with. A run has one of two kinds, on its device:

    compiled   machine code made by numba, on NumPy arrays: a CPU
    torch      PyTorch's operations, on tensors: a GPU, parts that need tensors, any CPU

An `Array` is of the run's kind. Shapes as in types.py: S lanes first. A part that only reshapes,
indexes and does arithmetic needs none of this: arrays and tensors write it alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = Any  # an NDArray, or a Tensor
Activation = Literal["relu", "tanh"]
ACTIVATIONS: dict[Activation, int] = {"relu": 0, "tanh": 1}
NO_ACTIVATION = 2  # of a convolution whose output something is added to
Aggregate = Literal["mean", "max", "sum"]
AGGREGATES: dict[Aggregate, int] = {"mean": 0, "max": 1, "sum": 2}
BLOCK = 8  # leaves of a tree under one node, a cache line


def load(name: str, device: torch.device) -> Kernels:
    """The kernels of this name. Importing numba takes as long as importing NumPy."""
    if name == "torch":
        from dqn_cli.kernels.torch import Torch

        return Torch(device)
    from dqn_cli.kernels import compiled

    return compiled


class Kernels(Protocol):
    name: str
    device: torch.device

    def array(self, x: Tensor) -> Array:
        """The same memory as an array of this kind; x lies on the device."""

    def tensor(self, x: Array) -> Tensor:
        """The inverse of `array`."""

    def place(self, x: NDArray[Any]) -> Array:
        """What NumPy has, put where the kernels compute; an array of this kind, as it is."""

    def numpy(self, x: Array) -> NDArray[Any]:
        """The inverse of `place`."""

    def floats(self, x: Array) -> Array:
        """As float32, in the order of memory that the kernels want."""

    def recorded(
        self, function: Callable[..., Any], state: int, parts: Sequence[object] = ()
    ) -> Callable[..., Any]:
        """`function` of arrays, which may be given as NumPy's, and numbers, on a GPU as one graph
        (graph.py): its first `state` arguments are what it changes, or reads where it lies. A
        user's own among the `parts` that it calls may do something else each time: then it is no
        graph."""

    def product(self, a: Array, b: Array) -> Array:
        """The matrix products [S, N, M] of a [S, N, K] and b [S, K, M]."""

    # Observations

    def scaled(self, x: Array, high: float | Array) -> Array:
        """Bytes as float32, divided by `high`."""

    def channels_last(self, x: Array) -> Array:
        """Pictures [S, N, C, H, W] as float32 [S, N, H, W, C]."""

    # Layers. `params` [S, P] holds a chain of linear layers from column `first` on, each its weight
    # [in, out] and then its bias; `widths` [L + 1] are their sizes. The first `activated` of them
    # are followed by the activation.

    def forward(
        self,
        params: Array,
        first: int,
        widths: NDArray[np.int64],
        activated: int,
        activation: int,
        x: Array,
    ) -> tuple[Array, Array]:
        """The output [S, N, out] of x [S, N, in], after what `backward` needs of hidden layers."""

    def backward(
        self,
        params: Array,
        first: int,
        widths: NDArray[np.int64],
        activated: int,
        activation: int,
        x: Array,
        hidden: Array,
        out: Array,
        d_out: Array,
        grad: Array,
        through: bool,
    ) -> Array:
        """Write the gradient of every weight and bias into `grad`, laid out as `params`; returns
        that of x, if asked to go `through` to it."""

    # Convolutions of pictures [S, N, H, W, C], channels last, with `padding` rows and columns of 0
    # on every side. Their weights lie in `params` [S, P] from column `first` on as
    # [kernel, kernel, in, out], followed by the bias.

    def convolve(
        self,
        params: Array,
        first: int,
        outputs: int,
        kernel: int,
        stride: int,
        padding: int,
        activation: int,
        x: Array,
    ) -> Array:
        """The activation of the convolution [S, N, H', W', outputs] of x [S, N, H, W, C]: of every
        window of kernel x kernel pixels, each `stride` pixels from the one before."""

    def d_convolve(
        self,
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
        """Write the gradient of its weight and bias into `grad`, laid out as `params`; returns that
        of x, if asked to go `through` to it."""

    def pool(self, x: Array) -> tuple[Array, Array]:
        """The largest number [S, N, H', W', C] of every other window of 3 x 3 pixels of x
        [S, N, H, W, C], the first one centred on the first pixel, and where in its window it is
        (int64, row by row): the first of several, or the first nan."""

    def d_pool(self, x: Array, place: Array, d_out: Array) -> Array:
        """The gradient of x, given where the largest ones are and the gradient of these."""

    def activate(self, x: Array, activation: int) -> Array:
        """The activation of x [S, ...]."""

    def d_activate(self, out: Array, d_out: Array, activation: int) -> Array:
        """The gradient of x, given its activation and the gradient of that, all of one shape."""

    def aggregate(self, value: Array, advantage: Array, kind: int) -> Array:
        """Q [S, N, A, K] of V [S, N, K] and A [S, N, A, K] (Wang et al. 2016): less the mean over
        actions (equation 9), the largest (8), or nothing (7)."""

    def d_aggregate(self, d_q: Array, advantage: Array, kind: int) -> tuple[Array, Array]:
        """The derivatives by V and A, given that by Q; of several largest advantages the first
        counts as the largest."""

    def factors(self, numbers: Array) -> Array:
        """sign(x) sqrt(|x|), the factors of noise (Fortunato et al. 2018, equation 10)."""

    def noisy(self, params: Array, first: int, noise: Array, sizes: NDArray[np.int64]) -> Array:
        """The weights [S, first + M] of noisy layers (Fortunato et al. 2018): means + spreads *
        noise, params [S, first + 2 M] being the means and then the spreads, after `first` columns
        that are without noise. noise [S, in + out of each layer] is factorised; `sizes` [L, 2] are
        (in, out) of the layers as they lie in params."""

    def d_noisy(self, grad: Array, first: int, noise: Array, sizes: NDArray[np.int64]) -> None:
        """Write the gradient by the spreads into the last M columns of grad [S, first + 2 M], given
        that by the weights in those before, which is that by the means."""

    # Learning

    def dqn(
        self,
        values: Array,
        following: Array,
        chooser: Array,
        action: Array,
        reward: Array,
        discount: Array,
        huber: bool,
    ) -> tuple[Array, Array, Array, Array]:
        """The loss [S, B] of y = reward + discount * following[argmax chooser] against the value of
        the action taken, its derivative by values [S, B, A, 1], |error| and that value [S, B].
        `following` and `chooser` are values of the next state [S, B, A, 1]."""

    def gather_values(self, values: Array, action: Array) -> Array:
        """The K values [S, B, K] of the action [S, B] taken, out of values [S, B, A, K]."""

    def scatter_action(self, value: Array, action: Array, actions: int) -> Array:
        """The transpose of `gather_values`: zeros [S, B, A, K], but `value` [S, B, K] at the action
        taken."""

    def project(
        self,
        probability: Array,
        reward: Array,
        discount: Array,
        support: Array,
        low: float,
        high: float,
    ) -> Array:
        """The distribution [S, B, K] of reward + discount * Z on the support [K], evenly spaced
        from low to high, that Z has, of this probability [S, B, K]: each atom's mass is shared out
        between its two neighbours (Bellemare et al. 2017, algorithm 1). Mass at an atom exactly
        stays whole, and what lies outside of the support goes to its end."""

    def weigh(
        self,
        weight: Array,
        per_sample: Array,
        d_values: Array,
        q: Array,
        divisor: float,
        loss_sum: Array,
        q_sum: Array,
    ) -> Array:
        """weight [S, B] * d_values [S, B, A, K] / divisor; adds weight * per_sample to loss_sum and
        q to q_sum, in place."""

    def clip_value(self, grad: Array, limit: float) -> None:
        """Every number within [-limit, limit]."""

    def clip_norm(self, grad: Array, limit: float) -> None:
        """Every lane's norm at most `limit`, as clip_grad_norm_ has it for a network."""

    def adam(
        self,
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
        """The step of this number, from 1 (Kingma & Ba 2015), with PyTorch's arithmetic."""

    def rmsprop(
        self,
        params: Array,
        grad: Array,
        square: Array,
        mean: Array,
        lr: float,
        alpha: float,
        eps: float,
        in_root: float,
    ) -> None:
        """One step (Tieleman & Hinton 2012), with PyTorch's arithmetic: lr * grad /
        (sqrt(square - mean^2 + in_root) + eps). mean [S, P] is that of gradients; [S, 0]: it counts
        as 0."""

    def polyak(self, target: Array, online: Array, tau: float) -> None:
        """target += tau * (online - target)."""

    # Replay. `numbers` [L, C, 3] holds action, reward and discount of C rows, `ends` [L, C] whether
    # an episode ended; lane s has `slots[s]` of the L.

    def put(self, column: Array, slots: Array, position: int, values: Array) -> None:
        """column [L, C, ...] gets values [S, ...] at `position` of these slots."""

    def store(
        self,
        pairs: Array,
        numbers: Array,
        ends: Array,
        slots: Array,
        position: int,
        gamma: float,
        obs: NDArray[Any],
        action: NDArray[np.int64],
        reward: NDArray[np.float64],
        next_obs: NDArray[Any],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> None:
        """Put one env step of every lane at `position`; observations are [S, F], and `pairs`
        [L, C, 2, F] holds obs and next_obs."""

    def gather(
        self,
        pairs: Array,
        numbers: Array,
        ends: Array,
        slots: Array,
        index: Array,
        newest: int,
        n_step: int,
    ) -> tuple[Array, Array, Array, Array, Array]:
        """obs [S, B, F], action, reward, next_obs, discount of the transitions over up to n_step
        rows that begin at `index` [S, B]: to the end of the episode, or to the newest row."""

    def gather_stacks(
        self,
        frames: Array,
        lasts: Array,
        blank: Array,
        episode: Array,
        back: Array,
        numbers: Array,
        ends: Array,
        slots: Array,
        index: Array,
        stored: int,
        stack: int,
        n_step: int,
    ) -> tuple[Array, Array, Array, Array, Array]:
        """`gather` out of frames that lie there once, after `stored` rows: obs and next_obs
        [S, B, stack, F], oldest frame first. The arrays are those of storage/frames.py."""

    # A tree over values from 0 on: `leaves` [S, W * BLOCK] float64, and in `nodes` [S, 2 * W] a
    # binary heap over their blocks, root at 1: sums, or with `least` minima.

    def tree_set(
        self, leaves: Array, nodes: Array, index: Array, value: Array, least: bool
    ) -> None:
        """Put value [S, n] at index [S, n]; where an index comes twice, the last one stays."""

    def tree_find(self, leaves: Array, nodes: Array, mass: Array) -> Array:
        """For mass [S, n]: the index at which the running sum first exceeds it; the last one with
        something for more than there is."""

    def tree_draw(self, leaves: Array, nodes: Array, uniform: Array) -> tuple[Array, Array, Array]:
        """One draw from each of n equal shares of the total, where `uniform` [S, n] says in it; the
        values there, and the smallest of them [S]."""

    def importance(self, value: Array, rarest: Array, beta: float) -> Array:
        """(rarest [S] / value [S, n]) ** beta as float32: see importance.py."""

    def rank(self, priority: Array, largest: Array, epsilon: float, alpha: float) -> Array:
        """(priority + epsilon) ** alpha [S, n]; `largest` [S] becomes the largest before alpha.
        What is no number counts as 1e30, and so does what is more."""
