"""The reference study: what its presets are, and what is made of its sweeps."""

import csv
import json
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from omegaconf import OmegaConf

from benchmarks.study.__main__ import OUT, PAGE
from benchmarks.study.report import (
    compared_table,
    reached_table,
    replaced,
    write,
)
from benchmarks.study.rows import Row, of_seeds, rows_of
from benchmarks.study.studies import STUDIES, command
from dqn_cli.cli.train import CONF
from dqn_cli.results.reader import find_runs, read_config, read_run
from dqn_cli.results.schema import ResultError
from dqn_cli.results.table import render
from dqn_cli.results.variants import panels

HERE = Path(__file__).parents[1]
SEEDS = list(range(9001, 9047))
KEPT = [name for name in STUDIES if (HERE / OUT / name).is_dir()]
TINY = (
    *("steps=60", "network.hidden=[8]", "learning_starts=8", "batch_size=4", "eval.every_steps=10"),
    *("eval.episodes=1", "eval.final_episodes=null"),
)
PARTS = sorted(path.stem for path in (CONF / "experiment/study/rainbow").glob("*.yaml"))


@pytest.mark.parametrize("name", ["cartpole", "acrobot", "mountaincar", "lunarlander"])
def test_a_study_is_the_grid_of_four_choices_by_46_seeds(compose, name: str) -> None:
    file = CONF / "experiment/study/cartpole.yaml"
    swept = OmegaConf.load(file).hydra.sweeper.params
    assert {key: swept[key] for key in swept if key != "seed"} == {
        **{"algo": "dqn,ddqn", "buffer": "uniform,per"},
        **{"network": "mlp,dueling", "target": "hard,polyak"},
    }
    config = compose(f"experiment=study/{name}")
    assert config.seed == SEEDS
    assert config.optimizer["lr_steps"] == pytest.approx(0.72 * config.steps, rel=0.01)


def test_the_settings_are_the_defaults_but_for_the_length_and_the_evaluation(compose) -> None:
    """What docs/study.md says of them."""
    study, plain = (
        compose(*line).model_dump() for line in (("experiment=study/cartpole",), ("device=cpu",))
    )
    for values in (study, plain):
        for key in ("seed", "name", "steps", "eval", "device"):
            del values[key]
        del values["optimizer"]["lr_steps"]
    assert study == plain


def test_the_rainbow_family_has_all_parts_or_all_but_one(compose) -> None:
    assert [
        "all",
        *(f"without_{part}" for part in ("c51", "double", "dueling", "n_step", "noisy", "per")),
    ] == PARTS
    found = {name: compose(f"experiment=study/rainbow/{name}") for name in PARTS}

    def has(name: str) -> dict[str, bool]:
        config = found[name]
        return {
            "c51": config.algo["_target_"].endswith("C51"),
            "double": config.algo["double"],
            "dueling": "Dueling" in config.network["_target_"],
            "n_step": config.n_step == 3,
            "noisy": "Noisy" in config.network["_target_"] and config.exploration["start"] == 0,
            "per": config.buffer["alpha"] > 0,
        }

    assert all(has("all").values())
    for name in PARTS[1:]:
        part = name.removeprefix("without_")
        assert has(name) == {**has("all"), part: False}
    same = {
        repr({**c.model_dump(include={"seed", "steps", "eval", "optimizer"})})
        for c in found.values()
    }
    assert len(same) == 1
    assert found["all"].seed == SEEDS


@pytest.fixture
def swept(dqn_train, tmp_path: Path) -> Path:
    """A quarter of the grid, with a tiny budget, by the preset's own sweep."""
    line = ("-m", "experiment=study/cartpole", "algo=dqn", "network=mlp", "seed=[1,2,3]", *TINY)
    done = dqn_train(*line, "hydra.sweep.dir=study/cartpole")
    assert (done.code, done.err) == (0, "")
    return tmp_path / "study"


@pytest.mark.long
def test_one_command_runs_the_grid_and_one_makes_its_files(swept: Path, tmp_path: Path) -> None:
    places = find_runs([swept])
    assert [read_run(place).choices["buffer"] for place in places] == ["uniform"] * 2 + ["per"] * 2
    assert all(read_config(place)["seed"] == [1, 2, 3] for place in places)
    page = tmp_path / "study.md"
    blocks = ("reached", "compared", "effects")
    page.write_text("".join(f"<!-- made: cartpole {b} -->\nold\n<!-- end -->\n" for b in blocks))
    write("cartpole", swept, tmp_path / "out", page)
    made = {path.name for path in (tmp_path / "out/cartpole").iterdir()}
    assert made == {
        *("config.yaml", "variants.csv", "seeds.csv", "curves.csv", "effects.csv"),
        *("effects_of_the_run.csv", "curves.png", "bars.png", "effects.png", "report.html"),
    }
    text = page.read_text()
    assert "old" not in text
    assert "| uniform hard " in text and "per with polyak" in text
    with (tmp_path / "out/cartpole/seeds.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 12


def test_a_study_that_is_not_done_is_refused(make, tmp_path: Path) -> None:
    place = make(tmp_path / "a")
    summary = place / "summary.json"
    values = json.loads(summary.read_text())
    summary.write_text(json.dumps({**values, "status": "running"}))
    (panel,) = panels([read_run(place)])
    with pytest.raises(ResultError, match="not trained to its end"):
        of_seeds(panel.variants[0])


def test_what_a_variant_came_to(make, tmp_path: Path) -> None:
    """Scores are 20 e + s in 30 episodes of 10 steps: the last five have a mean of 560 + s, all of
    310 + s, and those of episodes 22 to 26 of 480 + s. Where three of three fail, the share is at
    least the cube root of 0.025."""
    make(tmp_path / "a", seeds=(1, 2, 3))
    make(tmp_path / "b", "ddqn", seeds=(1, 2, 3), episodes=25)
    (panel,) = panels([read_run(path) for path in find_runs([tmp_path])])
    first, second = rows_of(panel)
    assert (first.seeds, first.final, first.iqm, first.lowest, first.highest) == (
        3,
        562,
        562,
        561,
        563,
    )
    assert (first.run, first.below, first.first, first.reached) == (312, 0, 260, 3)
    assert second.below == 3
    assert (second.below_low, second.below_high) == pytest.approx((0.025 ** (1 / 3), 1), abs=1e-5)
    assert (second.reached, second.difference, second.better) == (0, -100, 0)
    assert second.p < 1e-6


def test_a_block_is_replaced_where_it_is_marked_once() -> None:
    text = "a\n<!-- made: x y -->\nold\n<!-- end -->\nb\n"
    assert replaced(text, "x y", "| 1 |") == text.replace("old", "| 1 |")
    with pytest.raises(ValueError, match="z: marked 0 times"):
        replaced(text, "z", "")


def test_the_command_names_preset_and_place() -> None:
    assert command("cartpole", Path("o")) == [
        *("dqn-train", "-m", "experiment=study/cartpole", "hydra.sweep.dir=o/cartpole"),
    ]
    rainbow = command("rainbow", Path("o"))
    assert rainbow[2:4] == ["experiment=glob(study/rainbow/*)", "seed=range(9001,9031)"]


def read_rows(path: Path) -> list[Row]:
    kinds = get_type_hints(Row)
    with path.open(encoding="utf-8", newline="") as file:
        return [Row(**{k: kinds[k](v) for k, v in row.items()}) for row in csv.DictReader(file)]


@pytest.mark.parametrize("name", KEPT)
def test_the_page_says_what_the_kept_files_say(name: str) -> None:
    rows = read_rows(HERE / OUT / name / "variants.csv")
    of_the_grid, of_rainbow = len(SEEDS), 30
    expected = [of_rainbow] * 7 + [of_the_grid] if name == "rainbow" else [of_the_grid] * 16
    assert [row.seeds for row in rows] == expected  # Rainbow's last is plain DQN
    page = (HERE / PAGE).read_text(encoding="utf-8")
    tables: dict[str, Any] = {
        "reached": reached_table(rows, "475"),
        "compared": compared_table(rows),
    }
    for block, lines in tables.items():
        assert replaced(page, f"{name} {block}", render(lines, "md")) == page


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_is_small_and_names_no_machine(name: str) -> None:
    files = list((HERE / OUT / name).iterdir())
    assert {".html", ".csv", ".png", ".yaml"} == {file.suffix for file in files}
    assert sum(file.stat().st_size for file in files) < 4_000_000
    for file in files:
        if file.suffix != ".png":
            text = file.read_text(encoding="utf-8")
            assert len(text) < 2_000_000
            assert "/tmp/" not in text and "/work/" not in text


def test_no_other_result_is_of_the_study_s_seeds() -> None:
    for file in (HERE / "outputs/reference").glob("*/*/seeds.csv"):
        if file.parts[-3] != "study":
            with file.open(encoding="utf-8", newline="") as rows:
                assert not {int(row["seed"]) for row in csv.DictReader(rows)} & set(SEEDS)
