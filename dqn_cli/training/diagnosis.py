"""How a seed's learning is, at the moment when its network is to be scored.

The numbers are a function of the lane and the env step, and taking them changes nothing: rows are
drawn by a stream of their own that has no state, and the update that is tried with them is not
made. They are the same for a seed in any company, and after a run was taken up again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dqn_cli.events import Diagnosis
from dqn_cli.seeding import generator
from dqn_cli.training.learner import Learner
from dqn_cli.types import HasChances, HasDeadUnits, HasEntropy

ROWS = 128  # of the trial update
PLACES = 4096  # of the replay at which priorities are looked at


class Diagnostics:
    """Of a learner's lanes. What a part cannot tell stays None."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        algo, network, sampler = learner.algo, learner.network, learner.replay.sampler
        self.entropy = algo.entropy if isinstance(algo, HasEntropy) else None
        self.dead_units = network.dead_units if isinstance(network, HasDeadUnits) else None
        self.chances = sampler.chances if isinstance(sampler, HasChances) else None

    def take(self, lane: int, seed: int, step: int) -> Diagnosis:
        """The diagnosis after `step` env steps of the lane, which is that of this seed."""
        learner, numpy = self.learner, self.learner.kernels.numpy
        held = len(learner.replay)
        uniform = generator(seed, "diagnose", step).random((1, min(held, ROWS)))
        trial = learner.trial(lane, learner.replay.rows(lane, (uniform * held).astype(np.int64)))
        q = numpy(learner.algo.q(trial.now.values))[0]
        best = q.max(-1)
        td = np.sort(numpy(trial.loss.priority)[0])
        rows = len(td)
        entropy = None
        if self.entropy is not None:
            each = numpy(self.entropy(trial.now.values))[0]
            entropy = float(np.take_along_axis(each, q.argmax(-1)[:, None], -1).mean())
        return self._replay(lane, step)._replace(
            q_mean=float(best.mean()),
            q_max=float(best.max()),
            td_median=float(td[quantile(rows, 50)]),
            td_90=float(td[quantile(rows, 90)]),
            td_max=float(td[-1]),
            # that of the losses' mean, or of their sum over as many rows as an update has
            grad_norm=norm(numpy(trial.grad)) / rows * (learner.batch_size / learner.divisor),
            param_norm=norm(numpy(trial.params)),
            dead_units=self.dead_units and self.dead_units(trial.grad),
            entropy=entropy,
        )

    def _replay(self, lane: int, step: int) -> Diagnosis:
        """What is said of the sampler: of all rows, or of PLACES evenly spaced ones."""
        if self.chances is None:
            return Diagnosis()
        storage = self.learner.replay.storage
        held = len(storage)
        age = np.arange(0, held, -(-held // PLACES))
        chances = self.chances(lane, (storage.newest - age) % storage.capacity, step)
        if chances is None:
            return Diagnosis(age=(held - 1) / 2)
        value, weight = chances
        mean, p = value.mean(), value / value.sum()
        middle = quantile(len(value), 50)
        return Diagnosis(
            priority_median=float(np.partition(value, middle)[middle] / mean),
            priority_max=float(value.max() / mean),
            ess=float((p @ weight) ** 2 / (p @ weight**2)),
            age=float(p @ age),
        )


def quantile(count: int, percent: int) -> int:
    """Where, of so many numbers in order, the smallest is that `percent` of them do not exceed."""
    return -(-count * percent // 100) - 1


def norm(x: NDArray[np.float32]) -> float:
    """The Euclidean norm, added up in float64."""
    wide = x.astype(np.float64)
    return float(np.sqrt(wide @ wide))
