"""The journal: every telegram is committed here before anything is sent.

One SQLite file in WAL mode with synchronous=FULL. An output is a cursor in it; there is no other
queue, cache or spool. One engine at a time writes; other processes read, or leave a request.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

import attrs

from mysense.errors import JournalError
from mysense.jsontext import dumps
from mysense.plugin import Position, Refusal
from mysense.telegram import Ident, Telegram, normal_data
from mysense.trials import Trials

FORMAT = 1
APPLICATION = 0x4D79534A  # "MySJ", so that no other database is taken for a journal
_BUSY = 0.5  # seconds to wait for a foreign writer; all who write here try again later
_IDENTS_KNOWN = 10_000  # a kit that moves may have a new ident with every telegram
State = Literal["held", "retry", "dead"]

_INTO = "INSERT OR IGNORE INTO telegrams (kind, source, time, ident, new, at, data) VALUES"
_VALUES = " (?, ?, ?, ?, ?, ?, ?)"
_INSERT = _INTO + _VALUES
_TOGETHER = 100  # rows a statement: half the time of one by one
_INSERT_MANY = _INTO + ",".join([_VALUES] * _TOGETHER)
_ASIDE = (
    "INSERT INTO aside (output, state, kit, time, ident, new, at, reason, data)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Row(NamedTuple):
    """A telegram in the journal: its number (or that of its entry aside) and when it came in."""

    seq: int
    telegram: Telegram
    at: float


@attrs.frozen
class Appended:
    """What became of what was handed to `append`."""

    stored: int
    repeats: int = 0
    refused: int = 0


@attrs.frozen
class Outcome:
    """What became of some telegrams at one output; together they are one transaction."""

    cursor: int
    acknowledged: Sequence[Row] = ()
    receipt: str | None = None
    held: Sequence[tuple[Row, str]] = ()
    dead: Sequence[tuple[Row, str]] = ()


class Journal:
    """The journal opened for writing, by the one engine that may.

    Args:
        path: the file; it and its folder are made when missing.
        now: the wall clock.

    Raises:
        JournalError: another engine has it, it is of a newer format, or it cannot be opened.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self.full = False
        """Whether so much waits here that inputs which can wait should."""
        self.writing = Trials()
        """How long it could not be written."""
        self._now = now
        self._lock = threading.RLock()
        self._grown = threading.Condition(self._lock)
        self._sources: dict[Ident, tuple[int, int]] = {}  # ident -> its id, its source's id
        self._last: dict[str, int] = {}  # kit -> id of its last ident
        self._head: int = 0
        self._stale = False  # whether the three above may say what was rolled back
        self._outputs: set[str] = set()
        with ExitStack() as undo:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._guard = undo.enter_context(_lock_file(path))
                self._db = sqlite3.connect(
                    path, isolation_level=None, check_same_thread=False, timeout=_BUSY
                )
                undo.callback(self._db.close)
                self._prepare(self._db)
                self._remember()
            except JournalError:
                raise
            except (OSError, sqlite3.Error) as wrong:
                raise JournalError(f"journal {path}: {wrong}") from wrong
            undo.pop_all()

    def _prepare(self, db: sqlite3.Connection) -> None:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and application != APPLICATION:
            raise JournalError(
                f"journal {self.path}: this is the database of something else; "
                "name another [journal] file"
            )
        check_format(version, self.path)
        if version == 0:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        mode, level = (
            db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("journal_mode", "synchronous")
        )
        if (mode, level) != ("wal", 2):
            raise JournalError(
                f"journal {self.path}: its file system does not do what a journal needs "
                f"(journal_mode {mode}, synchronous {level}); put [journal] file on a local disk"
            )
        if version == 0:
            schema = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
            marks = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};"
            db.executescript(f"BEGIN;{schema}{marks}COMMIT;")

    def close(self) -> None:
        """Release the file; what was appended is safe already."""
        with self._lock:
            self._db.close()
            self._guard.close()
            self._grown.notify_all()

    @property
    def head(self) -> int:
        """The number of the newest telegram."""
        with self._lock:
            return self._head

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction: everything in it is on disk when it ends, or nothing is."""
        with self._lock, self.writing.trial():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                if self._stale:
                    self._remember()
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._stale = True
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                with suppress(sqlite3.Error):
                    self._remember()
                raise

    def _remember(self) -> None:
        self._sources.clear()
        self._last = dict(self._db.execute("SELECT kit, ident FROM kits"))
        (self._head,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM telegrams").fetchone()
        self._stale = False

    # -- inputs ---------------------------------------------------------------------------------

    def append(
        self,
        items: Sequence[Telegram | Refusal],
        *,
        source: str = "",
        position: Position | None = None,
    ) -> Appended:
        """Commit telegrams and, in the same transaction, how far the input has read.

        A telegram whose identity the journal holds already is a repeat when its data are equal,
        else a dead letter `second taken`. A telegram that does not say whether its ident is new
        is told so here, once and for all.

        Args:
            items: in the order in which they were measured or read.
            source: the input's section.
            position: its new position; entries equal to those kept are not written again.
        """
        with self.transaction() as db:
            telegrams = [item for item in items if isinstance(item, Telegram)]
            for refusal in items if len(telegrams) < len(items) else ():
                if isinstance(refusal, Refusal):
                    self._refuse_text(source, refusal)
            stored, repeats = self._insert_all(db, telegrams)
            if position is not None:
                self._keep_position(db, source, position)
        if stored:
            self.wake()
        return Appended(stored, repeats, len(items) - stored - repeats)

    def _insert_all(self, db: sqlite3.Connection, telegrams: list[Telegram]) -> tuple[int, int]:
        """Insert in one go; only where some identity exists already, one by one."""
        last, now = dict(self._last), self._now()
        rows = self._rows(telegrams, now)
        db.execute("SAVEPOINT rows")
        before = db.total_changes
        even = len(rows) - len(rows) % _TOGETHER
        for at in range(0, even, _TOGETHER):
            db.execute(_INSERT_MANY, list(chain.from_iterable(rows[at : at + _TOGETHER])))
        db.executemany(_INSERT, rows[even:])
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

    def _rows(self, telegrams: Sequence[Telegram], now: float) -> list[tuple[Any, ...]]:
        """What to insert; decides for each telegram whether its ident is new."""
        rows = []
        ident, kit, number, source = None, "", 0, 0
        for telegram in telegrams:
            if telegram.ident is not ident:
                ident = telegram.ident
                kit = ident.kit
                number, source = self._ids(ident)
            new = telegram.new
            if new is None:
                new = self._last.get(kit) != number
            self._last[kit] = number
            data = dict(telegram.data)
            rows.append((telegram.kind, source, data["time"], number, new, now, dumps(data)))
        return rows

    def _insert(self, db: sqlite3.Connection, telegram: Telegram, at: float) -> str:
        kit = telegram.kit
        before = self._last.get(kit)
        (row,) = self._rows([telegram], at)
        if db.execute(_INSERT, row).rowcount:
            return "stored"
        self._last.pop(kit)  # only what is stored decides what is new
        if before is not None:
            self._last[kit] = before
        (kept,) = db.execute(
            "SELECT data FROM telegrams WHERE source = ? AND time = ? AND kind = ?",
            (row[1], row[2], row[0]),
        ).fetchone()
        if normal_data(json.loads(kept)) == normal_data(telegram.data):
            return "repeat"
        reason = "second taken: this kit and label have other data at this second already"
        known = db.execute(
            "SELECT 1 FROM aside WHERE output = '' AND state = 'dead' AND kit = ?"
            " AND time = ? AND data = ?",
            (kit, row[2], row[6]),
        )
        if not known.fetchone():  # who sends it again and again gets one dead letter
            entry = ("", "dead", kit, row[2], row[3], row[4], row[5], reason, row[6])
            db.execute(_ASIDE, entry)
        return "taken"

    def _ids(self, ident: Ident) -> tuple[int, int]:
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
        reason, text = _storable(f"{refusal.where}: {refusal.reason}"), _storable(refusal.text)
        entry = ("", "dead", source, None, None, None, self._now(), reason, text)
        self._db.execute(_ASIDE, entry)

    def _keep_position(self, db: sqlite3.Connection, source: str, position: Position) -> None:
        kept = dict(db.execute("SELECT key, value FROM positions WHERE input = ?", (source,)))
        texts = {key: _encode(value) for key, value in position.items()}
        changed = [(source, key, text) for key, text in texts.items() if kept.get(key) != text]
        gone = [(source, key) for key in kept.keys() - texts.keys()]
        db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", changed)
        db.executemany("DELETE FROM positions WHERE input = ? AND key = ?", gone)

    def note(self, who: str, kind: str, text: str, time: int | None = None) -> None:
        """Write an event down, where it belongs to one with the telegram's time."""
        with self.transaction() as db:
            db.execute(
                "INSERT INTO events (at, time, who, kind, text) VALUES (?, ?, ?, ?, ?)",
                (self._now(), time, who, kind, _storable(text)),
            )

    def position(self, source: str) -> Position | None:
        """How far an input has read, or None when it never has."""
        with self._lock:
            kept = self._db.execute("SELECT key, value FROM positions WHERE input = ?", (source,))
            return {key: json.loads(value) for key, value in kept} or None

    # -- outputs --------------------------------------------------------------------------------

    def register(self, output: str) -> tuple[int, str | None]:
        """Make `output` known; a new one starts at the oldest telegram kept.

        Returns:
            its cursor and its receipt.
        """
        with self.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO outputs (name, cursor)"
                " VALUES (?, (SELECT coalesce(min(seq) - 1, ?) FROM telegrams))",
                (output, self._head),
            )
            db.execute("UPDATE outputs SET error = NULL WHERE name = ?", (output,))
            cursor, receipt = db.execute(
                "SELECT cursor, receipt FROM outputs WHERE name = ?", (output,)
            ).fetchone()
            self._outputs.add(output)
            return int(cursor), receipt

    @property
    def megabytes(self) -> float:
        """How much of the file holds something."""
        names = ("page_count", "freelist_count", "page_size")
        with self._lock:
            pages, free, page = (self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
        return float((pages - free) * page / 1e6)

    def shrink(self, pages: int) -> None:
        """Give at most so many pages that hold nothing back to the disk."""
        with self._lock:  # a script, because execute() ends after the first page
            self._db.executescript(f"PRAGMA incremental_vacuum({pages})")

    def delivered(self, db: sqlite3.Connection) -> int:
        """The number up to which every output that runs has settled; 0 where there is none.

        An output that is no longer configured keeps its cursor, but holds up nobody.
        """
        cursors = dict(db.execute("SELECT name, cursor FROM outputs").fetchall())
        running = [cursors[name] for name in self._outputs] or list(cursors.values())
        return min(running, default=0)

    def settle(self, output: str, outcome: Outcome) -> None:
        """Move an output's cursor, together with all that was set aside on the way.

        Telegrams that were given up while they were under way stay in the gap recorded for them.
        """
        with self.transaction() as db:
            query = "SELECT cursor FROM outputs WHERE name = ?"
            outcome = _beyond(db.execute(query, (output,)).fetchone()[0], outcome)
            self._acknowledge(db, output, outcome, len(outcome.acknowledged))
            for state, rows in (("held", outcome.held), ("dead", outcome.dead)):
                entries = (self._aside_entry(output, state, row, reason) for row, reason in rows)
                db.executemany(_ASIDE, entries)

    def settle_aside(self, output: str, outcome: Outcome) -> None:
        """The same for telegrams that were set aside before; what is held stays there."""
        with self.transaction() as db:
            done = [(row.seq,) for row in outcome.acknowledged]
            gone = db.executemany("DELETE FROM aside WHERE id = ?", done).rowcount if done else 0
            self._acknowledge(db, output, outcome, gone)
            for state, rows in (("held", outcome.held), ("dead", outcome.dead)):
                entries = [(state, _storable(reason), row.seq) for row, reason in rows]
                db.executemany("UPDATE aside SET state = ?, reason = ? WHERE id = ?", entries)

    def _acknowledge(
        self, db: sqlite3.Connection, output: str, outcome: Outcome, count: int
    ) -> None:
        db.execute(
            "UPDATE outputs SET cursor = max(cursor, ?), receipt = coalesce(?, receipt)"
            " WHERE name = ?",
            (outcome.cursor, outcome.receipt, output),
        )
        if count:
            db.execute(
                "UPDATE outputs SET acknowledged = acknowledged + ?, last_ok = ?, error = NULL"
                " WHERE name = ?",
                (count, self._now(), output),
            )

    def _aside_entry(self, output: str, state: str, row: Row, reason: str) -> tuple[Any, ...]:
        telegram = row.telegram
        ident, _ = self._ids(telegram.ident)
        data = _encode(dict(telegram.data))
        kit, new = telegram.kit, telegram.new
        return (output, state, kit, telegram.time, ident, new, row.at, _storable(reason), data)

    def held_kits(self, output: str) -> dict[str, str]:
        """The kits that are held or to be retried at `output`, and why."""
        with self._lock:
            return dict(
                self._db.execute(
                    "SELECT kit, max(reason) FROM aside WHERE output = ? AND state != 'dead'"
                    " GROUP BY kit",
                    (output,),
                )
            )

    def fail(self, output: str, reason: str, retries: int) -> None:
        """Note why an output fails at the moment, and how often it tried since last noted."""
        with self.transaction() as db:
            db.execute(
                "UPDATE outputs SET error = ?, error_at = ?, retries = retries + ? WHERE name = ?",
                (_storable(reason), self._now(), retries, output),
            )

    def recovered(self, output: str, retries: int) -> None:
        """Note that an output works again, and how often it tried since last noted."""
        with self.transaction() as db:
            query = "UPDATE outputs SET error = NULL, retries = retries + ? WHERE name = ?"
            db.execute(query, (retries, output))

    def wait(self, seen: int, timeout: float) -> None:
        """Return when there is a telegram beyond number `seen`, or after `timeout` seconds."""
        with self._grown:
            if self._head <= seen:
                self._grown.wait(timeout)

    def wake(self) -> None:
        """Make every `wait` return, unless the journal is busy: then each looks up soon."""
        if self._lock.acquire(timeout=0.2):
            try:
                self._grown.notify_all()
            finally:
                self._lock.release()

    # -- requests of other processes ------------------------------------------------------------

    def obey(self) -> list[tuple[str, str]]:
        """Carry out the requests that were left in the journal; returns (verb, output) of each."""
        with self._lock:
            if not self._db.execute("SELECT 1 FROM requests LIMIT 1").fetchone():
                return []
        done = []
        with self.transaction() as db:
            requests = db.execute("SELECT id, verb, output, argument FROM requests ORDER BY id")
            for number, verb, output, argument in requests.fetchall():
                _obey(db, verb, output, argument)
                db.execute("DELETE FROM requests WHERE id = ?", (number,))
                done.append((verb, output))
        self.wake()
        return done

    def paused(self, output: str) -> bool:
        """Whether somebody has paused this output."""
        with self._lock:
            query = "SELECT paused FROM outputs WHERE name = ?"
            row = self._db.execute(query, (output,)).fetchone()
            return bool(row and row[0])


def _obey(db: sqlite3.Connection, verb: str, output: str, argument: str) -> None:
    if verb == "retry":
        db.execute(
            "UPDATE aside SET state = 'retry' WHERE state = 'dead' AND ident IS NOT NULL"
            " AND output = ? AND (? = '' OR id = ?)",
            (output, argument, argument),
        )
    elif verb in ("pause", "resume"):
        db.execute("UPDATE outputs SET paused = ? WHERE name = ?", (verb == "pause", output))


def _beyond(cursor: int, outcome: Outcome) -> Outcome:
    return attrs.evolve(
        outcome,
        acknowledged=[row for row in outcome.acknowledged if row.seq > cursor],
        held=[entry for entry in outcome.held if entry[0].seq > cursor],
        dead=[entry for entry in outcome.dead if entry[0].seq > cursor],
    )


def _storable(text: str) -> str:
    """`text` with halves of surrogate pairs escaped: names of files have some, UTF-8 has none."""
    return text.encode(errors="backslashreplace").decode()


def _lock_file(path: Path) -> Any:
    guard = open(f"{path}.lock", "a+")  # noqa: SIM115, PTH123  # held until close()
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as wrong:
        guard.seek(0)
        holder = guard.read().strip() or "unknown"
        guard.close()
        raise JournalError(
            f"journal {path}: another engine (process {holder}) has it; "
            "stop that one, or give this one its own [journal] file"
        ) from wrong
    guard.truncate(0)
    guard.write(str(os.getpid()))
    guard.flush()
    return guard


def check_format(version: int, path: Path) -> None:
    """Refuse a journal that a newer MySense has written."""
    if version > FORMAT:
        raise JournalError(
            f"journal {path}: format {version} is newer than this MySense knows ({FORMAT}); "
            "upgrade MySense, or give it another [journal] file"
        )
