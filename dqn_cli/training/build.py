"""From a checked configuration to the parts of a run: plain objects that know no configuration."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from dqn_cli.config import BadInput, Config, locate
from dqn_cli.storage.transitions import Transitions
from dqn_cli.training.contract import Parts, check_members, uses_autograd
from dqn_cli.training.evaluation import Evaluation
from dqn_cli.training.learner import Learner
from dqn_cli.training.loop import Loop
from dqn_cli.training.memory import check_memory
from dqn_cli.training.policy import Exploring, Greedy
from dqn_cli.training.replay import Replay


def part(config: Config, group: str, **offers: Any) -> Any:
    """The choice of a group: what its constructor asks for by name out of `offers`, and its keys.
    BadInput if it asks for something else, or refuses."""
    keys = {"import_" if k == "import" else k: v for k, v in getattr(config, group).items()}
    target = keys.pop("_target_")
    build = locate(group, target)
    asked = [
        name
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    for name in asked:
        if name not in offers:
            there = ", ".join(sorted(offers)) or "nothing"
            raise BadInput(
                f"{group}._target_={target}: its constructor asks for {name!r}; on offer: {there} "
                "(keys of the configuration come after a *)"
            )
    try:
        made = build(**{name: offers[name] for name in asked}, **keys)
    except ValueError as error:
        raise BadInput(f"{group}.{error}") from error
    except (MemoryError, RuntimeError):  # the machine has not what it takes
        raise
    except Exception as error:  # a class of the user's may raise anything
        line = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadInput(f"{group}._target_={target}: {line}") from error
    check_members(config, group, made)
    return made


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
    offers = {
        "seeds": seeds,
        "space": env.space,
        "gamma": config.gamma,
        "batch_size": config.batch_size,
        "device": device.torch,
    }
    algo = part(config, "algo", **offers)
    offers["atoms"] = algo.atoms or 1
    network = part(config, "network", **offers)
    if device.torch.type == "cpu":
        check_memory(config, env.space, env.max_steps)
    online = network.init(seeds).to(device.torch)
    offers["params"] = online
    exploration = part(config, "exploration", **offers)
    few = offers | {"seeds": seeds[:1], "params": online[:1]}

    def tried() -> Parts:
        made = (part(config, group, **few) for group in ("buffer", "optimizer", "target"))
        return Parts(network, algo, exploration, *made)

    autograd = uses_autograd(config, env.space, tried, online)
    learner = Learner(
        seeds,
        online,
        network,
        algo,
        replay(config, offers),
        part(config, "optimizer", **offers),
        part(config, "target", **offers),
        batch_size=config.batch_size,
        learning_starts=config.learning_starts,
        update_every=config.update_every,
        updates=config.updates,
        reduction=config.reduction,
        grad_clip_value=config.grad_clip_value,
        grad_clip_norm=config.grad_clip_norm,
    )
    greedy = Greedy(network, algo)
    return Loop(
        seeds,
        env,
        learner,
        Exploring(greedy, exploration, seeds, env.space.actions),
        evaluation(config),
        episodes=config.episodes,
        steps=config.steps,
        autograd=autograd,
    )


def replay(config: Config, offers: Mapping[str, Any]) -> Replay:
    """The replay of all seeds; offers as for `part`."""
    sampler = part(config, "buffer", **offers)
    lanes, space, device = len(offers["seeds"]), offers["space"], offers["device"]
    if config.n_step > sampler.capacity:
        raise BadInput(
            f"n_step={config.n_step}: the replay holds {sampler.capacity} rows, and returns end "
            "at the newest one"
        )
    try:
        storage = Transitions(lanes, space, sampler.capacity, config.gamma, config.n_step, device)
    except ValueError as error:
        raise BadInput(f"buffer.{error}") from error
    return Replay(storage, sampler)


def greedy(config: Config, env: Any) -> Greedy:
    """What plays the run's networks."""
    offers = {
        "seeds": config.seeds,
        "space": env.space,
        "gamma": config.gamma,
        "batch_size": config.batch_size,
        "device": torch.device("cpu"),
    }
    algo = part(config, "algo", **offers)
    return Greedy(part(config, "network", **offers, atoms=algo.atoms or 1), algo)


def evaluation(config: Config) -> Evaluation:
    keys = config.eval
    return Evaluation(
        keys.every_episodes, keys.every_steps, keys.episodes, keys.max_steps, keys.envs
    )
