"""Who may import whom: every import in dqn_cli/ is looked up in the table below."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dqn_cli"
ROOMS = "algo buffer network target device env exploration optimizer"
ARRAYS = "numpy torch annotated_types"

# A room (a folder) may always import itself, and anything the standard library.
ALLOWED = {
    # name: (what of dqn_cli, which other packages); * is anything
    "events": ("", ARRAYS),
    "state": ("events", ARRAYS),
    "code": ("", ""),
    "types": ("state", ARRAYS),
    "maths": ("types", ARRAYS),
    "seeding": ("types", ARRAYS),
    "config": ("code types", "pydantic annotated_types"),
    **dict.fromkeys(
        ROOMS.split(), ("types maths seeding state code", f"{ARRAYS} gymnasium threadpoolctl")
    ),
    "storage": ("types maths state", "numpy torch"),
    "results": ("", "numpy pandas yaml filelock matplotlib"),
    "logger": ("types", "rich"),
    "saving": ("training config events results state", f"{ARRAYS} threadpoolctl"),
    # the parts of a run by their names in conf/, so no group is named here
    "training": (
        "config events state types maths seeding storage saving results logger cli",
        f"{ARRAYS} omegaconf",
    ),
    "cli": ("*", "*"),  # and only the commands' own files name it
}

# Quick to start: what `import dqn_cli.NAME` must not bring in.
LAZY = {
    "train": "torch matplotlib.pyplot pandas gymnasium",
    "plot": "torch matplotlib.pyplot pandas gymnasium hydra",
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
        ("loop.py", "import dqn_cli.cli.train", False),
        ("types.py", "from dqn_cli.maths import huber", False),
        ("results/reader.py", "from dqn_cli.results.schema import COLUMNS", True),
        ("results/reader.py", "import torch", False),
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
