"""One GPU for each process that trains beside others, tried with devices that are only names."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from dqn_cli.cli import gpus
from dqn_cli.cli.hooks import jobs_at_once
from dqn_cli.training.workers import cores

TAKE = (
    "import sys; from pathlib import Path; from dqn_cli.cli import gpus; "
    "gpus.tempfile.tempdir = sys.argv[1]; gpus.take_one(); gpus.take_one(); "
    "print(gpus.os.environ['CUDA_VISIBLE_DEVICES'], flush=True); sys.stdin.read()"
)


def start(folder: Path, devices: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", TAKE, str(folder)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": devices},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def took(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_processes_take_devices_round_robin_and_give_them_back(tmp_path: Path) -> None:
    """Three for two of them; one that was killed gives its place back; a later one takes it."""
    running = [start(tmp_path, "4,GPU-a/7") for _ in range(3)]
    names = [took(process) for process in running]
    assert sorted(Counter(names).values()) == [1, 2]
    assert set(names) == {"4", "GPU-a/7"}
    lonely = next(p for p, name in zip(running, names, strict=True) if names.count(name) == 1)
    freed = names[running.index(lonely)]
    lonely.kill()
    lonely.communicate()
    later = start(tmp_path, "4,GPU-a/7")
    assert took(later) == freed
    for process in (*running, later):
        if process.poll() is None:
            process.communicate()


@pytest.mark.parametrize("devices", ["", "3", "-1", "GPU-a"])
def test_one_device_or_none_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, devices: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    monkeypatch.setattr(gpus.tempfile, "tempdir", str(tmp_path))
    gpus.take_one()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == devices
    assert not list(tmp_path.iterdir())


def test_devices_are_numbered_where_nothing_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert gpus.visible() == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("device", "jobs"), [("cuda", 2), ("auto", 2), ("cpu", cores()), ("mps", 1)]
)
def test_as_many_jobs_at_a_time_as_gpus_or_cores(
    monkeypatch: pytest.MonkeyPatch, device: str, jobs: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,5")
    assert jobs_at_once(device) == jobs
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert jobs_at_once(device) == (1 if device == "mps" else cores())
