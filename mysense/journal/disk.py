"""What a disk lacks, in words: SQLite says little more than that it cannot open a file."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import ExitStack
from pathlib import Path

from mysense.errors import JournalError
from mysense.journal.damage import is_full

_FILES = 6
_LITTLE = 256_000  # bytes; a journal needs about as much to begin with
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FAILING = {errno.EROFS, errno.EIO}


class Hindered(JournalError):
    """The disk keeps a journal from being opened: it may work as soon as somebody mends that."""


def is_no_room(wrong: BaseException) -> bool:
    """Whether an error, of SQLite or not, says that there is no room on the disk."""
    return is_full(wrong) or getattr(wrong, "errno", None) in _FULL


def hinders(wrong: BaseException, folder: Path) -> bool:
    """Whether an error is one of the disk on which `folder` is, and not of the journal."""
    code = getattr(wrong, "sqlite_errorcode", 0) & 0xFF
    if isinstance(wrong, Hindered) or is_no_room(wrong) or code == sqlite3.SQLITE_IOERR:
        return True
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
        return bool(hindrance(folder))
    return getattr(wrong, "errno", None) in _FAILING


def free(folder: Path) -> int:
    """How many bytes may be written there."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def hindrance(folder: Path) -> str:
    """What is in the way of writing into `folder`, to be added to a message; empty if nothing."""
    try:
        _open_some(folder)
        disk = os.statvfs(folder)
    except OSError as wrong:
        few = wrong.errno in (errno.EMFILE, errno.ENFILE)
        return "; too many open files: allow more (LimitNOFILE, ulimit -n)" if few else ""
    if disk.f_flag & os.ST_RDONLY:
        return "; its disk is read-only: look for errors of the disk, mount it for writing"
    if disk.f_files and not disk.f_favail:
        return "; its disk has no inodes left: remove files there"
    if free(folder) < _LITTLE:
        return "; its disk is full: make room there"
    return ""


def _open_some(folder: Path) -> None:
    """Open as many files as a journal has, and as many again for one who reads it."""
    with ExitStack() as opened:
        for _ in range(_FILES):
            opened.callback(os.close, os.open(folder, os.O_RDONLY))
