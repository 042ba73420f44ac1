"""Convolutional networks: milliseconds of an update's forward (of the online network) and backward
for batches of 32, by our kernels of either kind and by PyTorch's own layers, a network per seed.

taskset -c 0 python -m benchmarks.conv [ROUNDS]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from dqn_cli.device.device import Device
from dqn_cli.kernels.kernels import load
from dqn_cli.network.cnn import CNN
from dqn_cli.network.stages import Convolve, Pool, Residual, Stage
from dqn_cli.types import Inputs, Space

BATCH = 32
NETWORKS = {
    "minatar": ((10, 10, 4), [128]),
    "nature": ((84, 84, 4), [512]),
    "impala": ((84, 84, 4), [256]),
}


def ours(name: str, convolutions: str, seeds: int) -> tuple[Callable[[], object], ...]:
    """A forward, and a forward and backward."""
    shape, hidden = NETWORKS[convolutions]
    kernels, space = load(name, torch.device("cpu")), Space(shape, np.dtype(np.uint8), 6)
    net = CNN(space, 1, kernels, convolutions=convolutions, hidden=hidden, activation="relu")  # type: ignore[arg-type]
    params = net.init(range(seeds))
    weights, grad = (net.split(kernels.array(x)) for x in (params, torch.zeros_like(params)))
    obs = kernels.place(np.random.default_rng(0).integers(0, 255, (seeds, BATCH, *shape), np.uint8))
    d_values = kernels.place(np.ones((seeds, BATCH, 6, 1), np.float32))

    def both() -> None:
        _, pullback = net.vjp(weights, Inputs(obs))
        pullback(d_values, grad)

    return lambda: net.forward(weights, Inputs(obs)), both


class Block(nn.Module):
    """A residual block of IMPALA's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        convolutions = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.layers = nn.Sequential(*(part for each in convolutions for part in (nn.ReLU(), each)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change: torch.Tensor = self.layers(x)
        return x + change


def in_torch(stage: Stage) -> list[nn.Module]:
    match stage:
        case Convolve():
            module = nn.Conv2d(*stage.layer[1:])
            return [module] if stage.activation else [module, nn.ReLU()]
        case Pool():
            return [nn.MaxPool2d(3, 2, 1)]
        case Residual():
            return [Block(stage.layers[0].channels)]
    return [nn.ReLU()]


def layers(convolutions: str, seeds: int) -> tuple[Callable[[], object], ...]:
    """The same, of nn.Conv2d and nn.Linear."""
    (height, width, channels), hidden = NETWORKS[convolutions]
    space = Space((height, width, channels), np.dtype(np.uint8), 6)
    net = CNN(space, 1, convolutions=convolutions, hidden=hidden, activation="relu")  # type: ignore[arg-type]
    nets = []
    for _ in range(seeds):
        modules = [module for stage in net.torso.stages for module in in_torch(stage)]
        modules += [nn.Flatten(), nn.Linear(net.torso.features, hidden[0]), nn.ReLU()]
        nets.append(nn.Sequential(*modules, nn.Linear(hidden[0], 6)))
    obs = torch.randint(255, (BATCH, channels, height, width), dtype=torch.uint8)

    @torch.no_grad()
    def forward() -> None:
        for each in nets:
            each(obs / 255)

    def both() -> None:
        for each in nets:
            each(obs / 255).sum().backward()

    return forward, both


def milliseconds(function: Callable[[], object], rounds: int) -> float:
    """Processor time, the best of so many, after one that pays for compilation and memory."""
    function()
    times = []
    for _ in range(rounds):
        started = time.process_time()
        function()
        times.append(time.process_time() - started)
    return 1e3 * min(times)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    Device(name="cpu", threads=1, workers=1, kernels="compiled", deterministic=False).apply()
    print("| network | seeds | | forward, ms | forward and backward, ms |\n|---|---|---|---|---|")
    for convolutions in NETWORKS:
        for seeds in (1, 5):
            for name in ("compiled", "torch", "nn.Conv2d"):
                if name == "nn.Conv2d":
                    timed = layers(convolutions, seeds)
                else:
                    timed = ours(name, convolutions, seeds)
                cells = " | ".join(f"{milliseconds(each, rounds):.2f}" for each in timed)
                print(f"| {convolutions} | {seeds} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
