"""What the journal lets go: by age what is delivered, by size the oldest delivered first."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable

from mysense.journal import Journal

_DAY = 86_400
_CHUNK = 1000
_FULL = 0.8  # of max_mb, unsent: from there on inputs that can wait do
_log = logging.getLogger("mysense.journal")


def size_mb(db: sqlite3.Connection) -> float:
    """Megabytes of the journal that hold something."""
    pages, free, page = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return float((pages - free) * page / 1e6)


def trim(
    journal: Journal, max_mb: float, keep_days: float, now: Callable[[], float] = time.time
) -> int:
    """Let go of what may go; telegrams given up unsent are recorded as gaps.

    Returns:
        how many telegrams were given up unsent, summed over the outputs.
    """
    with journal.transaction() as db:
        (delivered,) = db.execute("SELECT coalesce(min(cursor), 0) FROM outputs").fetchone()
        old = (delivered, now() - keep_days * _DAY)
        db.execute("DELETE FROM telegrams WHERE seq <= ? AND at < ?", old)
        given_up = 0
        while size_mb(db) > max_mb:
            chunk = db.execute(
                "SELECT min(seq), max(seq) FROM"
                " (SELECT seq FROM telegrams WHERE seq <= ? ORDER BY seq LIMIT ?)",
                (delivered, _CHUNK),
            ).fetchone()
            if chunk[0] is None:
                last = db.execute(
                    "SELECT max(seq) FROM (SELECT seq FROM telegrams ORDER BY seq LIMIT ?)",
                    (_CHUNK,),
                ).fetchone()[0]
                if last is None:
                    break
                given_up += _record_gaps(db, last, now(), max_mb)
                chunk = (0, last)
            db.execute("DELETE FROM telegrams WHERE seq <= ?", (chunk[1],))
        journal.full = _share_unsent(db) * size_mb(db) > _FULL * max_mb
    with journal.transaction() as db:
        db.execute("PRAGMA incremental_vacuum(2000)").fetchall()
    if given_up:
        _log.error(
            "the journal is over [journal] max_mb = %g: gave up %d of the oldest telegrams unsent, "
            "see the gaps in `mysense status`",
            max_mb,
            given_up,
        )
    return given_up


def _share_unsent(db: sqlite3.Connection) -> float:
    """Which part of the telegrams here still waits for some output."""
    first, last, delivered = db.execute(
        "SELECT min(seq), max(seq), (SELECT min(cursor) FROM outputs) FROM telegrams"
    ).fetchone()
    if first is None or delivered is None:
        return 0.0
    return float((last - max(delivered, first - 1)) / (last - first + 1))


def _record_gaps(db: sqlite3.Connection, last: int, at: float, max_mb: float) -> int:
    """Write down which telegrams up to number `last` each output will never get."""
    before = db.execute("SELECT coalesce(sum(count), 0) FROM gaps").fetchone()[0]
    db.execute(
        "INSERT INTO gaps (output, kit, first, last, count, at, reason)"
        " SELECT o.name, s.kit, min(t.time), max(t.time), count(*), ?, ?"
        " FROM outputs o JOIN telegrams t ON t.seq > o.cursor AND t.seq <= ?"
        " JOIN sources s ON s.id = t.source GROUP BY o.name, s.kit",
        (at, f"the journal was over its limit of {max_mb:g} MB", last),
    )
    db.execute("UPDATE outputs SET cursor = max(cursor, ?)", (last,))
    after = db.execute("SELECT coalesce(sum(count), 0) FROM gaps").fetchone()[0]
    return int(after - before)
