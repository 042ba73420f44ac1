"""R. Berta's CartPole experiment (2025) as a course would write it: plain PyTorch, one seed after
another, a structured array for replay, one network call per action, evaluation in between.

        python -m benchmarks.textbook seeds=12,34,56,78,90 episodes=250

Prints the seconds it took and the env steps it made (training, evaluation). It is what the same
experiment is measured against; written from the settings, not from the notebook's code.
"""

from __future__ import annotations

import sys
import time

import gymnasium
import numpy as np
import torch
from torch import nn

CAPACITY, STARTS, BATCH, GAMMA, TARGET_EVERY, LR = 50_000, 320, 64, 1.0, 15, 7e-4
EPSILON_STEPS, EPSILON_END, EVALUATIONS = 20_000, 0.3, 5
ROW = np.dtype(
    [
        ("state", np.float32, 4),
        ("action", np.int64),
        ("reward", np.float32),
        ("next_state", np.float32, 4),
        ("terminal", np.bool_),
    ]
)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, 512), nn.ReLU(), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, 2)
    )


def epsilon(step: int) -> float:
    if step >= EPSILON_STEPS:
        return EPSILON_END
    share = (10 ** (-2 * step / (EPSILON_STEPS - 1)) - 0.01) / 0.99
    return EPSILON_END + (1 - EPSILON_END) * share


def greedy(online: nn.Module, state: np.ndarray) -> int:
    with torch.no_grad():
        return int(online(torch.as_tensor(state).unsqueeze(0)).argmax())


def evaluate(online: nn.Module, env: gymnasium.Env) -> tuple[float, int]:
    returns, steps = [], 0
    for _ in range(EVALUATIONS):
        state, _ = env.reset()
        total, over = 0.0, False
        while not over:
            state, reward, terminated, truncated, _ = env.step(greedy(online, state))
            total, over, steps = total + float(reward), terminated or truncated, steps + 1
        returns.append(total)
    return float(np.mean(returns)), steps


def train(seed: int, episodes: int) -> tuple[int, int, float]:
    """Training steps, evaluation steps, and the last score."""
    np.random.seed(seed)
    torch.manual_seed(seed)
    env = gymnasium.make("CartPole-v1")
    env.reset(seed=seed)
    online, target = network(), network()
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.RMSprop(online.parameters(), lr=LR)
    memory = np.empty(CAPACITY, ROW)
    steps = evaluated = 0
    score = 0.0
    for _ in range(episodes):
        state, _ = env.reset()
        over = False
        while not over:
            if np.random.rand() < epsilon(steps):
                action = np.random.randint(2)
            else:
                action = greedy(online, state)
            next_state, reward, terminated, truncated, _ = env.step(action)
            memory[steps % CAPACITY] = (state, action, reward, next_state, terminated)
            state, over, steps = next_state, terminated or truncated, steps + 1
            held = min(steps, CAPACITY)
            if held > STARTS:
                chosen = np.random.choice(range(held), BATCH, replace=False)
                batch = memory[chosen]
                rows = {name: torch.from_numpy(batch[name].copy()) for name in ROW.names or ()}
                with torch.no_grad():
                    next_value = target(rows["next_state"]).max(1).values
                    y = rows["reward"] + GAMMA * next_value * ~rows["terminal"]
                q = online(rows["state"]).gather(1, rows["action"].unsqueeze(1)).squeeze(1)
                loss = nn.functional.mse_loss(q, y)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            if steps % TARGET_EVERY == 0:
                target.load_state_dict(online.state_dict())
        score, more = evaluate(online, env)
        evaluated += more
    return steps, evaluated, score


def main() -> None:
    given = dict(argument.split("=") for argument in sys.argv[1:])
    started = time.perf_counter()
    steps = evaluated = 0
    for seed in map(int, given["seeds"].split(",")):
        trained, played, score = train(seed, int(given["episodes"]))
        steps, evaluated = steps + trained, evaluated + played
        print(f"seed {seed}: {trained} steps, {played} evaluation steps, score {score}", flush=True)
    print(time.perf_counter() - started, steps, evaluated)


if __name__ == "__main__":
    main()
