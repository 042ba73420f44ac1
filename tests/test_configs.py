"""Every file in conf/: it composes, it trains, and none of its keys is without effect."""

import ast
import copy
import hashlib
import inspect
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from dqn_cli.cli.train import CONF
from dqn_cli.config import GROUPS, BadInput, Command, Config, check, locate
from dqn_cli.events import Episode, Evaluated, Finished, Saved
from dqn_cli.logger.jobs import Jobs
from dqn_cli.results.reader import Run, read_summary
from dqn_cli.results.variants import variants
from dqn_cli.saving.save import checkpointed
from dqn_cli.training import build, workers
from dqn_cli.training.run import train

PACKAGE = Path(inspect.getfile(check)).parent
TESTS = Path(__file__).parent
Values = dict[str, Any]


def load(path: Path) -> Values:
    values = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


# "algo/ddqn" -> what the file says; "config" has the run's own keys
# (conf/hydra/ is about sweeps: tests/cli/test_launchers.py)
FILES = {
    path.relative_to(CONF).with_suffix("").as_posix(): path
    for path in CONF.rglob("*.yaml")
    if path.relative_to(CONF).parts[0] != "hydra"
}
CONTENT = {name: load(path) for name, path in sorted(FILES.items())}
# What each says of its own room; a choice of an algorithm may say more (`# @package _global_`).
RESIDENTS = {
    name: {key: value for key, value in keys.get(room, keys).items() if key != "defaults"}
    for name, keys in CONTENT.items()
    if (room := name.split("/")[0]) in GROUPS
}
EXPERIMENTS = [name for name in CONTENT if name.startswith("experiment/")]
SMALL = (
    *("seed=[1,2]", "episodes=null", "steps=40", "learning_starts=8", "batch_size=4"),
    *("update_every=1", "updates=1", "eval.episodes=1"),
)
HIDDEN = "network.hidden=[8]"
PICTURES = ("network/cnn", "network/minatar", "network/impala")  # networks that take nothing else


class Net(nn.Sequential):
    """For network=module."""

    def __init__(self, obs_shape: tuple[int, ...], outputs: int, width: int = 8) -> None:
        super().__init__(nn.Linear(obs_shape[0], width), nn.Tanh(), nn.Linear(width, outputs))


class Other(Net):
    def __init__(self, obs_shape: tuple[int, ...], outputs: int, width: int = 5) -> None:
        super().__init__(obs_shape, outputs, width)


sys.modules["of_test_configs"] = sys.modules[__name__]  # as a user's module would be found


def chosen(name: str) -> list[str]:
    """The arguments that put a file of conf/ in force, with a small buffer."""
    group, _, choice = name.partition("/")
    file = [f"{group}={choice}"] if choice else []
    if name == "network/module":
        return [*file, "network.module=of_test_configs.Net", "buffer.capacity=20"]
    if name in ("network/implicit", "network/noisy_implicit"):
        file.append("algo=iqn")
    if name.startswith("env/atari/"):
        file.append("env.kwargs.size=8")  # for a network without convolutions
    if name.startswith("experiment/atari/"):
        file += ["env.kwargs.size=36", "eval.max_steps=20"]  # as little as convolutions take
    if name == "storage/frames":
        wrapper = "gymnasium.wrappers.FrameStackObservation"
        file.append(f"env.wrappers=[{{_target_:{wrapper},stack_size:4}}]")
    if name in PICTURES:
        file += ["env=gridworld", "network.convolutions=[[8,3,2]]"]
    file.append(HIDDEN)
    latest = name in (
        "algo/nfq",
        "buffer/latest",
        "experiment/berta/nfq",
        "experiment/carayol/online",
    )
    return file if latest else [*file, "buffer.capacity=20"]


def finite(config: Config) -> None:
    """Train to the end: every figure is a number, and the parameters have moved."""
    loop = build.loop(config)
    before = loop.learner.kernels.tensor(loop.learner.online).clone()
    after = {}
    rows = []
    for event in loop.run():
        match event:
            case Episode():
                rows.append(event.row)
            case Finished():
                after[event.seed] = torch.from_numpy(event.params)
    assert list(after) == config.seeds
    trained = torch.stack(list(after.values()))
    assert trained.isfinite().all()
    assert (trained != before).any(dim=1).all()
    assert all(math.isfinite(v) for row in rows for v in row.values() if v is not None)
    assert loop.learner.count > 0
    assert not rows or any(row["loss"] is not None for row in rows)


@pytest.mark.parametrize("name", CONTENT)
def test_every_file_composes_and_trains(compose, name: str) -> None:
    config = compose(*chosen(name), *SMALL)
    try:
        finite(config)
    except BadInput as error:  # the machine may lack a device, or an environment's package
        assert name.split("/")[0] in ("device", "env", "experiment")
        assert len(str(error).splitlines()) == 1
        assert any(s in str(error) for s in ("not present", "not installed", "No module", "not fo"))


# What an experiment may leave to the choices it makes: the rest would change with our defaults.
LEFT = {
    *("env.id", "env.import", "env.kwargs", "env.wrappers", "algo.double", "optimizer.lr_steps"),
    *("optimizer.eps_in_root", "optimizer.centered", "exploration.delay_steps"),  # neither, none
    *(
        "eval.max_steps",
        "eval.final_episodes",
        "eval.envs",
        "eval.diagnose_every",
    ),  # nothing that was scored changes
    *("optimizer.beta1", "optimizer.beta2", "optimizer.eps"),  # Adam's, as the paper has them
    *("checkpoint.every_seconds", "device.name", "device.threads", "device.workers"),
    "device.kernels",  # they are the same but for rounding
    "network.init",  # PyTorch's
    "network.convolutions",  # none, or observations that are no pictures would be refused
    *("device.deterministic", "resume", "trust", "experiment", "report"),
}


def said(name: str) -> set[str]:
    """Every key that an experiment sets, itself or by what it builds on."""
    values = dict(CONTENT[name])
    bases = [base for base in values.pop("defaults") if isinstance(base, str) and base != "_self_"]
    return set(leaves(values)).union(*(said(base.removeprefix("/")) for base in bases))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_says_all_that_counts(compose, name: str) -> None:
    composed = set(leaves(compose(*chosen(name)[:1]).model_dump()))
    targets = {f"{room}._target_" for room in GROUPS}
    left = {key for key in composed if key.startswith("env.kwargs.")}  # the environment's own
    assert composed - said(name) <= LEFT | targets | left


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_named_by_its_file(compose, name: str) -> None:
    assert compose(*chosen(name)[:1]).name == name.removeprefix("experiment/")


@pytest.mark.long
def test_what_is_printed_is_another_experiment_only_where_the_print_says_so(compose) -> None:
    """A value that is said in vain: each differs from all others, but for PER whose priorities
    never change, which is Double DQN."""
    composed: dict[str, list[str]] = {}
    for name in EXPERIMENTS:
        values = compose(*chosen(name)[:1]).model_dump(exclude={"name"})
        composed.setdefault(repr(values), []).append(name.removeprefix("experiment/"))
    twins = [names for names in composed.values() if len(names) > 1]
    assert twins == [["berta/ddqn", "berta/per_as_printed"]]


def test_nfq_sets_when_it_learns_and_from_what_and_any_of_it_can_be_said_otherwise(compose) -> None:
    plain = compose("algo=nfq")
    assert plain.buffer["_target_"] == "dqn_cli.buffer.latest.Latest"
    assert plain.target["_target_"] == "dqn_cli.target.none.NoTarget"
    assert (plain.batch_size, plain.update_every, plain.updates) == (1024, 1024, 40)
    other = compose("algo=nfq", "buffer=per", "target=polyak", "batch_size=7")
    assert other.buffer["_target_"] == "dqn_cli.buffer.per.Prioritized"
    assert other.target["_target_"] == "dqn_cli.target.polyak.Polyak"
    assert (other.batch_size, other.update_every, other.updates) == (7, 1024, 40)


@pytest.mark.long
@pytest.mark.parametrize("buffer", ["latest", "uniform", "per", "per_rank"])
@pytest.mark.parametrize("network", ["mlp", "dueling"])
@pytest.mark.parametrize("target", ["none", "hard", "polyak"])
def test_nfq_goes_with_every_choice(compose, buffer: str, network: str, target: str) -> None:
    rooms = (f"buffer={buffer}", f"network={network}", f"target={target}", "network.hidden=[8]")
    small = ("seed=[1,2]", "episodes=null", "steps=80", "batch_size=16", "eval.episodes=1")
    config = compose("algo=nfq", *rooms, *small, "learning_starts=16", "update_every=16")
    finite(config)
    assert (config.update_every, config.updates) == (16, 40)


def test_every_folder_is_a_group() -> None:
    folders = {path.name for path in CONF.iterdir() if path.is_dir()}
    assert folders - {"experiment", "hydra"} == set(GROUPS)


NEWER = {"init"}  # a run from before there was this key may be resumed


@pytest.mark.parametrize("name", RESIDENTS)
def test_a_part_takes_the_keys_of_its_file(name: str) -> None:
    keys = dict(RESIDENTS[name])
    part = locate(name.split("/")[0], keys.pop("_target_"))
    arguments = inspect.signature(part).parameters.values()
    named = [a for a in arguments if a.kind is inspect.Parameter.KEYWORD_ONLY]
    assert {argument.name.rstrip("_") for argument in named} == set(keys)
    for argument in named:
        default = keys[argument.name] if argument.name in NEWER else inspect.Parameter.empty
        assert argument.default == default


@pytest.mark.parametrize("name", RESIDENTS)
def test_a_file_points_into_its_own_room(name: str) -> None:
    room = name.split("/")[0]
    module, _, part = RESIDENTS[name]["_target_"].rpartition(".")
    assert module.startswith(f"dqn_cli.{room}.")
    assert inspect.getmodule(locate(room, f"{module}.{part}")) is sys.modules[module]


def modules() -> Iterator[Path]:
    for room in GROUPS:
        yield from sorted(set((PACKAGE / room).glob("*.py")) - {PACKAGE / room / "__init__.py"})


@pytest.mark.parametrize(
    "path", list(modules()), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_three_names_share_a_stem(path: Path) -> None:
    """A module of a room is a choice in conf/ or a folder of choices, what a choice points to, or
    what another uses; and a test of that room, or the other module, imports it."""
    room, stem = path.parent.name, path.stem
    module = f"dqn_cli.{room}.{stem}"
    imports = {
        node.module
        for other in path.parent.glob("*.py")
        for node in ast.walk(ast.parse(other.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
    }
    targets = {keys["_target_"].rpartition(".")[0] for keys in RESIDENTS.values()}
    choices = {*RESIDENTS, *(name.rpartition("/")[0] for name in RESIDENTS)}
    assert f"{room}/{stem}" in choices or module in targets | imports
    tests = [file.read_text(encoding="utf-8") for file in (TESTS / room).glob("test_*.py")]
    assert module in imports or any(f"from {module} import" in text for text in tests)


# What follows tries every key of conf/. A key that is not in this table fails the test below it.


class Try(NamedTuple):
    """Another value for a key, and where its effect is seen."""

    value: object
    seen: Callable[[Config, pytest.MonkeyPatch], object]
    given: tuple[str, ...] = ()  # what the effect needs besides


def training(config: Config, _: pytest.MonkeyPatch) -> object:
    """Everything that a run tells of its seeds, down to the bits of their parameters."""
    told: list[object] = []
    for event in build.loop(config).run():
        match event:
            case Episode() | Evaluated():
                told.append(tuple(event.row.items()))
            case Finished():
                told.append(hashlib.sha256(event.params.tobytes()).hexdigest())
    return told


def checkpoints(config: Config, _: pytest.MonkeyPatch) -> object:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "checkpoints").mkdir()
        events = checkpointed(build.loop(config), Path(folder), config.checkpoint.every_seconds, {})
        return sum(isinstance(event, Saved) for event in events)


def label(config: Config, _: pytest.MonkeyPatch) -> object:
    run = Run(Path("run"), config.model_dump(), {}, {}, {1: None})  # type: ignore[dict-item]
    return variants([run])[0].label


def imported(config: Config, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    build.part(config, "env")
    return "colorsys" in sys.modules


def ramping(config: Config, _: pytest.MonkeyPatch) -> object:
    """As the package was told; a player must be good to see more of it."""
    return build.part(config, "env").one().unwrapped.game.env.ramping


def opening(config: Config, _: pytest.MonkeyPatch) -> object:
    """Of an Atari game. A lost life or a reward above 1 comes later: how they are taken is read
    off, and tests/env/test_atari.py sees it happen."""
    env = build.part(config, "env").one()
    seen = [(env.reset(seed=0)[0].tobytes(), env.action_space.n)]
    for number in range(20):
        obs, *told, _ = env.step(1 + number % 2)
        seen.append((obs.tobytes(), *told))
    return seen, env.unwrapped.protocol, env.unwrapped.clip_rewards


def device(config: Config, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    return build.part(config, "device").torch


def threads(config: Config, monkeypatch: pytest.MonkeyPatch) -> object:
    build.part(config, "device").apply()
    return torch.get_num_threads()


def kernels(config: Config, _: pytest.MonkeyPatch) -> object:
    cpu = {**config.device, "name": "cpu"}
    return build.part(config.model_copy(update={"device": cpu}), "device").kernels


def deterministic(config: Config, monkeypatch: pytest.MonkeyPatch) -> object:
    build.part(config, "device").apply()
    return torch.are_deterministic_algorithms_enabled()


def fresh(config: Config, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr("dqn_cli.training.run.draw", lambda *_: None)
    with tempfile.TemporaryDirectory() as folder:
        source = workers.share_out(config, build.loop(config), {})
        train(config, source, Path(folder), {}, [], None, Jobs(None, live=False))
        return read_summary(Path(folder))["seeds"]


def reported(config: Config, _: pytest.MonkeyPatch) -> object:
    with tempfile.TemporaryDirectory() as folder:
        source = workers.share_out(config, build.loop(config), {})
        train(config, source, Path(folder), {}, [], None, Jobs(None, live=False))
        return (Path(folder) / "report.html").exists()


def row_bytes(config: Config, _: pytest.MonkeyPatch) -> object:
    return build.loop(config).learner.replay.storage.row_bytes


def shared(config: Config, _: pytest.MonkeyPatch) -> object:
    loop = build.loop(config)
    return loop.scorer.envs is loop.envs


def diagnosed(config: Config, _: pytest.MonkeyPatch) -> object:
    return [getattr(event, "diagnosis", None) is not None for event in build.loop(config).run()]


DEVICE = {
    "name": Try("cpu", device),
    "threads": Try(3, threads),
    "workers": Try(3, lambda config, _: workers.processes(config, "cpu")),
    "kernels": Try("torch", kernels),
    "deterministic": Try(False, deterministic),
}
LIMITED = [{"_target_": "gymnasium.wrappers.TimeLimit", "max_episode_steps": 12}]
ENV = {
    "wrappers": Try(LIMITED, training),
    "id": Try("Acrobot-v1", training),
    "import": Try("colorsys", imported),
    "kwargs": Try({"max_episode_steps": 20}, training),
}
CONVOLUTIONS = Try([[4, 3, 2]], training, ("env=gridworld",))
INIT = Try("glorot", training)
INIT_CONVOLUTIONS = INIT._replace(given=("env=gridworld", "network.convolutions=[[4,3,2]]"))
CNN = {
    "convolutions": Try([[4, 3, 1, 1], [6], "pool"], training),
    "hidden": Try([8, 8], training),
    "activation": Try("tanh", training),
    "init": INIT,
}
MINATAR = {
    "wrappers": Try(LIMITED, training),
    "id": Try("dqn_cli/MinAtar-Asterix-v0", training),
    "import": Try("colorsys", imported),
    "kwargs.sticky_actions": Try(0.9, training),
    "kwargs.minimal_actions": Try(True, training),
    "kwargs.difficulty_ramping": Try(False, ramping),
}
ATARI = {
    "wrappers": Try(LIMITED, opening),
    "id": Try("dqn_cli/Atari-Skiing-v0", opening),
    "import": Try("colorsys", imported),
    "kwargs.protocol": Try("nature", opening),
    "kwargs.sticky_actions": Try(0.9, opening),
    "kwargs.noop_max": Try(9, opening),
    "kwargs.terminal_on_life_loss": Try(True, opening),
    "kwargs.full_action_space": Try(True, opening),
    "kwargs.clip_rewards": Try(False, opening),
    "kwargs.frame_skip": Try(2, opening),
    "kwargs.stack": Try(2, opening),
    "kwargs.size": Try(9, opening),
    "kwargs.max_frames": Try(20, opening),
}
TRIES: dict[str, dict[str, Try]] = {
    "config": {
        "seed": Try([2, 1], training),
        "episodes": Try(2, training),
        "steps": Try(50, training),
        "gamma": Try(0.5, training),
        "n_step": Try(3, training),
        "batch_size": Try(9, training),
        "learning_starts": Try(12, training),
        "update_every": Try(2, training),
        "updates": Try(2, training),
        "reduction": Try("sum", training),
        "grad_clip_value": Try(1e-4, training),
        "grad_clip_norm": Try(0.01, training),
        "eval.every_episodes": Try(2, training),
        "eval.every_steps": Try(30, training, ("eval.every_episodes=null",)),
        "eval.episodes": Try(2, training),
        "eval.max_steps": Try(3, training),
        "eval.final_episodes": Try(3, fresh),
        "eval.envs": Try("shared", shared),
        "eval.diagnose_every": Try(None, diagnosed),
        "checkpoint.every_seconds": Try(1e-9, checkpoints, ("steps=600",)),
        "name": Try("mine", label),
        "report": Try(True, reported),
    },
    "env/cartpole": {
        "wrappers": Try(LIMITED, training),
        "id": Try("Acrobot-v1", training),
        "import": Try("colorsys", imported),
        "kwargs": Try({"sutton_barto_reward": True}, training),
    },
    "env/acrobot": ENV | {"id": Try("CartPole-v1", training)},
    "env/mountaincar": ENV,
    "env/lunarlander": ENV,
    "env/gridworld": ENV,
    **{f"env/atari/{name}": ATARI for name in ("boxing", "breakout", "freeway", "pong")},
    **{f"env/atari/{name}": ATARI for name in ("seaquest", "space_invaders")},
    "env/minatar/asterix": MINATAR | {"id": Try("dqn_cli/MinAtar-Breakout-v0", training)},
    "env/minatar/breakout": {k: t for k, t in MINATAR.items() if "ramping" not in k},
    "env/minatar/freeway": {k: t for k, t in MINATAR.items() if "ramping" not in k},
    "env/minatar/seaquest": {k: t for k, t in MINATAR.items() if "minimal" not in k},
    "env/minatar/space_invaders": MINATAR,
    "algo/dqn": {"double": Try(True, training), "loss": Try("huber", training)},
    "algo/ddqn": {"double": Try(False, training), "loss": Try("huber", training)},
    "algo/c51": {
        "atoms": Try(21, training),
        "low": Try(-50.0, training),
        "high": Try(50.0, training),
        "double": Try(True, training),
    },
    "algo/qr": {
        "quantiles": Try(7, training),
        "kappa": Try(0.1, training),
        "double": Try(True, training),
    },
    "algo/iqn": {"kappa": Try(0.1, training), "double": Try(True, training)},
    "algo/munchausen": {
        "alpha": Try(0.5, training),
        "tau": Try(0.5, training),
        "l0": Try(-0.01, training),
        "loss": Try("huber", training),
    },
    "algo/munchausen_iqn": {
        "alpha": Try(0.5, training),
        "tau": Try(0.5, training),
        "l0": Try(-0.01, training),
        "kappa": Try(0.1, training),
    },
    "algo/nfq": {
        "double": Try(True, training, ("target=hard", "target.every_steps=5")),
        "loss": Try("huber", training),
    },
    "buffer/latest": {},
    "buffer/per_rank": {
        "capacity": Try(30, training),
        "alpha": Try(0.1, training),
        "beta": Try(0.9, training),
        "beta_end": Try(0.6, training, ("buffer.beta_steps=20",)),
        "beta_steps": Try(20, training),
        "sort_every_updates": Try(1, training),
        "normalize": Try("buffer", training),
    },
    "buffer/uniform": {"capacity": Try(30, training)},
    "buffer/per": {
        "capacity": Try(30, training),
        "alpha": Try(0.1, training),
        "beta": Try(0.9, training),
        "beta_end": Try(0.5, training, ("buffer.beta_steps=20",)),
        "beta_steps": Try(20, training),
        "epsilon": Try(0.5, training),
        "normalize": Try("buffer", training),
    },
    "storage/transitions": {},
    "storage/frames": {"stack": Try(1, row_bytes)},
    **dict.fromkeys(PICTURES, CNN),
    "network/mlp": {
        "hidden": Try([8, 8], training),
        "activation": Try("tanh", training),
        "init": INIT,
    },
    "network/dueling": {
        "convolutions": CONVOLUTIONS,
        "hidden": Try([8, 8], training),
        "streams": Try([8], training),
        "activation": Try("tanh", training),
        "aggregate": Try("max", training),
        "trunk_gradient": Try(0.7071, training),
        "init": INIT,
    },
    "network/noisy": {
        "convolutions": CONVOLUTIONS,
        "hidden": Try([8, 8], training),
        "activation": Try("tanh", training),
        "sigma0": Try(0.1, training),
        "init": INIT_CONVOLUTIONS,
    },
    "network/noisy_dueling": {
        "convolutions": CONVOLUTIONS,
        "hidden": Try([8, 8], training),
        "streams": Try([8], training),
        "activation": Try("tanh", training),
        "aggregate": Try("max", training),
        "trunk_gradient": Try(0.7071, training),
        "sigma0": Try(0.1, training),
        "init": INIT_CONVOLUTIONS,
    },
    "network/implicit": {
        "convolutions": CONVOLUTIONS,
        "hidden": Try([8, 8], training),
        "head": Try([8], training),
        "fractions": Try(8, training),
        "cosines": Try(16, training),
        "activation": Try("tanh", training),
        "aggregate": Try("mean", training),
        "init": INIT,
    },
    "network/noisy_implicit": {
        "convolutions": CONVOLUTIONS,
        "hidden": Try([8, 8], training),
        "head": Try([8], training),
        "fractions": Try(8, training),
        "cosines": Try(16, training),
        "activation": Try("tanh", training),
        "aggregate": Try("mean", training),
        "sigma0": Try(0.1, training),
        "init": INIT,
    },
    "network/module": {
        "module": Try("of_test_configs.Other", training),
        "kwargs": Try({"width": 4}, training),
    },
    "exploration/greedy": {"start": Try(0.9, training)},
    "exploration/boltzmann": {
        "start": Try(100.0, training),
        "end": Try(100.0, training, ("exploration.decay_steps=50",)),
        "decay_steps": Try(50, training),
    },
    "target/hard": {"every_steps": Try(2, training)},
    "target/none": {},
    "target/polyak": {"tau": Try(0.9, training), "every_steps": Try(2, training)},
    "exploration/constant": {"start": Try(0.9, training)},
    "exploration/linear": {
        "start": Try(0.5, training),
        "end": Try(0.9, training, ("exploration.decay_steps=50",)),
        "decay_steps": Try(50, training),
        "delay_steps": Try(20, training, ("exploration.decay_steps=50",)),
    },
    "exploration/logspace": {
        "start": Try(0.5, training),
        "end": Try(0.9, training, ("exploration.decay_steps=50",)),
        "decay_steps": Try(50, training),
    },
    "exploration/geometric": {
        "start": Try(0.5, training),
        "end": Try(0.9, training, ("exploration.factor=0.5",)),
        "factor": Try(0.5, training),
    },
    "exploration/exponential": {
        "start": Try(0.5, training),
        "end": Try(0.9, training, ("exploration.decay_steps=50",)),
        "decay_steps": Try(50, training),
    },
    "optimizer/adam": {
        "lr": Try(1e-2, training),
        "lr_end": Try(1e-2, training, ("optimizer.lr_steps=50",)),
        "lr_steps": Try(50, training),
        "beta1": Try(0.5, training),
        "beta2": Try(0.5, training),
        "eps": Try(1e-2, training),
    },
    "optimizer/rmsprop": {
        "lr": Try(1e-2, training),
        "lr_end": Try(1e-2, training, ("optimizer.lr_steps=50",)),
        "lr_steps": Try(50, training, ("optimizer.lr_end=1e-2",)),
        "alpha": Try(0.5, training),
        "eps": Try(1e-2, training),
        "eps_in_root": Try(True, training),
        "centered": Try(True, training),
    },
    **{f"device/{name}": DEVICE for name in ("cuda", "mps", "auto")},
    "device/cpu": DEVICE | {"name": Try("cuda", device)},
}


def leaves(values: Values, prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def keys(name: str) -> set[str]:
    # these are about the command: test_resume.py and cli/test_search.py try them
    of_command = ("defaults", "hydra", *Command.model_fields)
    skipped = of_command if name == "config" else ("_target_",)
    content = RESIDENTS.get(name, CONTENT[name])
    return set(leaves({k: v for k, v in content.items() if k not in skipped}))


def test_every_key_is_tried() -> None:
    files = {name for name in CONTENT if name == "config" or name in RESIDENTS}
    assert {name: keys(name) for name in files} == {name: set(TRIES[name]) for name in TRIES}


@pytest.fixture
def switches() -> Iterator[None]:
    """Puts back what a device sets for the whole process."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(before[0])
    torch.use_deterministic_algorithms(before[1])


BASE = (*SMALL, "steps=100", "learning_starts=10", "batch_size=8")


@pytest.mark.long
@pytest.mark.usefixtures("switches")
@pytest.mark.parametrize("name", TRIES)
def test_every_key_has_an_effect(compose, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    room = name.split("/")[0] if "/" in name else ""
    base = BASE if name == "algo/nfq" else (*BASE, "target.every_steps=5")
    plain = {}  # (what is given, where the effect is seen) -> values, what was seen
    for key, (value, seen, given) in TRIES[name].items():
        if (given, seen) not in plain:
            config = compose(*chosen(name), *base, *given)
            plain[given, seen] = config.model_dump(), seen(config, monkeypatch)
        values, before = copy.deepcopy(plain[given, seen])
        *above, last = [part for part in (room, *key.split(".")) if part]
        section = values
        for part in above:
            section = section[part]
        assert section[last] != value
        section[last] = value
        assert seen(check(values), monkeypatch) != before, f"{key} has no effect"
