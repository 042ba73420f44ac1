"""Others learning from pictures, at the settings of `SETTINGS`: prints env steps per second, by the
clock and by processor time.

sb3 is stable-baselines3's DQN, fed as its documentation has it. loop is a training loop of our own,
in the manner of CleanRL's scripts of one file (its package does not install beside this Python):
Gymnasium's wrappers, the replay buffer of stable-baselines3, and PyTorch in between.

python -m benchmarks.pictures KIND GAME STEPS    KIND: sb3 | loop, GAME: minatar | atari
"""

from __future__ import annotations

import random
import sys
from typing import Any, NamedTuple

import ale_py
import gymnasium
import numpy as np
import torch
from gymnasium import wrappers
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecFrameStack
from torch import nn

import dqn_cli.env  # noqa: F401  # registers MinAtar
from benchmarks.peer import Clock

WARM = 512  # env steps before the clock starts
EPSILON = 0.1
STARTS = 320  # env steps before the first update
SYNC = 100  # env steps between copies to the target network
BATCH = 32
BUFFER = 100_000


class Settings(NamedTuple):
    """As the preset of ours has them (minatar/dqn, atari/dqn with the Nature paper's network)."""

    id: str
    convolutions: list[tuple[int, int, int]]  # channels, kernel, stride
    hidden: int
    scale: float  # that pictures are divided by
    train_every: int
    optimizer: type[torch.optim.Optimizer]
    given: dict[str, Any]


SETTINGS = {
    "minatar": Settings(
        "dqn_cli/MinAtar-Breakout-v0",
        [(16, 3, 1)],
        128,
        1.0,
        1,
        torch.optim.RMSprop,
        {"lr": 2.5e-4, "alpha": 0.95, "eps": 0.01, "centered": True},
    ),
    "atari": Settings(
        "PongNoFrameskip-v4",
        [(32, 8, 4), (64, 4, 2), (64, 3, 1)],
        512,
        255.0,
        4,
        torch.optim.Adam,
        {"lr": 6.25e-5, "eps": 1.5e-4},
    ),
}


def features(shape: tuple[int, ...], settings: Settings) -> nn.Sequential:
    """Of pictures, channels first."""
    modules: list[nn.Module] = []
    channels = shape[0]
    for outputs, kernel, stride in settings.convolutions:
        modules += [nn.Conv2d(channels, outputs, kernel, stride), nn.ReLU()]
        channels = outputs
    modules.append(nn.Flatten())
    size = nn.Sequential(*modules)(torch.zeros(1, *shape)).shape[1]
    return nn.Sequential(*modules, nn.Linear(size, settings.hidden), nn.ReLU())


class Extractor(BaseFeaturesExtractor):  # type: ignore[misc]  # not installed with the type checker
    def __init__(self, space: Any, settings: Settings) -> None:
        super().__init__(space, settings.hidden)
        self.layers = features(space.shape, settings)
        self.scale = settings.scale

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(obs if self.scale == 1 else obs / self.scale)
        return found


def minatar(settings: Settings) -> gymnasium.Env[Any, Any]:
    """Channels first, which is what nn.Conv2d takes."""
    env = gymnasium.make(settings.id, sticky_actions=0.1, disable_env_checker=True)
    height, width, channels = env.observation_space.shape or ()
    space = gymnasium.spaces.Box(0, 1, (channels, height, width), np.uint8)
    return wrappers.TransformObservation(env, lambda obs: obs.transpose(2, 0, 1), space)


def atari(settings: Settings) -> gymnasium.Env[Any, Any]:
    env = gymnasium.make(settings.id)
    env = wrappers.AtariPreprocessing(env, noop_max=30, frame_skip=4, screen_size=84)
    env = wrappers.TransformReward(env, lambda reward: float(np.sign(float(reward))))
    return wrappers.FrameStackObservation(env, 4)


def sb3(game: str, steps: int) -> tuple[float, float]:
    settings = SETTINGS[game]
    if game == "atari":
        env: Any = VecFrameStack(make_atari_env(settings.id, seed=1), n_stack=4)
    else:
        env = minatar(settings)
    agent = DQN(
        "CnnPolicy" if game == "atari" else "MlpPolicy",
        env,
        learning_rate=settings.given["lr"],
        buffer_size=BUFFER,
        learning_starts=STARTS,
        batch_size=BATCH,
        train_freq=settings.train_every,
        gradient_steps=1,
        target_update_interval=SYNC,
        exploration_initial_eps=EPSILON,
        exploration_final_eps=EPSILON,
        policy_kwargs={
            "features_extractor_class": Extractor,
            "features_extractor_kwargs": {"settings": settings},
            "net_arch": [],
            "normalize_images": False,
            "optimizer_class": settings.optimizer,
            "optimizer_kwargs": {k: v for k, v in settings.given.items() if k != "lr"},
        },
        device="cpu",
        seed=1,
    )
    clock = Clock(WARM)
    agent.learn(WARM + steps, callback=clock)
    return clock.rates(steps)


def loop(game: str, steps: int) -> tuple[float, float]:
    settings = SETTINGS[game]
    make = atari if game == "atari" else minatar
    envs = gymnasium.vector.SyncVectorEnv(
        [lambda: wrappers.RecordEpisodeStatistics(make(settings))],
        autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
    )
    space, actions = envs.single_observation_space, envs.single_action_space
    online, target = (
        nn.Sequential(features(space.shape or (), settings), nn.Linear(settings.hidden, actions.n))  # type: ignore[attr-defined]
        for _ in range(2)
    )
    target.load_state_dict(online.state_dict())
    optimizer = settings.optimizer(online.parameters(), **settings.given)
    replay = ReplayBuffer(
        BUFFER, space, actions, "cpu", optimize_memory_usage=True, handle_timeout_termination=False
    )
    obs, _ = envs.reset(seed=1)
    clock = Clock(WARM)
    for step in range(WARM + steps):
        if step == WARM:
            clock.start()
        if random.random() < EPSILON:
            action = np.array([actions.sample()])
        else:
            with torch.no_grad():
                action = online(torch.Tensor(obs) / settings.scale).argmax(1).numpy()
        next_obs, reward, terminated, truncated, infos = envs.step(action)
        following = next_obs.copy()
        if (terminated | truncated).any():
            following[0] = infos["final_obs"][0]
        replay.add(obs, following, action, reward, terminated, [infos])
        obs = next_obs
        if step >= STARTS and step % settings.train_every == 0:
            batch = replay.sample(BATCH)
            with torch.no_grad():
                best = target(batch.next_observations / settings.scale).max(1).values
                aim = batch.rewards.flatten() + 0.99 * best * (1 - batch.dones.flatten())
            values = online(batch.observations / settings.scale)
            loss = nn.functional.mse_loss(aim, values.gather(1, batch.actions).squeeze())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if step % SYNC == 0:
            for held, new in zip(target.parameters(), online.parameters(), strict=True):
                held.data.copy_(new.data)
    return clock.rates(steps)


def main() -> None:
    kind, game, steps = sys.argv[1:]
    torch.set_num_threads(1)
    random.seed(1)
    torch.manual_seed(1)
    gymnasium.register_envs(ale_py)
    print(*{"sb3": sb3, "loop": loop}[kind](game, int(steps)))


if __name__ == "__main__":
    main()
