"""When lanes are saved, and which are not."""

import math
from pathlib import Path

import pytest

from dqn_cli import state
from dqn_cli.events import Saved, Tick
from dqn_cli.saving.blocks import Blocks
from dqn_cli.saving.checkpoint import load_lane
from dqn_cli.saving.save import checkpointed, save
from dqn_cli.training import build
from dqn_cli.training.loop import Loop

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


STACKED = "env.wrappers=[{_target_:gymnasium.wrappers.FrameStackObservation,stack_size:4}]"


@pytest.mark.parametrize("rooms", [(), ("storage=frames", STACKED, "n_step=3")])
def test_a_run_goes_on_from_replay_in_blocks(
    compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rooms: tuple[str, ...]
) -> None:
    """Rows go to blocks as they fill, older ones go, and what is taken up is all that there was;
    here after all 900 have been overwritten."""
    monkeypatch.setattr(state, "BLOCK_BYTES", 4000)
    config = compose(*SMALL[:-2], *rooms, "seed=[1,2]", "steps=2432", "buffer.capacity=900")

    def ended(loop: Loop, blocks: dict[int, tuple[state.Block, ...]]) -> dict[int, bytes]:
        events = list(checkpointed(loop, tmp_path, 1e-9, blocks))
        files = {event.seed: event.file for event in events if isinstance(event, Saved)}
        return {seed: file.read_bytes() for seed, file in files.items()}

    whole = ended(build.loop(config), {})
    for file in tmp_path.glob("checkpoints/*"):
        file.unlink()
    files = {}
    loop = build.loop(config)
    for event in checkpointed(loop, tmp_path, 1e-9, {}):
        if isinstance(event, Saved):
            place = event.file.with_name(f"seed_{event.seed}_resume.pt")
            files[event.seed] = event.file.replace(place)
        if isinstance(event, Tick) and event.step == 2304:
            break  # as if the process had been killed
    lanes = [load_lane(file) for file in files.values()]
    assert all(len(lane.rows.blocks) > 3 for lane in lanes)
    there = {place.name for place in tmp_path.glob("checkpoints/*_rows_*.pt")}
    needed = {block.file for lane in lanes for block in lane.rows.blocks}
    assert needed <= there and "seed_1_rows_1.pt" not in there
    again = build.loop(config)
    again.take_up(lanes)
    assert ended(again, {lane.seed: lane.rows.blocks for lane in lanes}) == whole


def test_blocks_are_written_as_they_fill_and_not_all_at_the_next_checkpoint(
    compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "BLOCK_BYTES", 4000)
    loop = build.loop(compose(*SMALL[:-2], "seed=1", "steps=1000"))
    for event in checkpointed(loop, tmp_path, 1e9, {}):
        assert not isinstance(event, Saved)
        if isinstance(event, Tick) and event.step == 768:
            break
    files = {place.name for place in tmp_path.glob("checkpoints/*")}
    assert files == {f"seed_1_rows_{number}.pt" for number in range(1, 6)}  # 88 of 512 rows each
