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
from dqn_cli.types import Inputs, Space

BATCH = 32
NETWORKS = {"minatar": ((10, 10, 4), [128]), "nature": ((84, 84, 4), [512])}


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


def layers(convolutions: str, seeds: int) -> tuple[Callable[[], object], ...]:
    """The same, of nn.Conv2d and nn.Linear."""
    (height, width, channels), hidden = NETWORKS[convolutions]
    space = Space((height, width, channels), np.dtype(np.uint8), 6)
    net = CNN(space, 1, convolutions=convolutions, hidden=hidden, activation="relu")  # type: ignore[arg-type]
    nets = []
    for _ in range(seeds):
        modules: list[nn.Module] = []
        for layer in net.torso.layers:
            modules += [nn.Conv2d(layer.channels, layer.outputs, layer.kernel, layer.stride)]
            modules += [nn.ReLU()]
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
