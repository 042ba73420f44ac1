from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dqn_cli.results.reader import Run
from dqn_cli.results.schema import COLUMNS, ResultError
from dqn_cli.results.selection import where
from dqn_cli.results.stats import curve
from dqn_cli.results.variants import Variant, panels, variants

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


def test_how_replay_was_kept_is_no_difference() -> None:
    """It changes no score; a run from before it could be chosen does not say it."""
    frames = {"_target_": "dqn_cli.storage.frames.Frames", "stack": 4}
    runs = [
        run("a", {"gamma": 0.9}, ROOMS, {1: 3}),
        run("b", {"gamma": 0.9, "storage": frames}, ROOMS | {"storage": "frames"}, {2: 3}),
        run("c", {"gamma": 0.8, "storage": frames}, ROOMS | {"storage": "frames"}, {2: 3}),
    ]
    pooled, other = variants(runs)
    assert pooled.runs == tuple(runs[:2])
    assert [pooled.label, other.label] == ["gamma=0.9", "gamma=0.8"]


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
    assert [pool.label for pool in pools] == ["device.threads=1", "device.threads=2"]


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
        "algo.gamma=0.99 hidden=[64,64]",
        "algo.gamma=1 hidden=[512,128]",
    ]


def test_keys_of_differing_rooms_are_compared_within_the_same_choice() -> None:
    per = {**ROOMS, "buffer": "per"}
    assert labels(
        run("a", {"buffer": {"size": 10}}, ROOMS),
        run("b", {"buffer": {"size": 20, "alpha": 0.5}}, per),
        run("c", {"buffer": {"size": 20, "alpha": 0.6}}, per),
    ) == [
        "uniform",
        "per buffer.alpha=0.5",
        "per buffer.alpha=0.6",
    ]  # size differs only between the rooms


def test_a_key_is_written_out() -> None:
    a = {"online": {"lr": 1, "tau": True}, "head": {"lr": 3}}
    b = {"online": {"lr": 2, "tau": False}, "head": {"lr": 4}}
    assert labels(run("a", a), run("b", b)) == [
        "online.lr=1 online.tau=true head.lr=3",
        "online.lr=2 online.tau=false head.lr=4",
    ]


def test_mappings_in_lists_are_compared_key_by_key() -> None:
    a = {"wrappers": [{"_target_": "x", "skip": 4}, {"_target_": "y"}]}
    b = {"wrappers": [{"_target_": "x", "skip": 1}, {"_target_": "z"}]}
    assert labels(run("a", a), run("b", b)) == ["wrappers.0.skip=4", "wrappers.0.skip=1"]


def test_a_name_is_the_label() -> None:
    runs = [run("a", {"name": "Berta", "lr": 1}), run("b", {"name": None, "lr": 2})]
    assert labels(*runs) == ["Berta", "lr=2"]


def test_equal_names_are_told_apart_by_what_differs() -> None:
    runs = [run("a", {"name": "x", "lr": 1}), run("b", {"name": "x", "lr": 2})]
    assert labels(*runs, run("c", {"name": "y", "lr": 1})) == ["x lr=1", "x lr=2", "y"]


def test_a_name_that_all_have_is_left_out() -> None:
    runs = [run("a", {"name": "x", "lr": 1}), run("b", {"name": "x", "lr": 2})]
    assert labels(*runs) == ["lr=1", "lr=2"]
    assert labels(runs[0]) == ["x"]


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


def env(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "kwargs": {}, **more}


def test_an_environment_is_a_panel_and_no_difference() -> None:
    runs = [
        run(
            f"{name}{algo}",
            {"env": env(name, wrappers=[name]), "algo": {"double": algo == "ddqn"}},
            ROOMS | {"env": name, "algo": algo},
        )
        for name in ("A-v1", "B-v1")
        for algo in ("dqn", "ddqn")
    ]
    found = panels(runs[:3])
    assert [(p.env, [v.label for v in p.variants]) for p in found] == [
        ("A-v1", ["dqn", "ddqn"]),
        ("B-v1", ["dqn"]),
    ]
    assert [v.index for p in panels(runs) for v in p.variants] == [0, 1, 0, 1]


def test_what_differs_within_an_environment_is_told() -> None:
    runs = [
        run("a", {"env": env("A-v1", kwargs={"g": 1})}),
        run("b", {"env": env("A-v1", kwargs={"g": 2})}),
        run("c", {"env": env("B-v1", kwargs={"g": 1})}),
    ]
    assert [(p.env, [v.label for v in p.variants]) for p in panels(runs)] == [
        ("A-v1", ["env.kwargs.g=1", "env.kwargs.g=2"]),
        ("B-v1", ["env.kwargs.g=1"]),
    ]


def test_each_value_of_a_key_or_group_may_have_a_panel() -> None:
    runs = [
        run(
            f"{algo}{buffer}{lr}",
            {"env": env("A-v1"), "buffer": {"alpha": alpha}, "lr": lr, "algo": {"d": algo}},
            ROOMS | {"algo": algo, "buffer": buffer},
        )
        for algo in ("dqn", "ddqn")
        for buffer, alpha in (("uniform", 0), ("per", 0.6))
        for lr in (1, 2)
    ]
    found = panels(runs, each=["buffer", "lr"])
    assert [(p.env, [(v.label, v.index) for v in p.variants]) for p in found] == [
        (f"A-v1, {buffer}, lr={lr}", [("dqn", 0), ("ddqn", 1)])
        for buffer in ("uniform", "per")
        for lr in (1, 2)
    ]
    assert {panel.scale for panel in found} == {"A-v1"}
    (panel,) = panels(runs)
    assert (panel.env, len(panel.variants)) == ("A-v1", 8)
    with pytest.raises(ResultError, match="bufer: no run has such a key; did you mean buffer"):
        panels(runs, each=["bufer"])


def test_what_differs_within_a_panel_is_told() -> None:
    runs = [
        run(f"{buffer}{size}", {"buffer": {"size": size}}, ROOMS | {"buffer": buffer})
        for buffer in ("uniform", "per")
        for size in (8, 9)
    ]
    assert [[v.label for v in panel.variants] for panel in panels(runs, each=["buffer"])] == [
        ["buffer.size=8", "buffer.size=9"],
        ["buffer.size=8", "buffer.size=9"],
    ]


def test_by_a_key_all_else_is_pooled_and_each_seed_of_each_configuration_counts() -> None:
    runs = [
        run(f"{lr}{size}", {"lr": lr, "size": size}, ROOMS, seeds={1: 3, 2: 3})
        for lr in (1, 2)
        for size in (8, 9)
    ]
    (panel,) = panels(runs, by=["lr"])
    assert [(v.label, list(v.scores)) for v in panel.variants] == [
        ("lr=1", [1, 2, 3, 4]),
        ("lr=2", [1, 2, 3, 4]),
    ]
    assert panel.variants[0].notes == (
        "lr=1: 2 configurations are pooled, each seed of each counts",
    )
    (panel,) = panels(runs, by=["algo"])
    assert [v.label for v in panel.variants] == ["algo=dqn"]
    with pytest.raises(ResultError, match="no run has such a key; did you mean size"):
        panels(runs, by=["sise"])


def test_where_chooses_by_key_or_group() -> None:
    runs = [
        run("a", {"optimizer": {"lr": 0.1}}, ROOMS),
        run("b", {"optimizer": {"lr": 0.2}}, ROOMS | {"algo": "ddqn"}),
    ]
    assert where(runs, {"optimizer.lr": "0.2"}) == runs[1:]
    assert where(runs, {"algo": "dqn", "optimizer.lr": "0.1"}) == runs[:1]
    with pytest.raises(ResultError, match=r"lr=0\.3: no run has it; there are 0\.1, 0\.2"):
        where(runs, {"optimizer.lr": "0.3"})
    with pytest.raises(ResultError, match=r"lr: no run has such a key; did you mean optimizer\.lr"):
        where(runs, {"lr": "0.1"})


def test_a_variant_may_be_called_otherwise() -> None:
    runs = [run("a", {"lr": 1}), run("b", {"lr": 2})]
    (panel,) = panels(runs, names={"lr=2": "faster"})
    assert [v.label for v in panel.variants] == ["lr=1", "faster"]
    with pytest.raises(ResultError, match="--label lr=3: no such variant; there are lr=1, lr=2"):
        panels(runs, names={"lr=3": "x"})


def test_a_seed_ends_where_it_was_evaluated_last() -> None:
    """Though its last whole episode was over before, and each seed's at another step."""
    columns = ["episode", "step", "return", "score"]
    ends = {
        seed: pd.DataFrame([[1, 4, 1.0, np.nan], [2, step, 3.0, np.nan]], columns=columns)
        for seed, step in enumerate([7, 9])
    }
    asked = {seed: pd.DataFrame({"step": [10], "episode": [2], "score": [5.0]}) for seed in ends}
    rows = Variant("x", (), ends, evaluations=asked).rows()
    line = curve(rows, "return", "step", 1)
    assert (line.ends.tolist(), line.whole, line.x.tolist()) == ([10, 10], 3, [4, 7, 9])
    assert line.mean.tolist() == [1, 2, 3]
    assert curve(rows, "score", "step", 1).mean.tolist() == [5]


def test_times_between_episodes_are_by_the_steps_done() -> None:
    frame = pd.DataFrame({"episode": [1, 2], "step": [10, 30], "score": [1.0, 2.0]})
    asked = pd.DataFrame({"step": [20, 40], "episode": [1, 2], "score": [5.0, 6.0]})
    clock = pd.DataFrame({"step": [10, 30], "seconds": [1.0, 5.0]})
    one = Variant("x", (), {1: frame, 2: frame}, evaluations={1: asked}, timing={1: clock})
    timed = one.rows("seconds")
    assert list(timed) == [1]  # of seed 2 nothing is known
    assert timed[1]["seconds"].tolist() == [1, 3, 5, 5]
