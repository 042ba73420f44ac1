"""rejax's DQN in JAX, its seeds a vmapped axis, two hidden layers of 64, batch 64 on CartPole:
prints env steps per second, all seeds, compiling left out.

python -m benchmarks.rejax seeds=30 steps=2000 draws=0

Its own sampling costs time by the capacity, as it draws without replacement from weights of all
rows. With draws=1 rows are drawn as everywhere else, uniformly and with replacement.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import jax
from rejax import DQN
from rejax.buffers import ReplayBuffer


def uniform(replay: Any, count: int, key: Any) -> Any:
    rows = jax.random.randint(key, (count,), 0, replay.num_entries)
    return jax.tree.map(lambda column: column[rows], replay.data)


def main() -> None:
    given = {name: int(value) for name, value in (word.split("=") for word in sys.argv[1:])}
    steps = given["steps"]
    if given["draws"]:
        ReplayBuffer.sample = uniform
    agent = DQN.create(
        env="CartPole-v1",
        agent_kwargs={"activation": "relu"},  # its layers have 64 units, whatever one asks for
        ddqn=False,
        learning_rate=1e-3,
        buffer_size=100_000,
        fill_buffer=64,
        batch_size=64,
        target_update_freq=100,
        polyak=0.0,
        total_timesteps=steps,
        eval_freq=steps,
        skip_initial_evaluation=True,
    ).replace(eval_callback=lambda agent, state, rng: state.global_step)
    train = jax.jit(jax.vmap(agent.train))
    for start in range(2):  # the first one compiles
        keys = jax.random.split(jax.random.key(start), given["seeds"])
        started = time.perf_counter()
        jax.block_until_ready(train(keys))
    print(given["seeds"] * steps / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
