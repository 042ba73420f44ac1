"""An algorithm that computes with tensors takes arrays of either kind, and hands back the same."""

import numpy as np
import pytest
import torch
from torch import Tensor

from dqn_cli.algo.c51 import C51
from dqn_cli.algo.dqn import DQN
from dqn_cli.algo.iqn import IQN
from dqn_cli.algo.munchausen import Munchausen
from dqn_cli.algo.munchausen_iqn import MunchausenIQN
from dqn_cli.algo.qr import QR
from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.types import Batch, Forward, Loss, Output

ALGOS = {
    "dqn": (DQN, (), {"double": True, "loss": "huber"}),
    "c51": (C51, (0.9,), {"atoms": 7, "low": -3.0, "high": 3.0, "double": True}),
    "qr": (QR, (), {"quantiles": 7, "kappa": 1.0, "double": True}),
    "iqn": (IQN, (), {"kappa": 1.0, "double": True}),
    "munchausen_iqn": (MunchausenIQN, (), {"alpha": 0.9, "tau": 0.5, "l0": -1.0, "kappa": 1.0}),
    "munchausen": (Munchausen, (), {"alpha": 0.9, "tau": 0.03, "l0": -1.0, "loss": "mse"}),
}


@pytest.mark.parametrize("name", ALGOS)
def test_loss_and_q_are_those_of_tensors(kernels: Kernels, rows, name: str) -> None:
    kind, given, keys = ALGOS[name]
    draw = torch.Generator().manual_seed(0)
    atoms = 1 if name in ("dqn", "munchausen") else 7
    online, target = torch.randn(2, 4, 3, atoms, generator=draw)
    fractions = torch.rand(2, 6, atoms, generator=draw)
    batch = rows(draw)
    batch = batch._replace(index=torch.from_numpy(batch.index))

    def judged(part: Kernels) -> tuple[Loss, Array]:
        algo = kind(*given, part, **keys)

        def says(values: Tensor) -> Forward:
            def forward(obs: Array) -> Output:
                found = values[part.tensor(obs)[..., 0].long()]
                return Output(part.array(found), part.array(fractions))

            return forward

        arrays = Batch(*(part.array(x) for x in batch))
        now = says(online)(arrays.obs)
        return algo.loss(now, says(online), says(target), arrays), algo.q(now.values)

    (loss, q), (expected, values) = judged(kernels), judged(TORCH)
    ours = np.ndarray if kernels.name == "compiled" else Tensor
    assert {type(x) for x in (*loss, q)} == {ours}
    for found, other in zip((*loss, q), (*expected, values), strict=True):
        torch.testing.assert_close(kernels.tensor(found), other)
