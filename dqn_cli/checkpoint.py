"""One seed's network in a file: weights by name, as nn.Linear has them, and their origin."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

NOT_OURS = "not a checkpoint of dqn-train, or a damaged one"


class Checkpoint(NamedTuple):
    seed: int
    episode: int  # training episodes done
    step: int  # env steps done
    score: float | None  # of the evaluation after that episode; None if there was none
    params: dict[str, Tensor]


def dump(checkpoint: Checkpoint) -> bytes:
    """The file's bytes; a pickle of tensors and numbers only."""
    data = io.BytesIO()
    torch.save(checkpoint._asdict(), data)
    return data.getvalue()


def load(path: Path) -> Checkpoint:
    """Read without running code from the file. ValueError, one line, if it is no checkpoint."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # PyTorch does not look at the checksums
        values = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such checkpoint") from None
    except Exception:  # what is wrong with the bytes decides what is raised
        raise ValueError(f"{path}: {NOT_OURS}") from None
    whole = all(isinstance(number, int) for number in (values.seed, values.episode, values.step))
    scored = values.score is None or isinstance(values.score, float)
    named = isinstance(values.params, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor)
        for name, tensor in values.params.items()
    )
    if damaged is not None or not (whole and scored and named):
        raise ValueError(f"{path}: {NOT_OURS}")
    return values
