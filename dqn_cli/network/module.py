"""Any `torch.nn.Module` as a network: computed lane by lane, with gradients by autograd.

The module is made as `Module(obs_shape, outputs, **kwargs)` and maps a batch of observations
[N, *obs] (float32; bytes divided by the space's high) to [N, outputs], outputs being A x K.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dqn_cli import code
from dqn_cli.kernels.kernels import Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.network.observations import scaled
from dqn_cli.seeding import episode_seed
from dqn_cli.types import Inputs, Noise, Output, Pullback, Space, Weights


class Module:
    """ValueError for a module that cannot be one network of many: it raises, gives other shapes,
    draws random numbers, mixes observations, or keeps something between forwards besides its
    parameters. Those that ask for no gradient stay as they are made."""

    def __init__(
        self,
        space: Space,
        atoms: int,
        kernels: Kernels = TORCH,
        *,
        module: code.Module,
        kwargs: dict[str, Any],
    ) -> None:
        if kernels.name != "torch":
            raise ValueError(f"module={module}: it needs device.kernels=torch (or auto)")
        self.kernels = kernels
        self.space = space
        self.atoms = atoms
        self.name = module
        self.kwargs = kwargs
        self.outputs = space.actions * atoms
        try:
            self.kind = code.attribute(module)
        except Exception as error:  # a module of the user's may raise anything
            raise ValueError(f"module={module}: {one_line(error)}") from error
        self.net = self._make(0)
        self._check_parameters()
        self.shapes = {name: value.shape for name, value in self.net.named_parameters()}
        self.frozen = {name for name, p in self.net.named_parameters() if not p.requires_grad}
        self._check_values()

    def _make(self, seed: int) -> nn.Module:
        """A module whose first parameters depend on this seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(episode_seed(seed, "init.module"))
            try:
                net = self.kind(self.space.obs_shape, self.outputs, **self.kwargs)
            except Exception as error:
                raise ValueError(f"module={self.name}: {one_line(error)}") from error
        if not isinstance(net, nn.Module):
            raise ValueError(f"module={self.name}: it makes no torch.nn.Module")
        return net

    def _check_parameters(self) -> None:
        place = f"module={self.name}"
        if kept := [name for name, _ in self.net.named_buffers()]:
            raise ValueError(
                f"{place}: it has buffers ({', '.join(kept)}), as of BatchNorm, which would mix "
                "training with acting; LayerNorm and GroupNorm have none"
            )
        again = dict(self._make(0).named_parameters())
        for name, value in self.net.named_parameters():
            if nn.parameter.is_lazy(value):
                raise ValueError(f"{place}: {name} is lazy, of no shape yet; give its layer's size")
            if value.dtype is not torch.float32:
                raise ValueError(f"{place}: {name} is no float32")
            if not torch.equal(value, again[name]):
                raise ValueError(
                    f"{place}: {name} is another when it is made again from the same seed; its "
                    "first values must come from PyTorch's generator"
                )
        if not again:
            raise ValueError(f"{place}: it has no parameters")

    def _check_values(self) -> None:
        place = f"module={self.name}"
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            rows = torch.rand(2, *self.space.obs_shape)
            before = torch.get_rng_state()
            values = []
            for count in (2, 2, 1):
                try:
                    values.append(self.net(rows[:count]))
                except Exception as error:
                    shape = [count, *self.space.obs_shape]
                    raise ValueError(
                        f"{place}: on observations {shape}: {one_line(error)}"
                    ) from error
            drawn = not torch.equal(before, torch.get_rng_state())
        first, second, single = values
        found = list(first.shape) if isinstance(first, Tensor) else type(first).__name__
        if found != [2, self.outputs]:
            raise ValueError(
                f"{place}: it makes {found} of observations {list(rows.shape)}; expected "
                f"{[2, self.outputs]}, {self.space.actions} actions x {self.atoms}"
            )
        if drawn or not torch.equal(first, second):
            raise ValueError(
                f"{place}: the same observations give other values the second time, as with "
                "Dropout; it must be a function of its parameters and observations"
            )
        if not torch.allclose(first[:1], single, rtol=1e-3, atol=1e-4):
            raise ValueError(
                f"{place}: an observation's values depend on the others in its batch, as with "
                "BatchNorm"
            )

    def init(self, seeds: Sequence[int]) -> Tensor:
        nets = [self._make(seed) for seed in seeds]
        rows = [torch.cat([p.detach().reshape(-1) for p in net.parameters()]) for net in nets]
        return torch.stack(rows)

    def noise(self, rows: int) -> Noise | None:
        return None

    def split(self, params: Tensor) -> Weights:
        """For each lane its parameters by name, as views."""
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        return [
            {
                name: piece.view(shape)
                for (name, shape), piece in zip(self.shapes.items(), row.split(sizes), strict=True)
            }
            for row in params
        ]

    def forward(self, weights: Weights, inputs: Inputs) -> Output:
        obs = scaled(inputs.obs, self.space, self.kernels)
        lanes = [{name: alone(value) for name, value in lane.items()} for lane in weights]
        return self._output([self._values(*lane) for lane in zip(lanes, obs, strict=True)])

    def vjp(self, weights: Weights, inputs: Inputs) -> tuple[Output, Pullback]:
        obs = scaled(inputs.obs, self.space, self.kernels)
        leaves = [
            {
                name: alone(value).detach().requires_grad_(name not in self.frozen)
                for name, value in lane.items()
            }
            for lane in weights
        ]
        with torch.enable_grad():
            values = [self._values(*lane) for lane in zip(leaves, obs, strict=True)]

        def pullback(d_values: Tensor, grad: Weights) -> None:
            for lane, leaf in enumerate(leaves):
                trained = {name: value for name, value in leaf.items() if value.requires_grad}
                slopes = torch.autograd.grad(
                    values[lane],
                    list(trained.values()),
                    alone(d_values[lane]),
                    materialize_grads=True,
                )
                for name in self.frozen:
                    grad[lane][name].zero_()
                for name, slope in zip(trained, slopes, strict=True):
                    grad[lane][name].copy_(slope)

        return self._output([lane.detach() for lane in values]), pullback

    def _values(self, weights: dict[str, Tensor], obs: Tensor) -> Tensor:
        values: Tensor = functional_call(self.net, weights, (alone(obs),))
        return values.reshape(len(obs), self.space.actions, self.atoms)

    def _output(self, lanes: list[Tensor]) -> Output:
        return Output(torch.stack(lanes))

    def named(self, row: Tensor) -> dict[str, Tensor]:
        """By the module's own names."""
        (lane,) = self.split(row.unsqueeze(0))
        return {name: value.clone() for name, value in lane.items()}

    def flat(self, named: dict[str, Tensor]) -> Tensor:
        found = {name: value.shape for name, value in named.items()}
        if found != self.shapes:
            raise ValueError(f"parameters {found} where the network has {self.shapes}")
        return torch.cat([named[name].reshape(-1) for name in self.shapes])


def alone(piece: Tensor) -> Tensor:
    """A copy in memory of its own. Where a piece of all lanes begins in memory depends on the lanes
    before it, and on that the last bits of a matrix product."""
    return piece.clone(memory_format=torch.contiguous_format)


def one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
