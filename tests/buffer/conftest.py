"""What the tests of samplers share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.training.replay import Replay


@pytest.fixture
def tell(kernels: Kernels) -> Callable[..., None]:
    """tell(buffer, index, errors): the |TD errors| [S, n] of these rows, as a learner has them."""

    def told(buffer: Replay, index: Array, errors: NDArray[Any]) -> None:
        buffer.update(kernels.place(index), kernels.place(errors.astype(np.float32)))

    return told
