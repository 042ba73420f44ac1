import math
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dqn_cli.results import reader
from dqn_cli.results.reader import find_runs, read_run, read_scores, whole_rows
from dqn_cli.results.schema import COLUMNS, DIAGNOSIS_COLUMNS, EVALUATION_COLUMNS, ResultError
from dqn_cli.results.writer import RunWriter

HEADER = "episode,step,return,length,score,epsilon,loss,q\n"
ROWS = "1,20,20,20,,1,,\n2,31,11,11,9.5,0.9,0.25,nan\n"
CONFIG = "name: null\nseed: [12]\nalgo: {gamma: 0.99}\n"
SUMMARY = '{"status": "finished", "choices": {"algo": "dqn"}, "threshold": 475}'


def make(path: Path) -> Path:
    """A small sound run directory."""
    (path / "scores").mkdir(parents=True)
    (path / "config.yaml").write_text(CONFIG)
    (path / "summary.json").write_text(SUMMARY)
    (path / "scores/seed_12.csv").write_text(HEADER + ROWS)
    return path


def problem(path: Path) -> str:
    """The one line with which a run is refused."""
    with pytest.raises(ResultError) as caught:
        _ = read_run(path).diagnostics
    text = str(caught.value)
    assert "\n" not in text
    return text.removeprefix(f"{path}/")


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    (make(tmp_path) / "scores/seed_7.csv").write_text(HEADER)
    (tmp_path / "scores/seed_012.csv").write_text("not ours")
    (tmp_path / "scores/notes.txt").write_text("not ours")
    run = read_run(tmp_path)
    assert (run.path, run.choices, run.threshold) == (tmp_path, {"algo": "dqn"}, 475)
    assert run.config == {"name": None, "seed": [12], "algo": {"gamma": 0.99}}
    assert list(run.scores) == [7, 12]
    assert run.scores[7].empty
    frame = run.scores[12]
    assert frame["step"].tolist() == [20, 31]
    assert frame["step"].dtype == "int64"
    assert math.isnan(frame["score"][0]) and frame["score"][1] == 9.5
    assert math.isnan(frame["q"][1])


def test_a_last_line_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    (make(tmp_path) / "scores/seed_12.csv").write_text(HEADER + ROWS + "3,42,11,11,9.5,0.")
    assert read_run(tmp_path).scores[12]["episode"].tolist() == [1, 2]


def test_infinite_returns_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes((HEADER + "1,1,-inf,1,inf,1e-05,,\n").replace("\n", "\r\n").encode())
    assert read_scores(file).to_numpy().tolist()[0][2:6] == [-math.inf, 1, math.inf, 1e-05]


def test_a_run_killed_before_its_summary_is_read(tmp_path: Path) -> None:
    (make(tmp_path) / "summary.json").unlink()
    run = read_run(tmp_path)
    assert (run.choices, run.summary, run.threshold) == ({}, {}, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1: expected the header episode,step,"),
        ("episode,step\n1,2\n", "line 1: expected the header"),
        (HEADER.strip(), "line 1: expected the header"),  # killed while writing it
        (HEADER + "1,20\n", "line 2: expected 8 cells, found 2"),
        (HEADER + "\n", "line 2: expected 8 cells, found 1"),
        (HEADER + ROWS + "3,x,9,9,,1,,\n", "line 4: step: expected a whole number, found 'x'"),
        (HEADER + "1,2.5,9,9,,1,,\n", "line 2: step: expected a whole number, found '2.5'"),
        (HEADER + "1,inf,9,9,,1,,\n", "line 2: step: expected a whole number"),
        (HEADER + "1,1" + "0" * 5000 + ",9,9,,1,,\n", "line 2: step: expected a whole number"),
        (HEADER + "1,20,,9,,1,,\n", "line 2: return: expected a number, found ''"),
        (HEADER + "1,20,1e,9,,1,,\n", "line 2: return: expected a number, found '1e'"),
        (HEADER + "1,20,9,-inf,,1,,\n", "line 2: length: expected a whole number, found '-inf'"),
        (HEADER + "1,20,9\n9,,1,,\n,1,2,3,4\n", "line 2: expected 8 cells, found 3"),
        (HEADER + "1,20,9,9,,1,,\v2,21,9,9,,1,,\n", "line 2: expected 8 cells, found 15"),
        (HEADER + "1,20,1_0,9,,1,,\n", "line 2: return: expected a number, found '1_0'"),
        (HEADER + "1,20,٣,9,,1,,\n", "line 2: return: expected a number"),
        (HEADER + "1,20,9,9,\x1b[2J,1,,\n", r"line 2: score: expected a number, found '\\x1b[2J'"),
        (HEADER + "2,20,9,9,,1,,\n2,21,9,9,,1,,\n", "line 3: episode 2 comes after 2"),
        (HEADER + "0,20,9,9,,1,,\n", "line 2: episode 0 comes after 0"),
        (HEADER + "1,20,9,9,,1,,\n2,19,9,9,,1,,\n", "line 3: step 19 comes after 20"),
    ],
)
def test_a_damaged_csv_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    (make(tmp_path) / "scores/seed_12.csv").write_text(text, encoding="utf-8")
    assert problem(tmp_path).startswith(f"scores/seed_12.csv: {expected}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected a mapping"),
        ("- 1\n", "expected a mapping"),
        ("a: 1\nb: [1\n", "line 3: not YAML: "),
        ("a: 1\n--- \nb: 2\n", "line 2: not YAML: "),
        ("a: !!python/object/apply:os.system [ls]\n", "line 1: YAML aliases and tags"),
        ("a: &a [1]\nb: [*a, *a]\n", "line 2: YAML aliases and tags"),
        ("a: " + "[" * 1000 + "]" * 1000, "line 1: nested deeper than 50 levels"),
        ("a: 2001-99-99\n", "not YAML: "),
        ("a: " + "1" * 5000, "not YAML: "),
        ("a: 0x" + "f" * 5000, "not YAML: "),
        ("a: \x01\n", "not YAML: "),
        ("a: =\n", "line 1: not YAML: "),
        ("a: 1\n" * 60_000, "larger than 262144 bytes"),
    ],
)
def test_a_damaged_config_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    (make(tmp_path) / "config.yaml").write_text(text)
    assert problem(tmp_path).startswith(f"config.yaml: {expected}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1: not JSON"),
        ('{"status":\n "run', "line 2: not JSON"),
        ("[]", "expected a JSON object"),
        ("[" * 100_000, "not JSON that a run writes"),
        ('{"threshold": ' + "1" * 5000 + "}", "not JSON that a run writes"),
        ('{"threshold": "475"}', "threshold: expected a finite number or null"),
        ('{"threshold": NaN}', "threshold: expected a finite number or null"),
        ('{"threshold": 1' + "0" * 301 + "}", "threshold: expected a finite number or null"),
        ('{"choices": ["dqn"]}', "choices: expected an object of names"),
        ('{"choices": {"algo": null}}', "choices: expected an object of names"),
    ],
)
def test_a_damaged_summary_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    (make(tmp_path) / "summary.json").write_text(text)
    assert problem(tmp_path).startswith(f"summary.json: {expected}")


FILES = {
    "config.yaml": "CONFIG_BYTES",
    "summary.json": "SUMMARY_BYTES",
}


@pytest.mark.parametrize("name", [*FILES, "scores/seed_12.csv"])
def test_bytes_that_are_no_text_are_one_line(tmp_path: Path, name: str) -> None:
    file = make(tmp_path) / name
    first = HEADER if name.startswith("scores") else "a\n"
    file.write_bytes(first.encode() + b"\xff\n")
    assert problem(tmp_path) == f"{name}: line 2: expected text, found bytes that are not UTF-8"
    file.write_bytes(first.encode() + b"\0\n")
    assert problem(tmp_path) == f"{name}: line 2: expected text, found a NUL byte"


@pytest.mark.parametrize(("name", "limit"), FILES.items())
def test_a_file_past_its_limit_is_one_line(
    tmp_path: Path, name: str, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (make(tmp_path) / name).stat().st_size
    monkeypatch.setattr(reader, limit, size)
    read_run(tmp_path)
    monkeypatch.setattr(reader, limit, size - 1)
    assert problem(tmp_path) == f"{name}: larger than {size - 1} bytes, which no run writes"


def test_scores_may_have_any_number_of_rows_but_no_endless_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read at once is bounded, and each row must be one before the next is looked at."""
    monkeypatch.setattr(reader, "LINE_BYTES", 64)
    path = tmp_path / "seed_1.csv"
    rows = [f"{n},{9 * n},{n / 7!r},9,{'' if n % 3 else n},0.5,nan,inf\n" for n in range(1, 101)]
    path.write_text(HEADER + "".join(rows))
    frame = read_scores(path)
    assert frame["episode"].tolist() == list(range(1, 101))
    assert frame["return"].tolist() == [n / 7 for n in range(1, 101)]
    assert frame["score"].notna().sum() == 33
    whole = whole_rows(path, COLUMNS)
    assert len(whole) == 101 and whole[-1] == path.stat().st_size
    path.write_text(HEADER + "".join(rows[:70] + rows[69:]))
    with pytest.raises(ResultError, match=r"line 72: episode 70 comes after 70$"):
        read_scores(path)
    assert whole_rows(path, COLUMNS) == whole[:71]
    path.write_text(HEADER + "".join([*rows[:70], "x" * 200, *rows[70:]]))
    with pytest.raises(ResultError, match=r"line 72: longer than 64 bytes, which no run writes$"):
        read_scores(path)
    assert whole_rows(path, COLUMNS) == whole[:71]


@given(
    numbers=st.lists(
        st.tuples(st.floats(), st.none() | st.floats(), st.floats(0, 1), st.floats(width=32)),
        max_size=5,
    )
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, numbers: list[tuple[float, ...]]) -> None:
    """Returns and scores to the last bit, the others to that of a float32."""
    with RunWriter(
        Path(tempfile.mkdtemp(dir=tmp_path)) / "run",
        config=CONFIG,
        choices={},
        seeds=[12],
        threshold=None,
        versions={},
    ) as run:
        for n, (return_, score, epsilon, loss) in enumerate(numbers, 1):
            row = {"episode": n, "step": n, "return": return_, "length": 1, "score": score}
            run.episode(12, {**row, "epsilon": epsilon, "loss": loss, "q": loss}, 0.0)
        frame = read_run(run.directory).scores[12]
    assert len(frame) == len(numbers)
    for (return_, score, epsilon, loss), read in zip(
        numbers, frame.to_dict("records"), strict=True
    ):
        assert read["return"] == return_ or (math.isnan(read["return"]) and math.isnan(return_))
        score = math.nan if score is None else score
        assert read["score"] == score or (math.isnan(read["score"]) and math.isnan(score))
        assert read["epsilon"] == pytest.approx(epsilon, rel=1e-8)
        assert np.float32(read["loss"]).tobytes() == np.float32(loss).tobytes() or math.isnan(loss)


@pytest.mark.parametrize("name", [*FILES, "scores/seed_12.csv"])
def test_what_is_no_regular_file_is_one_line(tmp_path: Path, name: str) -> None:
    file = make(tmp_path) / name
    file.unlink()
    os.symlink(file.name, file)  # a link to itself
    assert problem(tmp_path).startswith(f"{name}: cannot be read: ")
    file.unlink()
    os.mkfifo(file)  # opening it would wait for ever
    assert problem(tmp_path) == f"{name}: is not a regular file"


def test_missing_parts_are_one_line(tmp_path: Path) -> None:
    assert problem(tmp_path) == "config.yaml: cannot be read: No such file or directory"
    (tmp_path / "config.yaml").write_text(CONFIG)
    assert problem(tmp_path) == "scores: cannot be read: No such file or directory"
    (tmp_path / "scores").mkdir()
    assert problem(tmp_path) == "scores: holds no seed_N.csv"


def test_runs_are_found_at_any_depth_in_path_order(tmp_path: Path) -> None:
    runs = [make(tmp_path / name) for name in ("a/2", "a/1/deep", "b")]
    make(runs[2] / "inside")  # what lies in a run is not looked at
    (tmp_path / "a/conf").mkdir()
    (tmp_path / "a/conf/config.yaml").touch()  # a config alone makes no run
    os.symlink(tmp_path, tmp_path / "a/loop")
    assert find_runs([tmp_path]) == [runs[1], runs[0], runs[2]]
    assert find_runs([runs[2], tmp_path / "a", runs[0]]) == [runs[2], runs[1], runs[0]]  # once each


def test_a_link_given_by_name_is_followed(tmp_path: Path) -> None:
    make(tmp_path / "run")
    os.symlink("run", tmp_path / "latest")
    assert find_runs([tmp_path / "latest", tmp_path]) == [tmp_path / "latest"]


def test_a_path_without_runs_is_named(tmp_path: Path) -> None:
    make(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    for name, expected in [
        ("empty", "holds no run (a directory with config.yaml and scores/)"),
        ("gone", "does not exist"),
        ("run/config.yaml", "is not a directory"),
    ]:
        with pytest.raises(ResultError) as caught:
            find_runs([tmp_path / "run", tmp_path / name])
        assert str(caught.value) == f"{tmp_path / name}: {expected}"


def damaged(sound: str) -> st.SearchStrategy[bytes]:
    """The sound file with a piece replaced, or anything at all."""
    data = sound.encode()
    places = st.integers(0, len(data))
    pieces = st.one_of(st.binary(max_size=20), st.text(",.-\n1en:[]{}&*!\"' ").map(str.encode))
    cut = st.tuples(places, places, pieces).map(lambda c: data[: c[0]] + c[2] + data[c[1] :])
    return st.one_of(cut, st.binary(max_size=200), st.text(max_size=200).map(str.encode))


SOUND = {"config.yaml": CONFIG, "summary.json": SUMMARY, "scores/seed_12.csv": HEADER + ROWS}


@pytest.mark.parametrize("name", SOUND)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_the_bytes_a_run_or_one_line(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    if not (tmp_path / "scores").exists():
        make(tmp_path)
    (tmp_path / name).write_bytes(data.draw(damaged(SOUND[name])))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reader, "LINE_BYTES", data.draw(st.integers(50, 150)))
            read_run(tmp_path)
    except ResultError as error:
        assert str(error).startswith(str(tmp_path / name))
        assert str(error).isprintable()


def test_whole_episodes_are_those_before_the_first_that_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "seed_1.csv"
    header = "episode,step,return,length,score,epsilon,loss,q\n"
    rows = [f"{n},{n * 10},10,10,,0.5,,\n" for n in range(1, 6)]

    def ends(text: str | bytes) -> list[int]:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return whole_rows(path, COLUMNS)

    assert whole_rows(tmp_path / "gone.csv", COLUMNS) == whole_rows(tmp_path, COLUMNS) == []
    assert ends("") == ends("garbage\n") == ends(header[:-1]) == []
    assert ends(header) == [len(header)]
    whole = header + "".join(rows[:3])
    places = [len(header) + sum(map(len, rows[:n])) for n in range(4)]
    for tail in ("", "4,40", "\n", "4,40,10\n", rows[4], "4,x,10,10,,0.5,,\n", "é\n"):
        assert ends(whole + tail) == places
    assert ends(whole.encode() + b"\0" * 30 + b"\n" + rows[3].encode()) == places
    assert ends(whole.encode() + b"\xff\n") == places


def test_whole_evaluations_are_those_whose_steps_go_up(tmp_path: Path) -> None:
    path = tmp_path / "seed_1.csv"
    lines = ["step,episode,score\n", "100,3,9.5\n", "200,3,10\n", "200,4,11\n"]
    path.write_text("".join(lines))
    ends = [sum(map(len, lines[:n])) for n in (1, 2, 3)]
    assert whole_rows(path, EVALUATION_COLUMNS) == ends
    path.write_text("".join(lines[:3]) + "300,4,")
    assert whole_rows(path, EVALUATION_COLUMNS) == ends


def diagnoses(path: Path, *rows: str) -> Path:
    """The file of seed 12's diagnoses, with these (step, episode) and nothing else in them."""
    (path / "diagnostics").mkdir(exist_ok=True)
    file = path / "diagnostics/seed_12.csv"
    lines = [
        ",".join(DIAGNOSIS_COLUMNS),
        *(row + "," * (len(DIAGNOSIS_COLUMNS) - 2) for row in rows),
    ]
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def test_diagnoses_are_read_only_where_they_are_asked_for(tmp_path: Path) -> None:
    """They take as long as all the rest, and no comparison shows them."""
    diagnoses(run := make(tmp_path / "run"), "garbage")
    read = read_run(run)
    with pytest.raises(ResultError, match=r"diagnostics/seed_12\.csv"):
        _ = read.diagnostics


def test_diagnoses_are_read_and_may_be_two_of_one_step(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    assert read_run(run).diagnostics == {}  # as of an older run
    file = diagnoses(run, "20,1", "31,2", "31,2", "40,2")
    frame = read_run(run).diagnostics[12]
    assert frame["step"].tolist() == [20, 31, 31, 40] and frame["step"].dtype == np.int64
    assert frame["td_max"].isna().all()
    assert len(whole_rows(file, DIAGNOSIS_COLUMNS)) == 5
    with file.open("a") as appended:
        appended.write("39,2" + "," * 15 + "\n")
    assert len(whole_rows(file, DIAGNOSIS_COLUMNS)) == 5


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (("20,1", "19,1"), "line 3: step 19 comes after 20"),
        (("20,2", "21,1"), "line 3: episode 1 comes after 2"),
        (("20,1,",), "line 2: expected 17 cells, found 18"),
        (("20,1.5",), "line 2: episode: expected a whole number, found '1.5'"),
        ((",1",), "line 2: step: expected a whole number, found ''"),
    ],
)
def test_diagnoses_that_cannot_be_are_one_line(tmp_path: Path, rows, said: str) -> None:
    run = make(tmp_path / "run")
    diagnoses(run, *rows)
    assert problem(run) == f"diagnostics/seed_12.csv: {said}"
