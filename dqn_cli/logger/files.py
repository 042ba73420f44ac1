"""The logger that keeps the run directory: rows, networks, timing and the summary."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dqn_cli.events import (
    Diverged,
    Episode,
    Evaluated,
    Event,
    Failed,
    Finished,
    Rescored,
    Saved,
    Tick,
)
from dqn_cli.results.files import write_atomic
from dqn_cli.results.schema import checkpoint_file
from dqn_cli.results.writer import RunWriter
from dqn_cli.saving.checkpoint import Checkpoint, dump
from dqn_cli.saving.resume import Resumed
from dqn_cli.state import Best
from dqn_cli.types import Network

log = logging.getLogger("dqn_cli")


class RunFiles:
    """Write events into the run directory of `writer`, which stays its owner's to close.

    network: names the parameters that checkpoints hold. resumed: where a resumed run continues.
    Every method raises OSError if the directory cannot be written.
    """

    def __init__(
        self, seeds: Sequence[int], network: Network, writer: RunWriter, resumed: Resumed | None
    ) -> None:
        self.network = network
        self.writer = writer
        self.started = time.perf_counter()
        done = resumed.seeds if resumed else {}
        self.episode = {s: done[s].episode if s in done else 0 for s in seeds}
        self.resumed = resumed
        self.lane_steps = 0
        self.evaluation = 0.0  # seconds
        self.error: str | None = None

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since this object was made."""
        return time.perf_counter() - self.started

    @property
    def speed(self) -> float:
        """Env steps of all seeds per second, without the time of evaluations."""
        return self.lane_steps / (self.seconds - self.evaluation)

    def restore(self) -> None:
        """Replace a resumed run's best and last networks by those of the checkpoints: later ones
        will come again, and earlier ones may not have outlasted a power cut."""
        if (resumed := self.resumed) is None:
            return
        for seed, progress in resumed.seeds.items():
            if seed in resumed.diverged:
                continue
            for kind in ("best", "last"):
                path = self.writer.directory / checkpoint_file(seed, kind)
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
                self._scored(event)
            case Evaluated():
                self.writer.evaluation(event.seed, event.row)
                self._scored(event)
            case Finished():
                done = self.episode[event.seed]
                self._save(event.seed, "last", done, event.step, None, event.params)
            case Diverged():
                self.writer.diverged(event.seed)
                log.warning("%s, at step %d", event.line, event.step)
            case Saved():
                self.writer.commit(event.seed, event.file)
            case Tick():
                self.lane_steps += event.lane_steps
                self.evaluation += event.seconds
            case Rescored():
                self.writer.best_again(event.seed, event.score)
            case Failed():
                self.error = event.line

    def close(self, status: str) -> None:
        speed: float | None = self.speed
        if self.resumed is not None and not self.lane_steps:
            speed = self.resumed.speed
        self.writer.finish(status, env_steps_per_second=speed, error=self.error)

    def _scored(self, event: Episode | Evaluated) -> None:
        if event.diagnosis is not None:
            row = {"step": event.step, "episode": event.episode, **event.diagnosis._asdict()}
            self.writer.diagnosis(event.seed, row)
        if event.best is not None:
            self._save(event.seed, "best", event.episode, event.step, event.score, event.best)

    def _save(
        self,
        seed: int,
        kind: str,
        episode: int,
        step: int,
        score: float | None,
        params: NDArray[np.float32],
    ) -> None:
        named = self.network.named(torch.from_numpy(params))
        checkpoint = Checkpoint(seed, episode, step, score, named)
        write_atomic(self.writer.directory / checkpoint_file(seed, kind), dump(checkpoint))
