"""When lanes are saved, and which are not."""

import math
from pathlib import Path

import pytest

from dqn_cli.events import Saved, Tick
from dqn_cli.saving.blocks import Blocks
from dqn_cli.saving.save import checkpointed, save
from dqn_cli.training import build

pytestmark = pytest.mark.usefixtures("undrawn")
SMALL = (
    *("network.hidden=[9]", "learning_starts=30", "batch_size=16", "eval.episodes=2"),
    *("hydra.run.dir=run", "checkpoint.every_seconds=1e-9"),  # at every tick
)


def test_no_checkpoint_is_written_twice_under_one_name(compose, tmp_path: Path) -> None:
    """The first may not have been put in its place when the second is written."""
    (tmp_path / "checkpoints").mkdir()
    loop = build.loop(compose(*SMALL[:-2], "seed=[1,2]", "episodes=100"))
    files = []
    for event in checkpointed(loop, tmp_path, 1e-9, {}):
        if isinstance(event, Saved):
            files.append(event.file)
        if isinstance(event, Tick) and event.step == 512:
            loop.stop()  # and ends at the step of the checkpoint before
    assert len(files) == len(set(files)) == 4


@pytest.mark.parametrize("name", ["online", "target"])
def test_nothing_is_saved_of_a_network_or_target_that_is_no_numbers(
    compose, tmp_path: Path, name: str
) -> None:
    (tmp_path / "checkpoints").mkdir()
    lane = build.loop(compose(*SMALL[:-2], "seed=1")).lane(0)
    assert len(list(save(lane, tmp_path, Blocks(tmp_path, {})))) == 1
    lane.learner[name][3] = math.nan
    assert not list(save(lane, tmp_path, Blocks(tmp_path, {})))
