"""States of a few values; an observation is the number of its state."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from dqn_cli.types import Batch, Output


@pytest.fixture
def table() -> Callable[..., Callable[[Tensor], Output]]:
    """table(values [states, A, K]): what a network of these values says of observations."""

    def made(values: Tensor, fractions: Tensor | None = None) -> Callable[[Tensor], Output]:
        return lambda obs: Output(values[obs[..., 0].long()], fractions)

    return made


@pytest.fixture
def one() -> Callable[..., Batch]:
    """One transition [1, 1], from state 0 to state 1."""

    def made(
        action: int = 0, reward: float = 0.0, discount: float = 0.9, kind: torch.dtype = torch.float
    ) -> Batch:
        obs, next_obs = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
        numbers = (torch.full((1, 1), x, dtype=kind) for x in (reward, discount, 1.0))
        r, d, weight = numbers
        index = np.zeros((1, 1), np.int64)
        return Batch(obs, torch.tensor([[action]]), r, next_obs, d, weight, index)

    return made


@pytest.fixture
def rows() -> Callable[..., Batch]:
    """rows(draw): transitions [2, 6] between four states by three actions, some of which end."""

    def made(draw: torch.Generator) -> Batch:
        lead = (2, 6)
        return Batch(
            obs=torch.randint(4, (*lead, 1), generator=draw),
            action=torch.randint(3, lead, generator=draw),
            reward=torch.randn(lead, generator=draw),
            next_obs=torch.randint(4, (*lead, 1), generator=draw),
            discount=0.9 * torch.randint(2, lead, generator=draw),
            weight=torch.ones(lead),
            index=np.zeros(lead, np.int64),
        )

    return made


@pytest.fixture
def finite_differences() -> Callable[..., None]:
    """Compares d_values [1, 1, A, K] with the differences of f(values), both in float64."""

    def compare(f: Callable[[Tensor], float], values: Tensor, d_values: Tensor) -> None:
        step = 1e-6
        for place in np.ndindex(*values.shape):
            up, down = values.clone(), values.clone()
            up[place] += step
            down[place] -= step
            slope = (f(up) - f(down)) / (2 * step)
            assert d_values[place].item() == pytest.approx(slope, abs=1e-6)

    return compare
