"""Every command line that the documents show is one that works."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob

from dqn_cli.cli.line import listed
from dqn_cli.cli.play import _parser as play_parser
from dqn_cli.cli.plot_options import parser as plot_parser
from dqn_cli.cli.train import CONF

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMANDS = ("dqn-train", "dqn-plot", "dqn-play")
EXPERIMENTS = CONF / "experiment"
PRESETS = [
    p.relative_to(EXPERIMENTS).with_suffix("").as_posix() for p in EXPERIMENTS.rglob("*.yaml")
]
OWN = re.compile(r"--config-dir|=(mine|nets)\.")  # these are run by test_extending.py


def shown(text: str) -> Iterator[list[str]]:
    """The words of each line that runs one of ours, itself or by make."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words and words[0].rpartition("/")[2] in COMMANDS:
            yield [words[0].rpartition("/")[2], *words[1:]]
        elif words[:1] == ["make"] and words[1:] and f"dqn-{words[1]}" in COMMANDS:
            arguments = [word.removeprefix("ARGS=") for word in words[2:]]
            yield [f"dqn-{words[1]}", *shlex.split(" ".join(arguments))]


def in_readme() -> list[list[str]]:
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS]
    blocks = [block for text in texts for block in FENCE.findall(text)]
    inline = [code for text in texts for code in re.findall(r"`((?:dqn-\w+|make) [^`\n]+)`", text)]
    return [words for block in blocks + inline for words in shown(block)]


def in_help() -> list[list[str]]:
    config = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    template = config["hydra"]["help"]["template"]
    keys = re.findall(r"^  ([a-z_.]+=\S+)", template, re.MULTILINE)
    return [*shown(template), *(["dqn-train", key] for key in keys if not key.endswith("=DIR"))]


LINES = {" ".join(words): words for words in in_readme() + in_help()}


def compile_line(words: list[str], compose) -> object:
    """Compose and check, or parse, as the command itself would; SystemExit or an error if not."""
    command, *arguments = words
    if command == "dqn-plot":
        return plot_parser().parse_args(arguments)
    if command == "dqn-play":
        return play_parser().parse_args(arguments)
    # Launchers are plugins of Hydra, which need not be here.
    arguments = [word for word in arguments if not re.match(r"hydra[./]launcher\b", word)]
    overrides = get_args_parser().parse_args(listed(arguments)).overrides
    first = []
    for override in OverridesParser.create().parse_overrides(overrides):
        if override.is_sweep_override():
            assert {"-m", "--multirun"} & set(arguments), "several values without -m"
            if isinstance(override.value(), Glob):
                values = override.value().filter(PRESETS)
            else:
                values = override.sweep_string_iterator()
            first.append(f"{override.get_key_element()}={next(iter(values))}")
        else:
            first.append(override.input_line)
    return compose(*first)


@pytest.mark.long
@pytest.mark.parametrize("line", [line for line in LINES if not OWN.search(line)])
def test_a_command_line_that_is_shown_works(compose, line: str) -> None:
    assert compile_line(LINES[line], compose)


def test_the_documents_show_every_command() -> None:
    assert {words[0] for words in in_readme()} == set(COMMANDS)
    assert len(in_help()) > 8


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # of tracing
@pytest.mark.parametrize("page", ["agent.md", "comparing.md"])
def test_python_that_is_shown_runs(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    """All blocks of a page, one after the other, with a run of seeds 1 and 2."""
    monkeypatch.chdir(tmp_path)
    blocks = PYTHON.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    code = re.sub(r'"outputs/[^"]+"', repr(str(trained)), "\n".join(blocks))
    exec(code.replace("seed=12", "seed=1"), {})


@pytest.mark.parametrize(
    "line",
    [
        *("dqn-train algo=nope", "dqn-train foo=1", "dqn-train gamma=2", "dqn-train algo=dqn,ddqn"),
        *("make train ARGS='algo=nope'", "dqn-plot --nope x", "dqn-play", "$ dqn-train a=b # c"),
    ],
)
def test_a_line_that_does_not_work_is_noticed(compose, line: str) -> None:
    (words,) = shown(line)
    with pytest.raises((Exception, SystemExit)):
        compile_line(words, compose)


@pytest.mark.parametrize("page", ["README.md", "docs/choices.md"])
def test_the_choices_that_are_listed_are_those_in_conf(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)$", text, re.MULTILINE))
    rows.pop("experiment", None)
    assert len(rows) == (6 if page == "README.md" else 9)
    for group, row in rows.items():
        named = set(re.findall(r"`(\w+)`", row))
        assert named == {path.stem for path in (CONF / group).glob("*.yaml")}, group
