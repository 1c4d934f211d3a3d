"""Salvage: a damaged journal is moved aside, and what is whole goes on in a new one.

Numbers stay as they were, so that cursors hold. The damaged files are kept as they were found,
named `.damaged-` and the time. A salvage may be killed at any point: until the new journal is
complete the old one stays where it is, and from then on the next start finishes the move.

It needs as much room as the journal. Where there is less, what every output has had stays behind
in the damaged file; where that is not enough, older copies of damaged journals go.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

from mysense.journal.copies import NOTES, Copy, copies, remove
from mysense.journal.disk import free, is_no_room
from mysense.journal.formats import lists_tables
from mysense.journal.leaves import telegrams
from mysense.journal.pages import beside, lost_frames, read_only, rescue
from mysense.journal.saved import Case, fill
from mysense.journal.tables import Tables

READY = ".salvaged-"  # complete, and to be put in place
_SPARE = 1_000_000  # bytes that are left to others
_NEWEST = 1000  # telegrams that are saved in any case: the kits' times go on after them


def salvage(path: Path, reason: str, now: Callable[[], float]) -> str:
    """Move a damaged journal aside and put a new one in its place with all that is whole.

    Args:
        path: the journal; connections to it see the old one until they are opened anew.
        reason: what is wrong with it.
        now: the wall clock.

    Returns:
        what was saved and what was not, in a sentence.

    Raises:
        OSError, sqlite3.Error: the new one cannot be written; all is as before.
    """
    while True:
        try:
            return _salvage(path, reason, now())
        except (OSError, sqlite3.Error) as wrong:
            oldest = _dispensable(path) if is_no_room(wrong) else None
            if oldest is None:
                raise
            reason += f"; {remove(oldest, 'to make room for what is whole of another one')}"


def _dispensable(path: Path) -> Copy | None:
    """The oldest copy of an earlier journal, if there is room without them: else none goes."""
    with closing(read_only(path)) as db:
        older = copies(path, Tables(db).listed(NOTES))
    room = free(path.parent) + sum(copy.size for copy in older)
    return older[0] if older and room + _SPARE > needed(path) else None


def _salvage(path: Path, reason: str, at: float) -> str:
    ready = place_ready(path, at)
    kept = f"{path.name}.damaged-{ready.name.removeprefix(path.name + READY)}"
    fresh, copy = beside(path, ".salvage"), beside(path, ".rescue")
    clear(path)
    try:
        with closing(_source(path, copy)) as db:
            old = Tables(db)
            settled = 0 if free(path.parent) > _size(path) + _SPARE else _settled(old)
            case = Case(reason, kept, at, settled)
            told = fill(fresh, old, partial(telegrams, path), case)
        with fresh.open("rb") as stream:
            os.fsync(stream.fileno())
        fresh.rename(ready)
    finally:
        clear(path)
    finish(path)
    return told


def needed(path: Path) -> int:
    """How many bytes must be free to save all of a journal: a mended copy takes room as well."""
    copies_made = 1 if _readable(path) else 2
    return copies_made * _size(path) + _SPARE


def _size(path: Path) -> int:
    files = (path, beside(path, "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _settled(old: Tables) -> int:
    """The number up to which telegrams may stay behind, if any: every output has had them."""
    cursors = [row[0] for row in old.listed("SELECT cursor FROM outputs")]
    return min((n for n in cursors if isinstance(n, int)), default=0) - _NEWEST


def clear(path: Path) -> None:
    """Remove what a salvage that was killed has left; the damaged journal is still in place."""
    for suffix in (".salvage", ".salvage-journal", ".rescue"):
        beside(path, suffix).unlink(missing_ok=True)


def finish(path: Path) -> None:
    """Put a new journal that is complete in its place; may be repeated where it was cut off."""
    for ready in sorted(path.parent.glob(f"{path.name}{READY}*")):
        stamp = ready.name.removeprefix(path.name + READY)
        for suffix in ("-wal", "", "-wal"):  # one who reads may have made it anew
            found = beside(path, suffix)
            if suffix and found.exists() and found.stat().st_size == 0:
                found.unlink()
            elif found.exists():
                found.rename(_unused(path, f".damaged-{stamp}{suffix}"))
        beside(path, "-shm").unlink(missing_ok=True)
        _sync_folder(path.parent)
        ready.rename(path)
        _sync_folder(path.parent)


def place_ready(path: Path, at: float) -> Path:
    """Where to put a new journal that is complete, for `finish`."""
    return beside(path, READY + _stamp(path, at))


def _stamp(path: Path, at: float) -> str:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    return next(name for name in _names(stamp) if not beside(path, f".damaged-{name}").exists())


def _unused(path: Path, suffix: str) -> Path:
    return next(found for name in _names(suffix) if not (found := beside(path, name)).exists())


def _names(name: str) -> Iterator[str]:
    """This name, and others for where it is taken."""
    yield name
    yield from (f"{name}.{number}" for number in count(2))


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _source(path: Path, copy: Path) -> sqlite3.Connection:
    """The old journal to read from; a mended copy where SQLite itself could not get at it."""
    if _readable(path):
        return _opened(path)
    rescue(path, copy)
    return read_only(copy)


def _readable(path: Path) -> bool:
    """Whether SQLite finds the tables, and sees all of the write-ahead log."""
    if path.stat().st_size == 0 or lost_frames(path):  # it would remove the log of an empty file
        return False
    try:
        with closing(_opened(path)) as db:
            return lists_tables(db)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return False


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
