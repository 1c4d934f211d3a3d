"""A transaction of a journal's file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def atomic(db: sqlite3.Connection) -> Iterator[None]:
    """All that is done within is on disk when it ends, or nothing of it.

    It may write from its beginning, so that nobody comes between what it reads and what it writes.

    Raises:
        sqlite3.Error: it cannot begin or end; the error that came up within is passed on.
    """
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite may have done so itself
            db.execute("ROLLBACK")
        raise
