"""A journal that was removed or replaced while an engine runs on it.

The engine would go on in a file that nobody finds any more, and that is gone when it ends. So it
looks before each transaction, and puts what it has back in its place.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from mysense.journal.copies import note
from mysense.journal.pages import beside, create_private
from mysense.journal.salvage import READY, clear, finish, place_ready

_TOLD = (
    "its file was removed or replaced while an engine ran on it, and is put back with all that the "
    "engine had{}; stop the engine before you do that"
)
_log = logging.getLogger("mysense.journal")


class Place:
    """Which file stands at `path` now; `left` tells later whether it still does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _identity(path)

    @property
    def left(self) -> bool:
        """Whether there is none any more, or another one."""
        return _identity(self._path) != self._file


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def put_back(db: sqlite3.Connection, path: Path, log: Place, now: Callable[[], float]) -> None:
    """Write the whole journal that `db` has open to its place; what stands there is kept.

    It is as with a salvage: killed at any point, the next start finishes it or begins again.

    Args:
        db: what the engine has.
        path: where it is to be.
        log: its write-ahead log; whatever stands in it is in `db`, and nothing of another file.
        now: the wall clock.

    Raises:
        OSError, sqlite3.Error: it cannot be written.
    """
    fresh, ready = beside(path, ".salvage"), place_ready(path, now())
    clear(path)
    kept = ready.name.replace(READY, ".damaged-")  # as `finish` calls it
    told = _TOLD.format(f"; what stood there is kept as {kept}" if path.exists() else "")
    try:
        create_private(fresh)
        with closing(sqlite3.connect(fresh, isolation_level=None)) as copy:
            db.backup(copy)
            entry = (now(), "journal", "put back", told)
            copy.execute("INSERT INTO events (at, who, kind, text) VALUES (?, ?, ?, ?)", entry)
            note(copy, kept, "stood in the place of a journal that was removed", None)
        with fresh.open("rb") as stream:
            os.fsync(stream.fileno())
        fresh.rename(ready)
    finally:
        clear(path)
    if not log.left:
        beside(path, "-wal").unlink(missing_ok=True)
    finish(path)
    _log.error("journal %s: %s", path, told)
