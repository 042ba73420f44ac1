"""The logger that keeps the run directory."""

import pytest

from dqn_cli.events import Tick
from dqn_cli.logger.files import RunFiles

pytestmark = pytest.mark.usefixtures("undrawn")


def test_speed_is_that_of_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """1200 steps in 10 s of which 6 went into evaluation: 300 a second."""
    monkeypatch.setattr(RunFiles, "seconds", 10.0)
    files = RunFiles([], None, None, None)  # type: ignore[arg-type]
    files.event(Tick([], 600, 600, 2.0))
    files.event(Tick([], 1200, 600, 4.0))
    assert files.speed == 300
