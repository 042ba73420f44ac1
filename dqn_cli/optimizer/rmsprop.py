"""RMSprop (Tieleman & Hinton 2012), with PyTorch's arithmetic: eps outside the root."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dqn_cli.maths import root
from dqn_cli.types import Momentum, Positive


class RMSprop:
    """Element by element over a matrix [S, P], so that no lane sees another."""

    def __init__(self, params: Tensor, *, lr: Positive, alpha: Momentum, eps: Positive) -> None:
        self.square = torch.zeros_like(params)
        self.lr = lr
        self.alpha = alpha
        self.eps = eps

    def step(self, params: Tensor, grad: Tensor) -> None:
        self.square.mul_(self.alpha).addcmul_(grad, grad, value=1 - self.alpha)
        params.addcdiv_(grad, root(self.square).add_(self.eps), value=-self.lr)

    def keep(self, lanes: Sequence[int]) -> None:
        self.square = self.square[list(lanes)]
