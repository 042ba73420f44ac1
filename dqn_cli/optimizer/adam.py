"""Adam (Kingma & Ba 2015), with PyTorch's arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dqn_cli.maths import annealed, root
from dqn_cli.state import State, take
from dqn_cli.types import Count, Momentum, Positive


class Adam:
    """Element by element over a matrix [S, P], so that no lane sees another.

    The learning rate goes from lr to lr_end on a straight line over lr_steps env steps,
    or stays at lr if lr_end is None.
    """

    def __init__(
        self,
        params: Tensor,
        *,
        lr: Positive,
        lr_end: Positive | None,
        lr_steps: Count,
        beta1: Momentum,
        beta2: Momentum,
        eps: Positive,
    ) -> None:
        self.mean = torch.zeros_like(params)
        self.square = torch.zeros_like(params)
        self.steps = 0
        self.lr = (lr, lr_end, lr_steps)
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps

    def step(self, params: Tensor, grad: Tensor, step: int) -> None:
        lr = annealed(*self.lr, step)
        self.steps += 1
        self.mean.lerp_(grad, 1 - self.beta1)
        self.square.mul_(self.beta2).addcmul_(grad, grad, value=1 - self.beta2)
        bias1 = 1 - self.beta1**self.steps
        bias2 = 1 - self.beta2**self.steps
        denominator = root(self.square).div_(bias2**0.5).add_(self.eps)
        params.addcdiv_(self.mean, denominator, value=-lr / bias1)

    def keep(self, lanes: Sequence[int]) -> None:
        self.mean = self.mean[list(lanes)]
        self.square = self.square[list(lanes)]

    def state(self, lane: int) -> State:
        return {"mean": self.mean[lane].cpu(), "square": self.square[lane].cpu()}

    def load(self, lanes: int, state: State, updates: int) -> None:
        shape = (lanes, self.mean.shape[1])
        self.steps = updates
        self.mean = take(state, "mean", shape, self.mean.dtype).to(self.mean.device)
        self.square = take(state, "square", shape, self.square.dtype).to(self.square.device)
