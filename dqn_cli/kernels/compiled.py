"""The kernels compiled by numba, for a CPU: plain loops over lanes, on NumPy arrays.

One serial piece of code computes a lane, in any company, so its bits depend on nothing else. The
machine code is kept on the disk next to the files of loops/, or in the user's cache where those are
read-only: a machine compiles it once.

What each function does is said in kernels.py, and where it is written, by the imports here.
"""

# mypy: implicit-reexport
# ruff: noqa: F401

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dqn_cli.kernels.loops.cached import Array, F
from dqn_cli.kernels.loops.convolutions import (
    activate,
    convolve,
    d_activate,
    d_convolve,
    d_pool,
    pool,
)
from dqn_cli.kernels.loops.dueling import aggregate, d_aggregate
from dqn_cli.kernels.loops.layers import backward, forward
from dqn_cli.kernels.loops.losses import dqn, gather_values, project, scatter_action, weigh
from dqn_cli.kernels.loops.noisy import d_noisy, factors, noisy
from dqn_cli.kernels.loops.observations import channels_last, scaled
from dqn_cli.kernels.loops.optimizers import adam, clip_norm, clip_value, polyak, rmsprop
from dqn_cli.kernels.loops.replay import gather, gather_stacks, store
from dqn_cli.kernels.loops.trees import importance, rank, tree_draw, tree_find, tree_set

name = "compiled"
device = torch.device("cpu")


def array(x: Tensor) -> Array:
    if torch._C._get_tracing_state() is not None or torch.compiler.is_compiling():
        raise RuntimeError("compiled kernels cannot be traced; dqn_cli.load(RUN).module() can")
    return x.numpy()


def tensor(x: Array) -> Tensor:
    return torch.from_numpy(x)


def place(x: Array) -> Array:
    return x


def numpy(x: Array) -> Array:
    return x


def recorded(function: F, state: int, parts: Sequence[object] = ()) -> F:
    return function


def floats(x: Array) -> Array:
    return x.astype(np.float32, order="C", copy=False)


def put(column: Array, slots: Array, position: int, values: Array) -> None:
    column[slots, position] = values


def product(a: Array, b: Array) -> Array:
    found: Array = np.matmul(a, b)
    return found
