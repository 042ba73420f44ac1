"""Golden numbers: what the other tests, which compare the code with itself, would not see change.

Streams, episode seeds, first parameters and a GridWorld trace are whole numbers and float64 facts
of NumPy's PCG64: the same on any machine, written down here, and never to be renewed. If one of
them changes, every result of everyone changes.

Score files hold for one build of PyTorch and NumPy on one type of machine: an x86-64 with AVX2,
which those with AVX-512 can be asked to compute like. They lie in outputs/reference/golden, and
golden.json has their hashes and the versions that made them. A change that is meant to move bytes
renews them: `make golden`, and the diff says what moved.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from dqn_cli.cli.train import CONF
from dqn_cli.config import check, command
from dqn_cli.env.gridworld import GridWorld
from dqn_cli.events import Episode
from dqn_cli.network.dueling import Dueling
from dqn_cli.network.mlp import MLP
from dqn_cli.results.schema import scores_file
from dqn_cli.results.writer import RunWriter
from dqn_cli.saving.versions import versions
from dqn_cli.seeding import Stream, episode_seed, uniform_init
from dqn_cli.training import build
from dqn_cli.types import Noise, Space

# Streams: SeedSequence(seed, spawn_key=(crc32(name), block number)), a PCG64, Generator.random or
# Generator.standard_normal

BLOCKS = {  # ticks on both sides of a block's end, ten numbers
    "explore": (
        (2,),
        {
            0: [0.04901412251546955, 0.9789129401437218],
            1: [0.5116296148660001, 0.671834939417864],
            127: [0.3529675209802109, 0.9473742735580277],
            255: [0.589719424457711, 0.802907683264292],
            256: [0.5454302512898518, 0.3208019703450147],
        },
    ),
    "replay": (
        (5,),
        {
            255: [
                *(0.9360712527253693, 0.46945441533705623, 0.6014280807051536),
                *(0.8557825075707447, 0.9690866042109232),
            ],
            256: [
                *(0.5566983829626274, 0.7989038904400272, 0.8446054373730838),
                *(0.7810329814974228, 0.2640977183514317),
            ],
        },
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_stream_s_numbers(name: str) -> None:
    shape, expected = BLOCKS[name]
    stream = Stream([12], name, shape)
    assert {tick: stream.at(tick)[0].tolist() for tick in expected} == expected


def test_the_numbers_of_a_network_s_noise() -> None:
    """Three for each forward, so that 2^15 // 3 = 10922 ticks are a block."""
    stream = Stream.of(Noise((3,), normal=True), [12], "noise.act")
    expected = {
        0: [0.3871851966444912, -0.623757910640761, 0.3597214562351763],
        10921: [-1.0197489981583285, -1.4010182289253121, -0.6187304430767667],
        10922: [-0.006082782226188693, 0.5784693995862394, 0.0950579249937821],
    }
    assert {tick: stream.at(tick)[0].tolist() for tick in expected} == expected


def test_a_stream_of_a_seed_beyond_32_bits() -> None:
    numbers = Stream([2**32 + 12], "explore", (2,)).at(0)
    assert numbers.tolist() == [[0.3042314203308175, 0.8913762644908588]]


def test_the_numbers_that_parameters_begin_with() -> None:
    """A bound of 1/2 makes the range 1: no machine rounds otherwise by multiplying and adding at
    once."""
    assert uniform_init(12, "init.q.weight", (10,), 0.5).tolist() == [
        *(0.09666112065315247, 0.03756628930568695, -0.3342500627040863, 0.3585827648639679),
        *(-0.24867606163024902, 0.1777656227350235, 0.3569706678390503, -0.46338099241256714),
        *(-0.02406482957303524, 0.09248404204845428),
    ]


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (0, [1637284081, 3002524844, 3336560986]),
        (12, [500268075, 4279118825, 3314632412]),
        (34, [520266655, 2030141233, 2703813579]),
        (2**32 - 1, [3526490207, 1886767029, 1320718662]),
        (2**32, [1624756867, 2083657281, 274283177]),
        (2**32 + 12, [2781108928, 732395590, 2412399822]),
        (2**63 - 1, [695724920, 563490146, 4188560801]),
    ],
)
def test_the_seeds_of_training_episodes(seed: int, expected: list[int]) -> None:
    assert [episode_seed(seed, "env", episode) for episode in (1, 2, 250)] == expected


SPACE = Space((4,), np.dtype(np.float32), 3)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (
            MLP(SPACE, 1, hidden=[16], activation="relu"),
            "5a6a1b9bc6d10b0470460f92ae659bde63cb7f4290ed89b4ce8f914e40ce8691",
        ),
        (
            Dueling(
                SPACE,
                1,
                convolutions=[],
                hidden=[16],
                streams=[64],
                activation="relu",
                aggregate="mean",
                trunk_gradient=1.0,
            ),
            "d97de8439c1f493d42083ed8d24c4e500867d5c6c20534abbd3286daf16e5cf9",
        ),
    ],
    ids=["mlp", "dueling"],
)
def test_the_first_parameters_of_a_network(network: MLP | Dueling, expected: str) -> None:
    """By name, so that how they lie in a row may change. 4, 16 and 64 inputs make bounds of 1/2,
    1/4 and 1/8, which no machine rounds otherwise (as above)."""
    named = network.named(network.init([12])[0])
    assert named["hidden.0.weight"][:2].tolist() == [
        [-0.32995203137397766, 0.092061348259449, 0.3148580491542816, 0.3100748658180237],
        [0.07931789755821228, -0.057036176323890686, -0.336740106344223, 0.19104257225990295],
    ]
    digest = hashlib.sha256()
    for name in sorted(named):
        digest.update(name.encode() + named[name].numpy().astype("<f4").tobytes())
    assert digest.hexdigest() == expected


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (5, "81d60011717d5cdffd19d4a182efc4a3b45e0494f6320927b736be6080697ae9"),
        (2**32 - 1, "60ebe6cb1975ee14e1bd8d83afef6fe5dbef626ae019adc73d920a24ac0db531"),
    ],
)
def test_a_trace_of_the_gridworld(seed: int, expected: str) -> None:
    """Where the patrollers begin is drawn; six coins, two poisons, and caught in the end."""
    env = GridWorld()
    seen, paid, ended = [env.reset(seed=seed)[0]], {}, []
    for step, action in enumerate("uuuuuuuuuulrrrrrlrrrrrddddrrrrrrrrr", start=1):
        obs, reward, terminated, truncated, _ = env.step(np.int64("udlr".index(action)))
        seen.append(obs)
        if reward:
            paid[step] = reward
        if terminated or truncated:
            ended.append((step, terminated, truncated))
    coins, poisons = dict.fromkeys((2, 6, 13, 16, 28, 33), 100.0), dict.fromkeys((24, 31), -100.0)
    assert paid == coins | poisons
    assert ended == [(35, True, False)]
    assert hashlib.sha256(np.stack(seen).tobytes()).hexdigest() == expected


# Score files

ROOT = Path(__file__).parents[1]
FILES = ROOT / "outputs/reference/golden"
GOLDEN = Path(__file__).with_name("golden.json")

SMALL = (
    *("seed=12", "device=cpu", "episodes=12", "network.hidden=[16]", "batch_size=16"),
    *("learning_starts=30", "eval.every_episodes=3", "eval.episodes=2"),
)
GRID = ("env=gridworld", "+env.kwargs.max_episode_steps=40")
RUNS = {
    "dqn": (),
    "everything": (
        *("algo=ddqn", "buffer=per", "network=dueling", "network.streams=[8]", "target=polyak"),
        *("algo.loss=huber", "grad_clip_norm=1"),
    ),
    "per_rank": (
        *("buffer=per_rank", "buffer.capacity=90", "buffer.sort_every_updates=5"),
        *("buffer.normalize=buffer", "target.every_steps=7", "optimizer=rmsprop"),
    ),
    "nfq": ("algo=nfq", "batch_size=32", "learning_starts=32", "update_every=32", "updates=3"),
    "gridworld": (*GRID, "exploration=linear", "exploration.decay_steps=300", "reduction=sum"),
    # Nothing is learned and nothing evaluated: whole numbers, the same on any machine.
    "gridworld_random": (
        *(*GRID, "exploration=constant", "exploration.start=1", "learning_starts=1000"),
        "eval.every_episodes=null",
    ),
}
ANYWHERE = ("gridworld_random",)
# The instructions of OpenBLAS and PyTorch, which both read this when they are loaded.
AVX2 = {"OPENBLAS_CORETYPE": "Haswell", "ATEN_CPU_CAPABILITY": "avx2"}


def scores(name: str, directory: Path) -> str:
    """The score file of that run, written as every run's is."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = hydra_compose("config", [*SMALL, *RUNS[name]])
    config = check(command(_values(composed))[1])
    facts: dict[str, Any] = {"config": "", "choices": {}, "threshold": None, "versions": {}}
    with RunWriter(directory, seeds=config.seeds, **facts) as writer:
        for event in build.loop(config).run():
            if isinstance(event, Episode):
                writer.episode(event.seed, event.row, 0.0)
    return (directory / scores_file(12)).read_text(encoding="utf-8")


def _values(composed: Any) -> dict[str, Any]:
    values = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def kept(name: str) -> Path:
    return FILES / name / Path(scores_file(12)).name


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def made_with() -> dict[str, str]:
    """What the bits of the scores depend on: PyTorch's kernels are not those of its BLAS."""
    here = versions()
    return {name: here[name] for name in ("torch", "numpy", "gymnasium", "blas", "kernels")}


def print_scores() -> None:
    """Print the scores of all runs and what they were made with."""
    with tempfile.TemporaryDirectory() as folder:
        texts = {name: scores(name, Path(folder, name)) for name in RUNS}
    print(json.dumps({"made_with": made_with(), "scores": texts}))


def with_avx2() -> dict[str, Any]:
    """What `print_scores` prints in a process whose instructions are those of AVX2."""
    command, env = [sys.executable, __file__, "print"], {**os.environ, **AVX2}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def renew() -> None:
    """Write the score files again, with their hashes and what they were made with."""
    made = with_avx2()
    for name, text in made["scores"].items():
        kept(name).parent.mkdir(parents=True, exist_ok=True)
        kept(name).write_text(text, encoding="utf-8", newline="\n")
    golden = made | {"scores": {name: sha256(text) for name, text in made["scores"].items()}}
    GOLDEN.write_text(json.dumps(golden, indent=2) + "\n", encoding="utf-8", newline="\n")


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return with_avx2()


@pytest.mark.parametrize("name", RUNS)
def test_the_scores_of_a_small_run(name: str, made: dict[str, Any]) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert golden["scores"].keys() == RUNS.keys()
    text = kept(name).read_text(encoding="utf-8")
    assert sha256(text) == golden["scores"][name], "a file that `make golden` has not written"
    here = made["made_with"]
    other = [
        f"{key} {value} and not {here[key]}"
        for key, value in golden["made_with"].items()
        if value != here[key]
    ]
    if other and name not in ANYWHERE:
        pytest.skip(f"made with {', '.join(other)}")
    assert made["scores"][name] == text


if __name__ == "__main__":
    print_scores() if sys.argv[1:] == ["print"] else renew()
