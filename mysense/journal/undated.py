"""What was measured before the clock could be trusted: kept here until it gets its time.

A row has the boot-time clock at the end of its interval. With that its time is exact as soon as
the wall clock is right, but only while the machine runs: a row of an earlier start that was never
synchronised cannot be dated, and becomes a dead letter with the time that the clock claimed.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from math import inf
from types import MappingProxyType
from typing import Any, NamedTuple

import attrs

from mysense import jsontext
from mysense.journal.accounts import Journal
from mysense.journal.damage import Damaged
from mysense.journal.log import ASIDE
from mysense.journal.view import View
from mysense.telegram import DAY, Ident, Telegram, Value, plain
from mysense.trust import day

CHUNK = 1000  # rows a transaction: others get their turn in between
MOST = 200_000  # rows; more than four months of minutes
_OVERHEAD = 80  # bytes of a row beside its data
_GAP = -2  # `since` of gaps for what waited for its time
_log = logging.getLogger("mysense.journal")


@attrs.frozen
class Measured:
    """What an interval gave, without a time.

    Attributes:
        ident: who measured.
        data: values by field.
        elapsed: seconds of the boot-time clock at the end of the interval.
        wall: Unix seconds that the wall clock claimed then.
    """

    ident: Ident
    data: Mapping[str, Value]
    elapsed: float
    wall: float

    def at(self, time: int) -> Telegram:
        """As the telegram of this second."""
        return Telegram(self.ident, MappingProxyType({"time": time, **self.data}))


class Kept(NamedTuple):
    """A row: its number, the start of the machine in which it was written, what was measured."""

    id: int
    boot: str
    measured: Measured


def keep(journal: Journal, boot: str, many: Sequence[Measured]) -> None:
    """Commit what has no time yet."""
    with journal.transaction() as db:
        rows = [
            (boot, one.elapsed, one.wall, journal.ids(one.ident)[0], journal.now(), _text(one))
            for one in many
        ]
        db.executemany(
            "INSERT INTO undated (boot, elapsed, wall, ident, at, data) VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )


def oldest(journal: Journal, limit: int = CHUNK) -> list[Kept]:
    """The first rows, in the order in which they were measured."""
    with journal.transaction() as db:
        return [row for _, row in _rows(db, (), limit)]


def date(
    journal: Journal,
    rows: Sequence[Kept],
    times: Sequence[int],
    *,
    source: str,
    also: Callable[[sqlite3.Connection], None] = lambda _: None,
) -> None:
    """Move rows to the telegrams, each with its time; all in one transaction, or none.

    Args:
        journal: open for writing.
        rows: as `oldest` gave them.
        times: Unix seconds, rising.
        source: the input.
        also: what else is done in this transaction.
    """

    def leave(db: sqlite3.Connection) -> None:
        _delete(db, rows)
        also(db)

    telegrams = [row.measured.at(time) for row, time in zip(rows, times, strict=True)]
    journal.append(telegrams, source=source, also=leave)


def bury(journal: Journal, boots: Sequence[str]) -> int:
    """Make dead letters of all rows that are not of these starts of the machine.

    Returns:
        how many there were.
    """
    count = 0
    while True:
        with journal.transaction() as db:
            rows = _rows(db, boots, CHUNK)
            db.executemany(ASIDE, [_letter(ident, row, journal.now()) for ident, row in rows])
            _delete(db, [row for _, row in rows])
        count += len(rows)
        if len(rows) < CHUNK:
            return count


def _letter(ident: int, row: Kept, now: float) -> tuple[Any, ...]:
    one = row.measured
    telegram = one.at(max(0, int(one.wall)))
    reason = (
        "time unknown: the machine was switched off before its clock was synchronised; "
        f"the clock claimed {telegram.time}, {one.elapsed:.0f} s after the start of the machine"
    )
    data = jsontext.dumps(plain(telegram.data))
    return ("", "dead", telegram.kit, telegram.time, ident, None, now, reason, data)


def trim(journal: Journal, max_mb: float) -> int:
    """Keep the rows within half the journal; what is given up, oldest first, is a recorded gap.

    Returns:
        how many were given up.
    """
    dropped = 0
    while excess := _excess(journal, max_mb):
        with journal.transaction() as db:
            rows = [row for _, row in _rows(db, (), min(CHUNK, excess))]
            for kit in {row.measured.ident.kit for row in rows}:
                own = [row.measured for row in rows if row.measured.ident.kit == kit]
                _record(db, kit, own, journal.now())
            _delete(db, rows)
        dropped += len(rows)
    if dropped:
        _log.error(
            "too many telegrams wait for the right time: gave up %d of the oldest, see the gaps in"
            " `mysense status`",
            dropped,
        )
    return dropped


def _excess(journal: Journal, max_mb: float) -> int:
    """How many rows there are too many."""
    with journal.transaction() as db:
        count, size = db.execute(
            "SELECT count(*), total(length(data) + ?) FROM undated", (_OVERHEAD,)
        ).fetchone()
    room = max_mb * 1e6 / 2
    too_large = int(count * (1 - room / size)) + 1 if size > room else 0
    return min(int(count), max(int(count) - MOST, too_large))


def _record(db: sqlite3.Connection, kit: str, many: Sequence[Measured], now: float) -> None:
    walls = [int(one.wall) for one in many]
    reason = "too many waited for a clock that can be trusted; times are what the clock claimed"
    db.execute(
        "INSERT INTO gaps (output, kit, since, first, last, count, at, reason)"
        " VALUES ('', ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (output, kit, since) DO UPDATE SET first = min(first, excluded.first),"
        " last = max(last, excluded.last), count = count + excluded.count, at = excluded.at",
        (kit, _GAP, min(walls), max(walls), len(many), now, reason),
    )


# -- what the journal knows of the clock ---------------------------------------------------------


def newest(journal: Journal, ident: Ident) -> int:
    """The newest time that the journal has of this kit and label; 0 where it has none.

    Times that a person has said to be wrong do not count, see `accept`.
    """
    wrong = {"head": None, "wall": inf} | (recall(journal, "clock accepted") or {})
    latest = wrong["wall"] + DAY
    with journal.transaction() as db:
        source = db.execute(
            "SELECT id FROM sources WHERE kit = ? AND label = ?", (ident.kit, ident.label or "")
        ).fetchone()
        if source is None:
            return 0
        (last,) = db.execute(
            "SELECT max(time) FROM telegrams WHERE source = ? AND kind = 'telegram'"
            " AND (seq > ? OR time <= ?)",
            (*source, wrong["head"], latest),
        ).fetchone()
        (hour,) = db.execute(  # of what it has let go of it knows the hour
            "SELECT max(hour) * 3600 FROM hours WHERE source = ? AND hour * 3600 <= ?",
            (*source, latest),
        ).fetchone()
        return max(int(found or 0) for found in (last, hour))


def accept(journal: Journal, wall: float) -> None:
    """Note that the clock is right now: what lies more than a day ahead of it was wrong."""
    head = journal.head
    with journal.transaction() as db:
        remember(db, "clock accepted", {"head": head, "wall": wall})


def remember(db: sqlite3.Connection, key: str, value: Mapping[str, Any]) -> None:
    """Keep an object in the journal, as part of a transaction."""
    query = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)"
    db.execute(query, (key, json.dumps(value)))


def recall(journal: Journal, key: str) -> dict[str, Any] | None:
    """An object that was kept; None where there is none, or a damage has spoiled it."""
    with journal.transaction() as db:
        row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else _object(row[0])


def _object(text: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        return None


@attrs.frozen
class Waiting:
    """How many telegrams wait for the right time, and why; `since` is what the clock claimed."""

    count: int
    since: float | None
    kind: str
    why: str
    fix: str

    def lines(self) -> list[str]:
        """The same for a person; nothing where nothing waits."""
        if not (self.count or self.kind):
            return []
        since = "" if self.since is None else f", the first since {day(self.since)} by that clock"
        told = [f"{self.count} telegrams wait for the right time{since}"]
        if self.kind:
            told += [f"because {self.why}", f"to do: {self.fix}"]
        return told


def waiting(view: View) -> Waiting:
    """What a reader of the journal is told."""
    (rows,) = view.all("SELECT count(*) AS n, min(wall) AS since FROM undated")
    kept = view.all("SELECT value FROM meta WHERE key = 'clock'")
    hold = (_object(kept[0]["value"]) or {}).get("hold") if kept else None
    kind, why, fix = hold or ("", "", "")
    return Waiting(rows["n"], rows["since"], kind, why, fix)


# -- rows ----------------------------------------------------------------------------------------


def _text(one: Measured) -> str:
    return jsontext.dumps(plain(one.data))


def _rows(db: sqlite3.Connection, but: Sequence[str], limit: int) -> list[tuple[int, Kept]]:
    """The oldest rows, without those of some starts, each with the number of its ident."""
    query = (
        "SELECT u.id, u.boot, u.ident, i.body, u.data, u.elapsed, u.wall FROM undated u"
        " JOIN idents i ON i.id = u.ident"
        " WHERE u.boot NOT IN (SELECT value FROM json_each(?)) ORDER BY u.id LIMIT ?"
    )
    known: dict[int, Ident] = {}
    made = []
    found = db.execute(query, (json.dumps(list(but)), limit))
    try:
        for number, boot, ident, body, data, elapsed, wall in found:
            if ident not in known:
                known[ident] = Ident.from_json(json.loads(body))
            one = Measured(known[ident], jsontext.loads(data), elapsed, wall)
            made.append((ident, Kept(number, boot, one)))
    except ValueError as wrong:
        raise Damaged(f"what waits for its time is not what was written: {wrong}") from wrong
    return made


def _delete(db: sqlite3.Connection, rows: Sequence[Kept]) -> None:
    db.executemany("DELETE FROM undated WHERE id = ?", [(row.id,) for row in rows])
