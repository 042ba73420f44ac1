"""dqn-train: compose a configuration, train, record. Hydra is known here and in hints.py only."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from dqn_cli import __version__
from dqn_cli.cli.console import escape_what_does_not_fit
from dqn_cli.cli.hints import CONF, explain, option, renamed
from dqn_cli.events import AllDiverged, RunError

if TYPE_CHECKING:  # torch and pandas are imported when a run begins, so that --help is quick
    from dqn_cli.config import Config
    from dqn_cli.saving.resume import Resumed
    from dqn_cli.training.workers import Alone, Workers

FAILED = ".error.txt"  # beside a job's directory, after its name: one line, why the job failed
log = logging.getLogger("dqn_cli")


def slug(text: str) -> str:
    """A file name that still tells what the text says: no slash, no space, never too long."""
    return re.sub(r"[^\w=,.+-]+", "-", text).strip("-.")[:120]


def job_name(number: int, overrides: Sequence[str]) -> str:
    """A job's directory in its sweep: its number keeps it apart, its swept keys tell what it is."""
    swept = [o for o in overrides if o.partition("=")[0] in Hooks.swept]
    return f"{number:03d}_{slug(','.join(swept or overrides))}"


OmegaConf.register_new_resolver("slug", slug, replace=True)
OmegaConf.register_new_resolver("job_name", job_name, replace=True)


class Prepared(NamedTuple):
    """A run that may go ahead."""

    config: Config
    source: Alone | Workers | None  # None: nothing is left to do
    resumed: Resumed | None
    claim: contextlib.ExitStack  # on the directory


class Hooks(Callback):
    """What must happen before Hydra makes a directory."""

    sweep_directory: Path | None = None  # of the sweep that this process runs, if it runs one
    made: Sequence[Path] = ()  # it and those above it that were not there before, innermost first
    swept: frozenset[str] = frozenset()  # the keys that it varies
    ready: Prepared | None = None  # the single run that may go ahead
    failed: dict[str, str] = {}  # noqa: RUF012  jobs of the sweep that have, and why

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            Hooks.ready = prepare(config, Path(config.hydra.run.dir), config.hydra.overrides.task)
        except Exception as error:
            # refuse exits: Hydra would turn an Exception from here into a warning
            known = isinstance(error, ValueError | OSError)
            refuse(error if known else f"{type(error).__name__}: {error}")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        sweep = Hooks.sweep_directory = Path(config.hydra.sweep.dir)
        Hooks.made = [path for path in (sweep, *sweep.parents) if not path.exists()]
        Hooks.failed = {}
        for stale in Hooks.sweep_directory.glob(f"*{FAILED}"):  # of an earlier sweep to this place
            stale.unlink()
        overrides = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
        Hooks.swept = frozenset(o.get_key_element() for o in overrides if o.is_sweep_override())
        with read_write(config):
            sources = config.hydra.runtime.config_sources
            config.hydra.overrides.task = [
                globbed(o.key_or_group, value, sources)
                if isinstance(value := o.value(), Glob)
                else o.input_line
                for o in overrides
            ]
        if any(o.key_or_group == "resume" for o in overrides):
            refuse("resume: not in a sweep, which makes new runs; without -m it goes on with one")


def globbed(group: str, glob: Glob, sources: Sequence[Any]) -> str:
    """The choices that match, spelled out: Hydra's own glob looks into no folder of a group."""
    places = [Path(source.path) / group for source in sources if source.schema == "file"]
    there = {
        file.relative_to(place).with_suffix("").as_posix()
        for place in places
        for file in place.rglob("*.yaml")
    }
    if not (chosen := glob.filter(sorted(there))):
        what = f"there are {', '.join(sorted(there))}" if there else "it is no group of choices"
        refuse(f"{group}=glob({','.join(glob.include)}): nothing matches; {what}")
    return f"{group}={','.join(chosen)}"


def prepare(composed: DictConfig, directory: Path, overrides: Sequence[str]) -> Prepared:
    """A run that may go ahead, checked and built; ValueError if it may not. The overrides are those
    of the command line."""
    from dqn_cli import config
    from dqn_cli.results.writer import holds_run
    from dqn_cli.training import build, workers

    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    values = OmegaConf.to_container(own, resolve=True)
    assert isinstance(values, dict)
    command, values = config.command({str(key): value for key, value in values.items()})
    if command.resume is not None:
        if directory != Path(command.resume):
            raise config.BadInput(f"hydra.run.dir={directory}: resume goes on in its own directory")
        return prepare_resumed(Path(command.resume), command.trust, values, overrides)
    if len(overlays := chosen_overlays(overrides)) > 1:
        raise config.BadInput(f"{' '.join(overlays)}: each sets keys of the whole run; choose one")
    if overlays:
        values |= rooms_beside(overlays[0], values, overrides)
    try:
        checked = config.check(values)
    except config.NoSuchKey as error:
        if hint := renamed(error.key):
            raise config.BadInput(f"{error.key}: no such key; {hint}") from None
        raise
    if holds_run(directory):
        raise config.BadInput(
            f"{directory}: already holds a run, and a run is never overwritten; "
            f"resume={directory} goes on with it"
        )
    place = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise config.BadInput(f"{directory}: cannot be made, {place} is no directory to write in")
    source = workers.share_out(checked, build.loop(checked), {})
    return Prepared(checked, source, None, contextlib.ExitStack())


def chosen_overlays(overrides: Sequence[str]) -> list[str]:
    """The choices of the command line that set more than the keys of their group: of two, the one
    would silently undo the other."""
    overlays = {
        f"{group.name}={file.relative_to(group).with_suffix('').as_posix()}"
        for group in CONF.iterdir()
        for file in group.rglob("*.yaml")
        if file.read_text(encoding="utf-8").startswith("# @package _global_")
    }
    chosen = []
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        value = override.value()
        values = value if isinstance(value, list) else [value]
        chosen += [f"{override.key_or_group}={value}" for value in values]
    return [choice for choice in chosen if choice in overlays]


def rooms_beside(
    overlay: str, values: dict[str, Any], overrides: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The rooms that the command line chooses otherwise than the overlay does. Of what the overlay
    says of its own choice, keys stay whose default is the same in both, so that they mean the same:
    a buffer's capacity, but not a hard target's period, which is too long for a soft one."""
    from dqn_cli.config import ROOMS

    parsed = OverridesParser.create().parse_overrides(list(overrides))
    typed = {o.key_or_group for o in parsed}
    chosen = {
        o.key_or_group: str(o.value())
        for o in parsed
        if o.key_or_group in ROOMS and f"{o.key_or_group}={o.value()}" != overlay
    }
    alone = [str(o.input_line) for o in parsed if o.key_or_group.split(".")[0] not in chosen]
    own = hydra.compose("config", alone, return_hydra_config=True).hydra.runtime.choices
    rooms = [room for room in chosen if own[room] != chosen[room]]
    before = hydra.compose("config", [f"{room}={own[room]}" for room in rooms])
    after = hydra.compose("config", [f"{room}={chosen[room]}" for room in rooms])
    return {
        room: {
            key: value
            if f"{room}.{key}" in typed or before[room].get(key) == after[room].get(key, ...)
            else plain(after[room][key])
            for key, value in values[room].items()
            if key in after[room] or f"{room}.{key}" in typed
        }
        for room in rooms
    }


def prepare_resumed(
    directory: Path, trust: bool, values: dict[str, Any], overrides: Sequence[str]
) -> Prepared:
    """The run in the directory, ready to go on with what the command line changes."""
    from dqn_cli import config
    from dqn_cli.results.files import claimed
    from dqn_cli.results.schema import CONFIG
    from dqn_cli.saving import resume
    from dqn_cli.training import build, workers
    from dqn_cli.training.fits import fits

    if not (directory / CONFIG).is_file():
        what = "holds no run" if directory.is_dir() else "is no directory"
        raise config.BadInput(f"resume={directory}: {what}; expected one with {CONFIG} in it")
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    keys = [o.key_or_group for o in parsed if o.key_or_group not in config.Command.model_fields]
    if overlays := chosen_overlays(overrides):
        raise config.BadInput(f"{overlays[0]}: a run that goes on keeps its own; leave it out")
    own = OmegaConf.create(values)
    given = {key: plain(OmegaConf.select(own, key)) for key in keys}
    with contextlib.ExitStack() as claim:
        claim.enter_context(claimed(directory))
        checked = resume.configuration(directory, given, trust)
        resumed = resume.resumed(directory, checked, fits(checked))
        source = None
        if resumed.open or not resumed.ended:
            share = checked.model_copy(update={"seed": resumed.open})
            files = {s: file for s in resumed.open if (file := resumed.seeds[s].file) is not None}
            source = workers.share_out(share, build.loop(share), files)
        return Prepared(checked, source, resumed, claim.pop_all())


def plain(value: object) -> object:
    """A value as YAML would have it."""
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(composed: DictConfig) -> None:
    """One run, in the directory that Hydra chose for it."""
    from dqn_cli.results.files import claimed
    from dqn_cli.results.schema import ResultError
    from dqn_cli.training.run import train

    settings = HydraConfig.get()
    directory = Path(settings.runtime.output_dir)
    swept = settings.mode == RunMode.MULTIRUN
    try:
        run = Hooks.ready or prepare(composed, directory, settings.overrides.task)
        with run.claim as claim:
            if run.resumed is None:
                claim.enter_context(claimed(directory))
            if run.source is None:
                print(f"nothing left to do; episodes=N or steps=N is its length\n{directory}")
                return
            choices = dict(settings.runtime.choices)
            train(run.config, run.source, directory, choices, run.resumed, quiet=swept)
    except KeyboardInterrupt:
        print(f"dqn-train: stopped{go_on(directory)}", file=sys.stderr)
        raise
    except Exception as error:
        log.exception("failed")
        if not swept and isinstance(error, ResultError):
            refuse(error)
        if not swept and isinstance(error, RunError):
            ending = "" if isinstance(error, AllDiverged) else go_on(directory)
            print(f"dqn-train: {error}{ending}", file=sys.stderr)
            sys.exit(1)
        if not swept:
            raise
        # The other jobs go on; the sweep tells at its end.
        line = " ".join(str(error).split()) or type(error).__name__
        Hooks.failed[directory.name] = line
        with contextlib.suppress(OSError):  # on a full disk the list of this process must do
            report = directory.with_name(directory.name + FAILED)
            report.write_text(line + "\n", encoding="utf-8", errors="backslashreplace")


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 bad input, 130 and 143 stopped by a signal."""
    escape_what_does_not_fit()
    debug = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us, to be told in one line
    logging.raiseExceptions = False  # a log that cannot be written is not the problem to tell of
    code = 0
    try:
        sys.argv[1:] = placed(arranged(sys.argv[1:]))
        job()
    except KeyboardInterrupt as stop:
        logging.disable(logging.INFO)  # PyTorch's parting words, if it was just being imported
        code = 128 + getattr(stop, "number", signal.SIGINT)
    except Exception as error:
        code = 1
        if debug or Hooks.ready is not None:
            raise
        sweep = Hooks.sweep_directory
        if sweep is None or not any(path.is_dir() for path in sweep.glob("*")):  # no job began
            if sweep is not None:
                (sweep / "multirun.yaml").unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    for folder in Hooks.made:
                        folder.rmdir()
            refuse(explain(error))
    if Hooks.sweep_directory is not None:
        code = max(conclude(Hooks.sweep_directory), code)
    sys.exit(code)


def arranged(arguments: Sequence[str]) -> list[str]:
    """Options first: Hydra's parser takes what is no option from one place on the line only, so
    that -m between two keys would not do."""
    if "--version" in arguments:
        print(f"dqn-cli {__version__}")
        sys.exit()
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        known, unknown = parser.parse_known_intermixed_args(arguments)
    except argparse.ArgumentError as error:
        refuse(error)
    if unknown:
        after = arguments[arguments.index(unknown[0]) + 1 :][:1]
        value = next((word for word in after if "=" not in word and not word.startswith("-")), None)
        refuse(option(unknown[0], value))
    options, overrides = [], list(known.overrides)
    for word in arguments:
        if overrides[:1] == [word]:
            overrides.pop(0)
        else:
            options.append(word)
    return [*options, *known.overrides]


def placed(arguments: Sequence[str]) -> list[str]:
    """A run that is taken up stays where it is. Its path is taken as it is typed, whatever Hydra's
    grammar makes of the characters in it, such as the = and , in the names of a sweep's jobs."""
    told = []
    for argument in arguments:
        key, _, path = argument.partition("=")
        if key == "resume" and path != "null":
            last = path[len(path.rstrip("\\")) :]  # backslashes would escape the quote
            quoted = "'" + path.replace("'", r"\'").replace("${", r"\${") + last + "'"
            told += [f"resume={quoted}", f"hydra.run.dir={quoted}"]
        else:
            told.append(argument)
    return told


def go_on(directory: Path) -> str:
    """How to go on with the run in a directory, for a POSIX shell; nothing if there is none yet."""
    if not (directory / "config.yaml").is_file():
        return ""
    return f"; go on with: dqn-train {shlex.quote(f'resume={directory}')}"


def conclude(sweep: Path) -> int:
    """Draw what the jobs of a sweep brought and name those that failed; the exit code."""
    from dqn_cli.cli.plot import main as plot

    failed = dict(Hooks.failed)
    for file in sweep.glob(f"*{FAILED}"):  # of jobs in other processes, too
        failed[file.name.removesuffix(FAILED)] = file.read_text(encoding="utf-8").strip()
    if any(sweep.glob("*/config.yaml")):
        with contextlib.suppress(SystemExit):  # it said why
            plot([str(sweep), "-o", str(sweep / "comparison.png")])
    for name, reason in sorted(failed.items()):
        print(f"dqn-train: {name} failed: {reason}", file=sys.stderr)
    print(sweep)
    return 1 if failed else 0


def refuse(problem: object) -> NoReturn:
    """Bad input: one line and exit code 2."""
    print(f"dqn-train: {' '.join(str(problem).split())}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    from dqn_cli.cli.train import main as run  # Hydra looks this module up by its name

    run()
