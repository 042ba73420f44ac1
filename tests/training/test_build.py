"""Parts ask for what they need by the names of their arguments."""

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dqn_cli.config import BadInput, locate
from dqn_cli.kernels import compiled
from dqn_cli.training import build
from dqn_cli.types import Space


class Plain:
    def __init__(self, *, size: int, import_: str = "") -> None:
        self.given: dict[str, Any] = {"size": size, "import": import_}


class Asks:
    def __init__(self, gamma: float, seeds: list[int], *, size: int) -> None:
        self.given = {"gamma": gamma, "seeds": seeds, "size": size}


class Refuses:
    def __init__(self, *, size: int) -> None:
        raise ValueError(f"size={size}: too large")


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """part(Asks, ...): what `build.part` makes of such a buffer, which is offered the rest."""

    def built(kind: type, keys: dict[str, Any], **offers: Any) -> Any:
        monkeypatch.setattr(build, "locate", lambda group, target: kind)
        monkeypatch.setattr(build, "check_members", lambda *_: None)  # test_contract.py has that
        config = SimpleNamespace(buffer={"_target_": f"mine.{kind.__name__}", **keys})
        return build.part(config, "buffer", **offers)

    return built


def test_a_part_is_given_what_it_asks_for_and_its_keys(part) -> None:
    """In whatever order, and nothing that it does not ask for."""
    asks = part(Asks, {"size": 3}, seeds=[1, 2], space="a space", gamma=0.9)
    assert asks.given == {"gamma": 0.9, "seeds": [1, 2], "size": 3}
    assert part(Plain, {"size": 3}, seeds=[1, 2]).given["size"] == 3


def test_a_key_may_be_a_word_of_python(part) -> None:
    assert part(Plain, {"size": 3, "import": "colorsys"}).given["import"] == "colorsys"


def test_a_request_that_cannot_be_met_is_one_line_with_what_can(part) -> None:
    """Group, class, request and what is on offer; a key before the * is such a request, too."""
    with pytest.raises(BadInput) as error:
        part(Asks, {"size": 3}, seeds=[1], device="cpu")
    assert str(error.value) == (
        "buffer._target_=mine.Asks: its constructor asks for 'gamma'; on offer: device, seeds "
        "(keys of the configuration come after a *)"
    )
    with pytest.raises(BadInput, match=r"asks for 'gamma'; on offer: nothing \("):
        part(Asks, {"size": 3})


def test_what_a_part_refuses_is_a_key_of_its_group(part) -> None:
    with pytest.raises(BadInput, match=r"^buffer\.size=3: too large$"):
        part(Refuses, {"size": 3})


@pytest.mark.parametrize(
    ("group", "offered"),
    [
        ("env", "nothing"),
        ("algo", "batch_size, device, gamma, kernels, seeds, space"),
        ("buffer", "atoms, batch_size, device, gamma, kernels, params, seeds, space"),
    ],
)
def test_the_command_says_so_and_leaves_nothing_behind(
    dqn_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, offered: str
) -> None:
    module = f"asks_too_much_{group}"
    home = tmp_path / "home"
    home.mkdir()
    keys = {"env": "id, kwargs, wrappers, import_", "algo": "double, loss", "buffer": "capacity"}
    text = f"class Mine:\n    def __init__(self, weather, *, {keys[group]}): pass\n"
    (home / f"{module}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(home)
    done = dqn_train(f"{group}._target_={module}.Mine", "hydra.run.dir=run")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"dqn-train: {group}._target_={module}.Mine: its constructor asks for 'weather'; on offer: "
        f"{offered} (keys of the configuration come after a *)\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


# What dqn_cli/types.py promises to each group.
RUN = ("seeds", "space", "gamma", "batch_size", "device", "kernels")
PROMISED = {
    **{"env": (), "device": (), "algo": RUN, "network": (*RUN, "atoms")},
    **dict.fromkeys(("buffer", "target", "exploration", "optimizer"), (*RUN, "atoms", "params")),
    "storage": (*RUN, "atoms", "params", "capacity", "n_step"),
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Group -> what its choice was given, once all of them ask for all that they are promised."""
    told: dict[str, dict[str, Any]] = {}

    def asking(group: str, target: str) -> Callable[..., Any]:
        real = locate(group, target)
        own = signature(real).parameters
        names = PROMISED[group]

        def make(**given: Any) -> Any:
            told[group] = {name: given[name] for name in names}
            return real(**{name: value for name, value in given.items() if name in own})

        keys = [p for p in own.values() if p.kind is Parameter.KEYWORD_ONLY]
        wanted = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names]
        make.__signature__ = Signature([*wanted, *keys])  # type: ignore[attr-defined]
        return make

    monkeypatch.setattr(build, "locate", asking)
    return told


SMALL = ("seed=[5,7]", "network.hidden=[8]", "gamma=0.75", "batch_size=9", "device=cpu")
SMALL += ("buffer.capacity=70", "n_step=3")


def test_every_group_is_given_all_that_it_is_promised(compose, asked) -> None:
    loop = build.loop(compose(*SMALL))
    assert asked.keys() == PROMISED.keys()
    assert asked["optimizer"]["params"] is loop.learner.online
    expected = {
        **{"seeds": [5, 7], "space": loop.env.space, "gamma": 0.75, "batch_size": 9, "atoms": 1},
        **{"device": torch.device("cpu"), "params": loop.learner.online},
        **{"kernels": compiled, "capacity": 70, "n_step": 3},
    }
    assert isinstance(loop.env.space, Space)
    for group, names in PROMISED.items():
        assert asked[group] == {name: expected[name] for name in names}, group


def test_a_trial_looks_over_no_more_rows_than_it_has(compose, asked) -> None:
    """It took half a minute to say that there are fewer rows than n_step."""
    with pytest.raises(BadInput, match="n_step=200000: the replay holds 70 rows"):
        build.loop(compose(*SMALL, "n_step=200000"))
    assert asked["storage"]["n_step"] == asked["storage"]["capacity"] == 3


def test_what_can_be_trained_can_be_played(compose, asked) -> None:
    """dqn-play makes an algorithm and a network alone; both are given what training gives them."""
    config = compose(*SMALL)
    build.loop(config)
    trained = {group: asked.pop(group) for group in ("algo", "network")}
    asked.clear()
    build.greedy(config, build.part(config, "env"), compiled)
    assert {group: asked[group] for group in ("algo", "network")} == trained
