"""Checkpoints: what was saved comes back, and what is no checkpoint is one line."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dqn_cli.events import Diagnosis, Episode, Evaluated
from dqn_cli.network.mlp import MLP
from dqn_cli.saving import blocks
from dqn_cli.saving.checkpoint import Checkpoint, dump, dump_lane, load, load_lane
from dqn_cli.saving.tensors import FORMAT
from dqn_cli.state import Best, Known, Lane, Rows

SAVED = Checkpoint(
    seed=2**63 - 1,
    episode=7,
    step=123,
    score=float("1e-300"),
    params={
        "q.weight": torch.arange(12.0).view(3, 4) / 7,
        "q.bias": torch.tensor([0.1, -0.0, float("inf")]),
    },
)
BYTES = dump(SAVED)


def saved(value: object) -> bytes:
    data = io.BytesIO()
    torch.save({"format": FORMAT} | value if isinstance(value, dict) else value, data)
    return data.getvalue()


def test_what_was_saved_comes_back_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    for checkpoint in (SAVED, SAVED._replace(score=None)):
        path.write_bytes(dump(checkpoint))
        loaded = load(path)
        assert loaded[:-1] == checkpoint[:-1]
        assert loaded.params.keys() == SAVED.params.keys()
        for name, tensor in SAVED.params.items():
            assert loaded.params[name].numpy().tobytes() == tensor.numpy().tobytes()


def test_equal_checkpoints_are_equal_bytes() -> None:
    params = {name: tensor.clone() for name, tensor in SAVED.params.items()}
    assert dump(SAVED._replace(params=params)) == BYTES


def test_a_saved_network_computes_what_the_stack_did(space, q_values, tmp_path: Path) -> None:
    network = MLP(space(4, 2), 1, hidden=[5], activation="relu")
    params = network.init([1, 2])
    (tmp_path / "a.pt").write_bytes(dump(SAVED._replace(params=network.named(params[1]))))
    weights = load(tmp_path / "a.pt").params
    assert torch.equal(network.flat(weights), params[1])
    plain = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    plain.load_state_dict(dict(zip(plain.state_dict(), weights.values(), strict=True)))
    obs = torch.randn(2, 3, 4)
    torch.testing.assert_close(plain(obs[1]), q_values(network, params, obs)[1])


NO_CHECKPOINT = {
    "nothing": b"",
    "text": b"seed: 1\n",
    "a pickle that takes from an empty stack": b"\x80\x02.",
    "a pickle that takes what it never put": b"\x80\x02h\x01.",
    "a zip that ends early": BYTES[:-30],
    "a number": saved(3),
    "a tensor": saved(torch.ones(3)),
    "other names": saved({"seed": 1}),
    "no format": saved({"format": None, **SAVED._asdict()}),
    "a true format": saved({"format": True, **SAVED._asdict()}),
    "one name too many": saved({**SAVED._asdict(), "more": 1}),
    "no dictionary of parameters": saved({**SAVED._asdict(), "params": 5}),
    "parameters that are no tensors": saved({**SAVED._asdict(), "params": {"q.weight": 1}}),
    "an episode that is no number": saved({**SAVED._asdict(), "episode": "7"}),
}


def refused(path: Path) -> str:
    with pytest.raises(ValueError, match=r".+") as error:
        load(path)
    assert str(error.value).startswith(f"{path}: ")
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize("data", NO_CHECKPOINT.values(), ids=NO_CHECKPOINT)
def test_what_is_no_checkpoint_is_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(data)
    assert "not a checkpoint" in refused(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("number", "age"), [(None, "an older"), (FORMAT - 1, "an older"), (FORMAT + 1, "a newer")]
)
@pytest.mark.parametrize("read", [load, load_lane])
def test_another_format_is_named(tmp_path: Path, number: int | None, age: str, read) -> None:
    """The first one had no number."""
    values = {"seed": 1, "episode": 2, "step": 3, "unheard_of": torch.ones(1)}
    data = io.BytesIO()
    torch.save(values if number is None else {"format": number, **values}, data)
    path = tmp_path / "a.pt"
    path.write_bytes(data.getvalue())
    with pytest.raises(ValueError, match=f"written by {age} dqn-cli") as error:
        read(path)
    number = number or 1
    assert str(error.value) == (
        f"{path}: written by {age} dqn-cli (format {number}, this one reads {FORMAT})"
    )


def test_a_path_that_is_no_file_is_one_line(tmp_path: Path) -> None:
    assert "no such checkpoint" in refused(tmp_path / "gone.pt")
    refused(tmp_path)


class Evil:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("evil",)


def test_loading_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pt").write_bytes(saved({**SAVED._asdict(), "score": Evil()}))
    refused(tmp_path / "a.pt")
    assert not (tmp_path / "evil").exists()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "a.pt"


def loads(path: Path, data: bytes) -> bool:
    path.write_bytes(data)
    try:
        return isinstance(load(path), Checkpoint)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1
        return False


def test_a_file_cut_anywhere_is_refused(path: Path) -> None:
    assert loads(path, BYTES)
    assert not any(loads(path, BYTES[:length]) for length in range(0, len(BYTES), 11))


def test_a_weight_that_changed_on_the_disk_is_refused(path: Path) -> None:
    weights = SAVED.params["q.weight"].numpy().tobytes()
    place = BYTES.index(weights) + 5
    damaged = BYTES[:place] + bytes([BYTES[place] ^ 1]) + BYTES[place + 1 :]
    assert not loads(path, damaged)


@given(
    places=st.lists(st.integers(0, len(BYTES) - 1), min_size=1, max_size=3),
    new=st.binary(min_size=3),
)
@settings(max_examples=300, deadline=None)
def test_damage_anywhere_is_one_line_if_it_is_noticed(
    path: Path, places: list[int], new: bytes
) -> None:
    damaged = bytearray(BYTES)
    for place, byte in zip(places, new, strict=False):
        damaged[place] = byte
    loads(path, bytes(damaged))


@given(data=st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_noise_is_refused(path: Path, data: bytes) -> None:
    assert not loads(path, data)


LANE = Lane(
    seed=2**63 - 1,
    episode=7,
    step=123,
    best=Best(0.1, 6, 101, torch.arange(5.0).numpy()),
    actions=torch.arange(40).view(2, 20)[1, :9],  # a view, as a loop gives them
    obs=torch.zeros(3, 4)[1],
    known=Known(torch.arange(11), torch.ones(4), 11.0),
    waiting=[
        (Episode(2**63 - 1, 7, 120, 20.0, 20, None, 0.5, 0.1, 2.0, 0, None), torch.ones(5)),
        (Episode(2**63 - 1, 8, 122, 2.0, 2, None, 0.5, None, None, 0, None), None),
        (
            Evaluated(2**63 - 1, 123, 8, None, 0, None, True, Diagnosis(1.5, age=7.0)),
            torch.zeros(5),
        ),
    ],
    learner={"online": torch.rand(3, 5)[1], "buffer.added": torch.tensor(123)},
    rows=Rows(3, 5, 8, lambda first, stop: {"x": torch.arange(9.0)[first:stop]}, dict),
)
LANE_BYTES = dump_lane(LANE)


def test_a_lane_comes_back_to_the_bit_and_takes_nothing_else_along(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    none = torch.zeros(0, dtype=torch.int64)
    for lane in (LANE, LANE._replace(best=None, actions=none, known=None, waiting=[])):
        path.write_bytes(dump_lane(lane))
        loaded = load_lane(path)
        assert loaded[:3] == lane[:3]
        assert torch.equal(loaded.actions, lane.actions) and torch.equal(loaded.obs, lane.obs)
        assert [event for event, _ in loaded.waiting] == [event for event, _ in lane.waiting]
        for (_, ours), (_, theirs) in zip(loaded.waiting, lane.waiting, strict=True):
            assert (ours is None and theirs is None) or torch.equal(ours, theirs)
        assert (loaded.known is None) == (lane.known is None)
        if loaded.known is not None and lane.known is not None:
            assert torch.equal(loaded.known.actions, lane.known.actions)
            assert torch.equal(loaded.known.obs, lane.known.obs)
            assert loaded.known.return_ == 11.0
        assert loaded.learner.keys() == lane.learner.keys()
        assert all(torch.equal(loaded.learner[name], lane.learner[name]) for name in lane.learner)
        assert loaded.rows[:3] == (3, 5, 8) and loaded.rows.rest() == {}
        assert loaded.rows.take(3, 5)["x"].tolist() == [3.0, 4.0]
        if lane.best is not None:
            assert loaded.best[:3] == lane.best[:3]
            assert loaded.best.params.tobytes() == lane.best.params.tobytes()
    wide = LANE._replace(learner={"online": torch.zeros(1000, 5)[1]})
    assert len(dump_lane(wide)) < 5000


WAITS = Evaluated(2**63 - 1, 123, 8, None, 0, None, True)


def waits(params: object = None, **changed: object) -> list[dict[str, object]]:
    return [{"row": {**WAITS._asdict(), **changed}, "params": params}]


def lane_values(**changed: object) -> bytes:
    best = {"score": 0.1, "episode": 6, "step": 101, "params": torch.arange(5.0)}
    known = {"actions": torch.arange(11), "obs": torch.ones(4), "return_": 11.0}
    waiting = [{"row": WAITS._asdict(), "params": torch.zeros(5)}]
    parts = {"best": best, "known": known, "waiting": waiting}
    rows = blocks.plain(LANE.rows, ())
    return saved({**LANE._asdict(), **parts, "rows": rows, **changed})


def rows_values(**changed: object) -> bytes:
    return lane_values(rows={**blocks.plain(LANE.rows, ()), **changed})


FILED = {"file": "seed_1_rows_1.pt", "first": 3, "stop": 5, "crc": 0}


NO_LANE = {
    "a network": BYTES,
    "a number": saved(3),
    "one name too many": lane_values(more=1),
    "a step that is no number": lane_values(step="7"),
    "a step below zero": lane_values(step=-1),
    "a truth for a seed": lane_values(seed=True),
    "actions that are no numbers": lane_values(actions=torch.zeros(3)),
    "actions in a table": lane_values(actions=torch.zeros(3, 3, dtype=torch.int64)),
    "no tensor of actions": lane_values(actions=[1, 2]),
    "no observation": lane_values(obs=None),
    "no state": lane_values(learner=None),
    "a state of numbers": lane_values(learner={"online": 1}),
    "a sparse state": lane_values(learner={"online": torch.eye(3).to_sparse()}),
    "a known episode of numbers": lane_values(known=3),
    "a known episode without a return": lane_values(
        known={"actions": torch.arange(3), "obs": torch.ones(4), "return_": None}
    ),
    "what waits is a number": lane_values(waiting=3),
    "what waits are numbers": lane_values(waiting=[3]),
    "what waits is of another seed": lane_values(waiting=waits(seed=3)),
    "what waits has a score": lane_values(waiting=waits(score=3.0)),
    "what waits has a step that is none": lane_values(waiting=waits(step=None)),
    "what waits has a text for a step": lane_values(waiting=waits(step="7")),
    "what waits has a column too many": lane_values(waiting=waits(more=1)),
    "what waits has a diagnosis of numbers": lane_values(waiting=waits(diagnosis=3)),
    "what waits has a diagnosis of texts": lane_values(waiting=waits(diagnosis={"age": "7"})),
    "what waits has an unknown diagnosis": lane_values(waiting=waits(diagnosis={"luck": 7.0})),
    "what waits has parameters of numbers": lane_values(waiting=waits(params=3)),
    "rows of numbers": lane_values(rows=3),
    "rows without a first one": lane_values(rows={}),
    "rows before the first one": rows_values(first=-1),
    "rows that take no room": rows_values(row_bytes=0),
    "rows that are not there": rows_values(stop=2**24),
    "rows twice": rows_values(blocks=[FILED]),
    "rows of numbers in a block": rows_values(open=[{"x": 3}]),
    "rows in another folder": rows_values(blocks=[{**FILED, "file": "../x.pt"}], open=[]),
    "rows in a file that begins too late": rows_values(blocks=[{**FILED, "first": 4}], open=[]),
    "a storage of numbers": rows_values(rest={"x": 3}),
    "a best of numbers": lane_values(best=3),
    "a best without parameters": lane_values(best={"score": 0.1, "episode": 6, "step": 101}),
    "a best score that is none": lane_values(
        best={"score": float("nan"), "episode": 6, "step": 101, "params": torch.ones(5)}
    ),
    "best parameters of another type": lane_values(
        best={
            "score": 0.1,
            "episode": 6,
            "step": 101,
            "params": torch.ones(5, dtype=torch.bfloat16),
        }
    ),
}


@pytest.mark.parametrize("data", NO_LANE.values(), ids=NO_LANE)
def test_what_is_no_lane_is_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"^[^\n]*a.pt: not a checkpoint[^\n]*$"):
        load_lane(path)


def test_a_lane_as_it_should_be_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(lane_values())
    assert load_lane(tmp_path / "a.pt").best.score == 0.1


@given(
    places=st.lists(st.integers(0, len(LANE_BYTES) - 1), min_size=1, max_size=3),
    new=st.binary(min_size=3),
)
@settings(max_examples=300, deadline=None)
def test_damage_to_a_lane_is_one_line_if_it_is_noticed(
    path: Path, places: list[int], new: bytes
) -> None:
    damaged = bytearray(LANE_BYTES)
    for place, byte in zip(places, new, strict=False):
        damaged[place] = byte
    path.write_bytes(damaged)
    try:
        load_lane(path)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1
