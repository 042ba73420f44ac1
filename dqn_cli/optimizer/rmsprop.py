"""RMSprop (Tieleman & Hinton 2012), with PyTorch's arithmetic.

    square = alpha * square + (1 - alpha) * grad^2,   mean = alpha * mean + (1 - alpha) * grad
    params -= lr * grad / (sqrt(square) + eps), or
            - lr * grad / sqrt(square + eps) if eps is in the root

Centred, as in Graves (2013, "Generating sequences with recurrent neural networks", equations 38 to
40), square - mean^2 stands for square.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.maths import annealed
from dqn_cli.state import State, take
from dqn_cli.types import Count, Momentum, Positive


class RMSprop:
    """Element by element over a matrix [S, P], so that no lane sees another.

    The learning rate goes from lr to lr_end on a straight line over lr_steps env steps,
    or stays at lr if lr_end is None.
    """

    def __init__(
        self,
        params: Array,
        kernels: Kernels = TORCH,
        *,
        lr: Positive,
        lr_end: Positive | None,
        lr_steps: Count,
        alpha: Momentum,
        eps: Positive,
        eps_in_root: bool,
        centered: bool,
    ) -> None:
        self.kernels = kernels
        lanes, size = params.shape
        self.square = kernels.place(np.zeros((lanes, size), np.float32))
        self.mean = kernels.place(np.zeros((lanes, size if centered else 0), np.float32))
        self.lr = (lr, lr_end, lr_steps)
        self.alpha = alpha
        self.eps, self.in_root = (0.0, eps) if eps_in_root else (eps, 0.0)
        self._recorded = kernels.recorded(self._move, 4)

    def step(self, params: Array, grad: Array, step: int) -> None:
        lr = annealed(*self.lr, step)
        self._recorded(params, grad, self.square, self.mean, lr)

    def _move(self, params: Array, grad: Array, square: Array, mean: Array, lr: float) -> None:
        keys = self.alpha, self.eps, self.in_root
        self.kernels.rmsprop(params, grad, square, mean, lr, *keys)

    def keep(self, lanes: Sequence[int]) -> None:
        self.square = self.square[list(lanes)]
        self.mean = self.mean[list(lanes)]

    def state(self, lane: int) -> State:
        tensor = self.kernels.tensor
        return {"square": tensor(self.square[lane]).cpu(), "mean": tensor(self.mean[lane]).cpu()}

    def load(self, lanes: int, state: State, updates: int) -> None:
        square, mean = (
            take(state, name, (lanes, array.shape[1]), torch.float32).numpy()
            for name, array in (("square", self.square), ("mean", self.mean))
        )
        self.square, self.mean = self.kernels.place(square), self.kernels.place(mean)
