"""Conducting a run: its events go to the loggers, and whatever ends it, everything is closed."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

import torch
from omegaconf import OmegaConf

from dqn_cli.config import GROUPS, Config
from dqn_cli.events import (
    AllDiverged,
    Diverged,
    Episode,
    Evaluated,
    Event,
    Failed,
    Note,
    Rescored,
    Rescoring,
    RunError,
)
from dqn_cli.logger.files import RunFiles
from dqn_cli.logger.headline import headline
from dqn_cli.logger.jobs import Jobs
from dqn_cli.logger.logger import Logger
from dqn_cli.logger.progress import Display
from dqn_cli.results import schema
from dqn_cli.results.figure import draw
from dqn_cli.results.page.page import write_page
from dqn_cli.results.reader import read_run
from dqn_cli.results.schema import checkpoint_file
from dqn_cli.results.variants import panels
from dqn_cli.results.writer import RunWriter
from dqn_cli.saving.checkpoint import load
from dqn_cli.saving.resume import Resumed
from dqn_cli.saving.versions import versions
from dqn_cli.training import build
from dqn_cli.training.evaluation import fresh_scores
from dqn_cli.training.judge import Judge
from dqn_cli.training.signals import Stopped, stopped_by_signals
from dqn_cli.training.workers import Alone, Workers
from dqn_cli.types import EnvError
from dqn_cli.words import counted

log = logging.getLogger("dqn_cli")


def train(
    config: Config,
    source: Alone | Workers,
    directory: Path,
    choices: dict[str, str],
    found: Sequence[str],
    resumed: Resumed | None,
    jobs: Jobs | None,
    judge: Judge | None = None,
) -> str:
    """Run `source` to its end, hand its events to the loggers, and draw the run's figure. Returns
    the last scores, for people. `found`: notes on what was found out before it begins. `jobs` is
    the sweep that the run is a job of, which prints less; `judge` may end it early, in the same
    good order, and it is then `pruned`.

    Raises Stopped after a signal; RunError if an environment, a process or the disk fails;
    AllDiverged if every seed diverged. The run directory is complete up to then either way.
    """
    build.part(config, "device").apply()
    log.info("seeds %s into %s", config.seeds, directory)
    env = source.env
    notes = dict.fromkeys([*found, *env.notes])
    for reason in source.notes:
        log.info(reason)
    for note in notes:
        say(note)
    groups = resumed.choices if resumed else {r: choices[r] for r in GROUPS if choices.get(r)}
    device, kernels = name_of(source.device), source.greedy.kernels.name
    with RunWriter(
        directory,
        config=OmegaConf.to_yaml(OmegaConf.create(config.model_dump())),
        choices=groups,
        seeds=config.seeds,
        threshold=env.threshold,
        versions=versions(),
        facts={"device": device, "kernels": kernels, "observation": env.observation},
        kept={s: seed.kept for s, seed in resumed.seeds.items()} if resumed else None,
        diverged=resumed.diverged if resumed else (),
    ) as writer:
        limits = (config.episodes, config.steps)
        done = {s: (p.episode, p.step) for s, p in resumed.seeds.items()} if resumed else {}
        diverged = set(resumed.diverged if resumed else ())
        if jobs is None:
            what = env.id, config.name, groups, config.seeds, device, kernels
            print(headline(*what, source.replay_bytes), flush=True)
        display = Display(config.seeds, limits, jobs, done, diverged)
        files = RunFiles(config.seeds, source.greedy.network, writer, resumed)
        run = Dispatcher([files, display], directory, diverged)
        status, best = "failed", None
        try:
            with disk_errors(directory):
                files.restore()
                if judge and resumed:
                    judge.recall(directory)
            with stopped_by_signals(source.stop) as signals:
                for event in source.run(directory):
                    run.event(event)
                    if judge and judge.gives_up(event):
                        log.info("given up at %d %%", judge.percent)
                        source.stop()
                pruned = judge is not None and judge.percent is not None
                if not signals and not pruned:
                    run.note_cut(config, source)
                    with disk_errors(directory):
                        best = score_best(config, source, run, directory, lambda: bool(signals))
            status = "interrupted" if signals else "pruned" if pruned else "finished"
        except BaseException as problem:
            source.kill()
            if isinstance(problem, KeyboardInterrupt):
                status = "interrupted"
            else:
                run.event(Failed(" ".join(str(problem).split()) or type(problem).__name__))
            raise
        finally:
            text = display.text
            run.close(status)
            log.info("%s: %s", status, text)
            for note in dict.fromkeys(run.notes):
                if note not in notes:
                    say(note)
            if jobs is None:
                print("\n".join([text, *([best] if best else []), str(directory)]))
    with disk_errors(directory):
        shown = panels([read_run(directory)])
        draw(shown, directory / schema.FIGURE)
        if config.report:
            write_page(shown, directory / schema.REPORT)
    if signals:
        raise Stopped(signals[0])
    if len(run.diverged) == len(config.seeds):
        raise AllDiverged("every seed diverged: their losses or Q-values are not finite")
    return display.outcome


def name_of(device: torch.device) -> str:
    """The device, for people."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return device.type


def say(note: str) -> None:
    """Log the note and print it on stderr."""
    log.warning(note)
    print(f"dqn-train: note: {note}", file=sys.stderr)


@contextlib.contextmanager
def disk_errors(directory: Path) -> Iterator[None]:
    """Turn an OSError, such as that of a full disk, into a RunError that names the directory."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{directory}: cannot be written: {error.strerror or error}") from error
    except schema.ResultError as error:
        raise RunError(str(error)) from error


class Dispatcher:
    """Hand each event of a run to its loggers, and keep what is needed when it ends."""

    def __init__(self, loggers: Sequence[Logger], directory: Path, diverged: Iterable[int]) -> None:
        self.loggers = loggers
        self.directory = directory
        self.diverged = set(diverged)  # seeds, those of a resumed run as well
        self.cut: Counter[int] = Counter()  # seed -> greedy episodes that reached the limit
        self.notes: list[str] = []  # for the end

    def event(self, event: Event) -> None:
        """RunError if a logger cannot write."""
        match event:
            case Episode() | Evaluated():
                self.cut[event.seed] += event.cut
            case Note():
                self.notes.append(event.text)
            case Diverged():
                self.diverged.add(event.seed)
        with disk_errors(self.directory):
            for logger in self.loggers:
                logger.event(event)

    def close(self, status: str) -> None:
        """Close the loggers, the last one first: the run directory says how the run ended when
        everything else is closed. RunError if a logger cannot write."""
        with disk_errors(self.directory), contextlib.ExitStack() as closing:
            for logger in self.loggers:
                closing.callback(logger.close, status)

    def note_cut(self, config: Config, source: Alone | Workers) -> None:
        """Add a note that names the seeds whose greedy episodes reached the limit, if any did."""
        if seeds := sorted(seed for seed, times in self.cut.items() if times):
            limit, many = build.evaluation(config).limit(source.env), self.cut.total() != 1
            self.notes.append(
                f"{counted(self.cut.total(), 'greedy episode')} of seed "
                f"{', '.join(map(str, seeds))} {'were' if many else 'was'} cut at {limit} steps "
                f"(eval.max_steps), and scored by {'their' if many else 'its'} return up to there"
            )


def score_best(
    config: Config,
    source: Alone | Workers,
    run: Dispatcher,
    directory: Path,
    stopped: Callable[[], bool],
) -> str | None:
    """Score the best network of each seed on fresh episodes, unless `stopped`, and return a line
    for people. The score that a network was chosen by is the luckiest of many; this is what it is
    worth. OSError if a checkpoint cannot be read."""
    episodes, evaluation = config.eval.final_episodes, build.evaluation(config)
    files = {seed: directory / checkpoint_file(seed, "best") for seed in config.seeds}
    networks = {
        seed: source.greedy.network.flat(load(file).params)
        for seed, file in files.items()
        if file.exists()
    }
    if episodes is None or not networks:
        return None
    run.event(Rescoring(episodes))
    try:
        scores = fresh_scores(source.env, source.greedy, networks, evaluation, episodes, stopped)
    except EnvError as error:
        run.notes.append(f"the best networks were not scored on fresh episodes: {error}")
        return None
    for seed, score in scores.items():
        run.event(Rescored(seed, score))
    if not scores:
        return None
    values = scores.values()
    spread = f" [{min(values):.4g}, {max(values):.4g}]" if len(values) > 1 else ""
    return f"best networks, {counted(episodes, 'fresh episode')} each: {fmean(values):.4g}{spread}"
