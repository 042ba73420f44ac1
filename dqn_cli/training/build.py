"""From a checked configuration to the parts of a run: plain objects that know no configuration."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from dqn_cli.config import BadInput, Config, locate
from dqn_cli.kernels.kernels import Kernels, load
from dqn_cli.training.contract import ROWS, Parts, check_members, uses_autograd
from dqn_cli.training.evaluation import Evaluation
from dqn_cli.training.learner import Learner
from dqn_cli.training.loop import Loop
from dqn_cli.training.memory import check_memory
from dqn_cli.training.policy import Exploring, Greedy
from dqn_cli.training.replay import Replay
from dqn_cli.types import EnvMaker, Storage
from dqn_cli.words import counted


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
    """Everything a run needs, ready to go, with the first kernels that all its parts can compute
    with. BadInput if there are none, or it cannot be had."""
    try:
        device, env = part(config, "device"), part(config, "env")
        reasons: list[str] = []
        for name in device.kernels[:-1]:
            try:
                return _loop(config, env, load(name, device.torch), reasons)
            except BadInput as error:
                reasons.append(f"device.kernels={device.kernels[-1]}, since {str(error)[:100]}")
        return _loop(config, env, load(device.kernels[-1], device.torch), reasons)
    except (MemoryError, RuntimeError) as error:
        raise BadInput(f"the run cannot be set up: {error}") from error


def _loop(config: Config, env: EnvMaker, kernels: Kernels, notes: list[str]) -> Loop:
    seeds, offers = config.seeds, on_offer(config, env, kernels)
    algo = part(config, "algo", **offers)
    offers["atoms"] = algo.atoms or 1
    network = part(config, "network", **offers)
    online = kernels.place(network.init(seeds).numpy())
    offers["params"] = online
    exploration = part(config, "exploration", **offers)
    few = offers | {"seeds": seeds[:1], "params": online[:1]}

    def tried() -> Parts:
        buffer, optimizer, target = (
            part(config, group, **few) for group in ("buffer", "optimizer", "target")
        )
        storage = stored(config, min(buffer.capacity, ROWS), few)
        replay = Replay(storage, buffer, kernels)
        return Parts(network, algo, exploration, replay, optimizer, target)

    autograd = uses_autograd(config, env.space, tried, online, kernels)
    learner = Learner(
        seeds,
        online,
        network,
        algo,
        replay(config, offers, env.max_steps),
        part(config, "optimizer", **offers),
        part(config, "target", **offers),
        kernels,
        batch_size=config.batch_size,
        learning_starts=config.learning_starts,
        update_every=config.update_every,
        updates=config.updates,
        reduction=config.reduction,
        grad_clip_value=config.grad_clip_value,
        grad_clip_norm=config.grad_clip_norm,
    )
    greedy = Greedy(network, algo, kernels)
    return Loop(
        seeds,
        env,
        learner,
        Exploring(greedy, exploration, seeds, env.space.actions),
        evaluation(config),
        episodes=config.episodes,
        steps=config.steps,
        autograd=autograd,
        notes=notes,
    )


def on_offer(config: Config, env: EnvMaker, kernels: Kernels) -> dict[str, Any]:
    """What an algorithm may ask for; the groups that are built after it are offered more."""
    return {
        "seeds": config.seeds,
        "space": env.space,
        "gamma": config.gamma,
        "batch_size": config.batch_size,
        "device": kernels.device,
        "kernels": kernels,
    }


def stored(config: Config, capacity: int, offers: Mapping[str, Any]) -> Storage:
    """A storage of so many rows; offers as for `part`. Returns go over no more rows than there are,
    else one of three rows, for a trial, would look for as many as a long replay has."""
    n_step = min(config.n_step, capacity)
    made: Storage = part(config, "storage", **offers, capacity=capacity, n_step=n_step)
    return made


def replay(config: Config, offers: Mapping[str, Any], max_steps: int | None) -> Replay:
    """The replay of all seeds; offers as for `part`. An episode has at most `max_steps`."""
    sampler, kernels = part(config, "buffer", **offers), offers["kernels"]
    if config.n_step > sampler.capacity:
        raise BadInput(
            f"n_step={config.n_step}: the replay holds {counted(sampler.capacity, 'row')}, and "
            "returns end at the newest one"
        )
    if kernels.device.type == "cpu":
        one = stored(config, 1, {**offers, "seeds": offers["seeds"][:1]})
        check_memory(config, sampler.capacity, one.row_bytes, max_steps)
    try:
        storage = stored(config, sampler.capacity, offers)
    except MemoryError as error:
        raise BadInput(f"buffer.{error}") from error
    return Replay(storage, sampler, kernels)


def greedy(config: Config, env: EnvMaker, kernels: Kernels) -> Greedy:
    """What plays the run's networks."""
    offers = on_offer(config, env, kernels)
    algo = part(config, "algo", **offers)
    return Greedy(part(config, "network", **offers, atoms=algo.atoms or 1), algo, kernels)


def evaluation(config: Config) -> Evaluation:
    keys = config.eval
    return Evaluation(
        keys.every_episodes,
        keys.every_steps,
        keys.episodes,
        keys.max_steps,
        keys.envs,
        keys.diagnose_every,
        config.gamma,
    )
