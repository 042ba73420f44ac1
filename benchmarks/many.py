"""What a sweep of many finished jobs costs: to find what is left of it, to list it, to compare it.

python -m benchmarks.many [JOBS ...]

One job of one seed is trained (200 episodes of CartPole); the others have its files, under their
own names and seeds. Seconds are those of the processor, without waiting; memory is the most that
the process had.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir

from dqn_cli.cli.hints import CONF
from dqn_cli.cli.planning import Keys, hash_of_sources, plan
from dqn_cli.results.schema import CONFIG, SUMMARY
from dqn_cli.results.sweep import Sweep, write_sweep

SMALL = ("network.hidden=[16]", "eval.episodes=1", "eval.final_episodes=5", "device=cpu")
COMMANDS = {
    "to find what is left, and compare": ("train", "resume=many"),
    "dqn-plot": ("plot", "many", "-o", "many.png"),
    "dqn-plot --status": ("plot", "many", "--status"),
}


def run(folder: Path, module: str, *arguments: str) -> tuple[float, float]:
    """Seconds of the processor, and MB of memory."""
    line = [sys.executable, "-c", f"from dqn_cli.cli.{module} import main; main()", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(line, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        _, code, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
    assert process.returncode == 0, line
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def build(folder: Path, one: Path, jobs: int) -> None:
    """A sweep of so many seeds in the folder `many`, each with the files of the run in `one`."""
    command = ["-m", *SMALL, f"seed=range(0,{jobs})", "hydra.sweeper.seeds_per_job=1"]
    keys = Keys(seeds_per_job=1, tries=3, stop_at_failure=False, max_batch_size=None, params={})
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [*SMALL], return_hydra_config=True)
    planned, size = plan(command[1:-1], config, keys, None)
    sources = hash_of_sources(config)
    names = [job.name for job in planned]
    values = yaml.safe_load((one / CONFIG).read_text())
    summary = json.loads((one / SUMMARY).read_text())
    for seed, name in enumerate(names):
        place = folder / "many" / name
        for file in (file for file in one.rglob("*") if file.is_file()):
            to = place / str(file.relative_to(one)).replace("seed_0", f"seed_{seed}")
            to.parent.mkdir(parents=True, exist_ok=True)
            if file.name not in (CONFIG, SUMMARY):
                os.link(file, to)
        (place / CONFIG).write_text(yaml.safe_dump(values | {"seed": seed}, sort_keys=False))
        own = summary | {"seeds": {str(seed): summary["seeds"]["0"]}}
        (place / SUMMARY).write_text(json.dumps(own))
    write_sweep(folder / "many", Sweep(command, names, size, sources, False))


def main() -> None:
    sizes = [int(word) for word in sys.argv[1:]] or [100, 1000, 10000]
    with tempfile.TemporaryDirectory(prefix="many-") as name:
        folder = Path(name)
        run(folder, "train", *SMALL, "seed=0", "hydra.run.dir=one")
        for jobs in sizes:
            place = folder / str(jobs)
            build(place, folder / "one", jobs)
            for what, line in COMMANDS.items():
                seconds, megabytes = run(place, *line)
                print(f"{jobs} jobs, {what}: {seconds:.1f} s, {megabytes:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
