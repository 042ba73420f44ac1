"""The report: one file, the same bytes for the same runs, asking nothing of a network, with
whatever users write as text; and in a real browser, where there is one, what its script draws."""

import json
import math
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from dqn_cli.cli.plot import main
from dqn_cli.cli.train import CONF
from dqn_cli.config import GROUPS
from dqn_cli.results.figure import View, usual
from dqn_cli.results.page import colours
from dqn_cli.results.page.charts import Detail, as_json, chart_data, curves
from dqn_cli.results.page.command import command
from dqn_cli.results.page.page import BYTES, page, write_page
from dqn_cli.results.reader import Run, find_runs, read_run
from dqn_cli.results.schema import ResultError
from dqn_cli.results.style import COLOURS, Look
from dqn_cli.results.variants import Panel, panels

HOSTILE = (
    """</script><script>alert(1)</script><img src=x onerror="alert(2)">'"&\u2028\u202e\udcff"""
)
BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium")


class Parsed(HTMLParser):
    """Elements with their attributes and text, and the texts of all."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def count(self, tag: str, kind: str | None = None) -> int:
        kinds = [(t, (a.get("class") or "").split()) for t, a in self.elements]
        return sum(t == tag and (kind is None or kind in k) for t, k in kinds)

    @property
    def words(self) -> str:
        return "\n".join(text for tag, text in self.texts if tag not in ("script", "style"))

    @property
    def data(self) -> Any:
        return json.loads(next(text for tag, text in self.texts if tag == "script"))


def of(*paths: Path) -> list[Panel]:
    return panels([read_run(path) for path in find_runs(paths)])


def written(found: list[Panel], look: Look | None = None, view: View | None = None) -> str:
    text = page(found, view or usual(found), look or Look())
    assert len(text.encode()) < 2_000_000
    return text


def env(name: str) -> str:
    return f"env: {{id: {name}}}\n"


def sixteen(make: Callable[..., Path], folder: Path, **options: Any) -> list[Panel]:
    for name in ("CartPole-v1", "Acrobot-v1"):
        for lr in range(16):
            config = f"{env(name)}optimizer: {{lr: {lr / 1000}}}\n"
            make(folder / f"{name}{lr}", config=config, **options)
    return of(folder)


def test_the_same_runs_give_the_same_bytes(make, tmp_path: Path) -> None:
    make(tmp_path / "runs/a")
    make(tmp_path / "runs/b", "ddqn")
    for name in ("1.html", "2.html"):
        write_page(of(tmp_path / "runs"), tmp_path / name)
    assert (tmp_path / "1.html").read_bytes() == (tmp_path / "2.html").read_bytes()
    with pytest.raises(ResultError, match=r"x\.png: a report is \.html"):
        write_page(of(tmp_path / "runs"), tmp_path / "x.png")


def test_panels_of_one_environment_are_counted_together_and_on_one_scale(
    make, tmp_path: Path
) -> None:
    for algo in ("dqn", "ddqn"):
        for lr in (1, 2):
            config = f"lr: {lr}\n{env('CartPole-v1')}"
            make(tmp_path / f"{algo}{lr}", algo, config=config, episodes=20 + 10 * lr)
    runs = [read_run(path) for path in find_runs([tmp_path])]
    text = written(panels(runs, each=["lr"]), view=View("score", 1))
    assert "4 variants in CartPole-v1, 2 seeds each" in Parsed(text).words
    goals = [
        a["x1"] for tag, a in Parsed(text).elements if tag == "line" and a.get("class") == "goal"
    ]
    assert len(goals) == 4 and len(set(goals)) == 1


def test_each_environment_s_curves_name_their_own_axis(make, tmp_path: Path) -> None:
    make(tmp_path / "a", config=f"episodes: 30\n{env('E-v1')}")
    make(tmp_path / "b", config=f"steps: 300\n{env('S-v1')}")
    shown = Parsed(written(of(tmp_path))).data["panels"]
    assert [(panel["x"], panel["xLabel"]) for panel in shown] == [
        ("episode", "Training episode"),
        ("step", "Environment steps of a seed"),
    ]
    assert [panel["curves"][0]["x"][-1] for panel in shown] == [30, 300]


def test_what_each_choice_changes_is_said_of_a_grid_whatever_its_panels(
    make, tmp_path: Path
) -> None:
    for algo in ("dqn", "ddqn"):
        for lr in (1, 2):
            make(tmp_path / f"runs/{algo}{lr}", algo, config=f"lr: {lr}\n")
    runs = [read_run(path) for path in find_runs([tmp_path / "runs"])]
    title = "What each choice changes"
    for found in (panels(runs), panels(runs, each=["lr"])):
        words = Parsed(written(found)).words
        assert title in words
        assert "dqn, not ddqn" in words
        assert "dqn with lr=2" in words
    assert title not in written(panels(runs[:3]))  # one of four is missing
    assert title not in written(panels(runs[:2]))  # a single choice: the pairs say it


def test_it_asks_nothing_of_a_network(make, tmp_path: Path) -> None:
    make(tmp_path / "a")
    (tmp_path / "a/play.gif").write_bytes(b"GIF89a" + bytes(100))
    text = written(of(tmp_path))
    found = Parsed(text)
    for tag, attributes in found.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        for name in ("src", "href", "action", "data", "poster", "srcset", "style"):
            assert (attributes.get(name) or "data:").startswith("data:")
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"https?:|@import|url\((?!#)", text.replace("url(#clip", ""))
    (policy,) = (a["content"] for _, a in found.elements if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy


def test_its_files_lie_in_the_package() -> None:
    there = {file.name for file in resources.files("dqn_cli.results.page").iterdir()}
    assert {"page.css", "page.js"} <= there


def test_what_users_write_is_text(make, tmp_path: Path) -> None:
    config = f"name: {json.dumps(HOSTILE.replace(chr(0xDCFF), ''))}\n{env('<b>')}"
    make(tmp_path / "<i>&'run", config=config)
    make(tmp_path / "b", "ddqn", config=env("<b>"))
    summary = tmp_path / "b/summary.json"
    said = json.loads(summary.read_text())
    changed = {**said, "status": "<u>", "device": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    summary.write_text(json.dumps(changed))
    text = written(of(tmp_path), Look(HOSTILE))
    text.encode()  # no half of a pair
    found = Parsed(text)
    assert not found.open
    assert {tag for tag, _ in found.elements} & {"img", "b", "i", "u"} == set()
    assert found.count("script") == 2
    assert "</script><script>alert(1)</script>" in found.words
    assert found.data["panels"][0]["env"] == "<b>"
    assert any("alert(1)" in curve["label"] for curve in found.data["panels"][0]["curves"])
    assert "\u2028" not in text and "\u202e" not in text


def test_json_ends_no_script() -> None:
    text = as_json({HOSTILE: HOSTILE})
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text) == {HOSTILE: HOSTILE}


def test_a_run_by_itself(make, tmp_path: Path) -> None:
    make(tmp_path / "a", seeds=(7,), config=env("CartPole-v1"))
    found = Parsed(written(of(tmp_path)))
    (curve,) = found.data["panels"][0]["curves"]
    assert (curve["bands"], curve["seeds"], curve["whole"]) == ({}, [], 30)
    for words in ("1 variant in CartPole-v1, 1 seed.", "Learning curves", "Table", "Run"):
        assert words in found.words
    for words in ("What differs", "against each other", "Recordings"):
        assert words not in found.words
    assert found.count("circle") == 1


def test_without_values_it_says_so(make, tmp_path: Path) -> None:
    make(tmp_path / "a", episodes=0)
    found = Parsed(written(of(tmp_path)))
    assert found.data["panels"][0]["curves"][0]["remark"] == "no values"
    assert "No values yet." in found.words


def test_a_run_that_is_being_written(make, tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    (run / "summary.json").unlink()
    with (run / "scores/seed_1.csv").open("a") as file:
        file.write("31,310,5")
    found = Parsed(written(of(tmp_path)))
    assert "no summary" in found.words
    (tmp_path / "a/summary.json").write_text('{"status": "running", "error": null}')
    assert "running, or killed" in Parsed(written(of(tmp_path))).words


def test_seeds_that_diverged(make, tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    summary = json.loads((run / "summary.json").read_text())
    summary["seeds"]["2"]["diverged"] = True
    (run / "summary.json").write_text(json.dumps(summary))
    lines = (run / "scores/seed_2.csv").read_text().splitlines(keepends=True)
    (run / "scores/seed_2.csv").write_text("".join(lines[:16]))
    found = Parsed(written(of(tmp_path)))
    (curve,) = found.data["panels"][0]["curves"]
    assert curve["remark"] == "1 diverged"
    assert (curve["whole"], len(curve["x"]), curve["seeds"][1][15:]) == (15, 30, [None] * 15)
    assert "seed 2 diverged, and its curve ends there" in found.words
    assert "1, 2; diverged: 2" in found.words


def test_numbers_that_are_none(make, tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    rows = (run / "scores/seed_1.csv").read_text().splitlines()
    rows[-1] = rows[-1].replace(",601,", ",inf,")
    (run / "scores/seed_1.csv").write_text("\n".join(rows) + "\n")
    found = Parsed(written(of(tmp_path)))
    assert found.data["panels"][0]["curves"][0]["mean"][-1] is None


def test_sixteen_variants_in_two_environments(make, tmp_path: Path) -> None:
    found = Parsed(written(sixteen(make, tmp_path)))
    assert "16 variants in Acrobot-v1 and CartPole-v1, 2 seeds each." in found.words
    assert [len(panel["curves"]) for panel in found.data["panels"]] == [16, 16]
    looks = {curve["look"] for curve in found.data["panels"][0]["curves"]}
    assert len(looks) == 16
    assert found.count("details", "run") == 32
    assert found.count("circle") == 64
    assert found.words.count("optimizer.lr") > 16


def test_long_runs_of_many_seeds_are_thinned(make, tmp_path: Path, monkeypatch) -> None:
    make(tmp_path / "a", seeds=tuple(range(1, 9)), episodes=700)
    whole = Parsed(written(of(tmp_path))).data["panels"][0]["curves"][0]
    assert (len(whole["x"]), whole["x"][0], whole["x"][-1]) == (300, 1, 700)
    assert len(whole["seeds"]) == 8
    small = len(written(of(tmp_path))) - 12_000
    monkeypatch.setattr("dqn_cli.results.page.page.BYTES", small)
    found = Parsed(written(of(tmp_path)))
    assert len(found.data["panels"][0]["curves"][0]["x"]) == 150
    assert "to keep this page small, curves have 150 points at most" in found.words
    monkeypatch.setattr("dqn_cli.results.page.page.BYTES", 1)
    found = Parsed(written(of(tmp_path)))
    assert not found.data["panels"][0]["curves"][0]["seeds"]
    assert "there are no curves of single seeds" in found.words
    assert BYTES < 2_000_000


def test_values_have_four_digits_of_what_a_panel_spans(make, tmp_path: Path) -> None:
    make(tmp_path / "a")
    found = of(tmp_path)
    view = usual(found)._replace(smooth=7)
    data = chart_data(found, curves(found, view), view, Look(), Detail(300, True))
    (curve,) = data["panels"][0]["curves"]
    # The first value of seeds 1 and 2 is 21 and 22; smoothed, the span is some 550 wide.
    assert curve["mean"][:3] == [21.5, 31.5, 41.5]
    assert curve["bands"]["minmax"][1][0] == 22
    assert all(v == round(v, 1) for v in curve["mean"])


def test_only_small_gifs_are_inlined(make, tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    (run / "small.gif").write_bytes(b"GIF89a" + bytes(200_000))
    (run / "large.gif").write_bytes(b"GIF89a" + bytes(300_000))
    (run / "no.gif").write_bytes(b"<svg onload=alert(1)>")
    for number in range(6):
        (run / f"x{number}.gif").write_bytes(b"GIF89a" + bytes(190_000))
    found = Parsed(written(of(tmp_path)))
    assert found.count("img") == 5  # 1 MB in all
    assert "small.gif" in found.words and "large.gif" not in found.words


def test_what_differs_names_choices_and_keys(make, tmp_path: Path) -> None:
    make(tmp_path / "a", config="gamma: 0.9\nreport: true\n")
    make(tmp_path / "b", "ddqn", config="gamma: 0.99\nreport: false\n")
    text = written(of(tmp_path))
    table = text[text.index("What differs") : text.index("<h2>Runs")]
    head = re.findall(r"<th(?: [^>]*)?>(.*?)</th>", table)
    assert head == ["variant", "algo", "algo.kind", "gamma"]
    assert re.findall(r"<td[^>]*>(.*?)</td>", table)[1::4] == ["dqn", "ddqn"]


def test_dark_pages_have_colours_that_can_be_seen() -> None:
    for colour in COLOURS:
        dark = colours.on_dark(colour)
        rgb = [int(dark[i : i + 2], 16) for i in (1, 3, 5)]
        assert colours.contrast(rgb) >= 4.5
    assert colours.on_dark("#000000") == "#f0f0f0"
    assert len({colours.on_dark(colour) for colour in COLOURS}) == len(COLOURS)
    assert math.isclose(colours.contrast([255, 255, 255]), 17.9, rel_tol=0.01)
    css = (resources.files(colours.__package__) / "page.css").read_text()
    ground = re.search(r"--ground: (#1\w+)", css)
    assert ground is not None and ground[1] == colours.DARK


WRAPPERS = "env.wrappers=[{_target_: gymnasium.wrappers.TimeLimit, max_episode_steps: 12}]"


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["seed=[1,2,3]", "steps=1000", "network.hidden=[8,8]", "optimizer.lr=1e-4"],
        ["algo=nfq"],
        ["algo=nfq", "batch_size=128", "buffer=per", "target=polyak"],
        ["network=noisy", "exploration=exponential"],
        ["algo=iqn", "env=acrobot", "device=cpu"],
        ["experiment=rainbow/cartpole"],
        ["env.id=MountainCar-v0", "+env.kwargs.render_mode=null", WRAPPERS],
        [r"""name='it\'s "$x" \${y} a,b=c\\'"""],
        ["name='null'", "report=true"],
    ],
    ids=str,
)
def test_the_command_makes_the_run_again(compose, line: list[str]) -> None:
    config = compose(*line)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = hydra_compose("config", line, return_hydra_config=True)
    choices = {g: str(composed.hydra.runtime.choices[g]) for g in GROUPS}
    run = Run(Path("run"), config.model_dump(), choices, {}, {})
    program, *words = shlex.split(command(run))
    assert program == "dqn-train"
    assert compose(*words) == config


def test_dqn_plot_writes_it_and_no_figure(
    make, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "runs/a")
    make(tmp_path / "runs/b", "ddqn")
    monkeypatch.chdir(tmp_path)
    main(["runs", "--html", "r.html", "--title", "Mine", "--band", "iqr", "--label", "dqn=other"])
    assert capsys.readouterr().out.splitlines()[1].startswith("other ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "runs"]
    found = Parsed(Path("r.html").read_text(encoding="utf-8"))
    assert found.data["band"] == "iqr"
    assert [c["label"] for c in found.data["panels"][0]["curves"]] == ["other", "ddqn"]
    assert ("h1", "Mine") in found.texts
    main(["runs", "--html", "r.html", "-o", "c.svg"])
    assert Path("c.svg").exists()
    for wrong in (["--html", "r.png"], ["--html", "r.html", "--bars"], ["--html", "no/r.html"]):
        with pytest.raises(SystemExit) as caught:
            main(["runs", *wrong])
        assert caught.value.code == 2


TINY = (
    *("seed=[1,2]", "episodes=3", "network.hidden=[8]", "learning_starts=8", "batch_size=8"),
    *("eval.episodes=1", "eval.final_episodes=null", "report=true"),
)


@pytest.mark.long
def test_dqn_train_writes_it_for_a_run_and_for_a_sweep(dqn_train, tmp_path: Path) -> None:
    done = dqn_train("-m", *TINY, "algo=dqn,ddqn", "hydra.sweep.dir=sweep")
    assert (done.code, done.err) == (0, "")
    assert len(list((tmp_path / "sweep").glob("*/report.html"))) == 2
    found = Parsed((tmp_path / "sweep/report.html").read_text(encoding="utf-8"))
    assert [c["label"] for c in found.data["panels"][0]["curves"]] == ["dqn", "ddqn"]


@pytest.mark.long
def test_a_report_that_cannot_be_written_loses_nothing(dqn_train, tmp_path: Path) -> None:
    (tmp_path / "run/report.html").mkdir(parents=True)
    done = dqn_train(*TINY, "hydra.run.dir=run")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "report.html: cannot be written: Is a directory" in done.err
    assert read_run(tmp_path / "run").summary["status"] == "finished"
    assert (tmp_path / "run/scores.png").exists()


# What follows runs the page's script.


def dom(text: str, folder: Path, script: str = "", size: str = "1280,900") -> Parsed:
    """The page after its scripts, and after one of the test's, which its policy would stop."""
    if script:
        text = re.sub(r"<meta http-equiv[^>]*>", "", text)
        text = text.replace("</body>", f"<script>{script}</script></body>")
    file = folder / "page.html"
    file.write_text(text, encoding="utf-8")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000"]
    flags.append(f"--user-data-dir={folder / 'profile'}")
    done = subprocess.run(
        [str(BROWSER), *flags, f"--window-size={size}", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = Parsed(done.stdout)
    assert "could not be drawn" not in found.words
    return found


@in_browser
@pytest.mark.long
def test_a_browser_draws_every_variant(make, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    found = dom(written(sixteen(make, tmp_path / "runs", seeds=(1,))), tmp_path)
    assert found.count("path", "curve") == 32
    assert found.count("button") > 32
    paths = [a["d"] for t, a in found.elements if t == "path"]
    assert all(d and re.fullmatch(r"M[-\d. LM]+", d) for d in paths)


@in_browser
@pytest.mark.long
@pytest.mark.parametrize("options", [{"seeds": (1,)}, {"episodes": 0}, {"episodes": 1}, {}])
def test_a_browser_draws_odd_runs(make, tmp_path: Path, options: dict[str, Any]) -> None:
    make(tmp_path / "a", **options, config=f"name: {json.dumps(HOSTILE[:-1])}\n")
    found = dom(written(of(tmp_path / "a")), tmp_path, size="375,812")
    assert found.count("script") == 2
    assert found.count("path", "curve") == (options.get("episodes") != 0)
    assert ("no values yet" in found.words) is (options.get("episodes") == 0)
    assert found.count("circle", "point") == (options.get("episodes") == 1)


ACTIONS = """
const all = (what) => [...document.querySelectorAll(what)];
const svg = all(".chart > svg")[0];
all("input[type=checkbox]")[0].click();
all("input[value=iqr]")[0].click();
all(".legend button")[1].click();
const box = svg.getBoundingClientRect();
const at = (x, type) => svg.dispatchEvent(new PointerEvent(type,
  { clientX: box.left + x, clientY: box.top + 99, pointerType: "mouse", pointerId: 1 }));
svg.setPointerCapture = () => {};
at(200, "pointerdown"); at(400, "pointermove"); at(400, "pointerup");
at(300, "pointermove");
all("table.sortable th button")[2].click();
const said = document.createElement("p");
said.textContent = [
  "wide " + (document.documentElement.scrollWidth > innerWidth),
  "reset " + all(".tools button")[0].disabled,
  "first " + all("table.sortable tbody tr")[0].cells[0].textContent,
  "head " + all(".legend .head")[0].textContent,
  "values " + all(".legend output").map((each) => each.textContent !== ""),
].join("; ");
document.body.append(said);
"""


@in_browser
@pytest.mark.long
@pytest.mark.parametrize("size", ["1280,900", "500,812"])
def test_a_browser_takes_clicks_drags_and_touches(make, tmp_path: Path, size: str) -> None:
    make(tmp_path / "runs/a")
    make(tmp_path / "runs/b", "ddqn", episodes=20)
    make(tmp_path / "runs/c", "c51", seeds=(1, 2, 3))
    found = dom(written(of(tmp_path / "runs")), tmp_path, ACTIONS, size)
    assert found.count("path", "curve") == 2  # ddqn is hidden
    assert found.count("path", "seed") == 5
    assert found.count("path", "band") == 2
    assert "wide false; reset false; first c51; head episode" in found.words
    assert "values true,false,true" in found.words
    assert found.count("line", "cross") == 1
