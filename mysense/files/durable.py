"""Files that must not lose what was promised: durable appends, locks, and errors in words."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mysense.errors import MySenseError
from mysense.plugin import Misconfigured, RetryLater


@contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """Turn what the system says about `path` into what the core understands.

    Raises:
        Misconfigured: only a person can mend it: permissions, a folder where a file is expected.
        RetryLater: it may pass: a full or read-only disk, too many open files.
    """
    try:
        yield
    except MySenseError:
        raise
    except PermissionError as wrong:
        fix = "give this user write permission there, or name another path"
        raise Misconfigured(f"{wrong.filename or path}: permission denied; {fix}") from wrong
    except IsADirectoryError as wrong:
        raise Misconfigured(f"{path} is a folder; name a file in it") from wrong
    except (NotADirectoryError, FileExistsError) as wrong:
        where = wrong.filename or path
        raise Misconfigured(f"{where}: a file stands where a folder is needed") from wrong
    except OSError as wrong:
        raise RetryLater(f"{wrong.filename or path}: {wrong.strerror or wrong}") from wrong


def sync_folder(folder: Path) -> None:
    """Make names that were created or changed in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it, durably, where they are missing."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def open_append(path: Path) -> int:
    """Open `path` for reading and appending, making it durably when it is not there."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        make_folder(path.parent)
        descriptor = os.open(path, flags | os.O_CREAT, 0o644)
        sync_folder(path.parent)
        return descriptor


def append(descriptor: int, data: bytes) -> None:
    """Append `data` durably, or leave the file as it was and raise OSError.

    After a failed fsync nobody knows what reached the disk: the bytes are cut off as well, so
    that they are written anew.
    """
    before = os.fstat(descriptor).st_size
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise


@contextmanager
def locked(descriptor: int) -> Iterator[None]:
    """Wait for and hold the file's lock: one writer at a time, of all processes."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def try_lock(descriptor: int) -> bool:
    """Take the file's lock until it is closed, unless another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
