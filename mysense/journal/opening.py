"""Opening a journal: one engine at a time, its format of today, and what is damaged is salvaged."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs

from mysense.errors import JournalError
from mysense.journal.damage import Damaged, is_damage, look_over
from mysense.journal.disk import Hindered, free, hinders, hindrance, is_no_room
from mysense.journal.formats import FORMAT, create, format_of, upgrade
from mysense.journal.pages import beside, create_private, lost_frames, read_only, rescue
from mysense.journal.salvage import clear, finish, needed, salvage
from mysense.journal.tables import Tables, whose

_BUSY = 0.5  # seconds to wait for a foreign writer; all who write here try again later
_LOOKS = 3  # a disk may fail to read now and then
_TELL_EVERY = 5.0  # seconds between two signs of life to the service manager
_LONGEST = 3600.0
_MORE = 64_000  # bytes of room by which a salvage that lacked some is worth another try
_log = logging.getLogger("mysense.journal")


@attrs.define
class Opening:
    """How a journal is opened for writing.

    Attributes:
        path: its file.
        now: the wall clock.
        page_size: bytes of a page, where it is made.
        log_pages: pages of its write-ahead log, before they are worked into the file.
    """

    path: Path
    now: Callable[[], float]
    page_size: int
    log_pages: int
    _in_vain: int | None = attrs.field(default=None, init=False)
    """How many bytes were free when that was no room for a salvage."""

    def first(self, *, used: bool) -> sqlite3.Connection:
        """The first connection; what is damaged is salvaged before.

        Args:
            used: whether it is known that this was a journal.

        Raises:
            JournalError, OSError, sqlite3.Error: it is none, or it can be neither opened nor saved.
        """
        clear(self.path)
        finish(self.path)
        for _ in range(_LOOKS):
            try:
                if self._cut_off() or lost_frames(self.path):
                    raise Damaged("its write-ahead log is damaged, or the file before it")
                create_private(self.path)
                return self.connect()
            except (JournalError, sqlite3.Error, UnicodeDecodeError) as wrong:
                if not is_damage(wrong):
                    raise
                found = wrong
        if not (used or isinstance(found, Damaged) or _ours(self.path)):
            raise found
        self.salvage(str(found))
        return self.connect()

    def _cut_off(self) -> bool:
        """Whether nothing is left of the file but its write-ahead log."""
        wal = beside(self.path, "-wal")
        empty = self.path.exists() and self.path.stat().st_size == 0
        return empty and wal.exists() and wal.stat().st_size > 0

    def connect(self) -> sqlite3.Connection:
        """One more connection to a journal that is whole.

        Raises:
            JournalError, sqlite3.Error: it is not, or cannot be opened.
        """
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
        version = format_of(db, self.path)
        if version == 0:
            db.execute(f"PRAGMA page_size = {self.page_size}")
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA wal_autocheckpoint = {self.log_pages}")
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

    def salvage(self, reason: str) -> None:
        """Put what is whole into a new file.

        Raises:
            Hindered: the disk does not take it; each try wears it, so where it had no room the next
                waits until there is more.
            JournalError: it cannot be saved.
        """
        if self._in_vain is not None and free(self.path.parent) < self._in_vain + _MORE:
            raise Hindered(f"journal {self.path} is damaged ({reason}), {self._room}")
        _log.error("journal %s is damaged: %s; saving what is whole", self.path, reason)
        try:
            with _signs_of_life():
                _log.error("%s", salvage(self.path, reason, self.now))
        except (OSError, sqlite3.Error) as wrong:
            text = f"journal {self.path} is damaged ({reason}), and what is whole cannot be saved"
            if is_no_room(wrong):
                self._in_vain = free(self.path.parent)
                raise Hindered(f"{text}: {wrong}; {self._room}") from wrong
            kind = Hindered if hinders(wrong, self.path.parent) else JournalError
            raise kind(f"{text}: {wrong}{hindrance(self.path.parent)}") from wrong

    @property
    def _room(self) -> str:
        found, wanted = free(self.path.parent) / 1e6, needed(self.path) / 1e6
        return f"{found:.1f} MB are free and {wanted:.1f} MB are enough to save it: make room there"


def _ours(path: Path) -> bool:
    """Whether a file that SQLite does not know was a journal: an ident can be read from it."""
    copy = beside(path, ".rescue")
    try:
        rescue(path, copy)
        with closing(read_only(copy)) as db:
            return any(whose(body) for (body,) in Tables(db).listed("SELECT body FROM idents"))
    finally:
        copy.unlink(missing_ok=True)


@contextmanager
def _signs_of_life() -> Iterator[None]:
    """Meanwhile the service manager is told that this takes its time; for an hour at most.

    In a thread of its own, because a single statement of SQLite may take minutes.
    """
    from mysense.service import Service

    done, service = threading.Event(), Service()

    def tell() -> None:
        for _ in range(int(_LONGEST / _TELL_EVERY)):
            service.tell("EXTEND_TIMEOUT_USEC=60000000", "WATCHDOG=1", "STATUS=saving the journal")
            if done.wait(_TELL_EVERY):
                return

    threading.Thread(target=tell, name="signs of life", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def lock_file(path: Path) -> tuple[Any, bool]:
    """The lock of a journal, held until it is closed, and whether somebody has had it before.

    Raises:
        JournalError: another engine holds it.
        OSError: it, or its folder, cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    guard = open(f"{path}.lock", "a+", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115, PTH123  # held until close()
    guard.seek(0)
    holder = guard.readline().strip()
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as wrong:
        guard.close()
        raise JournalError(
            f"journal {path}: another engine (process {holder or 'unknown'}) has it; "
            "stop that one, or give this one its own [journal] file"
        ) from wrong
    try:
        sign(guard)
    except OSError:
        guard.close()
        raise
    return guard, bool(holder)


def sign(guard: Any, waits: str = "") -> None:
    """Write into a lock who holds it, and what for if it waits. Raises OSError."""
    guard.truncate(0)
    guard.write("\n".join(filter(None, (str(os.getpid()), waits))))
    guard.flush()
