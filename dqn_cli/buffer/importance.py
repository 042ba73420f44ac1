"""Importance weights (Schaul et al. 2016, section 3.4), by which prioritised draws count."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Normalize = Literal["batch", "buffer"]  # whose largest weight is 1


def importance(
    probability: NDArray[np.float64], rarest: NDArray[np.float64], beta: float
) -> NDArray[np.float64]:
    """w_i = (N P(i))^-beta / max_j (N P(j))^-beta, for draws of probability P [S, B].

    The largest weight is that of the least probable row, `rarest` [S, 1]: N cancels out.
    """
    weight: NDArray[np.float64] = (rarest / probability) ** beta
    return weight
