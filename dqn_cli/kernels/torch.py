"""The kernels by PyTorch's operations, on tensors of any device; where autograd watches or PyTorch
traces, too. What each method does is said in kernels.py.

On a CPU a product of matrices is NumPy's: unlike PyTorch's, its bits are the same for a lane in any
company and anywhere in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.kernels.graph import Graph, placing, pure
from dqn_cli.kernels.kernels import BLOCK, NO_ACTIVATION
from dqn_cli.kernels.tensors import (
    descend,
    family,
    framed,
    in_any_order,
    inside,
    layers,
    lerp,
    move,
    outer,
    places,
    product,
    put_last,
    relu_backward,
    root,
    rows,
    scattered,
    sum_of,
    sum_rows,
    total,
    window,
    windows,
)

LARGEST = 1e30
BELOW_ONE = 1 - 2.0**-52


class Torch:
    name = "torch"

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stored = self.recorded(self._store, 4)

    def array(self, x: Tensor) -> Tensor:
        return x

    def tensor(self, x: Tensor) -> Tensor:
        return x

    def place(self, x: NDArray[Any]) -> Tensor:
        return torch.from_numpy(x).to(self.device) if isinstance(x, np.ndarray) else x

    def numpy(self, x: Tensor) -> NDArray[Any]:
        found: NDArray[Any] = x.cpu().numpy()
        return found

    def floats(self, x: Tensor) -> Tensor:
        return x.float()

    def recorded(
        self, function: Callable[..., Any], state: int, parts: Sequence[object] = ()
    ) -> Callable[..., Any]:
        if self.device.type == "cuda" and all(map(pure, parts)):
            return Graph(function, state, self.device)
        return placing(function, self.device)

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        return product(a, b)

    def scaled(self, x: Tensor, high: float | Tensor) -> Tensor:
        return x.float() / high

    def channels_last(self, x: Tensor) -> Tensor:
        return x.permute(0, 1, 3, 4, 2).float()

    def forward(
        self,
        params: Tensor,
        first: int,
        widths: NDArray[np.int64],
        activated: int,
        activation: int,
        x: Tensor,
    ) -> tuple[list[Tensor], Tensor]:
        outputs = [x]
        for i, (weight, bias) in enumerate(layers(params, first, widths)):
            x = product(x, weight) + bias
            if i < activated:
                x = self.activate(x, activation)
            outputs.append(x)
        return outputs[1:-1], x

    def backward(
        self,
        params: Tensor,
        first: int,
        widths: NDArray[np.int64],
        activated: int,
        activation: int,
        x: Tensor,
        hidden: list[Tensor],
        out: Tensor,
        d_out: Tensor,
        grad: Tensor,
        through: bool,
    ) -> Tensor:
        weights, grads = layers(params, first, widths), layers(grad, first, widths)
        outputs, dx = [x, *hidden, out], d_out
        for i in reversed(range(len(weights))):
            if i < activated:
                dx = self.d_activate(outputs[i + 1], dx, activation)
            grads[i][0].copy_(product(outputs[i].transpose(1, 2), dx))
            grads[i][1].copy_(sum_rows(dx))
            if i or through:
                dx = product(dx, weights[i][0].transpose(1, 2))
        return dx

    def convolve(
        self,
        params: Tensor,
        first: int,
        outputs: int,
        kernel: int,
        stride: int,
        padding: int,
        activation: int,
        x: Tensor,
    ) -> Tensor:
        rows = windows(x, kernel, stride, padding)
        ((weight, bias),) = layers(params, first, np.array([rows.shape[-1], outputs]))
        out = self.activate(product(rows.flatten(1, 3), weight) + bias, activation)
        return out.view(*rows.shape[:4], outputs)

    def d_convolve(
        self,
        params: Tensor,
        first: int,
        kernel: int,
        stride: int,
        padding: int,
        activation: int,
        x: Tensor,
        out: Tensor,
        d_out: Tensor,
        grad: Tensor,
        through: bool,
    ) -> Tensor:
        rows, outputs = windows(x, kernel, stride, padding), out.shape[-1]
        widths = np.array([rows.shape[-1], outputs])
        ((weight, _),), ((d_weight, d_bias),) = (layers(p, first, widths) for p in (params, grad))
        d_sum = self.d_activate(out, d_out, activation).flatten(1, 3)
        d_weight.copy_(product(rows.flatten(1, 3).transpose(1, 2), d_sum))
        d_bias.copy_(sum_rows(d_sum))
        if not through:
            return torch.zeros_like(x)
        d_rows = product(d_sum, weight.transpose(1, 2))
        return scattered(d_rows.view(*rows.shape), x, kernel, stride, padding)

    def pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = framed(x, 1, -torch.inf)
        out, place = torch.stack([x[pixels] for pixels in places(x, 3, 2)], -1).max(-1)
        return out, place

    def d_pool(self, x: Tensor, place: Tensor, d_out: Tensor) -> Tensor:
        d_framed = torch.zeros_like(framed(x, 1))
        for i, pixels in enumerate(places(d_framed, 3, 2)):
            d_framed[pixels] += torch.where(place == i, d_out, 0)
        return inside(d_framed, 1)

    def activate(self, x: Tensor, activation: int) -> Tensor:
        if activation == NO_ACTIVATION:
            return x
        return torch.tanh(x) if activation else torch.relu(x)

    def d_activate(self, out: Tensor, d_out: Tensor, activation: int) -> Tensor:
        if activation == NO_ACTIVATION:
            return d_out
        found: Tensor = (torch.ops.aten.tanh_backward if activation else relu_backward)(d_out, out)
        return found

    def aggregate(self, value: Tensor, advantage: Tensor, kind: int) -> Tensor:
        value = value.unsqueeze(-2)
        if kind == 0:
            return value + (advantage - advantage.mean(dim=-2, keepdim=True))
        if kind == 1:
            return value + (advantage - advantage.amax(dim=-2, keepdim=True))
        return value + advantage

    def d_aggregate(self, d_q: Tensor, advantage: Tensor, kind: int) -> tuple[Tensor, Tensor]:
        d_value = d_q.sum(dim=-2)
        if kind == 0:
            return d_value, d_q - d_q.mean(dim=-2, keepdim=True)
        if kind == 1:
            largest = advantage.argmax(dim=-2, keepdim=True)
            return d_value, d_q.scatter_add(-2, largest, -d_value.unsqueeze(-2))
        return d_value, d_q

    def factors(self, numbers: Tensor) -> Tensor:
        return numbers.sign() * numbers.abs().sqrt()

    def noisy(self, params: Tensor, first: int, noise: Tensor, sizes: NDArray[np.int64]) -> Tensor:
        mean, spread = params[:, first:].chunk(2, -1)
        return torch.cat([params[:, :first], mean + spread * outer(noise, sizes)], -1)

    def d_noisy(self, grad: Tensor, first: int, noise: Tensor, sizes: NDArray[np.int64]) -> None:
        d_mean, d_spread = grad[:, first:].chunk(2, -1)
        d_spread.copy_(d_mean * outer(noise, sizes))

    def dqn(
        self,
        values: Tensor,
        following: Tensor,
        chooser: Tensor,
        action: Tensor,
        reward: Tensor,
        discount: Tensor,
        huber: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        best = chooser.squeeze(-1).argmax(-1, keepdim=True)
        y = reward + discount * following.squeeze(-1).gather(-1, best).squeeze(-1)
        taken = action.unsqueeze(-1)
        q = values.squeeze(-1).gather(-1, taken).squeeze(-1)
        error = q - y
        size = error.abs()
        if huber:
            inner = size.clamp(max=1.0)
            per_sample, slope = inner * (size - 0.5 * inner), error.clamp(-1.0, 1.0)
        else:
            per_sample, slope = error * error, 2 * error
        d_values = torch.zeros_like(values)
        with in_any_order():
            d_values.squeeze(-1).scatter_(-1, taken, slope.unsqueeze(-1))
        return per_sample, d_values, size, q

    def gather_values(self, values: Tensor, action: Tensor) -> Tensor:
        place = action[..., None, None].expand(*action.shape, 1, values.shape[-1])
        return values.gather(-2, place).squeeze(-2)

    def scatter_action(self, value: Tensor, action: Tensor, actions: int) -> Tensor:
        place = action[..., None, None].expand(*action.shape, 1, value.shape[-1])
        zeros = value.new_zeros(*action.shape, actions, value.shape[-1])
        with in_any_order():
            return zeros.scatter_(-2, place, value.unsqueeze(-2))

    def project(
        self,
        probability: Tensor,
        reward: Tensor,
        discount: Tensor,
        support: Tensor,
        low: float,
        high: float,
    ) -> Tensor:
        atoms = probability.shape[-1]
        moved = reward.unsqueeze(-1) + discount.unsqueeze(-1) * support
        place = ((moved.clamp(low, high) - low) / ((high - low) / (atoms - 1))).clamp(0, atoms - 1)
        left = place.floor()
        share = place - left  # of the right neighbour; a ceiling would lose the mass of an atom
        below = left.nan_to_num().long()
        above = (below + 1).clamp(max=atoms - 1)
        projected = torch.zeros_like(probability)
        projected.scatter_add_(-1, below, probability * (1 - share))
        return projected.scatter_add_(-1, above, probability * share)

    def weigh(
        self,
        weight: Tensor,
        per_sample: Tensor,
        d_values: Tensor,
        q: Tensor,
        divisor: float,
        loss_sum: Tensor,
        q_sum: Tensor,
    ) -> Tensor:
        loss_sum.addcmul_(weight, per_sample)
        q_sum.add_(q)
        return weight[..., None, None] * d_values / divisor

    def clip_value(self, grad: Tensor, limit: float) -> None:
        grad.clamp_(-limit, limit)

    def clip_norm(self, grad: Tensor, limit: float) -> None:
        # A product of each row with itself: how a sum along the rows is split depends on how many
        # lanes and threads there are.
        norm = product(grad[:, None, :], grad[:, :, None])[:, 0].sqrt()
        grad.mul_((limit / (norm + 1e-6)).clamp(max=1.0))

    def adam(
        self,
        params: Tensor,
        grad: Tensor,
        mean: Tensor,
        square: Tensor,
        lr: float | Tensor,
        beta1: float,
        beta2: float,
        eps: float,
        steps: int | Tensor,
    ) -> None:
        lerp(mean, grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        unbias = 1 - beta2**steps
        scale = unbias.sqrt() if isinstance(unbias, Tensor) else math.sqrt(unbias)
        move(params, mean, root(square).div_(scale).add_(eps), -lr / (1 - beta1**steps))

    def rmsprop(
        self,
        params: Tensor,
        grad: Tensor,
        square: Tensor,
        mean: Tensor,
        lr: float | Tensor,
        alpha: float,
        eps: float,
        in_root: float,
    ) -> None:
        square.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
        if mean.shape[1]:
            lerp(mean, grad, 1 - alpha)
            square = square.addcmul(mean, mean, value=-1)
        if in_root:
            square = square + in_root
        move(params, grad, root(square).add_(eps), -lr)

    def polyak(self, target: Tensor, online: Tensor, tau: float) -> None:
        lerp(target, online, tau)

    def put(self, column: Tensor, slots: Tensor, position: int | Tensor, values: Tensor) -> None:
        if isinstance(position, Tensor):
            # Of an index without an axis PyTorch asks a GPU for the number, and waits.
            position = position.view(1)
        with in_any_order():
            column[slots, position] = values

    def store(
        self,
        pairs: Tensor,
        numbers: Tensor,
        ends: Tensor,
        slots: Tensor,
        position: int,
        gamma: float,
        obs: NDArray[Any],
        action: NDArray[np.int64],
        reward: NDArray[np.float64],
        next_obs: NDArray[Any],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> None:
        pair = np.stack([obs, next_obs], 1)
        row = np.stack([action, reward, gamma * ~terminated], 1).astype(np.float32)
        ended = terminated | truncated
        self._stored(pairs, numbers, ends, slots, position, pair, row, ended)

    def _store(
        self,
        pairs: Tensor,
        numbers: Tensor,
        ends: Tensor,
        slots: Tensor,
        position: int | Tensor,
        *values: Tensor,
    ) -> None:
        for column, value in zip((pairs, numbers, ends), values, strict=True):
            self.put(column, slots, position, value)

    def gather(
        self,
        pairs: Tensor,
        numbers: Tensor,
        ends: Tensor,
        slots: Tensor,
        index: Tensor,
        newest: int | Tensor,
        n_step: int,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        obs, next_obs = rows(pairs, slots, index).unbind(2)
        action, reward, discount, last = window(numbers, ends, slots, index, newest, n_step)
        if n_step > 1:
            next_obs = rows(pairs, slots, last)[:, :, 1]
        return obs, action, reward, next_obs, discount

    def gather_stacks(
        self,
        frames: Tensor,
        lasts: Tensor,
        blank: Tensor,
        episode: Tensor,
        back: Tensor,
        numbers: Tensor,
        ends: Tensor,
        slots: Tensor,
        index: Tensor,
        stored: int | Tensor,
        stack: int,
        n_step: int,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        capacity, held = numbers.shape[1], frames.shape[1]
        newest = (stored - 1) % capacity
        action, reward, discount, last = window(numbers, ends, slots, index, newest, n_step)

        def stacked(place: Tensor, taken: int) -> list[Tensor]:
            """The newest `taken` frames [S, B, F] of the rows' observations, oldest first."""
            number = stored - 1 - (newest - place) % capacity
            before, own = rows(back, slots, place), rows(episode, slots, place)
            began = rows(blank, slots, own % blank.shape[1])
            seen = []
            for k in reversed(range(taken)):
                frame = rows(frames, slots, (number - before.clamp(max=k)) % held)
                seen.append(frame.masked_fill(((before < k) & began)[..., None], 0))
            return seen

        number = stored - 1 - (newest - last) % capacity
        own = rows(episode, slots, last)
        over = (last != newest) & (rows(episode, slots, (last + 1) % capacity) != own)
        after = torch.where(
            over[..., None],
            rows(lasts, slots, own % lasts.shape[1]),
            rows(frames, slots, (number + 1) % held),
        )
        obs, next_obs = stacked(index, stack), [*stacked(last, stack - 1), after]
        return torch.stack(obs, 2), action, reward, torch.stack(next_obs, 2), discount

    def tree_set(
        self, leaves: Tensor, nodes: Tensor, index: Tensor, value: Tensor, least: bool
    ) -> None:
        width = nodes.shape[1] // 2
        put_last(leaves, index, value)
        place = index // BLOCK
        block = family(leaves, place, BLOCK)
        levels = torch.arange(1, width.bit_length(), device=index.device)
        with in_any_order():
            nodes.scatter_(1, width + place, block.amin(-1) if least else total(block))
            for at in (width + place) >> levels.view(-1, 1, 1):
                left, right = family(nodes, at, 2).unbind(-1)
                nodes.scatter_(1, at, torch.minimum(left, right) if least else left + right)

    def tree_find(self, leaves: Tensor, nodes: Tensor, mass: Tensor) -> Tensor:
        width = nodes.shape[1] // 2
        rest = torch.minimum(mass, nodes[:, 1:2] * BELOW_ONE).clamp(min=0)
        at = torch.ones_like(mass, dtype=torch.int64)
        for _ in range(width.bit_length() - 1):
            right, rest = descend(rest, *family(nodes, at, 2).unbind(-1))
            at = torch.add(right, at, alpha=2)
        part = family(leaves, at - width, BLOCK)
        while part.shape[-1] > 1:
            halves = part.view(*part.shape[:-1], 2, -1)
            right, rest = descend(rest, *sum_of(halves.unbind(-1)).unbind(-1))
            part = torch.where(right.unsqueeze(-1), halves[..., 1, :], halves[..., 0, :])
            at = torch.add(right, at, alpha=2)
        return at - width * BLOCK

    def tree_draw(
        self, leaves: Tensor, nodes: Tensor, uniform: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        draws = uniform.shape[1]
        strata = torch.arange(draws, device=uniform.device)
        index = self.tree_find(leaves, nodes, (strata + uniform) * (nodes[:, 1:2] / draws))
        value = leaves.gather(1, index)
        return index, value, value.amin(-1)

    def importance(self, value: Tensor, rarest: Tensor, beta: float | Tensor) -> Tensor:
        return ((rarest.unsqueeze(-1) / value) ** beta).float()

    def rank(self, priority: Tensor, largest: Tensor, epsilon: float, alpha: float) -> Tensor:
        raw = (priority.double() + epsilon).nan_to_num(nan=LARGEST).clamp(max=LARGEST)
        torch.maximum(largest, raw.amax(-1), out=largest)
        return raw**alpha


TORCH = Torch(torch.device("cpu"))
