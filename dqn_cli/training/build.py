"""From a checked configuration to the parts of a run: plain objects that know no configuration."""

from __future__ import annotations

from typing import Any

from dqn_cli.config import BadInput, Config, locate
from dqn_cli.training.evaluation import Evaluation
from dqn_cli.training.learner import Learner
from dqn_cli.training.loop import Loop
from dqn_cli.training.memory import check_memory


def part(config: Config, room: str, *given: Any) -> Any:
    """The room's part: `given` by the run, the rest from its keys. BadInput if it refuses them."""
    keys = {"import_" if k == "import" else k: v for k, v in getattr(config, room).items()}
    build = locate(room, keys.pop("_target_"))
    try:
        return build(*given, **keys)
    except ValueError as error:
        raise BadInput(f"{room}.{error}") from error


def loop(config: Config) -> Loop:
    """Everything a run needs, ready to go. BadInput if it cannot be had."""
    try:
        return _loop(config)
    except (MemoryError, RuntimeError) as error:
        raise BadInput(f"the run cannot be set up: {error}") from error


def _loop(config: Config) -> Loop:
    seeds = config.seeds
    device = part(config, "device")
    env = part(config, "env")
    network = part(config, "network", env.space)
    if device.torch.type == "cpu":
        check_memory(config, env.space, env.max_steps)
    online = network.init(seeds).to(device.torch)
    learner = Learner(
        online,
        network,
        part(config, "algo", config.loss),
        part(config, "buffer", seeds, env.space, config.batch_size, config.gamma, device.torch),
        part(config, "optimizer", online),
        part(config, "target"),
        batch_size=config.batch_size,
        learning_starts=config.learning_starts,
        update_every=config.update_every,
        updates=config.updates,
        reduction=config.reduction,
        grad_clip_value=config.grad_clip_value,
        grad_clip_norm=config.grad_clip_norm,
    )
    return Loop(
        seeds,
        env,
        network,
        learner,
        part(config, "exploration"),
        evaluation(config),
        episodes=config.episodes,
        steps=config.steps,
    )


def evaluation(config: Config) -> Evaluation:
    keys = config.eval
    return Evaluation(
        keys.every_episodes, keys.every_steps, keys.episodes, keys.max_steps, keys.envs
    )
