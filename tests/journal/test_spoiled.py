"""Bytes that SQLite finds no fault in, and that make no sense all the same."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress

import pytest

from mysense.errors import JournalError
from mysense.journal import Journal
from mysense.journal.view import View
from tests.journal.damaging import COUNT, cursors, make, numbers

EVERY = set(range(1, COUNT + 1))


@pytest.fixture
def path(tmp_path):
    """A journal that was closed."""
    made = tmp_path / "journal.db"
    make(made).close()
    return made


def account(path):
    """All that the outputs and inputs have, but for telegrams."""
    tables = ("outputs", "aside", "positions")
    with View(path) as view:
        return {name: [tuple(row) for row in view.all(f"SELECT * FROM {name}")] for name in tables}


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("outputs", "cursor"),
        ("outputs", "name"),
        ("outputs", "rate"),
        ("aside", "state"),
        ("aside", "id"),
        ("positions", "value"),
        ("telegrams", "data"),
        ("telegrams", "time"),
        ("kits", "ident"),
    ],
)
def test_a_column_of_another_name(path, table, column):
    """The list of tables is text; what stands in the tables is whole, and nothing is lost."""
    before = account(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA writable_schema = ON")
        query = "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE tbl_name = ?"
        db.execute(query, (f" {column} ", f" {column}x ", table))
    Journal(path).close()
    assert (numbers(path), account(path)) == (EVERY, before)
    assert cursors(path) == {"far": 1000, "near": 10}


@pytest.mark.parametrize("word", ["PRIMARY", "INTEGER", "TEXT", "NOT"])
def test_a_column_that_is_another_kind(path, word):
    """A number that is no key any more would be none at all."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA writable_schema = ON")
        query = "UPDATE sqlite_schema SET sql = replace(sql, ?1, '_' || ?1) WHERE name = 'idents'"
        db.execute(query, (f" {word}",))
    Journal(path).close()
    assert numbers(path) == EVERY


def test_data_that_are_no_text(path):
    """One bit of a row says so; else an output would fail on it for ever."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE telegrams SET at = CAST('x' AS BLOB) WHERE seq = 1200")
    journal = Journal(path)
    with View(path, journal.mend) as view:
        with suppress(JournalError):
            view.rows(0, 10**6, 10**9)
        assert {row.seq for row in view.rows(0, 10**6, 10**9)} == EVERY - {1200}
    journal.close()
