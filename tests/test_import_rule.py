"""Imports run downwards: every import in dqn_cli/ is looked up in the table below."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dqn_cli"
GROUPS = ["algo", "buffer", "device", "env", "exploration", "network", "optimizer", "target"]
ARRAYS = "numpy torch annotated_types"

# A row is a folder or a file of dqn_cli/; it may always import itself and the standard library.
ALLOWED = {
    # row: (the rows below that it may import, other packages); * is anything
    "cli": ("*", "*"),
    "agent": ("training saving results config kernels types", "numpy torch"),
    # a run's parts come by their names in conf/, so training names no group
    "training": (
        "logger saving results storage config seeding kernels maths types state events words",
        f"{ARRAYS} omegaconf",
    ),
    "logger": ("saving results types state events words", f"{ARRAYS} rich"),
    "saving": ("results config types state events", f"{ARRAYS} threadpoolctl"),
    "results": ("words", "numpy scipy pandas yaml filelock matplotlib"),
    **dict.fromkeys(
        GROUPS,
        (
            "kernels seeding maths types state code",
            f"{ARRAYS} gymnasium minatar ale_py threadpoolctl",
        ),
    ),
    "storage": ("kernels types state words", "numpy torch"),
    "config": ("types code", "pydantic annotated_types"),
    "seeding": ("types", ARRAYS),
    "maths": ("types", ARRAYS),
    "types": ("kernels state", ARRAYS),
    "kernels": ("", "numpy torch numba"),
    "state": ("events", ARRAYS),
    "events": ("", ARRAYS),
    "code": ("", ""),
    "words": ("", ""),
}

# Quick to start: what `import dqn_cli.NAME` must not bring in.
LAZY = {
    "train": "torch matplotlib.pyplot pandas scipy gymnasium",
    "plot": "torch matplotlib.pyplot pandas scipy gymnasium hydra",
}


def row_of(path: Path) -> str:
    """dqn_cli/training/loop.py -> "loop"; dqn_cli/algo/dqn.py -> "algo"."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(source: str, path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, wherever it stands, relative ones resolved."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            folders = path.relative_to(PACKAGE.parent).parts[: -node.level] if node.level else ()
            base = ".".join([*folders, *filter(None, [node.module])])
            # `from dqn_cli import maths` names a module only after the import
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def forbidden(source: str, path: Path) -> list[str]:
    """One line for each import that the row of `path` does not allow."""
    row = row_of(path)
    if row not in ALLOWED:
        return [f"{path.name}: no row for {row!r} in ALLOWED; say what it may import"]
    ours, others = (set(names.split()) for names in ALLOWED[row])
    lines = []
    for line, name in imported(source, path):
        top, *rest = name.split(".")
        if top == "dqn_cli":
            choice, legal = ours, bool(rest) and rest[0] in ours | {row}
        else:
            choice, legal = others, top in others | sys.stdlib_module_names
        if not legal and "*" not in choice:
            may = " ".join(sorted(choice)) or "nothing"
            lines.append(f"{path.name}:{line}: {row} may not import {name} (only: {may})")
    return lines


def test_the_table_runs_downwards() -> None:
    """No row may import one that may import it, by whatever way; no group may import a group."""
    below = {row: set(ours.split()) - {"*"} for row, (ours, _) in ALLOWED.items()}
    assert set().union(*below.values()) <= set(ALLOWED)
    assert len(list(TopologicalSorter(below).static_order())) == len(ALLOWED)
    rows = list(ALLOWED)
    assert all(rows.index(row) < rows.index(other) for row in rows for other in below[row])
    assert not any(below[group] & {*GROUPS, "training", "cli"} for group in GROUPS)
    assert not any(below[row] & set(GROUPS) for row in ALLOWED)


def test_every_row_is_there() -> None:
    there = {row_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert set(ALLOWED) <= there


@pytest.mark.parametrize(
    "path",
    sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py"}),
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)
def test_imports_only_what_its_row_allows(path: Path) -> None:
    lines = forbidden(path.read_text(encoding="utf-8"), path)
    assert not lines, "\n" + "\n".join(lines)


@pytest.mark.parametrize(
    ("file", "source", "legal"),
    [
        ("algo/dqn.py", "import torch, math\nfrom dqn_cli.maths import huber", True),
        ("algo/dqn.py", "from . import shared\nfrom .. import types", True),
        ("algo/dqn.py", "from ..buffer import uniform", False),
        ("algo/dqn.py", "from dqn_cli import buffer", False),
        ("buffer/uniform.py", "from dqn_cli.storage.transitions import Transitions", False),
        ("algo/dqn.py", "def f():\n    import hydra.utils", False),
        ("algo/dqn.py", "import dqn_cli", False),
        ("algo/dqn.py", "from dqn_cli.training import loop", False),
        ("training/loop.py", "import dqn_cli.cli.train", False),
        ("training/loop.py", "from dqn_cli.buffer import ring", False),
        ("training/run.py", "from dqn_cli.logger import progress", True),
        ("logger/files.py", "from dqn_cli.training import run", False),
        ("logger/files.py", "from dqn_cli.saving.checkpoint import dump", True),
        ("saving/resume.py", "from dqn_cli.training import build", False),
        ("saving/save.py", "from dqn_cli.logger.logger import Logger", False),
        ("types.py", "from dqn_cli.maths import huber", False),
        ("results/reader.py", "from dqn_cli.results.schema import COLUMNS", True),
        ("results/reader.py", "import torch", False),
        ("results/figure.py", "import hydra", False),
        ("results/writer.py", "from dqn_cli.config import Config", False),
        ("unheard_of.py", "", False),
    ],
)
def test_the_rule_itself(file: str, source: str, legal: bool) -> None:
    assert (forbidden(source, PACKAGE / file) == []) is legal


@pytest.mark.parametrize("name", LAZY)
def test_starts_without_heavy_packages(name: str) -> None:
    code = f"import sys, dqn_cli.cli.{name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    heavy = set(LAZY[name].split()) & set(done.stdout.split())
    assert not heavy, f"import dqn_cli.{name} also imports {', '.join(sorted(heavy))}"
