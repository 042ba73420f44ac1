"""The report's figures, by hand."""

import csv
import json
import shutil
from contextlib import nullcontext
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray

from benchmarks.reproduction import report
from benchmarks.reproduction.__main__ import command, main
from benchmarks.reproduction.published import (
    EARLY,
    INDEPENDENT,
    SCORE_25,
    SECTIONS,
    Claim,
    Figure,
    Quantity,
    Stretch,
    final_return,
    final_score,
    final_tenth,
    first_episode_at,
    late_return,
    mean_return,
    returns_between,
    solved_at,
)
from benchmarks.reproduction.report import (
    LOOP,
    Kept,
    cell,
    difference,
    independent_lines,
    loop_scores,
    own_seeds,
    page_lines,
    picture,
    verdict,
    write,
)
from benchmarks.reproduction.runs import PLANNED, ROOT, RUNS, trained
from dqn_cli.results.reader import Run, read_config
from dqn_cli.results.schema import COLUMNS, EVALUATION_COLUMNS

HERE = Path(__file__).parents[1]
FOLDER, PAGE = Path("outputs/reference"), Path("docs/reproduction.md")
KEPT = HERE / FOLDER


def rows(scores: list[float | None], returns: list[float]) -> pd.DataFrame:
    columns = {"episode": range(1, len(returns) + 1), "score": scores, "return": returns}
    return pd.DataFrame(columns).astype({"score": float, "return": float})


SIX = rows([1, None, 3, 5, None, 4], [10, 20, 30, 40, 50, 60])


def test_a_final_score_is_of_evaluations_and_not_of_episodes() -> None:
    assert final_score(2)(SIX) == 4.5
    assert final_score(25)(SIX) == 3.25


def test_a_last_tenth_is_of_steps() -> None:
    """Of 1000 steps those after 900, whatever has no evaluation there."""
    run = rows([1, 2, 3, None, 5], [0] * 5).assign(step=[100, 900, 901, 950, 1000])
    assert final_tenth(run) == 4


def test_late_returns_are_of_the_last_steps() -> None:
    run = rows([None] * 4, [1, 2, 3, 6]).assign(step=[100, 700, 701, 1000])
    assert late_return(300)(run) == 4.5


def test_returns_of_a_stretch_are_those_of_episodes_that_ended_in_it() -> None:
    run = rows([None] * 5, [1, 2, 3, 6, 9]).assign(step=[100, 101, 700, 701, 1000])
    assert returns_between(100, 700)(run) == 2.5
    assert returns_between(0, 1000)(run) == 4.2


def test_returns_are_of_these_episodes() -> None:
    assert mean_return()(SIX) == 35
    assert mean_return(2, 3)(SIX) == 25
    assert mean_return(5)(SIX) == 55
    long = rows([None] * 150, [0.0] * 50 + [1.0] * 100)
    assert final_return(long) == 1
    assert EARLY.of(long) == 0.5


def test_an_episode_is_the_first_one_that_reached_it_or_none() -> None:
    assert first_episode_at(3)(SIX) == 3
    assert first_episode_at(5)(SIX) == 4
    assert first_episode_at(5.1)(SIX) == float("inf")


def test_solved_is_a_mean_of_a_hundred_above_the_level() -> None:
    """After 60 episodes of 0, the mean of the last 100 is k / 100 after k more of 1."""
    run = rows([None] * 200, [0.0] * 60 + [1.0] * 140)
    assert solved_at(0.5)(run) == 60 + 51
    assert solved_at(0.3)(run) == 100  # not before there are a hundred
    assert solved_at(1.0)(run) == float("inf")


@pytest.mark.parametrize(
    ("sign", "low", "high", "said"),
    [
        (1, 0.1, 2.0, "seen"),
        (1, -0.1, 2.0, "not seen: the interval includes 0"),
        (1, -2.0, -0.1, "the opposite is seen"),
        (-1, -2.0, -0.1, "seen"),
        (-1, 0.1, 2.0, "the opposite is seen"),
    ],
)
def test_what_an_interval_says_of_a_claim(sign: int, low: float, high: float, said: str) -> None:
    assert verdict(Claim("", "", "", EARLY, sign), low, high) == said


def test_a_cell_has_an_interval_of_a_mean_of_enough_seeds() -> None:
    mean, median = EARLY, Quantity("", mean_return(), median=True)
    assert cell(np.arange(1.0, 6.0), mean) == "**3** (1 to 5) [1, 5]"
    assert cell(np.array([1.0, 2, 9]), mean) == "**4** [1, 9]"
    assert cell(np.array([1.0, 2, np.inf, 3, 4]), median) == "**3** [1, never]"
    assert cell(np.array([]), mean) == "none"


def test_the_document_s_seeds_are_told_from_fresh_ones() -> None:
    assert own_seeds("berta/dqn") == {12, 34, 56, 78, 90}
    assert own_seeds("berta/dqn_first") == {34}
    assert own_seeds("lange/dqn") == set()


NAME = "carayol/online"


@pytest.mark.parametrize(
    ("change", "status", "problem"),
    [
        ({}, "finished", None),
        ({"device": {"name": "cpu"}, "seed": list(range(2010, 2000, -1))}, "finished", None),
        ({"gamma": 0.5}, "finished", "its config.yaml is not that of dqn-train experiment=carayol"),
        ({"seed": [2001]}, "finished", "its config.yaml is not that of"),
        ({}, "interrupted", "not trained to its end"),
    ],
)
def test_a_run_that_is_not_what_it_should_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change, status: str, problem: str | None
) -> None:
    monkeypatch.setattr(report, "RUNS", {NAME: RUNS[NAME]})
    place = tmp_path / NAME
    (place / "scores").mkdir(parents=True)
    (place / "config.yaml").write_text(yaml.safe_dump(read_config(KEPT / NAME) | change))
    (place / "summary.json").write_text(json.dumps({"status": status}))
    (place / "scores/seed_2001.csv").write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(ValueError, match=problem) if problem else nullcontext():
        report.runs_below(tmp_path)


def test_the_page_is_what_the_small_files_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    page = "\n".join(page_lines(Kept(FOLDER))).rstrip() + "\n"
    assert page == PAGE.read_text(encoding="utf-8")


def test_every_run_has_its_small_files_of_all_its_seeds() -> None:
    axes = {row.run: part.x for part in SECTIONS for table in part.tables for row in table.rows}
    for name in RUNS:
        with (KEPT / name / "seeds.csv").open(encoding="utf-8", newline="") as file:
            seeds = [int(row["seed"]) for row in csv.DictReader(file)]
        assert seeds == sorted(read_config(KEPT / name)["seed"])
        for metric in ("score", "return"):
            head = (KEPT / name / f"{metric}.csv").read_text(encoding="utf-8").splitlines()[0]
            assert head == f"{axes.get(name, 'episode')},seeds,mean,min,max"


def test_every_row_has_a_run_or_is_to_come_and_every_figure_is_there() -> None:
    rows = [row.run for section in SECTIONS for table in section.tables for row in table.rows]
    assert {report.SAME.get(run, run) for run in rows} | set(INDEPENDENT.runs) == set(RUNS)
    assert not set(RUNS) & set(PLANNED)
    for section in SECTIONS:
        for shown in section.figures:
            assert picture(shown, KEPT).read_bytes().startswith(b"\x89PNG")
            assert set(shown.runs) <= set(RUNS)


def test_what_others_published_stands_beside_our_mean_over_the_same_steps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = rows([None] * 4, [1, 2, 6, 9]).assign(step=[10, 20, 30, 40], length=10)
    run = Run(tmp_path, {"env": {"id": "E"}, "name": "a", "steps": 45}, {}, {}, {1: frame})
    shown: list[list[Any]] = []
    monkeypatch.setattr(report, "legend", lambda figure, handles, *rest: shown.append(handles))
    # of the last one only a part is there
    beside = (Stretch(0, 20, 1.25, 1.75), Stretch(20, 40, 7, 8), Stretch(40, 60, 9, 11))
    figure = Figure("x", "X", ["a"], "return", "step", 1, beside=beside, whose="theirs")
    report.draw_figure({"a": run}, figure, tmp_path)
    ((curved, ours, theirs),) = shown
    assert list(curved.get_ydata()) == [1, 2, 6, 9]
    assert (list(ours.get_xdata()), list(ours.get_ydata())) == ([20, 40], [7.5, 7.5])
    corners = theirs.get_paths()[0].get_extents()
    assert (*corners.min, *corners.max) == (40, 9, 60, 11)
    assert (tmp_path / "x.png").is_file()


def few_seeds(folder: Path, name: str, title: str, scores: dict[int, float]) -> None:
    (folder / name).mkdir(parents=True)
    lines = [f'seed,episodes,steps,"{title}"', *(f"{k},9,99,{v}" for k, v in scores.items())]
    (folder / name / "seeds.csv").write_text("\n".join([*lines, ""]))


def test_a_difference_is_taken_from_the_small_files(tmp_path: Path) -> None:
    """1 .. 5 less 11 .. 15, whichever of them are the document's seeds."""
    for name, first in (("berta/dqn", 1), ("berta/nfq", 11)):
        scores = {seed: float(first + i) for i, seed in enumerate((12, 34, 2001, 2002, 2003))}
        few_seeds(tmp_path, name, SCORE_25.title, scores)
    kept = Kept(tmp_path)
    middle, low, high, share = difference(kept, Claim("", "berta/dqn", "berta/nfq", SCORE_25))
    assert (middle, low, high, share) == pytest.approx((-10, -12.306, -7.694, 0), abs=0.01)
    assert kept.of("berta/dqn", SCORE_25, True).tolist() == [1, 2]
    assert kept.of("berta/dqn", SCORE_25, False).tolist() == [3, 4, 5]


def test_the_independent_loop_stands_beside_ours(tmp_path: Path) -> None:
    """Ours 1 .. 5, the loop's 3, 4, 5: means 3 and 4; variances 2.5 and 1, so that the squared
    standard error is 1/2 + 1/3, the freedom (5/6)^2 / (1/16 + 1/18) = 5.88 and the quantile 2.459.
    Of 15 pairs ours is above in 3 and equal in 3."""
    scores = {2001 + i: float(1 + i) for i in range(5)}
    for name in {name for _, name, _ in INDEPENDENT.rows}:
        few_seeds(tmp_path, name, SCORE_25.title, scores)
    variants = dict.fromkeys(variant for variant, _, _ in INDEPENDENT.rows)
    rows = [f"{variant},{seed},{seed + 2}.00" for variant in variants for seed in (1, 2, 3)]
    (tmp_path / LOOP).write_text("\n".join(["variant,seed,score", *rows, ""]))
    lines = independent_lines(Kept(tmp_path))
    cells = "5: **3** (1 to 5) [1, 5] | 3: **4** [3, 5] | -1.0 (-3.2 to +1.2) | 0.30 |"
    assert sum(line.endswith(cells) for line in lines) == len(INDEPENDENT.rows)
    assert "python -m benchmarks.oracle dqn 1 2 3" in lines


def exchanged(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """How often the means differ as much if the seeds of both sides are exchanged in all ways."""
    pool, total = np.concatenate([ours, theirs]), float(ours.sum() + theirs.sum())
    sums = np.array([sum(chosen) for chosen in combinations(pool, len(theirs))])
    apart = np.abs(sums / len(theirs) - (total - sums) / len(ours))
    return float((apart >= abs(ours.mean() - theirs.mean()) - 1e-9).mean())


def test_what_is_said_of_an_exchange_of_seeds() -> None:
    """1, 2 beside 3: of three ways 1 | 2, 3 and 3 | 1, 2 are 1.5 apart, the other one 0."""
    assert exchanged(np.array([1.0, 2.0]), np.array([3.0])) == pytest.approx(2 / 3)
    kept, loop = Kept(KEPT), loop_scores(KEPT / LOOP)
    for variant, name, _ in INDEPENDENT.rows:
        theirs = np.array(list(loop[variant].values()))
        share = exchanged(kept.of(name, SCORE_25, False), theirs)
        assert f"{share:.0%}".replace("%", " %") in INDEPENDENT.notes.replace("\n", " ")


def test_what_is_kept_of_the_independent_loop() -> None:
    scores = loop_scores(KEPT / LOOP)
    assert list(scores) == ["dqn", "double", "per", "dueling", "all"]
    assert all(list(seeds) == [1, 2, 3] for seeds in scores.values())
    assert scores["all"] == {1: 490.66, 2: 439.85, 3: 493.34}


def place_of_a_run(root: Path, name: str, status: str = "finished") -> Path:
    """A run of the kept settings: seed 2000 + n returns 1 n, 2 n and scores 10 n by steps."""
    place = root / name
    for folder in ("scores", "evaluations"):
        (place / folder).mkdir(parents=True)
    shutil.copyfile(KEPT / name / "config.yaml", place / "config.yaml")
    (place / "summary.json").write_text(json.dumps({"status": status}))
    for seed in read_config(place)["seed"]:
        n = seed - 2000
        episodes = [f"{i},{i * 9},{i * n},9,,0.1,," for i in (1, 2)]
        steps = [f"{step},{step // 10},{score}" for step, score in ((10, n), (20, 10 * n))]
        lines = {"scores": [",".join(COLUMNS), *episodes]}
        lines["evaluations"] = [",".join(EVALUATION_COLUMNS), *steps]
        for folder, rows in lines.items():
            (place / folder / f"seed_{seed}.csv").write_text("\n".join([*rows, ""]))
    return place


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page and the small files, to be written over."""
    shutil.copytree(KEPT, tmp_path / FOLDER)
    (tmp_path / "docs").mkdir()
    shutil.copyfile(HERE / PAGE, tmp_path / PAGE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bytes_of(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_a_report_of_one_run_leaves_all_others_as_they_are(
    copies: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its seeds scored 10, 20, .. 100 at the end, and their mean returns are 1.5, 3, .. 15."""
    name, old, page = "zoo/qrdqn_cartpole", bytes_of(FOLDER), PAGE.read_text(encoding="utf-8")
    place_of_a_run(copies / "runs", name)
    monkeypatch.setattr("sys.argv", ["reproduction", "report", "--runs", "runs"])
    main()
    said = f"renewed {name}; {len(RUNS) - 1} others are as they were\n"
    assert capsys.readouterr().out == said
    lines = page.splitlines()
    (row,) = [i for i, line in enumerate(lines) if line.startswith(f"| `{name}`")]
    lines[row] = f"| `{name}` | 500.0 ± 0.0 | 10: **55** (33.3 to 76.7) [10, 100] |"
    assert PAGE.read_text(encoding="utf-8").splitlines() == lines
    new = bytes_of(FOLDER)
    files = [f"{name}/{file}" for file in ("return.csv", "score.csv", "seeds.csv")]
    assert {file for file in new if new[file] != old[file]} == {f"{name}.png", *files}
    assert new.keys() == old.keys()
    assert new[f"{name}/seeds.csv"].decode().splitlines()[1] == "2001,2,18,1.5,10"
    assert new[f"{name}/score.csv"].decode().splitlines()[1:] == ["1,10,5.5,1,10", "2,10,55,10,100"]


@pytest.mark.parametrize(
    ("run", "status", "lost", "problem"),
    [
        ("zoo/qrdqn_cartpole", "running", None, "not trained to its end; dqn-train"),
        ("elsewhere", "finished", None, "holds no run of the report"),
        ("zoo/qrdqn_cartpole", "finished", "peng/dqn/seeds.csv", "is not there, and no run to"),
        ("zoo/qrdqn_cartpole", "finished", "berta/all.png", "is not there, and no run to"),
    ],
)
def test_a_report_of_what_is_not_whole_writes_nothing(
    copies: Path, run: str, status: str, lost: str | None, problem: str
) -> None:
    (copies / "runs").mkdir()
    place_of_a_run(copies / "runs", "zoo/qrdqn_cartpole", status).rename(copies / "moved")
    (copies / "runs" / run).parent.mkdir(exist_ok=True)
    (copies / "moved").rename(copies / "runs" / run)
    if lost:
        (FOLDER / lost).unlink()
    old = bytes_of(copies)
    with pytest.raises(ValueError, match=problem):
        write(copies / "runs", FOLDER, PAGE)
    assert bytes_of(copies) == old


def test_a_run_that_is_there_goes_on_to_what_the_report_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("berta/nfq_1500") == trained("berta/nfq_1500")
    place = ROOT / "berta/nfq_1500"
    place.mkdir(parents=True)
    (place / "config.yaml").touch()
    first, resume, seeds, episodes = command("berta/nfq_1500").split()
    assert (first, resume, episodes) == ("dqn-train", f"resume={place}", "episodes=1500")
    assert seeds.startswith("seed=[12,34,")
