"""stable-baselines3's DQN at given sizes: prints env steps per second, by the clock and by
processor time.

python -m benchmarks.peer env=CartPole-v1 hidden=64,64 batch=64 steps=8000
"""

from __future__ import annotations

import sys
import time

import torch
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback

WARM = 1000  # steps before the clock starts: the first updates pay for allocations


class Clock(BaseCallback):  # type: ignore[misc]  # not installed with the type checker
    """Notes when the warm-up is over."""

    started = 0.0, 0.0

    def __init__(self, warm: int = WARM) -> None:
        super().__init__()
        self.warm = warm

    def _on_step(self) -> bool:
        if self.num_timesteps == self.warm:
            self.start()
        return True

    def start(self) -> None:
        self.started = time.perf_counter(), time.process_time()

    def rates(self, steps: int) -> tuple[float, float]:
        """Steps a second since then."""
        clock, processor = self.started
        return steps / (time.perf_counter() - clock), steps / (time.process_time() - processor)


def main() -> None:
    given = dict(argument.split("=") for argument in sys.argv[1:])
    torch.set_num_threads(1)
    agent = DQN(
        "MlpPolicy",
        given["env"],
        learning_rate=1e-3,
        buffer_size=100_000,
        learning_starts=320,
        batch_size=int(given["batch"]),
        train_freq=1,
        gradient_steps=1,
        target_update_interval=100,
        policy_kwargs={"net_arch": [int(width) for width in given["hidden"].split(",")]},
        device="cpu",
        seed=1,
    )
    clock, steps = Clock(), int(given["steps"])
    agent.learn(WARM + steps, callback=clock)
    print(*clock.rates(steps))


if __name__ == "__main__":
    main()
