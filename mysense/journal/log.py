"""The journal's log: every telegram is committed here before anything is sent.

An output is a cursor in it; there is no other queue, cache or spool. One engine at a time writes;
other processes read, or leave a request.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from copy import copy
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import attrs

from mysense.journal.damage import Damaged
from mysense.journal.file import File
from mysense.journal.patience import Wait
from mysense.jsontext import dumps
from mysense.plugin import Item, Position, Refusal
from mysense.points import Measured, Series
from mysense.telegram import Ident, normal_data, plain

_PATIENCE = 0.2  # seconds for which a busy journal is waited for
_IDENTS_KNOWN = 10_000  # a kit that moves may have a new ident with every telegram
State = Literal["held", "retry", "dead"]

_INTO = "INSERT OR IGNORE INTO telegrams (kind, source, time, ident, new, at, data) VALUES"
_VALUES = " (?, ?, ?, ?, ?, ?, ?)"
_TOGETHER = 100  # rows a statement: half the time of one by one
ASIDE = (
    "INSERT INTO aside (output, state, kit, time, ident, new, at, reason, data)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_NEW = object()  # no value of an entry
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@attrs.frozen
class Appended:
    """What became of what was handed to `append`."""

    stored: int
    repeats: int
    refused: int


class Log(File):
    """The journal's file and what goes into it; open for the one engine that may write.

    Args:
        path: the file; it and its folder are made when missing.
        now: the wall clock.
        bulk: whether a new one is made for many telegrams at once, not for one a minute.
        wait: how to wait where the disk is in the way, see `Patience`.

    Raises:
        JournalError: another engine has it, it is of a newer format, or it cannot be opened.
    """

    def __init__(
        self, path: Path, *, now: Callable[[], float], bulk: bool, wait: Wait | None
    ) -> None:
        self.full = False
        """Whether so much waits here that inputs which can wait should."""
        super().__init__(path, now=now, bulk=bulk, wait=wait)
        self._grown = threading.Condition(self._lock)

    def close(self) -> None:
        """Release the file; what was appended is safe already."""
        with self._lock:
            super().close()
            self._grown.notify_all()

    @property
    def head(self) -> int:
        """The number of the newest telegram."""
        with self._lock:
            return self._head

    def _remember(self) -> None:
        self._sources: dict[Ident | Series, tuple[int, int]] = {}  # its id, its source's id
        self._last: dict[str, int] = dict(self._db.execute("SELECT kit, ident FROM kits"))
        (head,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM telegrams").fetchone()
        self._head = int(head)
        self._positions: dict[str, dict[str, Any]] = {}  # of each input, as they were committed
        super()._remember()

    def forget(self) -> None:
        """Look idents up again: some are no longer in the file."""
        with self._lock:
            self._sources.clear()

    # -- inputs ---------------------------------------------------------------------------------

    def append(
        self,
        items: Sequence[Item],
        *,
        source: str = "",
        position: Position | None = None,
        also: Callable[[sqlite3.Connection], None] | None = None,
    ) -> Appended:
        """Commit telegrams and, in the same transaction, how far the input has read.

        A telegram whose identity the journal holds already is a repeat when its data are equal,
        else a dead letter `second taken`. A telegram that does not say whether its ident is new
        is told so here, once and for all.

        Args:
            items: in the order in which they were measured or read.
            source: the input's section.
            position: its new position; entries equal to those kept are not written again.
            also: what else is done in this transaction.
        """
        with self._lock:
            with self.transaction() as db:
                for item in items:
                    if isinstance(item, Refusal):
                        self._refuse_text(source, item)
                telegrams = [item for item in items if not isinstance(item, Refusal)]
                stored, repeats = self._insert_all(db, telegrams)
                if position is not None:
                    kept = self._keep_position(db, source, position)
                if also is not None:
                    also(db)
            if position is not None:  # only what is committed is what is kept
                self._positions[source] = kept
        if stored:
            self._acknowledged = max(self._acknowledged, self.head)
            self.wake()
        return Appended(stored, repeats, len(items) - stored - repeats)

    def _insert_all(self, db: sqlite3.Connection, telegrams: list[Measured]) -> tuple[int, int]:
        """Insert in one go; only where some identity exists already, one by one."""
        last, now = dict(self._last), self.now()
        rows = self._rows(telegrams, now)
        db.execute("SAVEPOINT rows")
        before = db.total_changes
        even = len(rows) - len(rows) % _TOGETHER
        many = _INTO + ",".join([_VALUES] * _TOGETHER)
        for at in range(0, even, _TOGETHER):
            db.execute(many, list(chain.from_iterable(rows[at : at + _TOGETHER])))
        db.executemany(_INTO + _VALUES, rows[even:])
        stored, repeats = db.total_changes - before, 0
        if stored < len(rows):
            db.execute("ROLLBACK TO rows")
            self._last = dict(last)
            kept = [self._insert(db, telegram, now) for telegram in telegrams]
            stored, repeats = kept.count("stored"), kept.count("repeat")
        db.execute("RELEASE rows")
        changed = [(kit, ident) for kit, ident in self._last.items() if last.get(kit) != ident]
        db.executemany("INSERT OR REPLACE INTO kits VALUES (?, ?)", changed)
        if stored:
            (self._head,) = db.execute("SELECT max(seq) FROM telegrams").fetchone()
        return stored, repeats

    def _rows(self, telegrams: Sequence[Measured], now: float) -> list[tuple[Any, ...]]:
        """What to insert; decides for each telegram whether its ident is new."""
        rows = []
        for ident, some in groupby(telegrams, attrgetter("ident")):
            kit = ident.kit
            number, source = self.ids(ident)
            for telegram in some:
                new = telegram.new
                if new is None:
                    new = self._last.get(kit) != number
                self._last[kit] = number
                data = plain(telegram.data)
                rows.append((telegram.kind, source, telegram.time, number, new, now, dumps(data)))
        return rows

    def _insert(self, db: sqlite3.Connection, telegram: Measured, at: float) -> str:
        kit = telegram.kit
        before = self._last.get(kit)
        (row,) = self._rows([telegram], at)
        kept = db.execute(  # asked first: a number that was given and not used would seem lost
            "SELECT data FROM telegrams WHERE source = ? AND time = ? AND kind = 'telegram'",
            (row[1], row[2]),
        ).fetchone()
        if kept is None:
            db.execute(_INTO + _VALUES, row)
            return "stored"
        self._last.pop(kit)  # only what is stored decides what is new
        if before is not None:
            self._last[kit] = before
        if normal_data(json.loads(kept[0])) == normal_data(telegram.data):
            return "repeat"
        reason = "second taken: this kit and label have other data at this second already"
        known = db.execute(
            "SELECT 1 FROM aside WHERE output = '' AND state = 'dead' AND kit = ?"
            " AND time = ? AND data = ?",
            (kit, row[2], row[6]),
        )
        if not known.fetchone():  # who sends it again and again gets one dead letter
            entry = ("", "dead", kit, row[2], row[3], row[4], row[5], reason, row[6])
            db.execute(ASIDE, entry)
        return "taken"

    def ids(self, ident: Ident | Series) -> tuple[int, int]:
        """The numbers of an ident and of its source; they are made where it is new."""
        known = self._sources.get(ident)
        if known is None:
            db, key = self._db, (ident.kit, ident.label or "")
            db.execute("INSERT OR IGNORE INTO sources (kit, label) VALUES (?, ?)", key)
            (source,) = db.execute(
                "SELECT id FROM sources WHERE kit = ? AND label = ?", key
            ).fetchone()
            body = _encode(ident.to_json())
            db.execute("INSERT OR IGNORE INTO idents (source, body) VALUES (?, ?)", (source, body))
            (number,) = db.execute("SELECT id FROM idents WHERE body = ?", (body,)).fetchone()
            if len(self._sources) >= _IDENTS_KNOWN:
                self._sources.clear()
            known = self._sources[ident] = (number, source)
        return known

    def _refuse_text(self, source: str, refusal: Refusal) -> None:
        reason, text = storable(f"{refusal.where}: {refusal.reason}"), storable(refusal.text)
        entry = ("", "dead", source, None, None, None, self.now(), reason, text)
        self._db.execute(ASIDE, entry)

    def _keep_position(
        self, db: sqlite3.Connection, source: str, position: Position
    ) -> dict[str, Any]:
        """Write the entries that have changed; returns all, to be remembered when committed.

        Of a thousand kits few move at a time: the others are neither read nor encoded.
        """
        kept = self._positions.pop(source, None)
        if kept is None:
            kept = _as_written(db, source, position)
        moved = {key: value for key, value in position.items() if kept.get(key, _NEW) != value}
        gone = kept.keys() - position.keys()
        entries = [(source, key, _encode(value)) for key, value in moved.items()]
        db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", entries)
        query = "DELETE FROM positions WHERE input = ? AND key = ?"
        db.executemany(query, [(source, key) for key in gone])
        for key in gone:
            del kept[key]
        return kept | {key: copy(value) for key, value in moved.items()}

    def note(self, who: str, kind: str, text: str, time: int | None = None) -> None:
        """Write an event down, where it belongs to one with the telegram's time."""
        with self.transaction() as db:
            db.execute(
                "INSERT INTO events (at, time, who, kind, text) VALUES (?, ?, ?, ?, ?)",
                (self.now(), time, who, kind, storable(text)),
            )

    def position(self, source: str) -> Position | None:
        """How far an input has read, or None when it never has."""
        return self.insist(lambda: self._position(source)) or None

    def _position(self, source: str) -> Position:
        query = "SELECT key, value FROM positions WHERE input = ?"
        try:
            return {key: json.loads(value) for key, value in self.read(query, source)}
        except ValueError as wrong:
            found = Damaged(f"the position of {source} is not what was written: {wrong}")
            self.mend(found)
            raise found from wrong

    def wait(self, seen: int, timeout: float) -> None:
        """Return when there is a telegram beyond number `seen`, or after `timeout` seconds."""
        with self._grown:
            if self._head <= seen:
                self._grown.wait(timeout)

    def wake(self) -> None:
        """Make every `wait` return, unless the journal is busy: then each looks up soon."""
        if self._lock.acquire(timeout=_PATIENCE):
            try:
                self._grown.notify_all()
            finally:
                self._lock.release()


def _as_written(db: sqlite3.Connection, source: str, position: Position) -> dict[str, Any]:
    """What is kept of an input: the entries of `position` where they are as they were written."""
    rows = db.execute("SELECT key, value FROM positions WHERE input = ?", (source,))
    return {
        key: copy(position[key]) if key in position and _encode(position[key]) == text else _NEW
        for key, text in rows
    }


def storable(text: str) -> str:
    """`text` with halves of surrogate pairs escaped: names of files have some, UTF-8 has none."""
    return text.encode(errors="backslashreplace").decode()
