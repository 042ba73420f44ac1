"""A run written down: a loop's events become rows, checkpoints, progress and a last figure."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf

from dqn_cli.config import ROOMS, Config
from dqn_cli.events import (
    AllDiverged,
    Diverged,
    Episode,
    Evaluated,
    Event,
    Finished,
    Note,
    RunError,
    Saved,
    Tick,
)
from dqn_cli.logger.progress import Display
from dqn_cli.results import schema
from dqn_cli.results.figure import draw
from dqn_cli.results.files import write_atomic
from dqn_cli.results.reader import read_run
from dqn_cli.results.schema import checkpoint_file
from dqn_cli.results.writer import RunWriter
from dqn_cli.saving.checkpoint import Checkpoint, dump, load
from dqn_cli.saving.resume import Resumed, versions
from dqn_cli.state import Best
from dqn_cli.training import build
from dqn_cli.training.evaluation import fresh_scores
from dqn_cli.training.workers import Alone, Workers
from dqn_cli.types import EnvError

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
    env = source.env
    notes = dict.fromkeys([*(resumed.notes if resumed else env.rehearse()), *env.notes])
    for note in notes:
        say(note)
    with RunWriter(
        directory,
        config=OmegaConf.to_yaml(OmegaConf.create(config.model_dump())),
        choices=resumed.choices if resumed else {r: choices[r] for r in ROOMS if choices.get(r)},
        seeds=config.seeds,
        threshold=env.threshold,
        versions=versions(),
        facts={"device": name_of(source.device), "observation": env.observation},
        kept={s: seed.kept for s, seed in resumed.seeds.items()} if resumed else None,
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
                if not signals:
                    with disk_errors(directory):
                        record.score_best(config, lambda: bool(signals))
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
            for note in dict.fromkeys(record.notes):
                if note not in notes:
                    say(note)
            if not quiet:
                print("\n".join([text, *record.best, str(directory)]))
    with disk_errors(directory):
        draw([read_run(directory)], directory / schema.FIGURE)
    if signals:
        raise Stopped(signals[0])
    if len(display.over) == len(config.seeds):
        raise AllDiverged("every seed diverged: their losses or Q-values are no numbers any more")


def name_of(device: torch.device) -> str:
    """The device, for people."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return device.type


def say(note: str) -> None:
    log.warning(note)
    print(f"dqn-train: note: {note}", file=sys.stderr)


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
        self.cut: Counter[int] = Counter()  # seed -> greedy episodes that reached the limit
        self.notes: list[str] = []  # for the end
        self.best: list[str] = []  # what became of the best networks, a line or none

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
                path = self.directory / checkpoint_file(seed, kind)
                path.unlink(missing_ok=True)
            best, params = progress.best, progress.params
            if params is not None:
                self._save(seed, "last", progress.episode, progress.step, None, params)
                said = self.writer.outcome(seed)
                if said.best_step == progress.step and said.best_score is not None:
                    best = Best(said.best_score, progress.episode, progress.step, params)
            if best is not None:
                self._save(seed, "best", best.episode, best.step, best.score, best.params)

    def event(self, event: Event) -> None:
        match event:
            case Episode():
                self.writer.episode(event.seed, event.row, self.writer.seconds + self.seconds)
                self.episode[event.seed] = event.episode
                self.display.episode_ended(event.seed, event.episode, event.step)
                self._scored(event)
            case Evaluated():
                self.writer.evaluation(event.seed, event.row)
                self._scored(event)
            case Note():
                self.notes.append(event.text)
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

    def _scored(self, event: Episode | Evaluated) -> None:
        self.display.scored(event.seed, event.score)
        self.cut[event.seed] += event.cut
        if event.best is not None:
            self._save(event.seed, "best", event.episode, event.step, event.score, event.best)

    def score_best(self, config: Config, stopped: Callable[[], bool]) -> None:
        """The score that a network was chosen by is the luckiest of many: the mean over fresh
        episodes is what it is worth."""
        self._say_cut(config)
        episodes, evaluation = config.eval.final_episodes, build.evaluation(config)
        files = {seed: self.directory / checkpoint_file(seed, "best") for seed in config.seeds}
        networks = {
            seed: self.source.network.flat(load(file).params)
            for seed, file in files.items()
            if file.exists()
        }
        if episodes is None or not networks:
            return
        self.display.busy(f"best networks: {episodes} fresh episodes of each")
        try:
            scores = fresh_scores(
                self.source.env, self.source.network, networks, evaluation, episodes, stopped
            )
        except EnvError as error:
            self.notes.append(f"the best networks were not scored on fresh episodes: {error}")
            return
        for seed, score in scores.items():
            self.writer.best_again(seed, score)
        if scores:
            values = scores.values()
            spread = f" [{min(values):.4g}, {max(values):.4g}]" if len(values) > 1 else ""
            self.best = [
                f"best networks, {episodes} fresh episodes each: {fmean(values):.4g}{spread}"
            ]

    def _say_cut(self, config: Config) -> None:
        if seeds := sorted(seed for seed, times in self.cut.items() if times):
            limit = build.evaluation(config).limit(self.source.env)
            self.notes.append(
                f"{self.cut.total()} greedy episodes of seed {', '.join(map(str, seeds))} were cut "
                f"at {limit} steps (eval.max_steps), and scored by their return up to there"
            )

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
        write_atomic(self.directory / checkpoint_file(seed, kind), dump(checkpoint))
