"""Numbers of telegrams that should be in the journal and are not: a gap is recorded for them.

Telegrams are numbered without holes, and let go from the front, up to where every output's cursor
is or was moved. So a number beyond a cursor that is not there was lost.
"""

from __future__ import annotations

import sqlite3

UNKNOWN = "?"  # the kit of a telegram of which nothing but its number is known
_UNSAVED = -3  # `since` of gaps for what never reached the journal
_HOLES = (
    "WITH beyond AS (SELECT seq, lag(seq, 1, ?1) OVER (ORDER BY seq) AS before"
    " FROM telegrams WHERE seq > ?1)"
    " SELECT before + 1, seq - 1 FROM beyond WHERE seq > before + 1"
    " UNION ALL SELECT max(?1, coalesce(max(seq), 0)) + 1, ?2 FROM telegrams"
    " WHERE 1 HAVING max(?1, coalesce(max(seq), 0)) < ?2"
)
_GAP = (
    "INSERT OR REPLACE INTO gaps (output, kit, since, first, last, count, at, reason)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def prepare(db: sqlite3.Connection) -> None:
    """Make a place for what is known of single telegrams that are lost."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS lost (seq INTEGER PRIMARY KEY, source, time)")


def record(db: sqlite3.Connection, head: int, at: float, reason: str) -> int:
    """Record a gap for every range of numbers that is missing, for each output.

    Args:
        db: the journal, in a transaction; `prepare` was called.
        head: the highest number that was ever given.
        at: now.
        reason: for the gaps.

    Returns:
        how many numbers are missing, where most are.
    """
    outputs = db.execute("SELECT name, cursor FROM outputs").fetchall()
    if not outputs:  # it is lost for whoever may come
        (first,) = db.execute("SELECT coalesce(min(seq) - 1, ?) FROM telegrams", (head,)).fetchone()
        outputs = [("", first)]
    most = 0
    for name, cursor in outputs:
        holes = db.execute(_HOLES, (cursor, head)).fetchall()
        for first, last in holes:
            _record(db, name, (first, last), at, reason)
        most = max(most, sum(last - first + 1 for first, last in holes))
    return most


def _record(
    db: sqlite3.Connection, output: str, hole: tuple[int, int], at: float, reason: str
) -> None:
    db.execute(  # what an earlier salvage has missed of them is counted again
        "DELETE FROM gaps WHERE output = ? AND since BETWEEN ? AND ? AND reason LIKE 'damaged %'",
        (output, *hole),
    )
    unknown = hole[1] - hole[0] + 1
    known = db.execute(
        "SELECT kit, min(time), max(time), count(*) FROM lost JOIN sources ON id = source"
        " WHERE seq BETWEEN ? AND ? GROUP BY kit",
        hole,
    ).fetchall()
    for kit, first, last, count in known:
        db.execute(_GAP, (output, kit, hole[0], first, last, count, at, reason))
        unknown -= count
    if unknown > 0:
        since, until = _around(db, hole, int(at))
        db.execute(_GAP, (output, UNKNOWN, hole[0], since, until, unknown, at, reason))


def _around(db: sqlite3.Connection, hole: tuple[int, int], now: int) -> tuple[int, int]:
    """The times of the telegrams before and after a hole."""
    before = db.execute(
        "SELECT time FROM telegrams WHERE seq < ? ORDER BY seq DESC LIMIT 1", (hole[0],)
    ).fetchone()
    after = db.execute(
        "SELECT time FROM telegrams WHERE seq > ? ORDER BY seq LIMIT 1", (hole[1],)
    ).fetchone()
    until = after[0] if after else now
    return (before[0] if before else until), until


def give_up(
    db: sqlite3.Connection, kit: str, span: tuple[int, int, int], at: float, reason: str
) -> None:
    """Record telegrams that never reached the journal.

    Args:
        db: the journal, in a transaction.
        kit: whose they were.
        span: time of the first and of the last, in Unix seconds, and how many they were.
        at: now.
        reason: why.
    """
    db.execute(
        "INSERT INTO gaps (output, kit, since, first, last, count, at, reason)"
        " VALUES ('', ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (output, kit, since) DO UPDATE SET first = min(first, excluded.first),"
        " last = max(last, excluded.last), count = count + excluded.count, at = excluded.at",
        (kit, _UNSAVED, *span, at, reason),
    )
