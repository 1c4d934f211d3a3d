"""What outputs acknowledged and may yet forget, see mysense/delivery/doubt.py."""

from __future__ import annotations

import json
import sqlite3

import attrs

from mysense.journal.accounts import Journal, excluded_key

_ASIDE = (  # what will be sent again is not to be aside as well
    "DELETE FROM aside WHERE output = ?1 AND EXISTS (SELECT 1 FROM telegrams t"
    " JOIN sources s ON s.id = t.source WHERE t.seq > ?2 AND t.seq <= ?3"
    " AND s.kit = aside.kit AND t.time = aside.time AND t.ident = aside.ident)"
)
_RELEASED = (  # what had been set aside before, and is sent again from there
    "INSERT INTO aside (output, state, kit, time, ident, new, at, reason, data)"
    " SELECT ?1, 'retry', s.kit, t.time, t.ident, t.new, t.at, 'sent again', t.data"
    " FROM telegrams t JOIN sources s ON s.id = t.source"
    " WHERE s.kit = ?2 AND t.at >= ?3 AND t.seq <= ?4 AND (t.time, t.ident, t.data) NOT IN"
    " (SELECT time, ident, data FROM aside WHERE output = ?1 AND kit = ?2 AND ident IS NOT NULL)"
    " ORDER BY t.seq"
)


@attrs.frozen(kw_only=True)
class Doubtful:
    """Since when an output is doubted.

    Attributes:
        cursor: everything beyond it is doubtful.
        released: kits of which something that had waited aside was acknowledged since, and when
            the oldest of that came into the journal; it may be from before the cursor.
        at: when the other side last said that it cannot write, in Unix seconds.
        excluded: how many had been excluded at the cursor; None where that was not written down.
        epoch: which start of the other side was last looked at.
    """

    cursor: int
    at: float
    epoch: str | None
    released: dict[str, float] = attrs.Factory(dict)
    excluded: int | None = None


def doubtful(journal: Journal, output: str) -> Doubtful | None:
    """What is kept of `output`; where a damage has spoiled that, everything is doubtful."""
    with journal.transaction() as db:
        row = db.execute("SELECT value FROM meta WHERE key = ?", (_key(output),)).fetchone()
    try:
        return Doubtful(**json.loads(row[0])) if row else None
    except (ValueError, TypeError):
        return Doubtful(cursor=0, at=journal.now(), epoch=None)


def excluded(journal: Journal, output: str) -> int:
    """How many telegrams `output` was not to have, so far."""
    rows = journal.read("SELECT value FROM meta WHERE key = ?", excluded_key(output))
    return int(rows[0][0]) if rows else 0


def keep(journal: Journal, output: str, found: Doubtful | None) -> None:
    """Keep it, or None to be certain again."""
    with journal.transaction() as db:
        _keep(db, output, found)


def _keep(db: sqlite3.Connection, output: str, found: Doubtful | None) -> None:
    db.execute("DELETE FROM meta WHERE key = ?", (_key(output),))
    if found is not None:
        entry = (_key(output), json.dumps(attrs.asdict(found)))
        db.execute("INSERT INTO meta (key, value) VALUES (?, ?)", entry)


def rewind(journal: Journal, output: str, found: Doubtful) -> int:
    """Set an output back, so that what it has acknowledged is sent again; and keep `found`.

    Both or neither: what is kept of another start of the server is that all of this was done.

    Returns:
        its cursor, which is not before what was let go of since.
    """
    with journal.transaction() as db:
        _keep(db, output, found)
        (now,) = db.execute("SELECT cursor FROM outputs WHERE name = ?", (output,)).fetchone()
        (first,) = db.execute("SELECT min(seq) FROM telegrams").fetchone()
        cursor: int = min(now, max(found.cursor, now if first is None else first - 1))
        span = "SELECT count(*) FROM telegrams WHERE seq > ? AND seq <= ?"
        (count,) = db.execute(span, (cursor, now)).fetchone()
        aside = db.execute(_ASIDE, (output, cursor, now)).rowcount
        more = sum(
            db.execute(_RELEASED, (output, kit, since, cursor)).rowcount
            for kit, since in found.released.items()
        )
        count += more - _include(db, output, found.excluded)
        db.execute(
            "UPDATE outputs SET cursor = ?, acknowledged = max(0, acknowledged - ?) WHERE name = ?",
            (cursor, count - aside, output),
        )
        if count:
            text = f"the server was started again after its disk was full: {count} are sent again"
            db.execute(
                "INSERT INTO events (at, who, kind, text) VALUES (?, ?, 'again', ?)",
                (journal.now(), output, text),
            )
    return cursor


def _include(db: sqlite3.Connection, output: str, before: int | None) -> int:
    """Count anew from there what is excluded: it is met again. Returns how many these were."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (excluded_key(output),)).fetchone()
    if row is None or before is None:
        return 0
    db.execute("UPDATE meta SET value = ? WHERE key = ?", (before, excluded_key(output)))
    return max(0, int(row[0]) - before)


def _key(output: str) -> str:
    return f"doubt {output}"
