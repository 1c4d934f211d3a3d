"""The pages of a file and of its log: what is read of them where SQLite would give up."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from contextlib import closing

import pytest

from mysense.journal import pages
from mysense.journal.formats import BULK_PAGE_SIZE, PAGE_SIZE
from mysense.journal.opening import Opening
from mysense.journal.pages import beside, blocks, frames, lost_frames, page_size, rescue


def whole(folder, *, size=1024, commits=8, wide=0):
    """A file in use, with so many transactions in its log, copied as it stands."""
    used = folder / "used.db"
    with closing(sqlite3.connect(used, isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {size}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("CREATE TABLE t (a, b)")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for number in range(commits):
            db.execute("INSERT INTO t VALUES (?, ?)", (number, "x" * (wide * size)))
        copy = folder / "journal.db"
        for suffix in ("", "-wal"):
            shutil.copy(beside(used, suffix), beside(copy, suffix))
    return copy


def damage(path, at, data=b"\xaa"):
    with path.open("r+b") as stream:
        stream.seek(at)
        stream.write(data)


def break_frames(path, numbers, size=1024):
    for number in numbers:
        damage(beside(path, "-wal"), 32 + number * (24 + size) + 24 + 100)


# -- the log ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "lost"),
    [
        ([], False),
        ([7], False),
        ([6], False),
        ([5], True),
        ([0], True),
        ([5, 6], False),
        ([4, 6], False),
        ([3, 6], True),
        ([5, 7], False),
        ([0, 2, 4, 6], False),
    ],
)
def test_transactions_behind_a_bad_frame(tmp_path, broken, lost):
    """One may be there after a power cut; two in a row tell of damage."""
    path = whole(tmp_path)
    break_frames(path, broken)
    assert lost_frames(path) is lost


@pytest.mark.parametrize(("ends", "lost"), [(2, True), (3, True), (4, False), (5, False)])
def test_frames_that_end_no_transaction_are_none(tmp_path, ends, lost):
    """There are several in each; with the last of each it is complete."""
    path = whole(tmp_path, commits=6, wide=2)
    found = [frame.commit for frame in frames(beside(path, "-wal"))]
    last = [number for number, commit in enumerate(found) if commit]
    break_frames(path, [last[ends]])
    assert (len(last), len(found) > 12, lost_frames(path)) == (6, True, lost)


def test_frames_are_as_sqlite_has_written_them(tmp_path):
    """Which page, how large the file is after it, and that each is whole."""
    path = whole(tmp_path, commits=3)
    found = [(frame.page, frame.commit, frame.whole) for frame in frames(beside(path, "-wal"))]
    assert found == [(2, 2, True)] * 3


@pytest.mark.parametrize("cut", [0, 10, 31, 32, 33, 32 + 24 + 1024 - 1])
def test_half_a_log(tmp_path, cut):
    """What is not there in full is not there."""
    path = whole(tmp_path)
    os.truncate(beside(path, "-wal"), cut)
    assert list(frames(beside(path, "-wal"))) == []


def test_no_log(tmp_path):
    """Then nothing is lost of it."""
    assert (list(frames(tmp_path / "none")), lost_frames(tmp_path / "none")) == ([], False)


# -- the size of a page -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [512, 1024, 4096, 8192, 65_536])
def test_the_header_says_how_large_pages_are(tmp_path, size):
    """The largest is written as 1."""
    path = whole(tmp_path, size=size, commits=1)
    beside(path, "-wal").unlink()
    assert page_size(path) == size


@pytest.mark.parametrize("size", [512, 1024, 65_536])
@pytest.mark.parametrize("garbage", [bytes(16), b"SQLite format 4\0"])
def test_where_that_is_gone_the_log_says_it(tmp_path, size, garbage):
    """It has a header of its own."""
    path = whole(tmp_path, size=size, commits=1)
    damage(path, 0, garbage)
    assert page_size(path) == size


@pytest.mark.parametrize("told", [0, 2, 256, 513, 1000, 3000])
def test_a_size_that_cannot_be_is_not_believed(tmp_path, told):
    """A power of two from 512 on."""
    path = whole(tmp_path, size=2048, commits=1)
    damage(path, 16, struct.pack(">H", told))
    assert page_size(path) == 2048


@pytest.mark.parametrize("size", [PAGE_SIZE, BULK_PAGE_SIZE])
@pytest.mark.parametrize("cut", [False, True])
def test_where_both_are_gone_what_fits_is_taken(tmp_path, size, cut):
    """MySense makes journals of two kinds."""
    path = tmp_path / "journal.db"
    db = Opening(path, lambda: 0.0, size, 250).connect()
    db.execute("PRAGMA foreign_keys = OFF")
    data = "x" * 700
    db.executemany(
        "INSERT INTO telegrams (kind, source, time, ident, new, at, data)"
        " VALUES ('telegram', 1, ?, 1, 0, 0, ?)",
        [(at, data) for at in range(300)],
    )
    db.close()
    damage(path, 0, bytes(size if cut else 100))
    assert page_size(path) == size


def test_an_empty_file(tmp_path):
    """As small as any."""
    (tmp_path / "journal.db").touch()
    assert page_size(tmp_path / "journal.db") == PAGE_SIZE


# -- what the disk gives ------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0, 1, 255, 256, 300, 511])
def test_a_bad_block_costs_a_page(tmp_path, monkeypatch, bad):
    """All others are read; what cannot be is nothing but zeros, in its place."""
    path = tmp_path / "file"
    text = bytes(range(1, 251)) * ((2 * 2**20 + 1000) // 250)
    path.write_bytes(text)
    pread = os.pread

    def failing(number, length, at):
        if at <= bad * PAGE_SIZE < at + length:
            raise OSError(5, "Input/output error")
        return pread(number, length, at)

    monkeypatch.setattr(pages.os, "pread", failing)
    found = bytearray(len(text))
    for at, block in blocks(path):
        found[at : at + len(block)] = block
    wanted = bytearray(text)
    page = slice(bad * PAGE_SIZE, (bad + 1) * PAGE_SIZE)
    wanted[page] = bytes(len(wanted[page]))
    assert found == wanted


def test_a_file_is_read_in_parts(tmp_path):
    """A large one does not fit into memory; the last part is as long as it is."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * (2**20 + 5))
    assert [(at, len(block)) for at, block in blocks(path)] == [(0, 2**20), (2**20, 5)]


# -- a copy that SQLite opens -------------------------------------------------------------------


def content(path):
    uri = f"{path.as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as db:
        return [row[0] for row in db.execute("SELECT a FROM t ORDER BY a")]


@pytest.mark.parametrize(
    ("broken", "there"), [([], 8), ([7], 7), ([2], 8), ([0, 1], 8), ([6, 7], 6)]
)
def test_what_stands_in_the_log_is_worked_in(tmp_path, monkeypatch, broken, there):
    """Also behind a bad frame: each of these holds all that was there before."""
    path = whole(tmp_path)
    break_frames(path, broken)
    monkeypatch.setattr(pages, "TABLES", frozenset("t"))
    rescue(path, tmp_path / "copy.db")
    assert content(tmp_path / "copy.db") == list(range(there))


def test_a_copy_is_private(tmp_path):
    """It holds what the journal holds."""
    path = whole(tmp_path)
    rescue(path, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").stat().st_mode & 0o007 == 0
