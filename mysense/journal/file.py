"""The journal's file: opened for the one engine that may write, and mended where it can be.

One SQLite file in WAL mode with synchronous=FULL. After an error of the disk it is opened anew and
compared with what was acknowledged; where it is damaged it is salvaged. Whoever wrote when that
came up gets the error, and tries again as after any other.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from mysense.errors import JournalError
from mysense.journal import missing
from mysense.journal.atomic import atomic
from mysense.journal.damage import Failed, is_certain, is_damage, is_full, is_io
from mysense.journal.formats import BULK_PAGE_SIZE, PAGE_SIZE
from mysense.journal.moved import Place, put_back
from mysense.journal.opening import Opening, lock_file
from mysense.journal.pages import beside
from mysense.journal.patience import Patience, Wait
from mysense.trials import Trials

_CERTAIN = 2  # errors after which damage is believed, if they came
_WHILE = 1800.0  # seconds from each other at most
_LOG_PAGES = 250  # of the write-ahead log, before it is worked into the file
_LOG_PAGES_BULK = 1000  # that is seldom, and needs 4 MB
_TRIES = 3  # of what nobody would try again later
_MEND_AGAIN = 60.0  # seconds after a salvage that failed
_T = TypeVar("_T")
_log = logging.getLogger("mysense.journal")


class File:
    """The file of a journal, open for writing.

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
        self.path = path
        sizes = (BULK_PAGE_SIZE, _LOG_PAGES_BULK) if bulk else (PAGE_SIZE, _LOG_PAGES)
        self._opening = Opening(path, now, *sizes)
        self.writing = Trials()
        """How long it could not be written."""
        self.now = now
        self._lock = threading.RLock()
        self._doubted = False  # whether the disk failed, and nobody looked since
        self._crammed = False  # whether the disk was full, and no room was made since
        self._suspected: list[float] = []  # when an error told of damage, monotonic
        self._mend_at = float("-inf")  # when a salvage may be tried, monotonic
        patience = Patience(path, wait)
        with ExitStack() as undo:
            self._guard, used = patience.until(lambda: lock_file(path))
            undo.callback(self._guard.close)
            if not used:  # only who has had it leaves a name in its lock
                undo.callback(self._guard.truncate, 0)
            patience.guard = self._guard
            self._db = patience.until(lambda: self._opening.first(used=used))
            undo.callback(self._db.close)
            patience.until(self._remember)
            self._acknowledged = patience.until(self._given)  # the number of the newest that was
            self._places = self._found()
            if wait is not None:  # else it would show when the outputs begin
                patience.until(self._prove)
            undo.pop_all()

    def _prove(self) -> None:
        """See that it can be written."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('opened', ?)", (self.now(),))

    def _remember(self) -> None:
        """Read again what is kept in memory of the file's contents."""
        self._stale = False  # whether it may have been rolled back since

    def _given(self) -> int:
        """The highest number that a telegram was ever given, as the file has it."""
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'telegrams'"
        (number,) = self._db.execute(f"SELECT coalesce(({query}), 0)").fetchone()
        return int(number)

    def close(self) -> None:
        """Release the file; what was appended is safe already."""
        with self._lock:
            with suppress(sqlite3.Error):
                self._stay()
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
                self._stay()
                if self._doubted:
                    self._reopen()
                if self._crammed:
                    self._make_room()
                with atomic(self._db):
                    if self._stale:
                        self._remember()
                    yield self._db
            except BaseException as wrong:
                self._stale = True
                if isinstance(wrong, sqlite3.Error | UnicodeDecodeError):
                    self._look_into(wrong)
                with suppress(sqlite3.Error):
                    self._remember()
                raise

    def read(self, query: str, *values: object) -> list[Any]:
        """All rows of a query, as the journal is now.

        Raises:
            sqlite3.Error: it cannot be read; damage is mended then, and the next call goes well.
        """
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except (sqlite3.Error, UnicodeDecodeError) as wrong:
                self._look_into(wrong)
                raise

    def insist(self, work: Callable[[], _T]) -> _T:
        """Do what nobody would try again: while all begins, a few times.

        Raises:
            Failed: each time.
        """
        for _ in range(_TRIES - 1):
            with suppress(sqlite3.Error):
                return work()
        try:
            return work()
        except sqlite3.Error as wrong:
            raise Failed(f"journal {self.path}: {wrong}") from wrong

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

    def _found(self) -> tuple[Place, Place, Place]:
        real = self.path.resolve()  # SQLite, too, follows a link
        return Place(real), Place(beside(real, "-wal")), Place(beside(self.path, ".lock"))

    @property
    def _left(self) -> bool:
        """Whether somebody has removed or replaced the file or its lock."""
        file, _, lock = self._places
        return file.left or lock.left

    def _stay(self) -> None:
        """Put the file and its lock back where they have left their places."""
        if not self._left:
            return
        try:
            file, log, lock = self._places
            if lock.left:
                guard, _ = lock_file(self.path)
                self._guard.close()
                self._guard = guard
                self._places = file, log, self._found()[2]
            if file.left:
                real = self.path.resolve()
                real.parent.mkdir(parents=True, exist_ok=True)
                put_back(self._db, real, log, self.now)
                self._follow()
        except (JournalError, OSError, sqlite3.Error) as wrong:
            raise sqlite3.OperationalError(
                f"{self.path} was removed or replaced, and cannot be put back: {wrong}"
            ) from wrong

    def _follow(self) -> None:
        """Open the file that was put in place of the one that is open."""
        try:
            fresh = self._opening.connect()
        except OSError as wrong:  # who writes tries again after errors of SQLite, and only these
            if isinstance(wrong, sqlite3.Error):
                raise
            raise Failed(f"it cannot be opened again: {wrong}") from wrong
        self._db.close()
        self._db = fresh
        self._stale = True
        self._places = self._found()

    def _make_room(self) -> None:
        """Empty the write-ahead log, which takes many times the room of what stands in it.

        First of all: else whatever becomes free goes into the log, and never is enough.
        """
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._crammed = False

    def _reopen(self) -> None:
        """Open the file anew after the disk failed, and see whether it kept what it had."""
        self._stay()
        self._follow()
        self._remember()
        if self._given() < self._acknowledged:
            self._miss(self._db, self._acknowledged)
        self._doubted = False

    def _miss(self, db: sqlite3.Connection, head: int) -> None:
        """Write down that telegrams which were committed are gone."""
        missing.prepare(db)
        with atomic(db):
            reason = "damaged (the disk failed, and lost what it had acknowledged)"
            lost = missing.record(db, head, self.now(), reason)
            db.execute("DELETE FROM sqlite_sequence WHERE name = 'telegrams'")
            db.execute("INSERT INTO sqlite_sequence VALUES ('telegrams', ?)", (head,))
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
                if self._left:
                    self._stay()  # what is damaged is not the engine's
                elif self._believes(wrong):
                    self._renew(str(wrong))
            except (OSError, sqlite3.Error) as why:
                self._mend_at = time.monotonic() + _MEND_AGAIN
                _log.error("journal %s is damaged, and cannot be salvaged now: %s", self.path, why)

    def _believes(self, wrong: Exception) -> bool:
        """Whether it is damage: seen in what was read, or told more than once in a while."""
        now = time.monotonic()
        self._suspected = [then for then in self._suspected if now - then < _WHILE] + [now]
        return is_certain(wrong) or len(self._suspected) >= _CERTAIN

    def _renew(self, reason: str) -> None:
        self._opening.salvage(reason)
        self._follow()
        self._doubted, self._suspected = False, []
        self._remember()

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
