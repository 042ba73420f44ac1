"""The zoo's settings in the library that they were made for: Stable-Baselines3's DQN, trained and
scored like ours, one seed after another (needs the extra `bench`).

python -m benchmarks.reproduction.peer zoo/cartpole 2001 2010     seeds that are there are kept
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import gymnasium
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

from benchmarks.compose import composed
from dqn_cli.config import Config
from dqn_cli.results.files import write_atomic


def agent(config: Config, seed: int) -> DQN:
    """Their agent with the settings of our preset."""
    assert config.steps is not None  # the zoo's runs are so many steps long
    return DQN(
        "MlpPolicy",
        config.env["id"],
        learning_rate=config.optimizer["lr"],
        buffer_size=config.buffer["capacity"],
        learning_starts=config.learning_starts,
        batch_size=config.batch_size,
        gamma=config.gamma,
        train_freq=config.update_every,
        gradient_steps=config.updates,
        target_update_interval=config.target["every_steps"],
        exploration_fraction=config.exploration["decay_steps"] / config.steps,
        exploration_initial_eps=config.exploration["start"],
        exploration_final_eps=config.exploration["end"],
        max_grad_norm=config.grad_clip_norm,
        policy_kwargs={"net_arch": list(config.network["hidden"])},
        device="cpu",
        seed=seed,
    )


def main() -> None:
    preset, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    config = composed(f"experiment={preset}")
    torch.set_num_threads(1)
    out = Path("outputs/reference") / preset / "stable_baselines3.csv"
    head = f"seed,score of stable-baselines3 {version('stable-baselines3')}"
    rows = out.read_text(encoding="utf-8").splitlines()[1:] if out.is_file() else []
    done = {int(row.split(",")[0]) for row in rows}
    for seed in range(first, last + 1):
        if seed in done:
            continue
        trained = agent(config, seed).learn(config.steps)
        env = Monitor(gymnasium.make(config.env["id"]))
        env.reset(seed=seed)  # so the first episodes begin where those of training began
        score, _ = evaluate_policy(trained, env, config.eval.episodes, deterministic=True)
        rows.append(f"{seed},{score:.6g}")
        print(rows[-1], flush=True)
        write_atomic(out, "\n".join([head, *rows, ""]).encode())


if __name__ == "__main__":
    main()
