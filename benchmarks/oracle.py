"""An independent oracle: DQN for CartPole-v1 as a textbook has it, in plain PyTorch with autograd,
one seed at a time, lists for replay. Written from the settings alone, without a look at this
package, so that scores which agree with the package's within noise say something about both.

    python -m benchmarks.oracle VARIANT SEED [SEED ...] [episodes=N] [curve=1]

VARIANT: dqn, double (Double DQN), per (DQN with proportional prioritised replay), dueling (Double
DQN with a dueling network), all (Double DQN, prioritised replay and dueling network).

Prints `SEED FINAL` of each seed, and the mean with the smallest and largest. FINAL is the mean of
the last 25 evaluation scores; a score follows each training episode and is the mean return of 5
greedy episodes. curve=1 writes every score to stderr. A seed takes minutes.

250 episodes; gamma 1, bootstrapping at truncation but not at termination; RMSprop at 7e-4, else
PyTorch's defaults; batches of 64 out of 50,000 rows; an update after every env step from the 320th
on; a hard target copy every 15; epsilon from 1 to 0.3 along powers of ten over 20,000 env steps.
PER: alpha 0.6, beta from 0.1 to 1 over 20,000 env steps, epsilon 1e-6.
"""

from __future__ import annotations

import random
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

VARIANTS = ("dqn", "double", "per", "dueling", "all")
EPISODES = 250
EVAL_EPISODES = 5
FINAL_SCORES = 25
GAMMA = 1.0
LEARNING_RATE = 7e-4
BATCH = 64
CAPACITY = 50_000
LEARNING_STARTS = 320
TARGET_EVERY = 15
EPS_START, EPS_END, EPS_STEPS = 1.0, 0.3, 20_000
PER_ALPHA, PER_EPS = 0.6, 1e-6
BETA_START, BETA_STEPS = 0.1, 20_000


Transition = tuple[Any, ...]


class QNetwork(nn.Module):
    """4 -> 512 -> 128 -> Q [2]; dueling: -> V [1] and A [2], and Q = V + A - mean of A."""

    def __init__(self, dueling: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 512), nn.ReLU(), nn.Linear(512, 128), nn.ReLU())
        self.head = nn.Linear(128, 2)  # Q, or A where dueling
        self.value = nn.Linear(128, 1) if dueling else None

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        hidden = self.body(state)
        out: torch.Tensor = self.head(hidden)
        if self.value is None:
            return out
        value: torch.Tensor = self.value(hidden)
        return value + out - out.mean(dim=-1, keepdim=True)


class UniformReplay:
    """A ring of transitions (state, action, reward, next_state, terminated)."""

    def __init__(self, capacity: int, rng: random.Random) -> None:
        self.capacity, self.rng = capacity, rng
        self.items: list[Transition] = []
        self.next_slot = 0

    def add(self, transition: Transition) -> int:
        slot = self.next_slot
        if len(self.items) < self.capacity:
            self.items.append(transition)
        else:
            self.items[slot] = transition  # overwrite the oldest
        self.next_slot = (slot + 1) % self.capacity
        return slot

    def sample(self, batch: int, beta: float) -> tuple[list[int], list[float]]:
        """Slots, drawn with replacement, and their importance weights (all 1)."""
        return [self.rng.randrange(len(self.items)) for _ in range(batch)], [1.0] * batch

    def update(self, slots: list[int], abs_td: list[float]) -> None:
        pass


class PrioritizedReplay(UniformReplay):
    """Proportional PER: P(i) = p_i^alpha / sum_k p_k^alpha, with p_i = |td_i| + eps."""

    def __init__(self, capacity: int, rng: random.Random) -> None:
        super().__init__(capacity, rng)
        self.scaled = np.zeros(capacity)  # p^alpha of each slot
        self.largest = 1.0  # the largest p so far

    def add(self, transition: Transition) -> int:
        slot = super().add(transition)
        self.scaled[slot] = self.largest**PER_ALPHA
        return slot

    def sample(self, batch: int, beta: float) -> tuple[list[int], list[float]]:
        """A slot from each of `batch` equal shares of the total, and w / largest w of the batch."""
        size = len(self.items)
        cumulative = np.cumsum(self.scaled[:size])
        total = cumulative[-1]
        slots, weights = [], []
        for share in range(batch):
            point = (share + self.rng.random()) / batch * total
            slot = min(int(np.searchsorted(cumulative, point, side="right")), size - 1)
            slots.append(slot)
            weights.append(float((size * self.scaled[slot] / total) ** -beta))
        largest_weight = max(weights)
        return slots, [w / largest_weight for w in weights]

    def update(self, slots: list[int], abs_td: list[float]) -> None:
        for slot, error in zip(slots, abs_td, strict=True):
            priority = error + PER_EPS
            self.scaled[slot] = priority**PER_ALPHA
            self.largest = max(self.largest, priority)


def epsilon_at(t: int) -> float:
    """Exploration rate for the action chosen when t env steps are done."""
    if t >= EPS_STEPS - 1:
        return EPS_END
    decay = (10 ** (-2 * t / (EPS_STEPS - 1)) - 0.01) / 0.99
    return EPS_END + (EPS_START - EPS_END) * decay


def beta_at(t: int) -> float:
    return min(1.0, BETA_START + (1.0 - BETA_START) * t / BETA_STEPS)


@torch.no_grad()
def greedy_action(net: nn.Module, state: NDArray[np.float32]) -> int:
    return int(net(torch.from_numpy(state)).argmax())


def evaluate(net: nn.Module, env: gym.Env[Any, Any]) -> float:
    returns = []
    for _ in range(EVAL_EPISODES):
        state, _ = env.reset()
        total, over = 0.0, False
        while not over:
            state, reward, terminated, truncated, _ = env.step(greedy_action(net, state))
            total += float(reward)
            over = terminated or truncated
        returns.append(total)
    return sum(returns) / len(returns)


def learn(
    online: nn.Module,
    target: nn.Module,
    optimizer: torch.optim.Optimizer,
    replay: UniformReplay,
    beta: float,
    double: bool,
) -> None:
    """One gradient step on one batch."""
    slots, weights = replay.sample(BATCH, beta)
    state, action, reward, next_state, terminated = zip(
        *[replay.items[slot] for slot in slots], strict=True
    )
    states = torch.tensor(np.array(state), dtype=torch.float32)
    actions = torch.tensor(action, dtype=torch.int64)
    rewards = torch.tensor(reward, dtype=torch.float32)
    next_states = torch.tensor(np.array(next_state), dtype=torch.float32)
    continues = 1.0 - torch.tensor(terminated, dtype=torch.float32)  # 1 at a truncation too

    with torch.no_grad():
        next_q = target(next_states)
        if double:
            best = online(next_states).argmax(dim=1, keepdim=True)
            next_value = next_q.gather(1, best).squeeze(1)
        else:
            next_value = next_q.max(dim=1).values
        goal = rewards + GAMMA * continues * next_value

    q = online(states).gather(1, actions.unsqueeze(1)).squeeze(1)
    td = goal - q
    loss = (torch.tensor(weights, dtype=torch.float32) * td**2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    replay.update(slots, td.detach().abs().tolist())


def run_seed(variant: str, seed: int, episodes: int, curve: bool = False) -> float:
    """Train one agent; return the mean of its last 25 evaluation scores."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    env, eval_env = gym.make("CartPole-v1"), gym.make("CartPole-v1")
    env.reset(seed=seed)
    eval_env.reset(seed=seed + 1_000_003)

    dueling, double = variant in ("dueling", "all"), variant in ("double", "dueling", "all")
    replay = (PrioritizedReplay if variant in ("per", "all") else UniformReplay)(CAPACITY, rng)
    online, target = QNetwork(dueling), QNetwork(dueling)
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.RMSprop(online.parameters(), lr=LEARNING_RATE)

    scores: list[float] = []
    steps = 0  # env steps done
    for episode in range(episodes):
        state, _ = env.reset()
        over = False
        while not over:
            if rng.random() < epsilon_at(steps):
                action = rng.randrange(2)
            else:
                action = greedy_action(online, state)
            next_state, reward, terminated, truncated, _ = env.step(action)
            replay.add((state, action, float(reward), next_state, terminated))
            state, over = next_state, terminated or truncated
            steps += 1
            if steps >= LEARNING_STARTS:
                learn(online, target, optimizer, replay, beta_at(steps), double)
            if steps % TARGET_EVERY == 0:
                target.load_state_dict(online.state_dict())
        scores.append(evaluate(online, eval_env))
        if curve:
            print(
                f"seed {seed} episode {episode + 1} steps {steps} score {scores[-1]:.1f}",
                file=sys.stderr,
            )
    last = scores[-FINAL_SCORES:]
    return sum(last) / len(last)


def main(arguments: list[str]) -> None:
    options = dict(a.split("=", 1) for a in arguments if "=" in a)
    words = [a for a in arguments if "=" not in a]
    if len(words) < 2 or words[0] not in VARIANTS or set(options) - {"episodes", "curve"}:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    episodes, curve = int(options.get("episodes", EPISODES)), options.get("curve") == "1"
    finals: list[float] = []
    for seed in map(int, words[1:]):
        finals.append(run_seed(words[0], seed, episodes, curve))
        print(f"{seed} {finals[-1]:.2f}", flush=True)
    print(f"mean {sum(finals) / len(finals):.2f} [{min(finals):.2f}, {max(finals):.2f}]")


if __name__ == "__main__":
    main(sys.argv[1:])
