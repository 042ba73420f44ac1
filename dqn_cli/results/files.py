"""Atomic writes, and the lock that keeps a run directory to one process at a time."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from dqn_cli.results.schema import ResultError

LOCK = ".lock"  # there while a process trains in the directory


class Held(ResultError):
    """Another process trains in the directory."""


def write_atomic(path: Path, data: bytes | str, *, durable: bool = False) -> None:
    """Write the whole file or leave what was there: write a temporary file, then rename it.

    Text is written as UTF-8 with `\\n` line ends. Guards against a killed process and a full disk,
    and if `durable` also against a power cut, which is slow. Raises OSError.
    """
    temporary = beside(path)
    try:
        write_beside(temporary, data.encode() if isinstance(data, str) else data, durable)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


def beside(path: Path) -> Path:
    """Name the temporary file, in the same folder, that this process renames to `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def write_beside(temporary: Path, data: bytes, durable: bool) -> None:
    """Write a new file. One left by a killed process of the same number is removed first, and a
    link of that name is not followed. Raises OSError."""
    temporary.unlink(missing_ok=True)
    with temporary.open("xb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Sync the folder's entries, where the system can, so that its names outlast a power cut."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
                raise
        finally:
            os.close(opened)


@contextlib.contextmanager
def claimed(directory: Path, wait: float = 0.0) -> Iterator[None]:
    """Make the directory and keep other processes from training in it until the context ends, or
    its process does. Held if another process holds it for longer than `wait` seconds; ResultError
    if it cannot be written.
    """
    lock = FileLock(directory / LOCK, timeout=wait)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise Held(directory, "another process is training in it") from None
    except OSError as error:
        raise ResultError(directory, f"cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # gone with its directory; Windows removes it later
            (directory / LOCK).unlink()
        lock.release()


def held(directory: Path) -> bool:
    """Whether a process trains in the directory; on a network file system as far as its locks go.
    Who begins in this instant must wait for a moment, since a lock is only known by trying it."""
    if not (directory / LOCK).exists():
        return False
    lock = FileLock(directory / LOCK, timeout=0)
    try:
        lock.acquire()
    except (Timeout, PermissionError):  # of another user
        return True
    except OSError:
        return False
    lock.release()
    return False
