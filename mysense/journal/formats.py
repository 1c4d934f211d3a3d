"""Formats of the journal, and how one becomes the next."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from mysense.errors import JournalError
from mysense.journal.atomic import atomic
from mysense.journal.damage import TABLES, Damaged

FORMAT = 2
APPLICATION = 0x4D79534A  # "MySJ", so that no other database is taken for a journal
_MARKS = FORMAT, APPLICATION
PAGE_SIZE = 1024  # bytes, of a new journal: a commit of one telegram writes four pages
BULK_PAGE_SIZE = 4096  # of one that takes in many at once; older MySense made none but these
_MAKES = re.compile(r"CREATE TABLE \w+")
_Column = tuple[str, str, str, int, int]

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


def statements(script: str) -> list[str]:
    """The statements of a script, one by one: `executescript` would commit half of it."""
    found, text = [], ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            found.append(text.strip())
            text = ""
    return found


def _schema() -> list[str]:
    return statements(Path(__file__).with_name("schema.sql").read_text(encoding="utf-8"))


def orders() -> list[list[str]]:
    """The statements that make a journal, as a new one has them, and as upgraded ones do.

    What differs is where in the file each table begins.
    """
    made = _schema()
    added = {_named(text) for step in _STEPS.values() for text in statements(step)} - {""}
    later = [text for text in made if _named(text) in added]
    return [made, [text for text in made if text not in later] + later]


def _named(text: str) -> str:
    found = _MAKES.search(text)
    return found[0] if found else ""


def create(db: sqlite3.Connection, schema: list[str] | None = None) -> None:
    """Make the tables in an empty database, all or none."""
    marks = [f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {FORMAT}"]
    _carry_out(db, [*(schema or _schema()), *marks])


def upgrade(db: sqlite3.Connection, version: int) -> None:
    """Bring a journal of an older format to this one, all or nothing."""
    steps = [text for older in range(version, FORMAT) for text in statements(_STEPS[older])]
    _carry_out(db, [*steps, f"PRAGMA user_version = {FORMAT}"])


def _carry_out(db: sqlite3.Connection, steps: list[str]) -> None:
    with atomic(db):
        for step in steps:
            db.execute(step)


def format_of(db: sqlite3.Connection, path: Path) -> int:
    """The format of a journal; 0 where it is still to be made.

    A format has tables or columns that others have not, so that a damaged header is not taken for
    another format, or for something else.

    Raises:
        JournalError: it is something else, or of a newer MySense.
        Damaged: its header, or its list of tables, is not what was written.
    """
    version, application = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("user_version", "application_id")
    )
    known = _columns(db)
    header = f"its header says format {version} of {application:#x}"
    if known and (version, application) != _MARKS and known == _made():
        raise Damaged(header)
    if known and application != APPLICATION:
        raise JournalError(
            f"journal {path}: this is the database of something else; name another [journal] file"
        )
    if known and version < 1:
        raise Damaged(header)
    if version > FORMAT:
        raise JournalError(
            f"journal {path}: format {version} is newer than this MySense knows ({FORMAT}); "
            "upgrade MySense, or give it another [journal] file"
        )
    if known and version == FORMAT:
        _check_columns(known)
    return version


def lists_tables(db: sqlite3.Connection) -> bool:
    """Whether the list of tables of a journal is one by which they can be read.

    Raises:
        sqlite3.Error, UnicodeDecodeError: it is not.
    """
    known = _columns(db)
    if TABLES - {table for table, *_ in known}:
        return False
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return version != FORMAT or known >= _made()


def _check_columns(known: set[_Column]) -> None:
    """See whether each table has its columns; that a table is gone is found elsewhere."""
    tables = {table for table, *_ in known}
    for table, column, *_ in sorted(_made() - known):
        if table in tables:
            raise Damaged(f"its table {table} has no column {column} as it was made")


def _columns(db: sqlite3.Connection) -> set[_Column]:
    """Every table, its columns, and how they were declared."""
    query = (
        'SELECT t.name, c.name, c.type, c."notnull", c.pk'
        " FROM sqlite_schema AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'"
    )
    return set(db.execute(query))


def _made() -> set[_Column]:
    """Those of a journal of this format."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        create(db)
        return _columns(db)


def check_current(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a journal that cannot be read as it is. Raises JournalError."""
    version = format_of(db, path)
    if version < FORMAT:
        raise JournalError(
            f"journal {path}: format {version} is of an older MySense; "
            "`mysense run` with this journal upgrades it"
        )
