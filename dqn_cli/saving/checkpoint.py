"""A seed in a file: its network, weights by name as in nn.Linear; or all it takes to go on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dqn_cli.events import Diagnosis, Episode, Evaluated
from dqn_cli.saving import blocks, tensors
from dqn_cli.saving.tensors import NOT_OURS, are_tensors
from dqn_cli.state import Best, Block, Held, Known, Lane

LARGEST = 2**53


class Checkpoint(NamedTuple):
    """A network and where it comes from."""

    seed: int
    episode: int  # training episodes done
    step: int  # env steps done
    score: float | None  # of the evaluation after that episode; None if there was none
    params: dict[str, Tensor]


def dump(checkpoint: Checkpoint) -> bytes:
    """The file's bytes; a pickle of tensors and numbers only."""
    return tensors.dump(checkpoint._asdict())


def load(path: Path) -> Checkpoint:
    """Read without running code from the file. ValueError, one line, if it is no checkpoint."""
    try:
        values = Checkpoint(**tensors.load(path))
    except TypeError:
        raise ValueError(f"{path}: {NOT_OURS}") from None
    origin = _seed(values.seed) and _counts(values.episode, values.step)
    scored = values.score is None or isinstance(values.score, float)
    if not (origin and scored and are_tensors(values.params)):
        raise ValueError(f"{path}: {NOT_OURS}")
    return values


def dump_lane(lane: Lane, written: Sequence[Block] = ()) -> bytes:
    """The file's bytes; a pickle of tensors and numbers only. written: the files that rows of its
    replay lie in already."""
    best = lane.best and lane.best._asdict() | {"params": torch.from_numpy(lane.best.params)}
    values = lane._asdict() | {
        "best": best,
        # clones, because a view would take all that it is a view of into the file
        "actions": lane.actions.clone(),
        "obs": lane.obs.clone(),
        "known": lane.known and lane.known._asdict(),
        "waiting": [{"row": _plain(event), "params": params} for event, params in lane.waiting],
        "learner": blocks.cloned(lane.learner),
        "rows": blocks.plain(lane.rows, written),
    }
    return tensors.dump(values)


def load_lane(path: Path) -> Lane:
    """Read without running code from the file; rows of its replay that lie in other files are read
    when they are asked for. ValueError, one line, if it is no such file."""
    try:
        values = tensors.load(path)
        best, known = values["best"], values["known"]
        lane = Lane(**values)._replace(
            best=None if best is None else Best(**best),
            known=None if known is None else Known(**known),
            waiting=[_held(held["row"], held["params"]) for held in values["waiting"]],
            rows=blocks.read(values["rows"], path),
        )
    except (TypeError, KeyError):
        raise ValueError(f"{path}: {NOT_OURS}") from None
    if not (
        _seed(lane.seed)
        and _counts(lane.episode, lane.step)
        and _played(lane.actions, lane.obs)
        and (lane.known is None or _known(lane.known))
        and (lane.best is None or _best(lane.best))
        and all(_waits(event, params, lane) for event, params in lane.waiting)
        and are_tensors(lane.learner)
    ):
        raise ValueError(f"{path}: {NOT_OURS}")
    if lane.best is not None:
        params: Any = lane.best.params
        lane = lane._replace(best=lane.best._replace(params=params.numpy()))
    return lane


def _plain(event: Episode | Evaluated) -> dict[str, Any]:
    diagnosis = event.diagnosis
    return event._asdict() | {"diagnosis": None if diagnosis is None else diagnosis._asdict()}


def _held(row: dict[str, Any], params: Tensor | None) -> Held:
    event = (Evaluated if "extra" in row else Episode)(**row)
    diagnosis: Any = event.diagnosis
    return event._replace(diagnosis=None if diagnosis is None else Diagnosis(**diagnosis)), params


def _played(actions: Any, obs: Any) -> bool:
    whole = are_tensors({"actions": actions, "obs": obs})
    return whole and actions.dtype == torch.int64 and actions.ndim == 1


def _known(known: Known) -> bool:
    return _played(known.actions, known.obs) and isinstance(known.return_, float)


def _best(best: Best) -> bool:
    scored = isinstance(best.score, float) and math.isfinite(best.score)
    return scored and _counts(best.episode, best.step) and _row(best.params)


def _waits(event: Episode | Evaluated, params: Any, lane: Lane) -> bool:
    *values, diagnosis = event
    values += diagnosis or ()
    numbers = all(value is None or isinstance(value, float | int) for value in values)
    own = event.seed == lane.seed and event.best is None and event.score is None
    required = (event.step, event.episode, event.cut)
    return numbers and own and _counts(*required) and (params is None or _row(params))


def _row(params: Any) -> bool:
    """Whether they are a network's parameters [P]."""
    return are_tensors({"": params}) and params.dtype is torch.float32 and params.ndim == 1


def _seed(number: object) -> bool:
    return type(number) is int and 0 <= number < 2**63


def _counts(*numbers: object) -> bool:
    return all(type(number) is int and 0 <= number < LARGEST for number in numbers)
