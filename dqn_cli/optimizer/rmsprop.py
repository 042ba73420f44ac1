"""RMSprop (Tieleman & Hinton 2012), with PyTorch's arithmetic: eps outside the root."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dqn_cli.maths import annealed, root
from dqn_cli.state import State, take
from dqn_cli.types import Count, Momentum, Positive


class RMSprop:
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
        alpha: Momentum,
        eps: Positive,
    ) -> None:
        self.square = torch.zeros_like(params)
        self.lr = (lr, lr_end, lr_steps)
        self.alpha = alpha
        self.eps = eps

    def step(self, params: Tensor, grad: Tensor, step: int) -> None:
        lr = annealed(*self.lr, step)
        self.square.mul_(self.alpha).addcmul_(grad, grad, value=1 - self.alpha)
        params.addcdiv_(grad, root(self.square).add_(self.eps), value=-lr)

    def keep(self, lanes: Sequence[int]) -> None:
        self.square = self.square[list(lanes)]

    def state(self, lane: int) -> State:
        return {"square": self.square[lane].cpu()}

    def load(self, lanes: int, state: State, updates: int) -> None:
        shape = (lanes, self.square.shape[1])
        self.square = take(state, "square", shape, self.square.dtype).to(self.square.device)
