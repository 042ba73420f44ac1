"""One seed's network in a file: weights by name, as nn.Linear has them, and their origin."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor


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
        values = torch.load(path, map_location="cpu", weights_only=True)
        return Checkpoint(**values)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such checkpoint") from None
    except (OSError, RuntimeError, TypeError, ValueError, EOFError, pickle.UnpicklingError):
        raise ValueError(f"{path}: not a checkpoint of dqn-train, or a damaged one") from None
