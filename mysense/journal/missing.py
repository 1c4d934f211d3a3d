"""Numbers of telegrams that should be in the journal and are not: a gap is recorded for them.

Telegrams are numbered without holes, and let go from the front, up to where every output's cursor
is or was moved. So a number beyond a cursor that is not there was lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import chain

UNKNOWN = "?"  # the kit of a telegram of which nothing but its number is known
_UNSAVED = -3  # `since` of gaps for what never reached the journal
_GAP = (
    "INSERT INTO gaps (output, kit, since, first, last, count, at, reason)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (output, kit, since) DO UPDATE SET first = min(first, excluded.first),"
    " last = max(last, excluded.last), count = count + excluded.count, at = excluded.at"
)
_Times = tuple[int, int]


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
        outputs = db.execute("SELECT '', coalesce(min(seq), ?) FROM telegrams", (head,)).fetchall()
    counts = []
    for name, cursor in outputs:
        holes = list(_holes(db, cursor, head, int(at)))
        for numbers, times in holes:
            _record(db, name, numbers, times, (at, reason))
        counts.append(sum(len(numbers) for numbers, _ in holes))
    return max(counts)


def _holes(
    db: sqlite3.Connection, cursor: int, head: int, now: int
) -> Iterator[tuple[range, _Times]]:
    """Numbers beyond a cursor that are missing in a row, and the times of those around them."""
    before, since = cursor, None
    rows = db.execute("SELECT seq, time FROM telegrams ORDER BY seq")
    for seq, time in chain(rows, [(head + 1, now)]):
        numbers = range(before + 1, seq)
        if numbers:
            yield numbers, (time if since is None else since, time)
        before, since = max(before, seq), time


def _record(
    db: sqlite3.Connection,
    output: str,
    numbers: range,
    times: _Times,
    entry: tuple[float, str],
) -> None:
    ends = numbers[0], numbers[-1]
    db.execute(  # what an earlier salvage has missed of them is counted again
        "DELETE FROM gaps WHERE output = ? AND since BETWEEN ? AND ? AND reason LIKE 'damaged %'",
        (output, *ends),
    )
    known = db.execute(
        "SELECT kit, min(time), max(time), count(*) FROM lost JOIN sources ON id = source"
        " WHERE seq BETWEEN ? AND ? GROUP BY kit",
        ends,
    ).fetchall()
    unknown = len(numbers) - sum(count for *_, count in known)
    if unknown:
        known.append((UNKNOWN, *times, unknown))
    for kit, *span in known:
        db.execute(_GAP, (output, kit, numbers[0], *span, *entry))


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
    db.execute(_GAP, ("", kit, _UNSAVED, *span, at, reason))
