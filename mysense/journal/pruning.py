"""Idents and sources that nothing refers to any more: a kit that moves leaves one a telegram."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from mysense.journal.accounts import Journal
from mysense.journal.view import View

_EVERY = 3600.0  # seconds from one search to the next: it reads all telegrams
_MANY = 50_000  # idents looked at in a search: the oldest, whose telegrams go first
_KEY = "pruned"  # in table meta: when that was, Unix seconds
_LOOSE = (  # all but telegrams: small enough to be read each time
    "SELECT id FROM idents WHERE id NOT IN (SELECT ident FROM kits"
    " UNION ALL SELECT ident FROM aside WHERE ident IS NOT NULL"
    " UNION ALL SELECT ident FROM undated"
    " UNION ALL SELECT max(id) FROM idents)"  # the highest stays, so that none is given again
    " ORDER BY id"
)
_USED = (
    "SELECT DISTINCT ident FROM telegrams WHERE seq > ?"
    " AND ident IN (SELECT value FROM json_each(?))"
)
_LOOSE_SOURCES = (
    "DELETE FROM sources WHERE id NOT IN (SELECT source FROM idents)"
    " AND id NOT IN (SELECT source FROM hours) AND id NOT IN (SELECT max(id) FROM sources)"
)


def prune(journal: Journal, now: Callable[[], float]) -> int:
    """Drop idents that no telegram has, and sources without ident; at most once an hour.

    Telegrams are searched beside the journal, which can be written meanwhile.

    Returns:
        how many idents were dropped.
    """
    if not _due(journal, now()):
        return 0
    head = journal.head
    with View(journal.path) as view, view.moment():
        loose = {row["id"] for row in view.all(f"{_LOOSE} LIMIT {_MANY}")}
        if loose:
            loose -= {row["ident"] for row in view.all(_USED, 0, json.dumps(sorted(loose)))}
    with journal.transaction() as db:
        gone = _drop(db, loose, head)
        journal.forget()
    return gone


def _due(journal: Journal, now: float) -> bool:
    with journal.transaction() as db:
        row = db.execute("SELECT value FROM meta WHERE key = ?", (_KEY,)).fetchone()
        if row is not None and abs(now - row[0]) < _EVERY:
            return False
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_KEY, now))
        return True


def _drop(db: sqlite3.Connection, loose: set[int], head: int) -> int:
    """Drop those that nobody has taken up since number `head`."""
    numbers = json.dumps(sorted(loose))
    taken = {row[0] for row in db.execute(_USED, (head, numbers))}
    still = {row[0] for row in db.execute(_LOOSE)}
    gone = [(number,) for number in sorted(loose & still - taken)]
    db.executemany("DELETE FROM idents WHERE id = ?", gone)
    db.execute(_LOOSE_SOURCES)
    return len(gone)
