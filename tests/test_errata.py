"""docs/errata.md and docs/reproduction.md name tests, presets and files: all of them exist."""

import fnmatch
import re
from pathlib import Path

import pytest

from benchmarks.reproduction.published import ERRATA, LEFT, SECTIONS
from benchmarks.reproduction.report import PEER, SAME, TO_COME, planned_lines, settings
from benchmarks.reproduction.runs import PLANNED, RUNS
from dqn_cli.cli.train import CONF
from dqn_cli.results.reader import read_config

ROOT = Path(__file__).parents[1]
ERRATA_PAGE = (ROOT / "docs/errata.md").read_text(encoding="utf-8")
EXPERIMENTS = (ROOT / "docs/experiments.md").read_text(encoding="utf-8")
REPORT = (ROOT / "docs/reproduction.md").read_text(encoding="utf-8")
PRESETS = {
    p.relative_to(CONF / "experiment").with_suffix("").as_posix()
    for p in (CONF / "experiment").rglob("*.yaml")
}


def test_every_test_that_the_errata_name_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", ERRATA_PAGE)
    assert len(named) > 30
    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_every_preset_that_the_errata_name_is_there() -> None:
    named = set(re.findall(r"`((?:berta|carayol|lange|peng)/\w+)`", ERRATA_PAGE))
    assert {name for name in PRESETS if name.endswith("_as_printed")} <= named
    assert named <= PRESETS


def preset(command: str) -> str:
    return command.split()[0].removeprefix("experiment=")


def test_every_preset_is_in_the_report() -> None:
    """But of pixels, of which some have not been run to their end, and the study, which has its own
    page (docs/study.md)."""
    reported = {row.run for part in SECTIONS for table in part.tables for row in table.rows}
    planned = {row.run for part in LEFT for table in part.tables for row in table.rows}
    trained = {preset((RUNS | PLANNED)[name]) for name in (reported | planned) - set(SAME)}
    left = PRESETS - trained - set(SAME)
    assert {name for name in left if not name.startswith(("minatar/", "atari/", "study/"))} == set()
    assert reported <= set(RUNS) | set(SAME)
    assert planned == set(PLANNED)
    assert not planned & reported


def test_every_preset_is_on_its_page_and_those_there_are_presets() -> None:
    """`rainbow/...` are those of a folder; `atari/dqn`, `c51` are of one."""
    table = re.findall(r"^\| (`.*?) \|", EXPERIMENTS, re.M)
    listed = set()
    for cell in table:
        folder = ""
        for name in re.findall(r"`([^`]+)`", cell):
            folder = name.rpartition("/")[0] or folder
            pattern = f"{folder}/{name.rpartition('/')[2].replace('...', '*')}"
            found = set(fnmatch.filter(PRESETS, pattern))
            assert found, name
            listed |= found
    assert listed == PRESETS


def test_every_run_of_the_report_begins_with_a_preset_that_is_there() -> None:
    for name, command in (RUNS | PLANNED).items():
        assert preset(command) in PRESETS
        assert name.split("/")[0] == preset(command).split("/")[0]


def test_a_figure_shows_the_presets_that_the_walk_sends_there() -> None:
    for part in SECTIONS:
        shown = {figure.file: figure.runs for figure in part.figures}
        for place, presets, figure in part.walk:
            assert not figure or set(presets) <= set(shown[figure]), place


def test_the_report_is_whole() -> None:
    """Each row and each claim has its figures, each picture and small file is there."""
    rows = [line for line in REPORT.splitlines() if line.startswith("| `") and TO_COME not in line]
    peers = list((ROOT / "outputs/reference").rglob(PEER))
    tables = [table for part in SECTIONS for table in part.tables]
    assert len(rows) == len(peers) + sum(len(table.rows) for table in tables)
    assert all("**" in line for line in rows)
    claims = [line for line in REPORT.splitlines() if "` - `" in line]
    assert len(claims) == len(ERRATA) + sum(len(part.claims) for part in SECTIONS)
    pictures = re.findall(r"!\[.*\]\(\.\./(.*)\)", REPORT)
    assert len(pictures) == sum(len(part.figures) for part in SECTIONS)
    assert all((ROOT / picture).is_file() for picture in pictures)
    for name in RUNS:
        for file in ("seeds.csv", "score.csv", "return.csv", "config.yaml"):
            assert (ROOT / "outputs/reference" / name / file).is_file()


def test_what_is_planned_stands_in_the_report_as_it_is() -> None:
    for part in LEFT:
        assert "\n".join(planned_lines(part)) in REPORT


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(RUNS))
def test_the_small_files_are_of_the_preset_as_it_is(name: str, compose) -> None:
    """A preset that changes makes its results stale."""
    kept = read_config(ROOT / "outputs/reference" / name)
    assert settings(kept) == settings(compose(*RUNS[name].split()).model_dump())
