from pathlib import Path
from typing import Any

import pandas as pd

from dqn_cli.results.reader import Run
from dqn_cli.results.schema import COLUMNS
from dqn_cli.results.variants import variants

ROOMS = {"algo": "dqn", "buffer": "uniform", "network": "mlp", "target": "hard", "env": "cartpole"}


def run(
    name: str,
    config: dict[str, Any] | None = None,
    choices: dict[str, str] | None = None,
    seeds: dict[int, int] | None = None,
) -> Run:
    """A run in directory `name`; seeds maps a seed to its number of episodes."""
    frames = {
        seed: pd.DataFrame(1.0, index=range(episodes), columns=list(COLUMNS))
        for seed, episodes in (seeds or {1: 3}).items()
    }
    return Run(Path("out", name), config or {}, choices or {}, {}, frames)


def labels(*runs: Run) -> list[str]:
    return [variant.label for variant in variants(runs)]


def test_runs_that_differ_only_in_seed_are_pooled() -> None:
    runs = [
        run("a", {"seed": [2, 1], "lr": 1}, seeds={2: 3, 1: 3}),
        run("b", {"seed": [3], "lr": 1.0, "resume": "out/x"}, seeds={3: 5}),
        run("c", {"seed": [3], "lr": 2}, seeds={3: 5}),
    ]
    first, second = variants(runs)
    assert first.runs == (runs[0], runs[1])
    assert list(first.scores) == [1, 2, 3]
    assert first.notes == ()
    assert second.runs == (runs[2],)


def test_how_a_run_was_carried_out_is_no_difference() -> None:
    device = {"_target_": "dqn_cli.device.device.Device", "kind": "cpu", "threads": 1}
    checkpoint = {"best": True}
    (pool,) = variants(
        [
            run(name, {"device": device | {"workers": workers}, "checkpoint": checkpoint | every})
            for name, workers, every in (
                ("a", 1, {"every_seconds": 60}),
                ("b", "auto", {"every_seconds": None}),
            )
        ]
    )
    assert len(pool.runs) == 2


def test_another_number_of_threads_is_a_difference() -> None:
    """It may sum in another order."""
    pools = variants([run(str(n), {"device": {"kind": "cpu", "threads": n}}) for n in (1, 2)])
    assert [pool.label for pool in pools] == ["threads=1", "threads=2"]


def test_a_seed_in_two_runs_counts_once_and_is_told() -> None:
    a, b = run("a", seeds={1: 3, 2: 9, 4: 5}), run("b", seeds={1: 4, 2: 9, 3: 1})
    (pool,) = variants([a, b])
    assert {seed: len(frame) for seed, frame in pool.scores.items()} == {1: 4, 2: 9, 3: 1, 4: 5}
    assert pool.scores[2] is a.scores[2]  # the first, of two equal ones
    assert pool.notes == (
        "a: seed 1 counted once, from out/b and not from out/a, which has no more episodes",
        "a: seed 2 counted once, from out/a and not from out/b, which has no more episodes",
    )


def test_one_variant_is_called_by_its_rooms_or_its_directory() -> None:
    assert labels(run("a", {}, ROOMS)) == ["dqn uniform mlp hard"]
    assert labels(run("a")) == ["a"]
    assert labels() == []


def test_variants_are_called_by_the_rooms_in_which_they_differ() -> None:
    ddqn = {**ROOMS, "algo": "ddqn", "buffer": "per"}
    assert labels(
        run("a", {"algo": {"double": False, "_target_": "x"}}, ROOMS),
        run("b", {"algo": {"double": True, "_target_": "y"}}, ddqn),
    ) == ["dqn uniform", "ddqn per"]


def test_keys_are_shown_where_the_room_is_the_same() -> None:
    a = {"algo": {"gamma": 0.99, "_target_": "x"}, "hidden": [64, 64], "clip": None}
    b = {"algo": {"gamma": 1.0, "_target_": "y"}, "hidden": [512, 128], "clip": None}
    assert labels(run("a", a, ROOMS), run("b", b, ROOMS)) == [
        "gamma=0.99 hidden=[64,64]",
        "gamma=1 hidden=[512,128]",
    ]


def test_keys_of_differing_rooms_are_compared_within_the_same_choice() -> None:
    per = {**ROOMS, "buffer": "per"}
    assert labels(
        run("a", {"buffer": {"size": 10}}, ROOMS),
        run("b", {"buffer": {"size": 20, "alpha": 0.5}}, per),
        run("c", {"buffer": {"size": 20, "alpha": 0.6}}, per),
    ) == ["uniform", "per alpha=0.5", "per alpha=0.6"]  # size differs only between the rooms


def test_a_key_is_written_out_where_its_last_part_is_ambiguous() -> None:
    a = {"online": {"lr": 1, "tau": True}, "head": {"lr": 3}}
    b = {"online": {"lr": 2, "tau": False}, "head": {"lr": 4}}
    assert labels(run("a", a), run("b", b)) == [
        "online.lr=1 tau=true head.lr=3",
        "online.lr=2 tau=false head.lr=4",
    ]


def test_mappings_in_lists_are_compared_key_by_key() -> None:
    a = {"wrappers": [{"_target_": "x", "skip": 4}, {"_target_": "y"}]}
    b = {"wrappers": [{"_target_": "x", "skip": 1}, {"_target_": "z"}]}
    assert labels(run("a", a), run("b", b)) == ["skip=4", "skip=1"]


def test_a_name_is_the_label() -> None:
    runs = [run("a", {"name": "Berta", "lr": 1}), run("b", {"name": None, "lr": 2})]
    assert labels(*runs) == ["Berta", "lr=2"]


def test_equal_names_are_told_apart_by_what_differs() -> None:
    runs = [run("a", {"name": "x", "lr": 1}), run("b", {"name": "x", "lr": 2})]
    assert labels(*runs) == ["x lr=1", "x lr=2"]


def test_a_name_is_told_apart_from_its_own_kind_alone() -> None:
    """And not by all that another experiment has otherwise."""
    other = run("c", {"name": "y", "lr": 3, "batch_size": 7}, ROOMS | {"algo": "ddqn"})
    runs = [
        run("a", {"name": "x", "lr": 1, "batch_size": 8}, ROOMS),
        run("b", {"name": "x", "lr": 2, "batch_size": 8}, ROOMS),
    ]
    assert labels(*runs, other) == ["x lr=1", "x lr=2", "y"]


def test_labels_that_clash_take_the_directory() -> None:
    same = [run("a", {"algo": {"_target_": "x"}}), run("b", {"algo": {"_target_": "y"}})]
    assert labels(*same) == ["a", "b"]
    named = [run("a", {"name": "n (a)"}), run("1/a", {"name": "n", "x": {"_target_": "1"}})]
    named.append(run("2/a", {"name": "n", "x": {"_target_": "2"}}))
    found = labels(*named)
    assert len(set(found)) == 3
    assert found[0] == "n (a)"


def test_long_labels_are_shortened() -> None:
    a = {f"key_{i}": "v" * 30 + "a" for i in range(9)}
    b = {f"key_{i}": "w" * 30 + "b" for i in range(9)}
    value = "v" * 17 + "..."
    assert labels(run("a", a), run("b", b))[0] == f"key_0={value} +8 more"
    (name,) = labels(run("a", {"name": "very long\n" * 20}))
    assert len(name) == 60
    assert name.isprintable()
