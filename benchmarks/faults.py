"""A campaign of faults: runs are killed, go on, and must end with the bytes of a run left alone.

python -m benchmarks.faults [KILLS]

Half of the kills come from outside at a random instant, to the process alone or to its group. The
others come from within, at a chosen point: half-way through a checkpoint or a row, between two
renames, within an evaluation, while a run that goes on is being set up. Every run is killed
one to three times, then left to end. One line per run; the last line sums up.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from dqn_cli import state

SMALL = "network.hidden=[32] learning_starts=50 batch_size=32 eval.episodes=2 device.workers=1"
RUNS = {
    "uniform, hard": "seed=[1,2,3] episodes=90",
    "per, hard": "seed=[1,2,3] episodes=90 buffer=per",
    "uniform, polyak, dueling": "seed=[1,2,3] episodes=80 target=polyak network=dueling",
    "everything": "seed=[1,2] episodes=80 algo=ddqn buffer=per network=dueling target=polyak "
    "grad_clip_norm=1 algo.loss=huber optimizer=rmsprop",
    "five in a row, small replay": "seed=[1,2,3,4,5] episodes=80 buffer=per buffer.capacity=700",
    "much evaluation": "seed=[1,2] episodes=60 eval.episodes=20",
    "evaluation by steps": "seed=[1,2,3] episodes=null steps=3900 eval.every_episodes=null "
    "eval.every_steps=125",
    "by steps and episodes, two processes": "seed=[1,2,3] episodes=70 eval.every_episodes=7 "
    "eval.every_steps=33 device.workers=2 buffer=per",
    "acrobot": "seed=[1,2] episodes=9 env.id=Acrobot-v1 eval.episodes=1",
    "all of Rainbow": "seed=[1,2] episodes=50 algo=c51 buffer=per network=noisy_dueling n_step=3 "
    "exploration=greedy",
    "PyTorch's kernels": "seed=[1,2] episodes=60 device.kernels=torch buffer=per_rank algo=qr",
    "two processes": "seed=[1,2,3,4] episodes=90 device.workers=2",
    "frames": "seed=[1,2,3] episodes=70 storage=frames buffer=per n_step=3 "
    "env.wrappers=[{_target_:gymnasium.wrappers.FrameStackObservation,stack_size:4}]",
    "frames, small replay": "seed=[1,2] episodes=90 storage=frames buffer.capacity=900 "
    "env.wrappers=[{_target_:gymnasium.wrappers.FrameStackObservation,stack_size:4}]",
    "two threads": "seed=[1,2,3] episodes=60 device.threads=2 network.hidden=[64,33]",
}
OFTEN = "checkpoint.every_seconds=0.05"
# Points within, and how often each is passed over at most before it strikes.
POINTS = {
    **{"checkpoint": 30, "block": 4, "forgotten block": 4, "rename": 30},
    **{"row": 200, "evaluation": 20, "going on": 0},
}
# Small ones, so that these runs have several; here, for the processes of a run to have them, too.
state.BLOCK_BYTES = 20_000


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def strike(point: str, after: int) -> None:
    """Have this process kill itself at the point, once it has been passed `after` times."""
    from dqn_cli.results import files, writer
    from dqn_cli.saving import save
    from dqn_cli.training import evaluation

    passed = 0

    def due() -> bool:
        nonlocal passed
        passed += 1
        return passed > after

    match point:
        case "checkpoint":
            write = files.write_beside

            def half(temporary: Path, data: bytes, durable: bool) -> None:
                if due():
                    write(temporary, data[: len(data) // 2], False)
                    die()
                write(temporary, data, durable)

            save.write_beside = half  # type: ignore[attr-defined]
        case "block":
            whole = files.write_beside

            def torn_block(temporary: Path, data: bytes, durable: bool) -> None:
                if "_rows_" in temporary.name and due():
                    whole(temporary, data[: len(data) // 2], False)
                    die()
                whole(temporary, data, durable)

            files.write_beside = torn_block
        case "forgotten block":
            unlink = Path.unlink

            def unlinked(self: Path, missing_ok: bool = False) -> None:
                unlink(self, missing_ok)
                if "_rows_" in self.name and not self.name.startswith(".") and due():
                    die()

            Path.unlink = unlinked  # type: ignore[method-assign]
        case "rename":
            replace = os.replace

            def renamed(old: Path, new: Path) -> None:
                replace(old, new)
                if "previous" in str(new) and due():
                    die()

            os.replace = renamed  # type: ignore[assignment]
        case "row":
            from dqn_cli.results.rows import append

            def torn(file, cells) -> None:  # type: ignore[no-untyped-def]
                cells = list(cells)
                if due():
                    file.write(",".join(cells).encode()[: random.randrange(12)])
                    die()
                append(file, cells)

            writer.append = torn  # type: ignore[attr-defined]
        case "evaluation":
            play = evaluation.greedy_returns

            def played(*arguments: Any, **more: Any) -> Any:
                if due():
                    more["watch"] = lambda _: die()
                return play(*arguments, **more)

            evaluation.greedy_returns = played
        case "going on":
            recall = writer.RunWriter._recall

            def recalled(self, seed) -> None:  # type: ignore[no-untyped-def]
                recall(self, seed)
                if due():
                    die()

            writer.RunWriter._recall = recalled  # type: ignore[method-assign]


def child() -> None:
    """dqn-train with a fault in it: POINT AFTER arguments..."""
    point, after, *arguments = sys.argv[2:]
    strike(point, int(after))
    sys.argv = ["dqn-train", *arguments]
    from dqn_cli.cli.train import main

    main()


def start(
    folder: Path, arguments: list[str], fault: tuple[str, int] | None
) -> subprocess.Popen[bytes]:
    point, after = fault or ("none", 0)
    command = [sys.executable, "-m", "benchmarks.faults", "child", point, str(after), *arguments]
    here = Path(__file__).parents[1]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(here)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def bytes_of(run: Path) -> dict[str, str]:
    files = [
        *(*run.glob("scores/*"), *run.glob("evaluations/*"), *run.glob("diagnostics/*")),
        *(*run.glob("checkpoints/*_best.pt"), *run.glob("*/*_last.pt")),
    ]
    return {
        file.relative_to(run).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def rows(run: Path) -> int:
    try:
        return (run / "timing.csv").read_bytes().count(b"\n")
    except OSError:
        return 0


def one(name: str, whole: dict[str, str], seconds: float, draw: random.Random) -> tuple[int, str]:
    """Kill a run one to three times, then let it end; the kills, and what was wrong if anything."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    run, line = folder / "run", f"{SMALL} {RUNS[name]} {OFTEN} hydra.run.dir=run".split()
    kills = 0
    faults: list[str] = []
    for _ in range(draw.choice((1, 1, 2, 3))):
        fault = None
        if draw.random() < 0.5:
            point = draw.choice(list(POINTS))
            fault = (point, draw.randint(0, POINTS[point]))
        going_on = (run / "config.yaml").is_file()
        process = start(folder, ["resume=run"] if going_on else line, fault)
        if fault is None:
            before = rows(run)
            limit = time.monotonic() + 60
            while process.poll() is None and rows(run) <= before and time.monotonic() < limit:
                time.sleep(0.01)
            time.sleep(draw.uniform(0, seconds))
            group = draw.random() < 0.5
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL) if group else process.kill()
        _, err = process.communicate(timeout=300)
        if process.returncode == -signal.SIGKILL:
            kills += 1
            faults.append(fault[0] if fault else "any time")
        elif process.returncode:
            return kills, f"{faults}: {err.decode()}"
    going_on = (run / "config.yaml").is_file()
    process = start(folder, ["resume=run"] if going_on else line, None)
    _, err = process.communicate(timeout=300)
    if process.returncode:
        return kills, f"{faults}: {err.decode()}"
    found = bytes_of(run)
    wrong = sorted(k for k in whole | found if whole.get(k) != found.get(k))
    left = [path.name for path in run.rglob(".*")]
    COUNT.update(faults)
    shutil.rmtree(folder)
    return kills, f"{faults}: {wrong} {left}" if wrong or left else ""


COUNT: Counter[str] = Counter()


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    draw = random.Random(0)
    whole, seconds = {}, {}
    for name, line in RUNS.items():
        folder = Path(tempfile.mkdtemp(prefix="faults-"))
        process = start(folder, f"{SMALL} {line} hydra.run.dir=run".split(), None)
        _, err = process.communicate()
        assert process.returncode == 0, err.decode()
        whole[name] = bytes_of(folder / "run")
        times = (folder / "run/timing.csv").read_text().split()[1:]
        seconds[name] = max(float(row.split(",")[-1]) for row in times)
        shutil.rmtree(folder)
        print(f"{name}: {len(whole[name])} files, {seconds[name]:.1f} s", flush=True)
    kills = runs = failures = 0
    while kills < wanted:
        for name in RUNS:
            killed, wrong = one(name, whole[name], seconds[name], draw)
            kills, runs, failures = kills + killed, runs + 1, failures + bool(wrong)
            print(f"{name}: {killed} kills, {wrong or 'same bytes'}", flush=True)
    points = ", ".join(f"{point} {number}" for point, number in sorted(COUNT.items()))
    print(f"{kills} kills of {runs} runs ({points}): {failures} with other bytes or an error")
    sys.exit(bool(failures))


if __name__ == "__main__":
    child() if sys.argv[1:2] == ["child"] else main()
