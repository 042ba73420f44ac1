"""A run written down: a loop's events become rows, checkpoints, progress and a last figure."""

from __future__ import annotations

import logging
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf

from dqn_cli.checkpoint import Checkpoint, dump
from dqn_cli.config import ROOMS, Config
from dqn_cli.loop import Episode, Event, Finished, Loop, Tick
from dqn_cli.plot import draw
from dqn_cli.progress import Display
from dqn_cli.results import schema
from dqn_cli.results.reader import read_run
from dqn_cli.results.writer import RunWriter, write_atomic
from dqn_cli.workers import Workers

log = logging.getLogger("dqn_cli")


def train(
    config: Config, loop: Loop | Workers, directory: Path, choices: dict[str, str], *, quiet: bool
) -> None:
    """Run to the end, or to an interrupt (raised again), writing everything down on the way."""
    display = Display(config.seeds, (config.episodes, config.steps), quiet)
    log.info("seeds %s into %s", config.seeds, directory)
    with RunWriter(
        directory,
        config=OmegaConf.to_yaml(OmegaConf.create(config.model_dump())),
        choices={room: choices[room] for room in ROOMS if choices.get(room)},
        seeds=config.seeds,
        threshold=loop.env.threshold,
        versions=versions(),
    ) as writer:
        (directory / schema.CHECKPOINTS).mkdir()
        record = Recorder(loop, writer, display, directory)
        status, error, interrupt = "failed", None, None
        try:
            for event in loop.run():
                record.event(event)
            status = "finished"
        except KeyboardInterrupt as problem:
            status, interrupt = "interrupted", problem
            for event in loop.stop():
                record.event(event)
        except Exception as problem:
            error = " ".join(str(problem).split()) or type(problem).__name__
            raise
        finally:
            text = display.text
            display.close()
            writer.finish(status, env_steps_per_second=record.speed, error=error)
            log.info("%s: %s", status, text)
            if not quiet:
                print(f"{text}\n{directory}")
    draw([read_run(directory)], directory / schema.FIGURE, metric=None)
    if interrupt is not None:
        raise interrupt


class Recorder:
    """Turns a loop's events into files and progress."""

    def __init__(
        self, loop: Loop | Workers, writer: RunWriter, display: Display, directory: Path
    ) -> None:
        self.loop = loop
        self.writer = writer
        self.display = display
        self.directory = directory
        self.started = time.perf_counter()
        self.episode = dict.fromkeys(loop.seeds, 0)
        self.lane_steps = 0
        self.evaluation = 0.0  # seconds

    @property
    def seconds(self) -> float:
        """Since training began."""
        return time.perf_counter() - self.started

    @property
    def speed(self) -> float:
        """Env steps of all seeds per second, evaluation apart."""
        return self.lane_steps / (self.seconds - self.evaluation)

    def event(self, event: Event) -> None:
        match event:
            case Episode():
                self.writer.episode(event.seed, event.row, self.seconds)
                self.episode[event.seed] = event.episode
                self.display.episode_ended(event.seed, event.episode, event.step, event.score)
                if event.best is not None:
                    self._save(event.seed, "best", event.step, event.score, event.best)
            case Finished():
                self._save(event.seed, "last", event.step, None, event.params)
            case Tick():
                self.lane_steps += event.lane_steps
                self.evaluation += event.seconds
                self.display.advanced(event.step, self.lane_steps, event.seeds)

    def _save(
        self, seed: int, kind: str, step: int, score: float | None, params: NDArray[np.float32]
    ) -> None:
        named = self.loop.network.named(torch.from_numpy(params))
        checkpoint = Checkpoint(seed, self.episode[seed], step, score, named)
        write_atomic(self.directory / schema.checkpoint_file(seed, kind), dump(checkpoint))


def versions() -> dict[str, str]:
    """Of what the results depend on."""
    packages = ("dqn-cli", "torch", "numpy", "gymnasium")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
