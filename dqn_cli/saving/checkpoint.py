"""A seed in a file: its network, weights by name as in nn.Linear; or all it takes to go on."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dqn_cli.events import Diagnosis, Episode, Evaluated
from dqn_cli.state import Best, Held, Known, Lane

NOT_OURS = "not a checkpoint of dqn-train, or a damaged one"
FORMAT = 3  # of the files; 1, before the number was in them
LARGEST = 2**53


class Damaged(ValueError):
    """The file is not as it was written."""


class Checkpoint(NamedTuple):
    """A network and where it comes from."""

    seed: int
    episode: int  # training episodes done
    step: int  # env steps done
    score: float | None  # of the evaluation after that episode; None if there was none
    params: dict[str, Tensor]


def dump(checkpoint: Checkpoint) -> bytes:
    """The file's bytes; a pickle of tensors and numbers only."""
    return _dump(checkpoint._asdict())


def load(path: Path) -> Checkpoint:
    """Read without running code from the file. ValueError, one line, if it is no checkpoint."""
    try:
        values = Checkpoint(**_load(path))
    except TypeError:
        raise ValueError(f"{path}: {NOT_OURS}") from None
    origin = _seed(values.seed) and _counts(values.episode, values.step)
    scored = values.score is None or isinstance(values.score, float)
    if not (origin and scored and _tensors(values.params)):
        raise ValueError(f"{path}: {NOT_OURS}")
    return values


def dump_lane(lane: Lane) -> bytes:
    """The file's bytes; a pickle of tensors and numbers only."""
    best = lane.best and lane.best._asdict() | {"params": torch.from_numpy(lane.best.params)}
    values = lane._asdict() | {
        "best": best,
        # clones, because a view would take all that it is a view of into the file
        "actions": lane.actions.clone(),
        "obs": lane.obs.clone(),
        "known": lane.known and lane.known._asdict(),
        "waiting": [
            {"row": _plain(event), "params": params if params is None else params.cpu()}
            for event, params in lane.waiting
        ],
        "learner": {name: value.clone() for name, value in lane.learner.items()},
    }
    return _dump(values)


def load_lane(path: Path) -> Lane:
    """Read without running code from the file. ValueError, one line, if it is no such file."""
    try:
        values = _load(path)
        best, known = values["best"], values["known"]
        lane = Lane(**values)._replace(
            best=None if best is None else Best(**best),
            known=None if known is None else Known(**known),
            waiting=[_held(held["row"], held["params"]) for held in values["waiting"]],
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
        and _tensors(lane.learner)
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
    whole = _tensors({"actions": actions, "obs": obs})
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
    return _tensors({"": params}) and params.dtype is torch.float32 and params.ndim == 1


def _dump(values: dict[str, Any]) -> bytes:
    data = io.BytesIO()
    torch.save({"format": FORMAT, **values}, data)
    return data.getvalue()


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():  # a pipe would never end
        raise ValueError(f"{path}: no such checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # PyTorch does not look at the checksums
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception:  # what is wrong with the bytes decides what is raised
        raise Damaged(f"{path}: {NOT_OURS}") from None
    if damaged is not None:
        raise Damaged(f"{path}: {NOT_OURS}")
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise ValueError(f"{path}: does not fit into memory") from None
    except Exception:
        raise ValueError(f"{path}: {NOT_OURS}") from None
    if not isinstance(values, dict) or not all(map(_is_name, values)):
        raise ValueError(f"{path}: {NOT_OURS}")
    number = values.pop("format", 1 if values.keys() >= {"seed", "episode", "step"} else None)
    if type(number) is not int:
        raise ValueError(f"{path}: {NOT_OURS}")
    if number != FORMAT:
        other = "an older" if number < FORMAT else "a newer"
        raise ValueError(
            f"{path}: written by {other} dqn-cli (format {number}, this one reads {FORMAT})"
        )
    return values


def _is_name(key: object) -> bool:
    return isinstance(key, str)


def _seed(number: object) -> bool:
    return type(number) is int and 0 <= number < 2**63


def _counts(*numbers: object) -> bool:
    return all(type(number) is int and 0 <= number < LARGEST for number in numbers)


def _tensors(values: object) -> bool:
    """A dictionary of plain tensors: not sparse, not of a kind that NumPy does not have."""
    return isinstance(values, dict) and all(
        isinstance(name, str)
        and type(tensor) is Tensor
        and tensor.layout is torch.strided
        and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
        and not (tensor.requires_grad or tensor.is_neg() or tensor.is_conj())
        and not tensor.is_quantized
        and tensor.device.type == "cpu"
        for name, tensor in values.items()
    )
