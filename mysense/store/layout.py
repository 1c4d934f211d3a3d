"""The layout of the embedded store, and how its file is opened.

| table | a row is |
|---|---|
| source | a kit and one of its labels; `''` is no label |
| ident | who measured, as JSON |
| telegram | a measurement: source, second, ident; `seq` grows with every change |
| series | a field of a source, in one unit |
| value | a value of a series at a second: a number or a text |
| meta | what the file is: `store` names it, `opened` counts its writers |
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mysense.files.durable import disk_faults, make_folder, sync_folder
from mysense.paths import state_folder
from mysense.plugin import Misconfigured, RetryLater

VERSION = 1
APPLICATION = 0x4D79536E  # "MySn"
_WAIT = 5.0  # seconds for another writer to finish

_SCHEMA = """
CREATE TABLE source (
    id INTEGER PRIMARY KEY, kit TEXT NOT NULL, label TEXT NOT NULL, UNIQUE (kit, label));
CREATE TABLE ident (
    id INTEGER PRIMARY KEY, json TEXT NOT NULL UNIQUE);
CREATE TABLE telegram (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    source INTEGER NOT NULL REFERENCES source, time INTEGER NOT NULL,
    ident INTEGER NOT NULL REFERENCES ident, new INTEGER,
    UNIQUE (source, time));
CREATE TABLE series (
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES source,
    field TEXT NOT NULL, unit TEXT NOT NULL, UNIQUE (source, field, unit));
CREATE TABLE value (
    series INTEGER NOT NULL REFERENCES series, time INTEGER NOT NULL, value NOT NULL,
    PRIMARY KEY (series, time)) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
"""


def default_file() -> Path:
    """The store of this user or service."""
    return state_folder() / "store.db"


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the store for writing; made when it is not there. Raises as `store_faults` says."""
    with store_faults(path, os.W_OK), disk_faults(path):
        make_folder(path.parent)
        db = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
        try:
            _prepare(db, path)
        except BaseException:
            db.close()
            raise
        sync_folder(path.parent)
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the store for reading only.

    Raises:
        RetryLater: there is none yet.
        Misconfigured: it is no store, or one of a newer MySense.
    """
    if not path.exists():
        raise RetryLater(f"{path}: there is no store yet")
    with store_faults(path):
        uri = f"{path.absolute().as_uri()}?mode=ro"
        db = sqlite3.connect(
            uri, uri=True, timeout=_WAIT, isolation_level=None, check_same_thread=False
        )
        try:
            if not _version(db, path):
                raise RetryLater(f"{path}: the store is being made")
        except BaseException:
            db.close()
            raise
    return db


@contextmanager
def store_faults(path: Path, need: int = os.R_OK) -> Iterator[None]:
    """Turn what SQLite says about `path` into what the core understands.

    Args:
        path: the file of the store.
        need: what must be permitted there, `os.R_OK` or `os.W_OK`.

    Raises:
        Misconfigured: not a store, damaged, or not accessible; a person must look.
        RetryLater: busy, a full or read-only disk, a failing one.
    """
    try:
        yield
    except sqlite3.Error as wrong:
        code = getattr(wrong, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            fix = "move it aside, a new one is made; or restore a copy"
            raise Misconfigured(
                f"{path}: not a MySense store, or damaged ({wrong}); {fix}"
            ) from wrong
        if path.is_dir():
            raise Misconfigured(f"{path} is a folder; name a file in it") from wrong
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) and _forbidden(path, need):
            raise Misconfigured(f"{path}: {wrong}; give this user permission there") from wrong
        raise RetryLater(f"{path}: {wrong}") from wrong


def is_same_file(path: Path, opened: os.stat_result) -> bool:
    """Whether `path` still names the file that was opened."""
    try:
        return os.path.samestat(path.stat(), opened)
    except FileNotFoundError:
        return False


@contextmanager
def transaction(db: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Commit what is done inside, or undo all of it."""
    db.execute(begin)
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def identity(db: sqlite3.Connection) -> str:
    """The name that a store got when it was made; a new one in its place has another."""
    return str(db.execute("SELECT value FROM meta WHERE key = 'store'").fetchone()[0])


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    _version(db, path)  # before anything is changed in what may be somebody else's
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    db.execute("PRAGMA synchronous = FULL")
    if mode != "wal" or db.execute("PRAGMA synchronous").fetchone()[0] != 2:
        raise Misconfigured(f"{path}: this file system has no shared memory; name a local file")
    db.execute("PRAGMA journal_size_limit = 16000000")
    with transaction(db):
        if not _version(db, path):
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute("INSERT INTO meta VALUES ('store', ?), ('opened', 0)", (uuid.uuid4().hex,))
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {VERSION}")
        # A killed process may have left commits that were not synced yet: this one syncs them.
        db.execute("UPDATE meta SET value = value + 1 WHERE key = 'opened'")


def _forbidden(path: Path, need: int) -> bool:
    """Whether permissions are what is missing, and not only a disk that is read-only for now.

    The file is not opened for this: closing it would drop SQLite's locks in this process.
    """
    nearest = path if path.exists() else path.parent
    try:
        read_only = bool(os.statvfs(nearest).f_flag & os.ST_RDONLY)
    except OSError:
        return False
    return not os.access(nearest, need) and not (read_only and need == os.W_OK)


def _version(db: sqlite3.Connection, path: Path) -> int:
    """The layout's version, 0 for an empty file."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    application: int = db.execute("PRAGMA application_id").fetchone()[0]
    tables: int = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION and (version or tables):
        raise Misconfigured(f"{path} is a database of something else; name another file")
    if version > VERSION:
        raise Misconfigured(
            f"{path} was written by a newer MySense (layout {version}, this one knows {VERSION}); "
            "update MySense, or name another file"
        )
    return version
