"""Adam (Kingma & Ba 2015), with PyTorch's arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.maths import annealed
from dqn_cli.state import State, take
from dqn_cli.types import Count, Momentum, Positive


class Adam:
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
        beta1: Momentum,
        beta2: Momentum,
        eps: Positive,
    ) -> None:
        self.kernels = kernels
        zeros = np.zeros((2, *params.shape), np.float32)
        self.mean, self.square = kernels.place(zeros[0]), kernels.place(zeros[1])
        self.steps = 0
        self.lr = (lr, lr_end, lr_steps)
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps
        self._recorded = kernels.recorded(self._move, 4)

    def step(self, params: Array, grad: Array, step: int) -> None:
        lr = annealed(*self.lr, step)
        self.steps += 1
        self._recorded(params, grad, self.mean, self.square, lr, self.steps)

    def _move(
        self, params: Array, grad: Array, mean: Array, square: Array, lr: float, steps: int
    ) -> None:
        keys = self.beta1, self.beta2, self.eps
        self.kernels.adam(params, grad, mean, square, lr, *keys, steps)

    def keep(self, lanes: Sequence[int]) -> None:
        self.mean = self.mean[list(lanes)]
        self.square = self.square[list(lanes)]

    def state(self, lane: int) -> State:
        tensor = self.kernels.tensor
        return {"mean": tensor(self.mean[lane]).cpu(), "square": tensor(self.square[lane]).cpu()}

    def load(self, lanes: int, state: State, updates: int) -> None:
        shape = (lanes, self.mean.shape[1])
        self.steps = updates
        self.mean = self.kernels.place(take(state, "mean", shape, torch.float32).numpy())
        self.square = self.kernels.place(take(state, "square", shape, torch.float32).numpy())
