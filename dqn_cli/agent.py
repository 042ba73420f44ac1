"""A trained agent outside of a run: `dqn_cli.load(RUN)`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dqn_cli.config import Config, check, refuse_foreign
from dqn_cli.kernels.kernels import Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.results.reader import read_run
from dqn_cli.results.schema import checkpoint_file
from dqn_cli.saving.checkpoint import Checkpoint
from dqn_cli.saving.checkpoint import load as load_checkpoint
from dqn_cli.training import build
from dqn_cli.training.policy import Greedy
from dqn_cli.types import EnvMaker, Inputs


class Agent:
    """The greedy agent of one seed of a run."""

    def __init__(self, env: EnvMaker, greedy: Greedy, params: Tensor) -> None:
        self.env = env
        self.greedy = greedy
        self.params = params  # [P]
        self.weights = greedy.weights(params.unsqueeze(0))

    @torch.no_grad()
    def q(self, obs: Any) -> NDArray[np.float32]:
        """Q-values [A] of one observation, as the environment gives it. ValueError, one line, for
        what is no observation of its space."""
        values: NDArray[np.float32] = self.greedy.q(self.weights, self.env.encode(obs)[None, None])
        row: NDArray[np.float32] = values[0, 0]
        return row

    def act(self, obs: Any) -> Any:
        """The best action for one observation, as the environment takes it."""
        return self.env.action(int(self.q(obs).argmax()))

    def module(self) -> nn.Module:
        """A plain differentiable module from observations [N, *obs] to Q-values [N, A], which can
        be traced and exported to TorchScript and ONNX. `agent.env.encode` makes such an observation
        of what the environment gives; bytes are scaled inside."""
        return QModule(self.greedy, self.params)


class QModule(nn.Module):
    """Its one parameter is the row `params` [P], which the network splits into its layers."""

    def __init__(self, greedy: Greedy, params: Tensor) -> None:
        super().__init__()
        self.greedy = greedy
        self.params = nn.Parameter(params.clone())

    def forward(self, obs: Tensor) -> Tensor:
        # One that wants a gradient is computed with as a tensor, also where only obs wants one.
        wanted = self.params.requires_grad
        params = self.params if wanted else self.params.detach().requires_grad_()
        weights = self.greedy.network.split(params.unsqueeze(0))
        output = self.greedy.network.forward(weights, Inputs(obs.unsqueeze(0)))
        values: Tensor = self.greedy.algo.q(output.values).squeeze(0)
        return values


def load(
    run: str | Path,
    seed: int | None = None,
    which: Literal["best", "last"] = "best",
    *,
    trust: bool = False,
) -> Agent:
    """The agent of a seed (the run's first, if None) in a run directory: the network that scored
    best, or the one it ended with.

    `trust` lets the run's configuration name code from outside this package. ValueError, one line,
    for a directory, seed or file that is not there or not as it should be.
    """
    directory = Path(run)
    if which not in ("best", "last"):
        raise ValueError(f"which={which}: expected best or last")
    read = read_run(directory)
    if not trust:
        refuse_foreign(directory, read.config, "trust=True")
    config = check(read.config)
    return agent(directory, config, config.seeds[0] if seed is None else seed, which, TORCH)[0]


def agent(
    directory: Path, config: Config, seed: int, which: str, kernels: Kernels
) -> tuple[Agent, Checkpoint]:
    """The agent of a seed, and the file that it is from. ValueError as for `load`."""
    if seed not in config.seeds:
        raise ValueError(f"seed {seed}: the run has {', '.join(map(str, config.seeds))}")
    file = directory / checkpoint_file(seed, which)
    checkpoint = load_checkpoint(file)
    if checkpoint.seed != seed:
        raise ValueError(f"{file}: it is of seed {checkpoint.seed}")
    env = build.part(config, "env")
    greedy = build.greedy(config, env, kernels)
    try:
        params = greedy.network.flat(checkpoint.params)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    return Agent(env, greedy, params), checkpoint
