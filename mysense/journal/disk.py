"""What a disk lacks, in words: SQLite says little more than that it cannot open a file."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from pathlib import Path

_FILES = 6
_LITTLE = 256_000  # bytes; a journal needs about as much to begin with


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
    if disk.f_bavail * disk.f_frsize < _LITTLE:
        return "; its disk is full: make room there"
    return ""


def _open_some(folder: Path) -> None:
    """Open as many files as a journal has, and as many again for one who reads it."""
    with ExitStack() as opened:
        for _ in range(_FILES):
            opened.callback(os.close, os.open(folder, os.O_RDONLY))
