"""RMSprop (Tieleman & Hinton 2012), with PyTorch's arithmetic: eps outside the root."""

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
    or stays at lr if lr_end is None. centered: divide by the deviation of the gradient and not by
    its root mean square (Graves 2013).
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
        centered: bool,
    ) -> None:
        self.kernels = kernels
        self.mean = kernels.place(np.zeros(params.shape, np.float32)) if centered else None
        self.square = kernels.place(np.zeros(params.shape, np.float32))
        self.lr = (lr, lr_end, lr_steps)
        self.alpha = alpha
        self.eps = eps

    def step(self, params: Array, grad: Array, step: int) -> None:
        lr = annealed(*self.lr, step)
        if self.mean is None:
            self.kernels.rmsprop(params, grad, self.square, lr, self.alpha, self.eps)
        else:
            self.kernels.centered_rmsprop(
                params, grad, self.mean, self.square, lr, self.alpha, self.eps
            )

    def keep(self, lanes: Sequence[int]) -> None:
        chosen = list(lanes)
        self.square = self.square[chosen]
        if self.mean is not None:
            self.mean = self.mean[chosen]

    def state(self, lane: int) -> State:
        averages = {"square": self.square} | ({} if self.mean is None else {"mean": self.mean})
        return {name: self.kernels.tensor(x[lane]).cpu() for name, x in averages.items()}

    def load(self, lanes: int, state: State, updates: int) -> None:
        def taken(name: str) -> Array:
            shape = (lanes, self.square.shape[1])
            return self.kernels.place(take(state, name, shape, torch.float32).numpy())

        if self.mean is not None:
            self.mean = taken("mean")
        self.square = taken("square")
