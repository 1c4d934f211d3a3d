"""Which engine has a journal at this moment, found out without touching its lock."""

from __future__ import annotations

import os
from pathlib import Path

import attrs

_PROC = Path("/proc")


@attrs.frozen
class Holder:
    """The process that runs on a journal, since when (Unix seconds), and what it waits for."""

    pid: int
    since: float
    waits: str = ""


def holder(path: Path) -> Holder | None:
    """Who has the journal at `path` open for writing; None where nobody has.

    The number in the lock file outlives its process and may be another's by now, and trying the
    lock could keep an engine from starting. So the process is asked whether it has the file open.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        state, text = lock.stat(), lock.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    number, _, waits = text.strip().partition("\n")
    if not number.isdecimal() or not _has_open(int(number), state):
        return None
    return Holder(int(number), state.st_mtime, " ".join(waits.split()))


def _has_open(pid: int, state: os.stat_result) -> bool:
    try:
        opened = list((_PROC / str(pid) / "fd").iterdir())
    except PermissionError:  # it runs as another user: the kernel's list of locks is for all
        return _locked(pid, state)
    except OSError:
        return False
    return any(_is(link, state) for link in opened)


def _is(link: Path, state: os.stat_result) -> bool:
    try:
        return os.path.samestat(link.stat(), state)
    except OSError:  # closed just now, or a socket of another kind
        return False


def _locked(pid: int, state: os.stat_result) -> bool:
    """Whether the kernel lists a lock of this process on this file."""
    try:
        locks = (_PROC / "locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    found = (words for words in map(str.split, locks) if "FLOCK" in words and str(pid) in words)
    return any(f":{state.st_ino}" in word for words in found for word in words)
