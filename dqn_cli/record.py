"""A run written down: a loop's events become rows, checkpoints, progress and a last figure."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf

from dqn_cli.checkpoint import Checkpoint, dump
from dqn_cli.config import ROOMS, Config
from dqn_cli.events import Diverged, Episode, Event, Finished, RunError, Saved, Tick
from dqn_cli.plot import draw
from dqn_cli.progress import Display
from dqn_cli.results import schema
from dqn_cli.results.reader import read_run
from dqn_cli.results.stats import Axis
from dqn_cli.results.writer import RunWriter, write_atomic
from dqn_cli.resume import Resumed, versions
from dqn_cli.workers import Alone, Workers

log = logging.getLogger("dqn_cli")


class Stopped(KeyboardInterrupt):
    """A run that ended after this signal, with all it needs to go on."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def train(
    config: Config,
    source: Alone | Workers,
    directory: Path,
    choices: dict[str, str],
    resumed: Resumed | None,
    *,
    quiet: bool,
) -> None:
    """Run to the end, writing everything down on the way.

    Stopped after a signal; RunError for an environment, a process or a disk that fails. What was
    told up to then is written either way.
    """
    log.info("seeds %s into %s", config.seeds, directory)
    for note in resumed.notes if resumed else []:
        log.warning(note)
        print(f"dqn-train: note: {note}", file=sys.stderr)
    with RunWriter(
        directory,
        config=OmegaConf.to_yaml(OmegaConf.create(config.model_dump())),
        choices=resumed.choices if resumed else {r: choices[r] for r in ROOMS if choices.get(r)},
        seeds=config.seeds,
        threshold=source.env.threshold,
        versions=versions(),
        kept={s: seed.episode for s, seed in resumed.seeds.items()} if resumed else None,
        diverged=resumed.diverged if resumed else (),
    ) as writer:
        limits = (config.episodes, config.steps)
        done = {s: (p.episode, p.step) for s, p in resumed.seeds.items()} if resumed else {}
        display = Display(config.seeds, limits, quiet, done)
        record = Recorder(source, writer, display, directory)
        status, error = "failed", None
        try:
            if resumed is not None:
                with disk_errors(directory):
                    record.restore(resumed)
            with stopped_by_signals(source.stop) as signals:
                for event in source.run(directory):
                    with disk_errors(directory):
                        record.event(event)
            status = "interrupted" if signals else "finished"
        except BaseException as problem:
            source.kill()
            if isinstance(problem, KeyboardInterrupt):
                status = "interrupted"
            else:
                error = " ".join(str(problem).split()) or type(problem).__name__
            raise
        finally:
            text = display.text
            display.close()
            speed = resumed.speed if resumed and not record.lane_steps else record.speed
            with disk_errors(directory):
                writer.finish(status, env_steps_per_second=speed, error=error)
            log.info("%s: %s", status, text)
            if not quiet:
                print(f"{text}\n{directory}")
    with disk_errors(directory):
        x: Axis = "step" if config.episodes is None else "episode"
        draw([read_run(directory)], directory / schema.FIGURE, x=x)
    if signals:
        raise Stopped(signals[0])


@contextlib.contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Calls `stop` at the first SIGINT or SIGTERM, and lists it; a second SIGINT ends it at once.

    Only the main thread can receive signals; in another one, the list stays empty.
    """
    received: list[int] = []

    def handle(number: int, _: object) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        stop()

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield received
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def disk_errors(directory: Path) -> Iterator[None]:
    """A full disk, or a directory that has gone, as the one line it is worth."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{directory}: cannot be written: {error.strerror or error}") from error
    except schema.ResultError as error:
        raise RunError(str(error)) from error


class Recorder:
    """Turns a loop's events into files and progress."""

    def __init__(
        self, source: Alone | Workers, writer: RunWriter, display: Display, directory: Path
    ) -> None:
        self.source = source
        self.writer = writer
        self.display = display
        self.directory = directory
        self.started = time.perf_counter()
        self.episode = dict(display.episode)
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

    def restore(self, resumed: Resumed) -> None:
        """The networks are those of the checkpoints: later ones will come again, and earlier ones
        may not have outlasted a power cut."""
        self.display.over.update(resumed.diverged)
        for seed, progress in resumed.seeds.items():
            if seed in resumed.diverged:
                continue
            for kind in ("best", "last"):
                path = self.directory / schema.checkpoint_file(seed, kind)
                path.unlink(missing_ok=True)
            best, params = progress.best, progress.params
            if best is not None:
                self._save(seed, "best", best.episode, best.step, best.score, best.params)
            if params is not None:
                self._save(seed, "last", progress.episode, progress.step, None, params)

    def event(self, event: Event) -> None:
        match event:
            case Episode():
                self.writer.episode(event.seed, event.row, self.writer.seconds + self.seconds)
                self.episode[event.seed] = event.episode
                self.display.episode_ended(event.seed, event.episode, event.step, event.score)
                if event.best is not None:
                    self._save(
                        event.seed, "best", event.episode, event.step, event.score, event.best
                    )
            case Finished():
                done = self.episode[event.seed]
                self._save(event.seed, "last", done, event.step, None, event.params)
                self.display.seed_step[event.seed] = event.step
            case Diverged():
                self.writer.diverged(event.seed)
                text = f"seed {event.seed} diverged: its loss or Q-values are no numbers any more"
                log.warning("%s, at step %d", text, event.step)
                self.display.diverged(event.seed, f"{text} (step {event.step})")
            case Saved():
                self.writer.commit(event.seed, event.file)
            case Tick():
                self.lane_steps += event.lane_steps
                self.evaluation += event.seconds
                self.display.advanced(event.step, self.lane_steps, event.seeds)

    def _save(
        self,
        seed: int,
        kind: str,
        episode: int,
        step: int,
        score: float | None,
        params: NDArray[np.float32],
    ) -> None:
        named = self.source.network.named(torch.from_numpy(params))
        checkpoint = Checkpoint(seed, episode, step, score, named)
        write_atomic(self.directory / schema.checkpoint_file(seed, kind), dump(checkpoint))
