"""What a salvage puts into the new journal, table by table, and what it makes of the rest."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from math import inf
from pathlib import Path
from typing import Any

import attrs

from mysense.journal import missing
from mysense.journal.copies import note
from mysense.journal.formats import PAGE_SIZE, create
from mysense.journal.pages import create_private
from mysense.journal.tables import Row, Tables, fitting, good_telegram, whose

_TELEGRAM = (  # only where the ident is there and belongs to that source
    "INSERT OR IGNORE INTO telegrams (seq, kind, source, time, ident, new, at, data)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM idents WHERE id = ?5 AND source = ?3"
)
_ORPHAN = (
    "INSERT INTO aside (output, state, kit, time, at, reason, data) VALUES ('', 'dead',"
    " coalesce((SELECT kit FROM sources WHERE id = ?), '?'), ?, ?, ?, ?)"
)
_UNDATED_ORPHANS = (
    "INSERT INTO aside (output, state, kit, time, at, reason, data)"
    " SELECT '', 'dead', '?', CAST(max(0, wall) AS INTEGER), at, ?, data FROM undated"
    " WHERE ident NOT IN (SELECT id FROM idents)"
)
_ORPHANED = "the journal was damaged: the ident of this telegram is lost"
_LAST_IDENTS = (
    "INSERT OR IGNORE INTO kits SELECT s.kit, t.ident FROM telegrams t JOIN sources s"
    " ON s.id = t.source WHERE t.seq IN (SELECT max(seq) FROM telegrams GROUP BY source)"
    " ORDER BY t.seq DESC"
)
_HOURS = (  # what is lost was measured all the same
    "INSERT INTO hours (source, hour, count)"
    " SELECT source, time / 3600, count(*) FROM temp.lost WHERE 1 GROUP BY 1, 2"
    " ON CONFLICT (source, hour) DO UPDATE SET count = count + excluded.count"
)
_LEFT = (  # what stays behind in the damaged file, counted as what is let go of
    "INSERT INTO hours (source, hour, count) VALUES (?, ?, 1)"
    " ON CONFLICT (source, hour) DO UPDATE SET count = count + 1"
)
_INDEX = "SELECT seq, source, time FROM telegrams INDEXED BY identity WHERE kind = 'telegram'"
_FIRST = "SELECT min(seq) FROM telegrams INDEXED BY identity WHERE kind = 'telegram'"

Leaves = Callable[[], Iterable[list[Row]]]


@attrs.frozen
class Case:
    """A damaged journal.

    Attributes:
        reason: what is wrong with it.
        kept: the name under which it is kept.
        at: now.
        settled: telegrams up to this number may stay behind, as there is no room for all.
    """

    reason: str
    kept: str
    at: float
    settled: int

    def __str__(self) -> str:
        return f"damaged ({self.reason}), kept as {self.kept}"


def fill(file: Path, old: Tables, leaves: Leaves, case: Case) -> str:
    """Make a new journal of what is whole in an old one.

    Args:
        file: where; there is none yet.
        old: the tables of the damaged one.
        leaves: gives what may be rows of its table of telegrams, in any order.
        case: what was wrong with it, for gaps and events.

    Returns:
        a sentence about what was saved.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    create_private(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for pragma in ("journal_mode = OFF", "synchronous = OFF"):  # it is synced as a whole
            db.execute(f"PRAGMA {pragma}")
        create(db)
        db.execute("BEGIN")
        told = _Filling(db, old, leaves, case).all()
        db.execute("COMMIT")
    return told


class _Filling:
    def __init__(self, db: sqlite3.Connection, old: Tables, leaves: Leaves, case: Case) -> None:
        self._db, self._old, self._leaves, self._case = db, old, leaves, case
        self._left = 0  # telegrams that stay behind
        self._orphans = 0  # and that have become dead letters
        self._rejected = False  # whether some row made no sense
        sequence = dict(row for row in old.listed("SELECT * FROM sqlite_sequence") if len(row) == 2)
        self._numbers = {name: n for name, n in sequence.items() if isinstance(n, int)}
        self._last = self._numbers.get("telegrams", -1)  # that was given; less than 0 if unknown
        db.execute("CREATE TEMP TABLE orphans (seq INTEGER PRIMARY KEY)")

    def all(self) -> str:
        self._identities()
        self._keyed("hours")  # before what stays behind is added to it
        self._numbered("aside")  # before orphans are added to it
        self._go_on("aside")
        self._telegrams()
        for name in ("gaps", "events", "undated", "requests"):
            self._numbered(name)
        for name in ("positions", "kits", "meta"):
            self._keyed(name)
        self._db.execute("DELETE FROM kits WHERE ident NOT IN (SELECT id FROM idents)")
        self._db.execute(_LAST_IDENTS)
        self._orphans += self._db.execute(_UNDATED_ORPHANS, (_ORPHANED,)).rowcount
        self._db.execute("DELETE FROM undated WHERE ident NOT IN (SELECT id FROM idents)")
        missing.prepare(self._db)
        head = self._indexed()
        self._keyed("outputs", lambda row: 0 <= row["cursor"] <= head)
        return self._tell(head)

    # -- who: both tables are a second time in their indexes --------------------------------------

    def _identities(self) -> None:
        self._numbered("sources")
        again = "SELECT id, kit, label FROM sources INDEXED BY sqlite_autoindex_sources_1"
        self._insert("sources", ["id", "kit", "label"], self._old.listed(again))
        for rows in self._old.numbered("idents"):
            self._idents(rows)
        again = "SELECT id, NULL, body FROM idents INDEXED BY sqlite_autoindex_idents_1"
        self._idents(self._old.listed(again))

    def _idents(self, rows: list[Row]) -> None:
        for number, source, body, *_ in rows:
            key = whose(body)
            if key is not None and isinstance(number, int):
                entry = (source if isinstance(source, int) else None, *key)
                self._db.execute("INSERT OR IGNORE INTO sources VALUES (?, ?, ?)", entry)
                self._db.execute(
                    "INSERT OR IGNORE INTO idents SELECT ?, id, ? FROM sources"
                    " WHERE kit = ? AND label = ?",
                    (number, body, *key),
                )

    # -- telegrams --------------------------------------------------------------------------------

    def _telegrams(self) -> None:
        for rows in self._old.numbered("telegrams", self._last):
            self._leave([row for row in rows if row[0] <= self._case.settled])
            self._take([row[:8] for row in rows if row[0] > self._case.settled])
        if self._holes():
            self._from_leaves()

    def _from_leaves(self) -> None:
        """Look through all pages for what could not be found by its number."""
        query = "SELECT min(seq), max(seq) FROM telegrams"
        first, most = self._db.execute(query).fetchone()
        before = [first, *self._cursors()]  # what was let go may still stand on pages not in use
        before += [row[0] for row in self._old.listed(_FIRST)]
        lowest = min([n for n in before if isinstance(n, int)], default=0)
        lowest = max(lowest, self._case.settled + 1)
        highest = self._last if self._last >= (most or 0) else inf
        there = "SELECT 1 FROM telegrams WHERE seq = ?"
        for rows in self._leaves():
            wanted = [row for row in rows if lowest <= row[0] <= highest]
            self._take([row for row in wanted if not self._db.execute(there, row[:1]).fetchone()])

    def _holes(self) -> bool:
        """Whether some are missing, or nobody knows how many there were."""
        first, most, count = self._db.execute(
            "SELECT coalesce(min(seq), 1), coalesce(max(seq), 0), count(*) FROM telegrams"
        ).fetchone()
        cursors = self._cursors()
        waits = any(cursor + 1 < first for cursor in cursors)
        return bool(waits or not cursors or self._last < most or count <= self._last - first)

    def _cursors(self) -> list[int]:
        rows = self._old.listed("SELECT cursor FROM outputs")
        return [row[0] for row in rows if isinstance(row[0], int)]

    def _leave(self, rows: list[Row]) -> None:
        good = [(row[2], row[3] // 3600) for row in rows if good_telegram(row)]
        self._db.executemany(_LEFT, good)
        self._left += len(rows)

    def _take(self, rows: list[Row]) -> None:
        good = [row for row in rows if good_telegram(row)]
        self._rejected = self._rejected or len(good) < len(rows)
        if good and self._db.executemany(_TELEGRAM, good).rowcount < len(good):
            for row in good:
                self._adopt(row)

    def _adopt(self, row: Row) -> None:
        """Keep a telegram of which nobody knows whose it is as a dead letter."""
        there = "SELECT 1 FROM telegrams WHERE seq = ? OR (source = ? AND time = ?)"
        if self._db.execute(there, (row[0], *row[2:4])).fetchone():
            return
        if self._db.execute("INSERT OR IGNORE INTO temp.orphans VALUES (?)", row[:1]).rowcount:
            self._db.execute(_ORPHAN, (row[2], row[3], row[6], _ORPHANED, row[7]))
            self._orphans += 1

    def _indexed(self) -> int:
        """Note what the index knows of telegrams that are lost; returns the highest number."""
        if self._holes():
            self._lose(_INDEX)
            if self._old.failed:  # perhaps there; what is behind it is read from the other end
                self._lose(_INDEX + " ORDER BY source DESC, time DESC")
        (last,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM telegrams").fetchone()
        head = self._last
        if head < last:
            (indexed,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM temp.lost").fetchone()
            head = max(self._case.settled, indexed if indexed < last + 10_000 else last)
        self._db.execute("DELETE FROM temp.lost WHERE seq > ?", (head,))
        self._db.execute(_HOURS)
        return int(head)

    def _lose(self, query: str) -> None:
        for rows in self._old.parts(query):
            self._db.executemany(
                "INSERT OR IGNORE INTO temp.lost SELECT ?1, ?2, ?3"
                " WHERE NOT EXISTS (SELECT 1 FROM telegrams WHERE seq = ?1)",
                [row for row in rows if self._is_lost(row)],
            )

    def _is_lost(self, row: Row) -> bool:
        return all(isinstance(n, int) and n >= 0 for n in row) and row[0] > self._case.settled

    # -- other tables -----------------------------------------------------------------------------

    def _columns(self, name: str) -> list[str]:
        """The columns of an old table: the first of today's, whatever a damage has called them."""
        found = self._old.columns(name)
        ours = [row[1] for row in self._db.execute(f"PRAGMA table_info({name})")]
        return ours[: len(found)] if len(found) <= len(ours) else found

    def _numbered(self, name: str) -> None:
        columns = self._columns(name)
        if columns:
            for rows in self._old.numbered(name, self._numbers.get(name, 0)):
                self._insert(name, columns, rows)

    def _keyed(self, name: str, good: Callable[[dict[str, Any]], bool] | None = None) -> None:
        columns = self._columns(name)
        rows = self._old.keyed(name)
        if good is not None:
            rows = list(filter(fitting(self._db, name, columns), rows))
            rows = [row for row in rows if good(dict(zip(columns, row, strict=True)))]
        self._insert(name, columns, rows)

    def _insert(self, name: str, columns: list[str], rows: list[Row]) -> None:
        fits = fitting(self._db, name, columns)
        good = [row for row in rows if fits(row)]
        self._rejected = self._rejected or len(good) < len(rows)
        if not good:
            return
        marks = ", ".join("?" * len(columns))
        query = f"INSERT OR IGNORE INTO {name} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608  # names of our own tables
        self._db.executemany(query, good)

    # -- what to say ------------------------------------------------------------------------------

    def _tell(self, head: int) -> str:
        db = self._db
        self._go_on("telegrams", head)
        before = self._gaps()
        lost = missing.record(db, head, self._case.at, str(self._case))
        more = (self._gaps() - before).values()  # the others were lost earlier
        saved = f"saved {self._counts()}; {self._loss(lost)}"
        told = f"the journal was {self._case}; {saved}"
        entry = (self._case.at, "journal", "salvaged", told)
        db.execute("INSERT INTO events (at, who, kind, text) VALUES (?, ?, ?, ?)", entry)
        note(db, self._case.kept, saved, self._only_there(more))
        return told

    def _go_on(self, name: str, *given: int) -> None:
        """See to it that numbers which were given are never given again."""
        db = self._db
        (most,) = db.execute(f"SELECT coalesce(max(rowid), 0) FROM {name}").fetchone()  # noqa: S608  # one of our own tables
        db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
        last = max(most, *given, self._numbers.get(name, most))
        db.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (name, last))

    def _gaps(self) -> Counter[str]:
        query = "SELECT output, sum(count) FROM gaps GROUP BY output"
        return Counter(dict(self._db.execute(query).fetchall()))

    def _only_there(self, more: Iterable[int]) -> int | None:
        """How many telegrams only the damaged file may hold; None where that is not known."""
        (indexed,) = self._db.execute("SELECT count(*) FROM temp.lost").fetchone()
        most = max([indexed, *more]) + self._orphans + self._left
        unsure = self._old.failed or self._rejected or self._last < 0
        return None if unsure and not most else most

    def _loss(self, lost: int) -> str:
        told = self._lost(lost)
        if self._left:
            told += f"; {self._left} that every output has had stay there, for want of room"
        if self._orphans:
            told += f"; {self._orphans} have lost their ident and are dead letters"
        return told

    def _lost(self, lost: int) -> str:
        if lost:
            return f"{lost} telegrams are lost, see the gaps"
        if self._last < 0:
            return "how many there were is not known any more"
        return "no telegram is known to be lost"

    def _counts(self) -> str:
        found = []
        for name, told in (("telegrams", "telegrams"), ("aside", "set aside"), ("gaps", "gaps")):
            (count,) = self._db.execute(f"SELECT count(*) FROM {name}").fetchone()  # noqa: S608  # as above
            found.append(f"{count} {told}")
        names = [name for (name,) in self._db.execute("SELECT name FROM outputs ORDER BY name")]
        found.append(f"the places of {', '.join(names)}" if names else "no output's place")
        return ", ".join(found)
