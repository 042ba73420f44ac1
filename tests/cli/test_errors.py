"""Bad input to dqn-train: one line on stderr that names it, exit code 2, nothing left behind."""

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dqn_cli.config import GROUPS, BadInput, Config, check

FAR = "9" * 30
NAN, INF = float("nan"), float("inf")

# A command line, and what its message must say.
LINES = {
    # no such group, choice or key
    "n_step=200000 buffer.capacity=1000": "n_step=200000: the replay holds 1000 rows",
    "n_step=3 buffer=latest batch_size=1": "n_step=3: the replay holds 1 row, and",
    "algo=dqnn": "algo=dqnn: no such choice; there are c51, ddqn, dqn",
    "experiment=berta": "experiment=berta: no such choice; there are berta/ddqn, berta/dqn",
    "env=minatar": "env=minatar: no such choice; there are minatar/asterix, minatar",
    "experiment=breta": "experiment=breta: no such choice; there are atari/btr, atari/c51,",
    "experiment=berta/dqn algo=nfq": "experiment=berta/dqn algo=nfq: each sets keys of the whole",
    "experiment=berta/ddq": "experiment=berta/ddq: no such choice; did you mean berta/ddqn?",
    "experiment=[berta/dqn,berta/per]": "experiment=berta/dqn experiment=berta/per: each sets keys",
    "experiment=berta/dqn,berta/per": "experiment=berta/dqn,berta/per: several values; -m makes a",
    "+experiment=berta/dqn": "+experiment=berta/dqn: there is a choice already; experiment",
    "experiment=berta/per buffer=uniform buffer.alpha=0.4": "buffer.alpha: no such key; it comes "
    "with buffer=per or buffer=per_rank",
    "env=": "env=",
    "algo=[dqn,ddqn]": "algo",
    "~algo": "algo",
    "~gamma": "gamma: missing",
    "btch_size=3": "btch_size: no such key; did you mean batch_size?",
    "lr=1": "lr: no such key; use optimizer.lr",
    "algo.lr=1": "algo.lr: no such key; there are algo.double, algo.loss",
    "eval.evry=1": "eval.evry: no such key; there are eval.every_episodes",
    "network=dueling network.stream=[8]": "network.stream: no such key; there are network.con",
    "+foo=1": "foo: no such key",
    "++algo.lrr=1": "algo.lrr: no such key; there are double, loss",
    "+eval.foo=1": "eval.foo: no such key",
    "+buffer.size=1": "buffer.size: no such key; use buffer.capacity\n",
    "+eval_freq=1": "eval_freq: no such key; use eval.every_steps\n",
    # another tool's name of a key, a choice or an option: see test_hints.py
    "learning_rate=1": "learning_rate: no such key; use optimizer.lr\n",
    "env=FrozenLake-v1": "env=FrozenLake-v1: no such choice; a Gymnasium id is chosen by env.id=Fr",
    "env=ALE/Pong-v5": "env=ALE/Pong-v5: no such choice; a Gymnasium id is chosen by env.id=ALE/Po",
    "env=Mountain": "env=Mountain: no such choice; there are acrobot",
    "--learning-rate 1e-3": "--learning-rate: dqn-train takes KEY=VALUE, here optimizer.lr=1e-3\n",
    "--nope": "--nope: no such option; dqn-train takes KEY=VALUE, such as",
    "--cfg nope": "argument --cfg/-c: invalid choice: 'nope'",
    # not an override
    "foo": "foo: expected KEY=VALUE",
    "network.hidden=[8": "network.hidden=[8",
    "seed=1,2": "seed=1,2: several values; -m makes a run of each, seed=[1,2] is a list",
    "experiment=glob(berta/*)": "experiment=glob(berta/*): several values; -m makes a run of each",
    "-m experiment=glob(brta/*)": "experiment=glob(brta/*): nothing matches; there are atari/btr",
    "-m gamma=glob(*)": "gamma=glob(*): nothing matches; it is no group of choices",
    "name=${nope}": "nope",
    # a value that cannot be: see VALUES
    "batch_size=0": "batch_size=0: input should be greater than or equal to 1",
    "gamma=1.5": "gamma=1.5: input should be less than or equal to 1",
    "grad_clip_norm=inf": "grad_clip_norm=inf: input should be a finite number",
    "network.hidden=[8,x]": "network.hidden.1=x: input should be a valid integer",
    "seed=[1,2,1]": "seed=[1, 2, 1]: 1 comes twice",
    "steps=null": "episodes=null steps=null: one of them must be a number",
    f"buffer.capacity={FAR}": "buffer.capacity",
    "buffer.capacity=1000000000000000": "buffer.capacity=1000000000000000: no room for 5 seeds",
    "storage=frames": "storage.stack=4: an observation is no stack of 4 frames that moves on",
    # environments
    "env.id=Pendulum-v1": "env.id=Pendulum-v1: its action space is Box",
    "env.id=Nope-v0": "env.id=Nope-v0: Environment `Nope` doesn't exist",
    "env.id=''": "env.id=: Malformed environment ID",
    "env.id=nowhere:Nope-v0": "env.id=nowhere:Nope-v0: No module named 'nowhere'",
    "+env.kwargs.nope=1": "unexpected keyword argument 'nope'",
    "env.import=nope": "env.import=nope: No module named 'nope'",
    "env.import=json:nope": "env.import=json:nope: module 'json' has no attribute 'nope'",
    "env.import=json:__name__": "env.import=json:__name__",
    "env.import=.json": "env.import=.json",
    "env.import=''": "env.import=",
    # parts that are none
    "algo._target_=nope": "algo._target_=nope",
    "algo._target_=.x.y": "algo._target_=.x.y",
    "algo._target_=json.__name__": "algo._target_=json.__name__",
    "algo._target_=subprocess.Popen": "algo",
    "algo._target_=dqn_cli.target.hard.Hard": "algo",
    # a directory that cannot be
    "hydra.run.dir=/dev/null/x": "/dev/null/x",
}

# A key, a value, and what the message must say behind "key=value: ".
VALUES: list[tuple[str, object, str]] = [
    ("seed", -1, "input should be greater than or equal to 0"),
    ("seed", 2**63, "input should be less than or equal to"),
    ("seed", 1.5, "input should be a valid"),
    ("seed", True, "input should be a valid"),
    ("seed", None, "input should be a valid"),
    ("seed", [], "list should have at least 1 item"),
    ("episodes", 0, "input should be greater than or equal to 1"),
    ("episodes", True, "input should be a valid integer"),
    ("steps", 0, "input should be greater than or equal to 1"),
    ("steps", 1.5, "input should be a valid integer"),
    ("steps", 1e30, "input should be a valid integer"),
    ("gamma", -0.1, "input should be greater than or equal to 0"),
    ("gamma", NAN, "input should be a finite number"),
    ("gamma", "high", "input should be a valid number"),
    ("n_step", 0, "input should be greater than or equal to 1"),
    ("n_step", 1.5, "input should be a valid integer"),
    ("batch_size", 1.5, "input should be a valid integer"),
    ("batch_size", "8", "input should be a valid integer"),
    ("batch_size", None, "input should be a valid integer"),
    ("batch_size", [8], "input should be a valid integer"),
    ("learning_starts", 0, "input should be greater than or equal to 1"),
    ("update_every", 0, "input should be greater than or equal to 1"),
    ("updates", 0, "input should be greater than or equal to 1"),
    ("reduction", "none", "input should be 'mean' or 'sum'"),
    ("grad_clip_value", 0, "input should be greater than 0"),
    ("grad_clip_norm", 0, "input should be greater than 0"),
    ("checkpoint.every_seconds", 0, "input should be greater than 0"),
    ("checkpoint.every_seconds", NAN, "input should be a finite number"),
    ("name", 7, "input should be a valid string"),
    ("name", "", "string should have at least 1 character"),
    ("eval", 3, "input should be"),
    ("eval.every_episodes", 0, "input should be greater than or equal to 1"),
    ("eval.every_steps", "x", "input should be a valid integer"),
    ("eval.episodes", None, "input should be a valid integer"),
    ("env.id", 5, "input should be a valid string"),
    ("env.kwargs", 3, "input should be a valid dictionary"),
    ("algo._target_", None, ""),
    ("algo.double", 1, "input should be a valid boolean"),
    ("algo.loss", "l1", "input should be 'mse' or 'huber'"),
    ("buffer.alpha", 2.1, "input should be less than or equal to 2"),
    ("buffer.beta", -1, "input should be greater than or equal to 0"),
    ("buffer.beta_steps", 0, "input should be greater than or equal to 1"),
    ("buffer.epsilon", 0, "input should be greater than 0"),
    ("buffer.capacity", 63, "less than batch_size=64"),
    ("network.hidden", 8, "input should be a valid list"),
    ("network.activation", "gelu", "input should be 'relu' or 'tanh'"),
    ("target.tau", 0, "input should be greater than 0"),
    ("target.every_steps", 0, "input should be greater than or equal to 1"),
    ("exploration.end", 2, "input should be less than or equal to 1"),
    ("exploration.decay_steps", INF, "input should be a valid integer"),
    ("optimizer.lr", -INF, "input should be a finite number"),
    ("optimizer.alpha", 1, "input should be less than 1"),
    ("device.threads", 0, "input should be greater than or equal to 1"),
    ("device.name", "gpu", "input should be 'auto', 'cpu', 'cuda' or 'mps'"),
]


@pytest.fixture
def default(compose) -> dict[str, Any]:
    """A configuration whose values do not change when those in conf/ are tuned."""
    rooms = ("buffer=per", "target=polyak", "exploration=linear", "optimizer=rmsprop")
    sizes = ("batch_size=64", "learning_starts=320", "buffer.capacity=5000")
    values: dict[str, Any] = compose(*rooms, *sizes).model_dump()
    return values


def test_a_buffer_of_one_batch_is_enough(default: dict[str, Any]) -> None:
    default["buffer"]["capacity"] = default["batch_size"] = 64
    assert check(default).buffer["capacity"] == 64


@pytest.mark.parametrize(("line", "words"), LINES.items(), ids=LINES)
def test_bad_input_is_one_line(dqn_train, tmp_path: Path, line: str, words: str) -> None:
    done = dqn_train(*line.split(" "))
    assert done.err.startswith("dqn-train: ")
    assert words in done.err
    assert done.err.count("\n") == 1
    assert (done.code, done.out) == (2, "")
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_cannot_be_is_named_with_what_can(default: dict[str, Any]) -> None:
    for key, value, words in VALUES:
        values = copy.deepcopy(default)
        *above, last = key.split(".")
        (values[above[0]] if above else values)[last] = value
        with pytest.raises(BadInput) as error:
            check(values)
        assert str(error.value).startswith(f"{key}={value}: {words}")


def test_a_whole_number_may_be_written_as_a_float(default: dict[str, Any]) -> None:
    """In YAML, 1e5 is one."""
    expected = check(default)
    default |= {"steps": 1e5, "seed": [12.0, 2.0**53], "gamma": 1}
    default["buffer"] |= {"capacity": 1e6, "alpha": 1, "epsilon": 1e300}
    default["network"] |= {"hidden": [16.0, 8]}
    default["env"] |= {"kwargs": {"gravity": 10.0}}
    found = check(default)
    assert (found.steps, found.seed, found.gamma) == (100_000, [12, 2**53], 1.0)
    assert found.buffer["capacity"] == 1_000_000 and found.network["hidden"] == [16, 8]
    whole = (found.steps, *found.seeds, found.buffer["capacity"], *found.network["hidden"])
    assert {type(value) for value in whole} == {int}
    exact = (found.gamma, found.buffer["alpha"], found.buffer["epsilon"])
    assert {type(value) for value in exact} == {float}
    assert type(found.env["kwargs"]["gravity"]) is float  # not ours to judge
    assert list(found.buffer) == list(expected.buffer)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_an_absent_device_is_one_line_with_those_present(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    done = dqn_train(f"device={device}")
    said = f"dqn-train: device.name={device}: not present; this machine has cpu\n"
    assert done == (2, "", said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["config.yaml", "summary.json", "scores"])
def test_a_directory_that_holds_a_run_is_left_alone(dqn_train, tmp_path: Path, name: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("precious")
    done = dqn_train("hydra.run.dir=run")
    said = (
        "dqn-train: run: already holds a run, and a run is never overwritten; "
        "resume=run goes on with it\n"
    )
    assert done == (2, "", said)
    assert {path.name for path in tmp_path.rglob("*")} == {"run", name}
    assert (tmp_path / "run" / name).read_text() == "precious"


@pytest.mark.parametrize("place", ["run", "run/checkpoints"])
def test_a_place_that_is_taken_is_one_line(dqn_train, tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("precious")
    done = dqn_train("hydra.run.dir=run", "episodes=1")
    assert done.err.startswith("dqn-train: ") and "run" in done.err
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert (tmp_path / place).read_text() == "precious"


@pytest.mark.long
def test_the_installed_command_refuses_alike(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("dqn-train")
    lines = ["algo=dqnn", "algo.lr=1", "seed=1,2", "btch_size=3", "env.id=Pendulum-v1"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([command, line], cwd=tmp_path, **pipes) for line in lines]
    for line, process in zip(lines, running, strict=True):
        out, err = process.communicate(timeout=60)
        assert err.startswith("dqn-train: ") and LINES[line] in err
        assert (process.returncode, out, err.count("\n")) == (2, "", 1)
    assert list(tmp_path.iterdir()) == []


NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=5)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.integers()
    # Device sets the process to flush subnormal numbers, which Hypothesis would object to.
    | st.floats(allow_subnormal=False)
    | NAMES
    | st.sampled_from(["mse", "cpu", "relu", "dqn_cli.algo.dqn.DQN", "json.dumps", ".x", "x."])
)
ANYTHING = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(NAMES, SCALARS, max_size=2)


def places(values: dict[str, Any]) -> list[tuple[str, ...]]:
    """Where a value stands: the keys of the run, of eval and of the rooms."""
    deep = [(top, key) for top, inner in values.items() if isinstance(inner, dict) for key in inner]
    return [(top,) for top in values] + deep


@pytest.mark.long
def test_any_value_of_any_key_is_accepted_or_refused_in_one_line(
    default: dict[str, Any],
) -> None:
    rooms = st.sampled_from([*GROUPS, "eval"])
    anywhere = st.sampled_from(places(default)) | st.tuples(rooms, NAMES) | st.tuples(NAMES)
    refused = 0

    def judge(where: tuple[str, ...], value: object) -> None:
        nonlocal refused
        values = copy.deepcopy(default)
        (values[where[0]] if len(where) == 2 else values)[where[-1]] = value
        try:
            assert isinstance(check(values), Config)
        except BadInput as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
            # a part of another room is refused by one of its keys
            assert all(name in str(error) for name in where if name != "_target_")

    run: Callable[[], None] = given(where=anywhere, value=ANYTHING)(judge)
    settings(max_examples=500, deadline=None)(run)()
    assert refused > 100
