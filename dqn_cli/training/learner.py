"""One update of every lane: sample, forward, loss, backward, optimizer step, priorities; then the
target network.

Weighting, averaging and clipping happen here and nowhere else. The loss is a mean (or a sum) inside
a lane and a sum over lanes, so that a lane's gradient is the one it would have alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.seeding import Stream
from dqn_cli.state import Rows, State, nested, take, within
from dqn_cli.training.contract import FORWARDS
from dqn_cli.training.replay import Replay
from dqn_cli.types import Algo, Batch, Inputs, Loss, Network, Optimizer, Output, Target, Weights


class Trial(NamedTuple):
    """An update of one lane that is not made."""

    now: Output  # the online network's, of the batch's observations
    loss: Loss
    params: Array  # [P]
    grad: Array  # [P], of the sum of the losses


class Learner:
    """Owns the parameters [S, P] of the online and the target network.

    `learning_starts` and `update_every` count env steps per seed; `updates` are made each time.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        online: Array,
        network: Network,
        algo: Algo,
        replay: Replay,
        optimizer: Optimizer,
        target: Target,
        kernels: Kernels = TORCH,
        *,
        batch_size: int,
        learning_starts: int,
        update_every: int,
        updates: int,
        reduction: Literal["mean", "sum"],
        grad_clip_value: float | None,
        grad_clip_norm: float | None,
    ) -> None:
        self.online = online
        self.kernels = kernels
        self.target_params = online + 0
        self.grad = kernels.place(np.zeros(online.shape, np.float32))
        self.network = network
        self.algo = algo
        self.replay = replay
        self.optimizer = optimizer
        self.target = target
        self.batch_size = batch_size
        self.learning_starts = learning_starts
        self.update_every = update_every
        self.updates = updates
        self.divisor = batch_size if reduction == "mean" else 1  # of a batch's sum
        self.grad_clip_value = grad_clip_value
        self.grad_clip_norm = grad_clip_norm
        # [S, B], since the last report
        self.loss_sum, self.q_sum = (
            kernels.place(np.zeros((len(online), batch_size), np.float32)) for _ in range(2)
        )
        self.count = 0  # updates made
        self.forwards = 1  # of the latest update
        self._recorded = kernels.recorded(self._gradient, 5, (network, algo))
        self.reported = [0] * len(online)  # the count when each lane last reported
        self._draw_noise(seeds)
        self._split()

    def learn(self, step: int) -> None:
        """Run the updates due at env step `step` (from 1), then sync the target network."""
        if step >= self.learning_starts and step % self.update_every == 0:
            for _ in range(self.updates):
                self.update(step)
        self.target.sync(self.online, self.target_params, step)

    def update(self, step: int) -> None:
        batch = self.replay.sample(step)
        noises = [self._noise(forward) for forward in range(self.forwards)] if self.noise else []
        where = self.weights, self.target_weights, self.grads, self.loss_sum, self.q_sum
        priority = self._recorded(*where, *batch, *noises)
        self.optimizer.step(self.online, self.grad, step)
        self.replay.update(batch.index, priority)
        self.count += 1

    def _gradient(
        self,
        weights: Weights,
        target_weights: Weights,
        grads: Weights,
        loss_sum: Array,
        q_sum: Array,
        *given: Array,
    ) -> Array:
        """Write the clipped gradient of a batch and add up its losses and Q-values; the priorities.
        given: what the batch has, and then the noise of as many forwards as the latest update had;
        no two share theirs."""
        fields = len(Batch._fields)
        batch, noises = Batch(*given[:fields]), given[fields:]
        forwards = 0

        def inputs(obs: Array) -> Inputs:
            nonlocal forwards
            forward, forwards = forwards, forwards + 1
            if self.noise is None:
                return Inputs(obs)
            if forward < len(noises):
                return Inputs(obs, noises[forward])
            return Inputs(obs, self.kernels.place(self._noise(forward)))

        now, pullback = self.network.vjp(weights, inputs(batch.obs))
        loss = self.algo.loss(
            now,
            lambda obs: self.network.forward(weights, inputs(obs)),
            lambda obs: self.network.forward(target_weights, inputs(obs)),
            batch,
        )
        self.forwards = forwards
        pullback(
            self.kernels.weigh(
                batch.weight,
                loss.per_sample,
                loss.d_values,
                loss.q,
                self.divisor,
                loss_sum,
                q_sum,
            ),
            grads,
        )
        if self.grad_clip_value is not None:
            self.kernels.clip_value(self.grad, self.grad_clip_value)
        if self.grad_clip_norm is not None:
            self.kernels.clip_norm(self.grad, self.grad_clip_norm)
        return loss.priority

    def trial(self, lane: int, batch: Batch) -> Trial:
        """What one lane's update with these rows [1, n] would be, were it made: without noise, and
        before weighting and clipping. In copies, as if the lane were alone; nothing changes."""
        own = slice(lane, lane + 1)
        online = self.online[own] + 0
        target = self.target.choose(self.online, self.target_params)[own] + 0
        grad = self.kernels.place(np.zeros(online.shape, np.float32))
        weights, target_weights = self.network.split(online), self.network.split(target)
        now, pullback = self.network.vjp(weights, Inputs(batch.obs))
        loss = self.algo.loss(
            now,
            lambda obs: self.network.forward(weights, Inputs(obs)),
            lambda obs: self.network.forward(target_weights, Inputs(obs)),
            batch,
        )
        pullback(loss.d_values, self.network.split(grad))
        return Trial(now, loss, online[0], grad[0])

    def _noise(self, forward: int) -> NDArray[np.float32]:
        """What this forward of the present update has, and no other."""
        if forward == FORWARDS:
            raise RuntimeError(
                f"algo: more than {FORWARDS - 1} forwards besides that of the samples"
            )
        assert self.noise is not None
        return self.noise.floats(self.count * FORWARDS + forward)

    def params(self, lane: int) -> Tensor:
        """A lane's online parameters [P], as they are now and will not stay."""
        return self.kernels.tensor(self.online[lane])

    def report(self, lane: int) -> tuple[float | None, float | None]:
        """Loss and mean Q, averaged over this lane's updates since it last reported."""
        loss = (self.loss_sum[lane].sum() / self.divisor).item()
        q = self.q_sum[lane].mean().item()
        updates = self.count - self.reported[lane]
        self.loss_sum[lane] = self.q_sum[lane] = 0
        self.reported[lane] = self.count
        return (loss / updates, q / updates) if updates else (None, None)

    def finite(self) -> list[bool]:
        """For each lane: whether its losses and Q-values since its last report were numbers."""
        sums = self.kernels.numpy((self.loss_sum + self.q_sum).sum(-1))
        whole: list[bool] = np.isfinite(sums).tolist()
        return whole

    def keep(self, lanes: Sequence[int]) -> None:
        chosen = list(lanes)
        self.online = self.online[chosen]
        self.target_params = self.target_params[chosen]
        self.grad = self.grad[chosen]
        self.loss_sum = self.loss_sum[chosen]
        self.q_sum = self.q_sum[chosen]
        self.reported = [self.reported[lane] for lane in chosen]
        self._split()
        self.optimizer.keep(lanes)
        self.replay.keep(lanes)
        if self.noise is not None:
            self.noise.keep(lanes)

    def state(self, lane: int) -> State:
        rows = {
            "online": self.online,
            "target": self.target_params,
            "loss_sum": self.loss_sum,
            "q_sum": self.q_sum,
        }
        return {
            **{name: self.kernels.tensor(array[lane]).cpu() for name, array in rows.items()},
            "reported": torch.tensor(self.reported[lane]),
            **nested("optimizer", self.optimizer.state(lane)),
            **nested("replay", self.replay.state(lane)),
        }

    def load(
        self, seeds: Sequence[int], state: State, step: int, rows: Sequence[Rows | None]
    ) -> None:
        """Go on with these seeds from their state and the rows of their replay (None: those of the
        lane that is in this place), after so many env steps; ValueError if they are not of such a
        learner."""
        lanes = len(seeds)
        shape, sums = (lanes, self.online.shape[1]), (lanes, self.loss_sum.shape[1])

        def taken(name: str, shape: tuple[int, ...]) -> Array:
            return self.kernels.place(take(state, name, shape, torch.float32).numpy())

        self.online, self.target_params = taken("online", shape), taken("target", shape)
        self.loss_sum, self.q_sum = taken("loss_sum", sums), taken("q_sum", sums)
        self.grad = self.kernels.place(np.zeros(shape, np.float32))
        begun = (max(self.learning_starts, 1) - 1) // self.update_every
        self.count = max(step // self.update_every - begun, 0) * self.updates
        self.reported = take(state, "reported", (lanes,), torch.int64).tolist()
        if not all(0 <= reported <= self.count for reported in self.reported):
            raise ValueError(f"reported: expected up to {self.count}, found {self.reported}")
        self._split()
        self.optimizer.load(lanes, within("optimizer", state), self.count)
        self.replay.load(seeds, within("replay", state), step, self.count, rows)
        self._draw_noise(seeds)

    def _split(self) -> None:
        self.weights = self.network.split(self.online)
        chosen = self.target.choose(self.online, self.target_params)
        self.target_weights = self.network.split(chosen)
        self.grads = self.network.split(self.grad)

    def _draw_noise(self, seeds: Sequence[int]) -> None:
        noise = self.network.noise(self.batch_size)
        self.noise = None if noise is None else Stream.of(noise, seeds, "noise.learn")
