"""What may start: a new run or a resumed one, checked and built before anything is written."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from dqn_cli.cli.hints import chosen_keys, renamed
from dqn_cli.cli.presets import chosen_overlays, plain, replaced_groups

if TYPE_CHECKING:  # torch and pandas are imported when a run begins, so that --help is quick
    from dqn_cli.config import Config
    from dqn_cli.saving.resume import Resumed
    from dqn_cli.training.workers import Alone, Workers

ENDING_SECONDS = 5.0  # that a job waits for another process to let go of its directory


class Prepared(NamedTuple):
    """A run that may start."""

    config: Config
    source: Alone | Workers | None  # of its events; None: nothing is left to do
    notes: list[str]  # what the user should know
    resumed: Resumed | None
    claim: AbstractContextManager[object]  # to be held while it trains: it locks the directory


def prepare(composed: DictConfig, directory: Path, overrides: Sequence[str]) -> Prepared:
    """Check a run and build what it needs. `overrides` are those of the command line. ValueError or
    OSError if the run may not start; nothing has been written then."""
    from dqn_cli import config
    from dqn_cli.results.files import claimed
    from dqn_cli.results.writer import holds_run

    _say_if_compiled()
    command, values = config.command(values_of(composed))
    if command.resume is not None:
        if directory != Path(command.resume):
            raise config.BadInput(f"hydra.run.dir={directory}: resume goes on in its own directory")
        return prepare_resumed(Path(command.resume), command.trust, values, overrides)
    checked = settled(composed, overrides)
    if holds_run(directory):
        raise config.BadInput(
            f"{directory}: already holds a run, and a run is never overwritten; "
            f"resume={directory} goes on with it"
        )
    place = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise config.BadInput(f"{directory}: cannot be made, {place} is no directory to write in")
    source, notes = _rehearsed(checked)
    return Prepared(checked, source, notes, None, claimed(directory.absolute()))


def values_of(composed: DictConfig) -> dict[str, Any]:
    """The composed configuration without Hydra's part, as plain values."""
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    values = OmegaConf.to_container(own, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def settled(composed: DictConfig, overrides: Sequence[str]) -> Config:
    """The checked configuration of a new run. BadInput."""
    from dqn_cli import config

    _, values = config.command(values_of(composed))
    if len(overlays := chosen_overlays(overrides)) > 1:
        raise config.BadInput(f"{' '.join(overlays)}: each sets keys of the whole run; choose one")
    if overlays:
        values |= replaced_groups(overlays[0], values, overrides)
    try:
        return config.check(values)
    except config.NoSuchKey as error:
        if hint := renamed(error.key, chosen_keys()):
            raise config.BadInput(f"{error.key}: no such key; {hint}") from None
        raise


def prepare_job(composed: DictConfig, directory: Path, overrides: Sequence[str]) -> Prepared:
    """As `prepare`, for a job of a sweep: go on with the run of the same configuration that the
    directory may hold. It stays locked; Held if another process has it."""
    from dqn_cli.results.files import claimed
    from dqn_cli.results.status import is_done
    from dqn_cli.results.writer import holds_run

    _say_if_compiled()
    checked = settled(composed, overrides)
    with contextlib.ExitStack() as claim:
        claim.enter_context(claimed(directory, ENDING_SECONDS))
        if holds_run(directory):
            longer = check_unchanged(directory, checked)
            if is_done(directory) and not longer:
                return Prepared(checked, None, [], None, claim.pop_all())
            return _going_on(directory, _may_change(checked), True, claim)
        source, notes = _rehearsed(checked)
        return Prepared(checked, source, notes, None, claim.pop_all())


def _rehearsed(checked: Config) -> tuple[Alone | Workers, list[str]]:
    """What trains a new run, and notes on it."""
    from dqn_cli.training import build, workers
    from dqn_cli.training.rehearsal import rehearsed

    loop = build.loop(checked)
    notes = rehearsed(checked, loop)
    return workers.share_out(checked, loop, {}), notes


def check_unchanged(directory: Path, checked: Config) -> bool:
    """BadInput if the run in the directory is another one than the configuration has; returns
    whether it is shorter, or has fewer seeds."""
    from dqn_cli import config
    from dqn_cli.results.labels import flatten
    from dqn_cli.results.reader import read_config
    from dqn_cli.results.schema import CONFIG
    from dqn_cli.saving.resume import MAY_CHANGE

    try:
        before = config.check(read_config(directory))
    except config.BadInput as error:
        raise config.BadInput(f"{directory / CONFIG}: {error}") from error
    had, has = flatten(before.model_dump()), flatten(checked.model_dump())
    for key in dict.fromkeys([*has, *had]):
        if key not in MAY_CHANGE and had.get(key) != has.get(key):
            raise config.BadInput(
                f"{key}={has.get(key)}: the run in {directory} has {had.get(key)}, and is another "
                "one; another hydra.sweep.dir begins anew"
            )
    for key in ("episodes", "steps"):
        old, new = getattr(before, key), getattr(checked, key)
        if old is not None and new is not None and new < old:
            raise config.BadInput(
                f"{key}={new}: the run in {directory} has {old}; it may become longer only"
            )
    longer = (before.episodes, before.steps) != (checked.episodes, checked.steps)
    return longer or not set(checked.seeds) <= set(before.seeds)


def prepare_resumed(
    directory: Path, trust: bool, values: dict[str, Any], overrides: Sequence[str]
) -> Prepared:
    """Check that the run in the directory can be resumed, with what the command line changes, and
    build what it needs. Its directory stays locked. Raises as `prepare`."""
    from dqn_cli import config
    from dqn_cli.results.files import claimed
    from dqn_cli.results.schema import CONFIG

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
        return _going_on(directory, given, trust, claim)


def _going_on(
    directory: Path, given: dict[str, Any], trust: bool, claim: contextlib.ExitStack
) -> Prepared:
    """The run in the directory, with `given` values of dotted keys changed. claim: holds its lock,
    and is emptied into what is returned."""
    from dqn_cli.saving import resume
    from dqn_cli.training import build, workers
    from dqn_cli.training.fits import fits

    checked = resume.configuration(directory, given, trust)
    resumed = resume.resumed(directory, checked, fits(checked))
    gc.collect()  # the loop that they were tried with has a replay, and its parts know each other
    source = None
    if resumed.open or not resumed.ended:
        share = checked.model_copy(update={"seed": resumed.open})
        files = {s: file for s in resumed.open if (file := resumed.seeds[s].file) is not None}
        source = workers.share_out(share, build.loop(share), files)
    return Prepared(checked, source, resumed.notes, resumed, claim.pop_all())


def _may_change(checked: Config) -> dict[str, Any]:
    """The values of those keys that a run may change when it goes on, by their dotted keys."""
    from dqn_cli.saving.resume import MAY_CHANGE

    values = OmegaConf.create(checked.model_dump())
    found = {key: OmegaConf.select(values, key, default=...) for key in MAY_CHANGE}
    return {key: plain(value) for key, value in found.items() if value is not ...}


def _say_if_compiled() -> None:
    from dqn_cli.kernels.jit import on_compile

    if sys.stderr.isatty():
        on_compile(lambda: print("compiling the kernels, once on this machine", file=sys.stderr))
