import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from dqn_cli.device.device import Device, present


@pytest.fixture(autouse=True)
def switches() -> Iterator[None]:
    """A device sets them for the whole process; the other tests get them back."""
    threads, sure = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with threadpool_limits():
        yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(sure)
    torch.set_flush_denormal(False)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """machine(cuda=True): what PyTorch finds."""

    def has(*, cuda: bool = False, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return has


def make(**keys: Any) -> Device:
    given = {"name": "cpu", "threads": 1, "workers": 1, "kernels": "auto", "deterministic": True}
    return Device(**{**given, **keys})


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_an_absent_device_is_an_error_that_lists_those_present(machine, name: str) -> None:
    machine()
    with pytest.raises(ValueError, match=f"^name={name}: not present; this machine has cpu$"):
        make(name=name)
    machine(cuda=name != "cuda", mps=name != "mps")
    other = "mps" if name == "cuda" else "cuda"
    with pytest.raises(ValueError, match=f"this machine has cpu, {other}$"):
        make(name=name)


@pytest.mark.parametrize("name", ["cuda", "cpu"])
def test_a_device_that_is_absent_or_not_applied_changes_nothing(machine, name: str) -> None:
    machine()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(False)
    with contextlib.suppress(ValueError):
        make(name=name, threads=2)
    assert torch.get_num_threads() == 1
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("here", "chosen"),
    [
        ({}, "cpu"),
        ({"mps": True}, "cpu"),
        ({"cuda": True}, "cuda"),
        ({"cuda": True, "mps": True}, "cuda"),
    ],
)
def test_auto_is_cuda_if_it_is_there_and_otherwise_the_cpu(machine, here, chosen: str) -> None:
    machine(**here)
    assert make(name="auto").torch == torch.device(chosen)


def test_a_device_that_is_there_is_the_one_used(machine) -> None:
    machine(cuda=True, mps=True)
    assert [make(name=name).torch.type for name in ("cpu", "cuda", "mps")] == ["cpu", "cuda", "mps"]
    assert present() == ["cpu", "cuda", "mps"]


@pytest.mark.parametrize(
    ("kernels", "products"), [("torch", "threads"), ("compiled", "one"), ("auto", "one")]
)
@pytest.mark.parametrize("threads", [2, 1])
def test_threads_are_set_for_pytorch_and_for_numpy(
    threads: int, kernels: str, products: str
) -> None:
    """Trap: compiled kernels whose products use several, and round as the number has it."""
    make(threads=threads, kernels=kernels).apply()
    assert torch.get_num_threads() == threads
    blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    several = min(threads, os.cpu_count() or 1) if products == "threads" else 1
    assert [pool["num_threads"] for pool in blas] == [several] * len(blas)
    assert kernels == "torch" or any("scipy" in Path(pool["filepath"]).parts[-2] for pool in blas)


@pytest.mark.parametrize(
    ("name", "kernels", "tried"),
    [
        ("cpu", "auto", ["compiled", "torch"]),
        ("cpu", "compiled", ["compiled"]),
        ("cpu", "torch", ["torch"]),
        ("cuda", "auto", ["torch"]),
        ("cuda", "torch", ["torch"]),
    ],
)
def test_the_kernels_to_try(machine, name: str, kernels: str, tried: list[str]) -> None:
    machine(cuda=True)
    assert make(name=name, kernels=kernels).kernels == tried


def test_compiled_kernels_are_for_a_cpu_with_numba(
    machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(cuda=True)
    with pytest.raises(ValueError, match=r"^kernels=compiled: they are for a CPU; device cuda has"):
        make(name="cuda", kernels="compiled")
    monkeypatch.setattr("dqn_cli.device.device.compilable", lambda: False)
    assert make(kernels="auto").kernels == ["torch"]
    with pytest.raises(ValueError, match=r"^kernels=compiled: numba is not installed;"):
        make(kernels="compiled")


@pytest.mark.parametrize("deterministic", [True, False])
def test_deterministic_is_set_either_way(deterministic: bool) -> None:
    torch.use_deterministic_algorithms(not deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = True
    make(deterministic=deterministic).apply()
    assert torch.are_deterministic_algorithms_enabled() is deterministic
    assert not torch.utils.deterministic.fill_uninitialized_memory
