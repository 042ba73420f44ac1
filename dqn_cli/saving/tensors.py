"""A file of tensors and numbers by name: how its bytes are made, and read without trusting them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

NOT_OURS = "not a checkpoint of dqn-train, or a damaged one"
FORMAT = 4  # of the files; 1, before the number was in them


class Damaged(ValueError):
    """The file is not as it was written."""


def dump(values: dict[str, Any]) -> bytes:
    """The file's bytes; a pickle of tensors and numbers only."""
    data = io.BytesIO()
    torch.save({"format": FORMAT, **values}, data)
    return data.getvalue()


def load(path: Path) -> dict[str, Any]:
    """Read without running code from the file. ValueError, one line, if it is no such file, and
    Damaged if it was one."""
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
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
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


def are_tensors(values: object) -> bool:
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
