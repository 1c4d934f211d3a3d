"""Damage: what tells that a journal's file is no longer what was written into it."""

from __future__ import annotations

import re
import sqlite3

from mysense.errors import JournalError

TABLES = frozenset(("telegrams", "outputs", "aside", "idents", "sources", "gaps", "positions"))
_SMALL = 16_000_000  # bytes that are checked in full at every start: about a second on an SD card
_ENDS = 200  # of a larger journal so many telegrams at either end
_SIGNS = {  # primary result codes, https://www.sqlite.org/rescode.html
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
}
_SAYS = re.compile(  # these have no code of their own
    r"decode to UTF-8|unsupported file format|JSON cannot hold BLOB"
)
_READING = {  # extended ones: the disk cannot give back what it was given
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
}


class Damaged(JournalError, sqlite3.DatabaseError):
    """What was read from a journal's file cannot have been written into it."""


class Failed(JournalError, sqlite3.OperationalError):
    """The journal could not be read or written, though it was tried more than once."""


def is_damage(wrong: BaseException) -> bool:
    """Whether an error says that the file is damaged, or perhaps is."""
    return is_certain(wrong) or _primary(wrong) in _SIGNS or _code(wrong) in _READING


def is_certain(wrong: BaseException) -> bool:
    """Whether it was seen in what was read, which no check of SQLite looks at."""
    said = isinstance(wrong, sqlite3.OperationalError) and _SAYS.search(str(wrong))
    return isinstance(wrong, Damaged | UnicodeDecodeError) or bool(said)


def is_io(wrong: BaseException) -> bool:
    """Whether an error says that the disk failed, or the file is open for reading alone.

    That it stays, once SQLite had to open it so, until it is opened anew.
    """
    return _primary(wrong) in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)


def is_full(wrong: BaseException) -> bool:
    """Whether an error says that there is no room on the disk."""
    return _primary(wrong) == sqlite3.SQLITE_FULL


def _primary(wrong: BaseException) -> int:
    return _code(wrong) & 0xFF


def _code(wrong: BaseException) -> int:
    """The extended result code; there is none where it is not SQLite itself that found fault."""
    return getattr(wrong, "sqlite_errorcode", sqlite3.SQLITE_OK)


def look_over(db: sqlite3.Connection) -> None:
    """Look for damage: in all of a small journal, in the most used parts of a large one.

    Args:
        db: a journal of the current format.

    Raises:
        Damaged, sqlite3.DatabaseError: there is some.
    """
    names = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if missing := TABLES - names:
        raise Damaged(f"it has no table {min(missing)}")
    pages, size = (db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("page_count", "page_size"))
    if pages * size <= _SMALL:
        _check(db, "PRAGMA quick_check(1)")
        return
    for name in sorted(names - {"telegrams"}):
        _check(db, f"PRAGMA quick_check('{name}')")
    for order in ("", "DESC"):
        ends = f"SELECT data FROM telegrams ORDER BY seq {order} LIMIT {_ENDS}"  # noqa: S608  # one of the two above
        db.execute(ends).fetchall()


def _check(db: sqlite3.Connection, pragma: str) -> None:
    (verdict,) = db.execute(pragma).fetchone()
    if verdict != "ok":
        raise Damaged(" ".join(str(verdict).removeprefix("*** in database main ***").split()))
