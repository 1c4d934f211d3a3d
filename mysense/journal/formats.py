"""Formats of the journal, and how one becomes the next."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from mysense.errors import JournalError

FORMAT = 2
APPLICATION = 0x4D79534A  # "MySJ", so that no other database is taken for a journal

_STEPS = {  # from this format to the next; a table is as schema.sql has it
    1: """
    ALTER TABLE outputs ADD COLUMN connected INTEGER;
    ALTER TABLE outputs ADD COLUMN rate REAL;
    ALTER TABLE outputs ADD COLUMN rate_at REAL;
    CREATE TABLE hours (
        source INTEGER NOT NULL REFERENCES sources (id),
        hour INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (source, hour)
    ) WITHOUT ROWID;
    CREATE TABLE undated (
        id INTEGER PRIMARY KEY,
        boot TEXT NOT NULL,
        elapsed REAL NOT NULL,
        wall REAL NOT NULL,
        ident INTEGER NOT NULL REFERENCES idents (id),
        at REAL NOT NULL,
        data TEXT NOT NULL
    );
    """,
}


def create(db: sqlite3.Connection) -> None:
    """Make the tables in an empty database, all or none."""
    schema = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
    marks = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};"
    db.executescript(f"BEGIN;{schema}{marks}COMMIT;")


def upgrade(db: sqlite3.Connection, version: int) -> None:
    """Bring a journal of an older format to this one, all or nothing."""
    steps = "".join(_STEPS[older] for older in range(version, FORMAT))
    db.executescript(f"BEGIN IMMEDIATE;{steps}PRAGMA user_version = {FORMAT};COMMIT;")


def check_known(version: int, path: Path) -> None:
    """Refuse a journal that a newer MySense has written."""
    if version > FORMAT:
        raise JournalError(
            f"journal {path}: format {version} is newer than this MySense knows ({FORMAT}); "
            "upgrade MySense, or give it another [journal] file"
        )


def check_current(version: int, path: Path) -> None:
    """Refuse a journal that cannot be read as it is."""
    check_known(version, path)
    if version < FORMAT:
        raise JournalError(
            f"journal {path}: format {version} is of an older MySense; "
            "`mysense run` with this journal upgrades it"
        )
