"""The journal's file: opened for the one engine that may write, and mended where it can be.

One SQLite file in WAL mode with synchronous=FULL. After an error of the disk it is opened anew and
compared with what was acknowledged; where it is damaged it is salvaged. Whoever wrote when that
came up gets the error, and tries again as after any other.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from mysense.errors import JournalError
from mysense.journal import missing
from mysense.journal.damage import Damaged, is_certain, is_damage, is_full, is_io, look_over
from mysense.journal.disk import hindrance
from mysense.journal.formats import (
    APPLICATION,
    BULK_PAGE_SIZE,
    FORMAT,
    PAGE_SIZE,
    check_known,
    create,
    upgrade,
)
from mysense.journal.pages import beside, create_private, lost_frames, read_only, rescue
from mysense.journal.salvage import clear, finish, salvage
from mysense.journal.tables import Tables, whose
from mysense.trials import Trials

_BUSY = 0.5  # seconds to wait for a foreign writer; all who write here try again later
_CERTAIN = 3  # errors after which damage is believed that a check does not find
_LOG_PAGES = 250  # of the write-ahead log, before it is worked into the file
_LOG_PAGES_BULK = 1000  # that is seldom, and needs 4 MB
_TRIES = 3  # of what nobody would try again later
_MEND_AGAIN = 60.0  # seconds after a salvage that failed
_TELL_EVERY = 5.0  # seconds between two signs of life to the service manager
_T = TypeVar("_T")
_log = logging.getLogger("mysense.journal")


class File:
    """The file of a journal, open for writing.

    Args:
        path: the file; it and its folder are made when missing.
        now: the wall clock.
        bulk: whether a new one is made for many telegrams at once, not for one a minute.

    Raises:
        JournalError: another engine has it, it is of a newer format, or it cannot be opened.
    """

    def __init__(
        self, path: Path, *, now: Callable[[], float] = time.time, bulk: bool = False
    ) -> None:
        self.path = path
        self._page_size = BULK_PAGE_SIZE if bulk else PAGE_SIZE
        self._log_pages = _LOG_PAGES_BULK if bulk else _LOG_PAGES
        self.writing = Trials()
        """How long it could not be written."""
        self.now = now
        self._lock = threading.RLock()
        self._stale = False  # whether what is remembered may have been rolled back
        self._doubted = False  # whether the disk failed, and nobody looked since
        self._crammed = False  # whether the disk was full, and no room was made since
        self._suspected = 0  # errors that told of damage which a check did not find
        self._mend_at = float("-inf")  # when a salvage may be tried, monotonic
        with ExitStack() as undo:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._guard, used = _lock_file(path)
                undo.callback(self._guard.close)
                if not used:  # only who has had it leaves a name in its lock
                    undo.callback(self._guard.truncate, 0)
                self._db = self._open(used=used)
                undo.callback(self._db.close)
                self._remember()
            except JournalError:
                raise
            except (OSError, sqlite3.Error) as wrong:
                raise JournalError(f"journal {path}: {wrong}{hindrance(path.parent)}") from wrong
            undo.pop_all()

    def _remember(self) -> None:
        """Read again what is kept in memory of the file's contents."""
        self._stale = False

    def _compare(self) -> int:
        """The number of the newest telegram that was acknowledged; 0 where none is known."""
        return 0

    # -- opening ----------------------------------------------------------------------------------

    def _open(self, *, used: bool) -> sqlite3.Connection:
        """A connection; what is damaged is salvaged before."""
        clear(self.path)
        finish(self.path)
        try:
            if self._cut_off() or lost_frames(self.path):
                raise Damaged("its write-ahead log is damaged, or the file before it")
            create_private(self.path)
            return self._connect()
        except JournalError as wrong:
            if not isinstance(wrong, Damaged):
                raise
            reason = str(wrong)
        except (sqlite3.Error, UnicodeDecodeError) as wrong:
            if not is_damage(wrong) or not (used or _ours(self.path)):
                raise
            reason = str(wrong)
        self._salvage(reason)
        return self._connect()

    def _cut_off(self) -> bool:
        """Whether nothing is left of the file but its write-ahead log."""
        wal = beside(self.path, "-wal")
        empty = self.path.exists() and self.path.stat().st_size == 0
        return empty and wal.exists() and wal.stat().st_size > 0

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=_BUSY
        )
        try:
            self._prepare(db)
            look_over(db)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and application != APPLICATION:
            raise JournalError(
                f"journal {self.path}: this is the database of something else; "
                "name another [journal] file"
            )
        check_known(version, self.path)
        if version == 0:
            db.execute(f"PRAGMA page_size = {self._page_size}")
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA wal_autocheckpoint = {self._log_pages}")
        mode, level = (
            db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("journal_mode", "synchronous")
        )
        if (mode, level) != ("wal", 2):
            raise JournalError(
                f"journal {self.path}: its file system does not do what a journal needs "
                f"(journal_mode {mode}, synchronous {level}); put [journal] file on a local disk"
            )
        if version == 0:
            create(db)
        elif version < FORMAT:
            upgrade(db, version)

    def close(self) -> None:
        """Release the file; what was appended is safe already."""
        with self._lock:
            self._db.close()
            self._guard.close()

    # -- writing ----------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction: everything in it is on disk when it ends, or nothing is.

        Where it fails by the disk, it may turn out later to be there; then who tries it again
        finds a repeat.
        """
        with self._lock, self.writing.trial():
            try:
                if self._doubted:
                    self._reopen()
                if self._crammed:
                    self._make_room()
                self._db.execute("BEGIN IMMEDIATE")
                if self._stale:
                    self._remember()
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as wrong:
                self._stale = True
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                if isinstance(wrong, sqlite3.Error | UnicodeDecodeError):
                    self._look_into(wrong)
                with suppress(sqlite3.Error):
                    self._remember()
                raise

    def insist(self, work: Callable[[], _T]) -> _T:
        """Do what nobody would try again: while all begins, a few times.

        Raises:
            JournalError: it failed each time.
        """
        for _ in range(_TRIES - 1):
            with suppress(sqlite3.Error):
                return work()
        try:
            return work()
        except sqlite3.Error as wrong:
            raise JournalError(f"journal {self.path}: {wrong}") from wrong

    def _look_into(self, wrong: Exception) -> None:
        """Do what an error asks for, so that the next try may go well."""
        if is_damage(wrong):
            self.mend(wrong)
        elif is_full(wrong):
            self._crammed = True
        elif is_io(wrong) and not self._doubted:
            self._doubted = True
            with suppress(sqlite3.Error, OSError):  # then before the next transaction
                self._reopen()

    def _make_room(self) -> None:
        """Empty the write-ahead log, which takes many times the room of what stands in it.

        First of all: else whatever becomes free goes into the log, and never is enough.
        """
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._crammed = False

    def _reopen(self) -> None:
        """Open the file anew after the disk failed, and see whether it kept what it had."""
        fresh = self._connect()
        self._db.close()
        self._db = fresh
        self._doubted = False
        acknowledged = self._compare()
        self._remember()
        query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'telegrams'"
        (head,) = fresh.execute(query).fetchone()
        if head < acknowledged:
            self._miss(fresh, acknowledged)

    def _miss(self, db: sqlite3.Connection, head: int) -> None:
        """Write down that telegrams which were committed are gone."""
        missing.prepare(db)
        db.execute("BEGIN IMMEDIATE")
        try:
            reason = "damaged (the disk failed, and lost what it had acknowledged)"
            lost = missing.record(db, head, self.now(), reason)
            db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'telegrams'", (head,))
            db.execute("COMMIT")
        except BaseException:
            self._doubted = True
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise
        _log.error("the disk has lost %d telegrams that it had acknowledged, see the gaps", lost)

    # -- damage -----------------------------------------------------------------------------------

    def mend(self, wrong: Exception) -> None:
        """Salvage the journal if it is as damaged as an error says; may be called by readers.

        Nothing is raised: who met the error tries again, and meets it again if this was in vain.
        """
        with self._lock:
            if time.monotonic() < self._mend_at:
                return
            try:
                reason = self._verdict(wrong)
                if reason:
                    self._renew(reason)
            except (OSError, sqlite3.Error) as why:
                self._mend_at = time.monotonic() + _MEND_AGAIN
                _log.error("journal %s is damaged, and cannot be salvaged now: %s", self.path, why)

    def _verdict(self, wrong: Exception) -> str:
        self._suspected += 1
        if is_certain(wrong) or self._suspected >= _CERTAIN:
            return str(wrong)
        try:
            with closing(sqlite3.connect(self.path, isolation_level=None, timeout=_BUSY)) as db:
                look_over(db, thorough=True)
        except (sqlite3.Error, UnicodeDecodeError) as found:
            return str(found) if is_damage(found) else ""
        return ""

    def _renew(self, reason: str) -> None:
        self._salvage(reason)
        old, self._db = self._db, self._connect()
        old.close()
        self._doubted, self._suspected = False, 0
        self._remember()

    def _salvage(self, reason: str) -> None:
        _log.error("journal %s is damaged: %s; saving what is whole", self.path, reason)
        try:
            _log.error("%s", salvage(self.path, reason, self.now, _signs_of_life()))
        except sqlite3.Error as wrong:
            raise JournalError(
                f"journal {self.path} is damaged ({reason}), and what is whole cannot be saved: "
                f"{wrong}; it needs as much room on the disk again"
            ) from wrong

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


def _ours(path: Path) -> bool:
    """Whether a file that SQLite does not know was a journal: an ident can be read from it."""
    copy = beside(path, ".rescue")
    try:
        rescue(path, copy)
        with closing(read_only(copy)) as db:
            return any(whose(body) for (body,) in Tables(db).listed("SELECT body FROM idents"))
    finally:
        copy.unlink(missing_ok=True)


def _signs_of_life() -> Callable[[], None]:
    """Tells the service manager now and then that this takes its time."""
    from mysense.service import Service

    service, last = Service(), [float("-inf")]

    def tell() -> None:
        if time.monotonic() - last[0] > _TELL_EVERY:
            last[0] = time.monotonic()
            service.tell(
                "EXTEND_TIMEOUT_USEC=60000000", "WATCHDOG=1", "STATUS=salvaging the journal"
            )

    return tell


def _lock_file(path: Path) -> tuple[Any, bool]:
    """The lock, and whether somebody has had the journal before."""
    guard = open(f"{path}.lock", "a+")  # noqa: SIM115, PTH123  # held until close()
    guard.seek(0)
    holder = guard.read().strip()
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as wrong:
        guard.close()
        raise JournalError(
            f"journal {path}: another engine (process {holder or 'unknown'}) has it; "
            "stop that one, or give this one its own [journal] file"
        ) from wrong
    guard.truncate(0)
    guard.write(str(os.getpid()))
    guard.flush()
    return guard, bool(holder)
