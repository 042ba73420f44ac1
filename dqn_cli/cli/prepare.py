"""What may start: a new run or a resumed one, checked and built before anything is written."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
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


class Prepared(NamedTuple):
    """A run that may start."""

    config: Config
    source: Alone | Workers | None  # of its events; None: nothing is left to do
    resumed: Resumed | None
    claim: contextlib.ExitStack  # the lock on the directory, if it is held already


def prepare(composed: DictConfig, directory: Path, overrides: Sequence[str]) -> Prepared:
    """Check a run and build what it needs. `overrides` are those of the command line. ValueError or
    OSError if the run may not start; nothing has been written then."""
    from dqn_cli import config
    from dqn_cli.kernels.jit import on_compile
    from dqn_cli.results.writer import holds_run
    from dqn_cli.training import build, workers

    if sys.stderr.isatty():
        on_compile(lambda: print("compiling the kernels, once on this machine", file=sys.stderr))
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
        values |= replaced_groups(overlays[0], values, overrides)
    try:
        checked = config.check(values)
    except config.NoSuchKey as error:
        if hint := renamed(error.key, chosen_keys()):
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


def prepare_resumed(
    directory: Path, trust: bool, values: dict[str, Any], overrides: Sequence[str]
) -> Prepared:
    """Check that the run in the directory can be resumed, with what the command line changes, and
    build what it needs. Its directory stays locked. Raises as `prepare`."""
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
