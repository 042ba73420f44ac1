"""The record of a search: written, read whatever is in it, printed, drawn, and put on a page."""

import json
from pathlib import Path
from typing import Any

import pytest

from dqn_cli.cli.plot import main as plot
from dqn_cli.results.page.search import search_section
from dqn_cli.results.schema import ResultError
from dqn_cli.results.search_figure import best_so_far, by_factors, draw_search, places
from dqn_cli.results.study import Study, Trial, read_study, summary, table, write_study
from dqn_cli.results.style import Look

SPACE = {"optimizer.lr": "tag(log,interval(1e-4,1e-2))", "network.hidden": "[64],[256,256]"}
SHARES = {"optimizer.lr": 0.75, "network.hidden": 0.25}


def trial(number: int, value: float | None, state: Any = "finished", percent: int = 100) -> Trial:
    params = {"optimizer.lr": 10.0 ** (-4 + number / 5), "network.hidden": "[64]"}
    return Trial(number, state, value, percent, dict(params))


TRIALS = [
    *(trial(0, 20.0), trial(1, 310.25), trial(2, 12.0, "pruned", 30), trial(3, None, "failed", 0)),
    *(trial(4, 9.5, "diverged"), trial(5, 290.0), trial(6, None, "open", 0)),
]
STUDY = Study("final", "mean", [0, 1, 2], 9, "tpe", "median", SPACE, SHARES, TRIALS)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_study(tmp_path, STUDY)
    assert read_study(tmp_path) == STUDY
    assert STUDY.best == TRIALS[1]
    assert STUDY.aim == "final score, mean of 3 seeds"


@pytest.mark.parametrize(
    "damage",
    [
        *({"trials": 3}, {"trials": [{}]}, {"objective": 7}, {"space": []}, {"seeds": ["a"]}),
        *({"importance": {"a": "b"}}, {"extra": 1}, {"wanted": 1.5}, {"trials": [[1, 2]]}),
        {"trials": [trial(0, 1.0)._asdict() | {"state": "odd"}]},
        {"trials": [trial(0, 1.0)._asdict() | {"value": "high"}]},
        {"trials": [trial(0, 1.0)._asdict() | {"value": float("nan")}]},
        {"trials": [trial(0, 1.0)._asdict() | {"params": {"a": [1]}}]},
        {"trials": [trial(0, 1.0)._asdict() | {"number": None}]},
    ],
)
def test_what_no_search_writes_is_one_line(tmp_path: Path, damage: dict[str, Any]) -> None:
    write_study(tmp_path, STUDY)
    file = tmp_path / "study.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | damage))
    with pytest.raises(ResultError) as error:
        read_study(tmp_path)
    assert str(error.value).startswith(f"{file}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000])
def test_what_is_no_record_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(ResultError):
        read_study(tmp_path)


def test_the_table_has_the_best_and_the_csv_has_all() -> None:
    assert table(STUDY, "text").splitlines() == [
        "trial  objective  optimizer.lr  network.hidden",
        "1          310.2     0.0001585            [64]",
        "5            290         0.001            [64]",
        "0             20        0.0001            [64]",
    ]
    head, *rows = table(STUDY, "csv").splitlines()
    assert head == "trial,state,value,percent,optimizer.lr,network.hidden"
    assert len(rows) == 7
    assert rows[2] == "2,pruned,12.0,30,0.00025118864315095795,[64]"
    assert rows[3].startswith("3,failed,,0,")


def test_what_is_said_counts_and_warns() -> None:
    assert summary(STUDY) == [
        "7 of 9 trials: 3 finished, 1 pruned, 1 diverged, 1 failed, 1 open. Objective: final "
        "score, mean of 3 seeds.",
        "Importance (PED-ANOVA): optimizer.lr 75%, network.hidden 25%.",
        "The best of 3 values is too high by the luck that made it the best; what it is worth, "
        "fresh seeds say.",
    ]
    assert len(summary(STUDY._replace(trials=[], importance={}))) == 1


def test_places_on_an_axis() -> None:
    assert places([1, 2.5]) == ([1.0, 2.5], None)
    assert places(["128", "16", "128"]) == ([1.0, 0.0, 1.0], ["16", "128"])
    assert places(["[64]", "[256,256]"])[1] == ["[256,256]", "[64]"]
    assert by_factors("tag(log,int(interval(1,9)))") and not by_factors("interval(1,9)")
    assert best_so_far([trial(0, 2.0), trial(1, 1.0), trial(2, 3.0)]) == [2.0, 2.0, 3.0]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_figure_is_the_same_bytes_again(tmp_path: Path, kind: str) -> None:
    for name in ("a", "b"):
        draw_search(STUDY, tmp_path / f"{name}.{kind}", Look())
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    if kind == "svg":
        text = (tmp_path / "a.svg").read_text()
        assert all(
            word in text for word in ("optimizer.lr", "importance (PED-ANOVA)", "best so far")
        )


@pytest.mark.parametrize("trials", [[], [trial(0, None, "open", 0)], [trial(0, 1.0)]])
def test_a_search_that_has_just_begun_is_drawn(tmp_path: Path, trials: list[Trial]) -> None:
    study = STUDY._replace(trials=trials, importance={})
    draw_search(study, tmp_path / "a.png", Look())
    assert "of 9 trials" in search_section(study)


def test_the_page_says_it_without_a_script(make, tmp_path: Path) -> None:
    make(tmp_path / "trial_0000")
    write_study(tmp_path, STUDY)
    plot([str(tmp_path), "--html", str(tmp_path / "page.html")])
    text = (tmp_path / "page.html").read_text()
    assert "<h2>Search</h2>" in text and text.index("Search</h2>") < text.index("Learning curves<")
    assert "<title>trial 1: 310.2</title>" in text
    assert "network.hidden" in text and "25%" in text


def test_trap_what_a_record_says_is_text_on_the_page() -> None:
    hostile = "<script>alert(1)</script>"
    params: dict[str, Any] = {hostile: hostile}
    study = STUDY._replace(
        space={hostile: hostile},
        importance={hostile: 1.0},
        trials=[Trial(0, "finished", 1.0, 100, params)],
    )
    assert "<script" not in search_section(study)


def test_a_directory_without_a_search_is_one_line(make, tmp_path: Path, capfd) -> None:
    make(tmp_path / "run")
    with pytest.raises(SystemExit) as end:
        plot([str(tmp_path), "--search"])
    assert end.value.code == 2
    assert "--search: the directory of one search, which holds study.json" in capfd.readouterr().err
