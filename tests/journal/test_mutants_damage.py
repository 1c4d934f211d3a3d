"""What an error says: of damage, of the disk, of a lack of room, or of neither."""

from __future__ import annotations

import sqlite3

import pytest

from mysense.journal.damage import Damaged, Failed, is_certain, is_damage, is_full, is_io


def error(code, kind=sqlite3.OperationalError, text="x"):
    wrong = kind(text)
    if code is not None:
        wrong.sqlite_errorcode = code
    return wrong


NOTHING = set()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (error(sqlite3.SQLITE_CORRUPT), {is_damage}),
        (error(sqlite3.SQLITE_CORRUPT_INDEX), {is_damage}),
        (error(sqlite3.SQLITE_NOTADB), {is_damage}),
        (error(sqlite3.SQLITE_IOERR_READ), {is_damage, is_io}),
        (error(sqlite3.SQLITE_IOERR_SHORT_READ), {is_damage, is_io}),
        (error(sqlite3.SQLITE_IOERR_CORRUPTFS), {is_damage, is_io}),
        (error(sqlite3.SQLITE_IOERR), {is_io}),
        (error(sqlite3.SQLITE_IOERR_FSYNC), {is_io}),
        (error(sqlite3.SQLITE_IOERR_WRITE), {is_io}),
        (error(sqlite3.SQLITE_READONLY), {is_io}),
        (error(sqlite3.SQLITE_FULL), {is_full}),
        (error(sqlite3.SQLITE_BUSY), NOTHING),
        (error(sqlite3.SQLITE_LOCKED), NOTHING),
        (error(sqlite3.SQLITE_BUSY_SNAPSHOT), NOTHING),
        (error(None), NOTHING),
        (error(None, text="Could not decode to UTF-8 column"), {is_damage, is_certain}),
        (error(None, sqlite3.IntegrityError, "decode to UTF-8"), NOTHING),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "no"), {is_damage, is_certain}),
        (Damaged("x"), {is_damage, is_certain}),
        (Failed("x"), NOTHING),
        (ValueError("x"), NOTHING),
    ],
)
def test_what_an_error_says(wrong, says):
    """Each is mended in another way, or not at all."""
    asked = (is_damage, is_certain, is_io, is_full)
    assert {one for one in asked if one(wrong)} == says
