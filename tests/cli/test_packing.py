"""The seeds of a variant are packed into jobs: names, bytes and pooled results do not show how."""

import json
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from dqn_cli.cli.naming import job_name
from dqn_cli.cli.packing import packed, parts, seeds_of
from dqn_cli.cli.plot import main as plot
from dqn_cli.results.style import save

pytestmark = pytest.mark.usefixtures("undrawn")
TINY = (
    *("episodes=4", "network.hidden=[8]", "learning_starts=8", "batch_size=8", "eval.episodes=1"),
    *("eval.final_episodes=null", "hydra.sweep.dir=sweep"),
)


@pytest.fixture(autouse=True)
def uncompared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figure at the end of a sweep is an empty file."""
    monkeypatch.setattr("dqn_cli.cli.plot.draw", lambda _, out, *more: save(out, b""))


def names(sweep: str = "sweep") -> list[str]:
    found: list[str] = json.loads(Path(sweep, "sweep.json").read_text())["jobs"]
    return found


@pytest.mark.parametrize(
    ("seeds", "variants", "at_once", "jobs"),
    [
        (48, 1, 1, 1),  # one after the other: together they cost least
        (48, 1, 2, 2),
        (48, 2, 2, 1),
        (30, 3, 2, 2),  # three long jobs on two cores would leave one of them idle half the time
        (46, 16, 2, 1),
        (48, 1, 16, 16),
        (5, 1, 16, 5),
        (1, 7, 3, 1),
    ],
)
def test_as_many_jobs_as_keep_the_cores_busy(
    seeds: int, variants: int, at_once: int, jobs: int
) -> None:
    assert parts(seeds, variants, at_once) == jobs


@pytest.mark.parametrize(
    ("line", "seeds"),
    [
        (["seed=range(0,4)"], [0, 1, 2, 3]),
        (["seed=range(1,8,3)"], [1, 4, 7]),
        (["seed=3,1,2"], [3, 1, 2]),
        (["seed=[1,2],[2,3]"], [1, 2, 3]),
        (["seed=[5,6]"], [5, 6]),
        (["seed=1", "algo=dqn", "seed=7"], [7]),
        (["algo=dqn"], None),
        (["seed=x,1"], None),
        (["seed=1.5,2"], None),
        (["seed=null"], None),
        (["seed=[]"], None),
        (["seed=interval(0,1)"], None),
        (["+seed=1"], None),
    ],
)
def test_the_seeds_of_a_command_line(line: list[str], seeds: list[int] | None) -> None:
    assert seeds_of(OverridesParser.create().parse_overrides(line)) == seeds


def test_the_override_of_packed_seeds() -> None:
    assert packed([4, 5, 6, 7, 8], None) == "seed=[4,5,6,7,8]"
    assert packed([4, 5, 6, 7, 8], 2) == "seed=[4,5],[6,7],8"
    assert packed([4, 5], 1) == "seed=4,5"
    assert packed([4], None) == "seed=4"


def test_a_range_of_seeds_is_a_list_in_one_run(dqn_train) -> None:
    done = dqn_train(*TINY[:-1], "seed=range(3,6)", "hydra.run.dir=run")
    assert (done.code, done.err) == (0, "")
    assert sorted(path.stem for path in Path("run/scores").iterdir()) == [
        *("seed_3", "seed_4", "seed_5")
    ]
    for wrong in ("seed=range(3,3)", "seed=range(0,1,0.5)", "seed=range(0,1000000000)"):
        refused = dqn_train(wrong)
        assert (refused.code, refused.err.count("\n")) == (2, 1), wrong


@pytest.mark.long
def test_no_packing_changes_a_byte_or_what_is_pooled(
    dqn_train, contents, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = {}
    tables = set()
    for size in ("auto", "1", "2"):
        line = (*TINY[:-1], f"hydra.sweep.dir={size}", f"hydra.sweeper.seeds_per_job={size}")
        done = dqn_train("-m", *line, "seed=range(0,3)", "gamma=0.9,0.8")
        assert (done.code, done.err) == (0, "")
        files: dict[tuple[str, str], str] = {}
        for run in (path for path in Path(size).iterdir() if path.is_dir()):
            found = contents(run)
            files |= {(run.name.partition(",")[0][:9], name): of for name, of in found.items()}
        kept[size] = files
        capfd.readouterr()
        plot([size, "-o", "x.png", "--table", "csv"])
        tables.add(capfd.readouterr().out)
    assert kept["auto"] == kept["1"] == kept["2"]
    assert {name for _, name in kept["auto"]} >= {f"scores/seed_{seed}.csv" for seed in range(3)}
    assert len(tables) == 1
    (table,) = tables
    assert [row.split(",")[1:3] for row in table.splitlines()[1:]] == [
        ["gamma=0.9", "3"],
        ["gamma=0.8", "3"],
    ]
    assert len(names("auto")) == 2 and len(names("1")) == 6 and len(names("2")) == 4


@pytest.mark.long
def test_a_name_has_what_is_swept_and_seeds_only_where_they_tell_jobs_apart(dqn_train) -> None:
    line = ("-m", *TINY, "batch_size=0", "gamma=0.9,0.8")
    dqn_train(*line, "seed=range(0,5)")
    assert [name.rpartition("_")[0] for name in names()] == ["gamma=0.9", "gamma=0.8"]
    dqn_train(*line[:-3], "hydra.sweep.dir=other", *line[-2:], "seed=1,2,3,4,7,9")
    assert names("other") == names()
    apart = ("hydra.sweep.dir=apart", "hydra.sweeper.seeds_per_job=5")
    dqn_train(*line[:-3], *line[-2:], *apart, "seed=1,2,3,4,7,9")
    assert [name.rpartition("_")[0] for name in names("apart")][:2] == [
        "gamma=0.9,seed=1-4,7",
        "gamma=0.9,seed=9",
    ]


def test_a_name_does_not_depend_on_how_a_command_is_written() -> None:
    name = job_name(["algo=ddqn", "optimizer.lr=1e-3", "seed=1"], {"algo"})
    assert name.startswith("algo=ddqn_")
    assert name == job_name(["optimizer.lr=0.001", "seed=[2,3]", "algo=ddqn"], {"algo"})
    assert name == job_name(
        ["algo='ddqn'", "optimizer.lr=1e-3", "steps=7", "report=true"], {"algo"}
    )
    assert name != job_name(["algo=ddqn", "optimizer.lr=2e-3"], {"algo"})
    assert name != job_name(["algo=ddqn", "+optimizer.lr=1e-3"], {"algo"})
    swept = [job_name(["algo=ddqn", f"steps={steps}"], {"steps"}) for steps in (1, 2)]
    assert len(set(swept)) == 2 and swept[0].startswith("steps=1_")


@pytest.mark.long
def test_a_sweep_keeps_its_packing(dqn_train) -> None:
    line = ("-m", *TINY, "batch_size=0", "seed=range(0,6)", "hydra.sweeper.seeds_per_job=2")
    dqn_train(*line)
    before = names()
    assert len(before) == 3
    other = dqn_train(*line[:-1], "hydra.sweeper.seeds_per_job=3")
    assert (other.code, other.err.count("\n")) == (2, 1)
    assert "seeds_per_job=3: the sweep in this directory has 2; leave it out" in other.err
    dqn_train(*line[:-1])
    assert names() == before
    dqn_train(*line[:-2], "seed=range(0,8)")
    assert names() == [*before, names()[-1]]
