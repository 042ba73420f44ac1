"""Machine code is kept on the disk, and is that of the source as it is now."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

PACKAGE = Path(__file__).parents[2] / "dqn_cli"
ASKED = """
import numpy as np
from dqn_cli.kernels.loops.dueling import aggregate
q = aggregate(np.zeros((1, 1, 1), np.float32), np.array([[[[1.0], [3.0]]]], np.float32), 1)
print(q.ravel().tolist(), sum(aggregate.stats.cache_misses.values()))
"""


def test_a_function_is_compiled_again_where_one_that_it_calls_has_changed(tmp_path: Path) -> None:
    """Trap: numba looks at the file of `aggregate` only, and the code of `best` is in another."""
    source = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE / "kernels", tmp_path / "dqn_cli" / "kernels", ignore=source)
    (tmp_path / "dqn_cli" / "__init__.py").touch()
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    env.pop("NUMBA_CACHE_DIR", None)

    def asked() -> str:
        command = [sys.executable, "-c", ASKED]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert [asked(), asked()] == ["[-2.0, 0.0] 1", "[-2.0, 0.0] 0"]
    elements = tmp_path / "dqn_cli" / "kernels" / "loops" / "elements.py"
    text = elements.read_text(encoding="utf-8")
    assert text.count("q[a] > q[found]") == 1
    elements.write_text(text.replace("q[a] > q[found]", "q[a] < q[found]"), encoding="utf-8")
    assert [asked(), asked()] == ["[0.0, 2.0] 1", "[0.0, 2.0] 0"]
