"""The pages of a file and of its log: what is read of them where SQLite would give up."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from contextlib import closing
from functools import cache
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mysense.journal import Journal, pages
from mysense.journal.damage import TABLES
from mysense.journal.formats import BULK_PAGE_SIZE, PAGE_SIZE, create, orders
from mysense.journal.opening import Opening
from mysense.journal.pages import beside, frames, lost_frames, page_size, rescue


def whole(folder, *, size=1024, commits=8, wide=0):
    """A file in use, with so many transactions in its log, copied as it stands."""
    path = folder / "journal.db"
    for suffix, content in zip(("", "-wal"), used(size, commits, wide), strict=True):
        beside(path, suffix).write_bytes(content)
    return path


@cache
def used(size, commits, wide):
    """The bytes of that file, and those of its log."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "used.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(f"PRAGMA page_size = {size}")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")  # quick: nothing fails but what we damage
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("CREATE TABLE t (a, b)")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            for number in range(commits):
                db.execute("INSERT INTO t VALUES (?, ?)", (number, "x" * (wide * size)))
            return path.read_bytes(), beside(path, "-wal").read_bytes()


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
    found = [frame.commit for frame in frames(path, 1024)]
    last = [number for number, commit in enumerate(found) if commit]
    break_frames(path, [last[ends]])
    assert (len(last), len(found) > 12, lost_frames(path)) == (6, True, lost)


def test_frames_are_as_sqlite_has_written_them(tmp_path):
    """Which page, how large the file is after it, and that each is whole."""
    path = whole(tmp_path, commits=3)
    found = [(frame.page, frame.commit, frame.whole) for frame in frames(path, 1024)]
    assert found == [(2, 2, True)] * 3


@pytest.mark.parametrize("cut", [0, 10, 31, 32])
def test_a_log_without_frames(tmp_path, cut):
    """Nothing was written into it yet."""
    path = whole(tmp_path)
    os.truncate(beside(path, "-wal"), cut)
    assert list(frames(path, 1024)) == []


def test_a_frame_that_was_cut_off(tmp_path):
    """It is none, but the rows that it has may be read."""
    path = whole(tmp_path)
    os.truncate(beside(path, "-wal"), 32 + 2 * (24 + 1024) - 1000)
    assert [(frame.whole, len(frame.data)) for frame in frames(path, 1024)] == [
        (True, 1024),
        (False, 1024),
    ]


def test_no_log(tmp_path):
    """Then nothing is lost of it."""
    path = tmp_path / "none"
    assert (list(frames(path, 1024)), lost_frames(path)) == ([], False)


@pytest.mark.parametrize("left", [b"", b"garbage" * 1000])
def test_a_log_whose_journal_was_removed(tmp_path, left):
    """A new one is made."""
    path = tmp_path / "journal.db"
    beside(path, "-wal").write_bytes(left)
    Journal(path).close()
    assert path.exists()


def started_again(folder):
    """A log that began again from its start, with frames of before behind; the last is 10, 11."""
    path = folder / "again.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA page_size = 1024")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")  # quick: nothing fails here but what we damage
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("CREATE TABLE t (a)")
        db.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(8)])
        db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        db.executemany("INSERT INTO t VALUES (?)", [(8,), (9,), (10,), (11,)])
        for suffix in ("", "-wal"):
            shutil.copy(beside(path, suffix), beside(folder / "journal.db", suffix))
    return folder / "journal.db"


HEADERS = [
    (0, b""),
    (0, bytes(32)),
    (0, b"\xaa" * 32),
    (3, b"\0"),
    (16, b"\xaa"),
    (23, b"\xaa"),
    (24, b"\xaa"),
    (31, b"\xaa"),
]


@pytest.mark.parametrize(("at", "garbage"), HEADERS)
def test_frames_of_before_are_none(tmp_path, at, garbage):
    """They are in the file long since; which ones are of now is seen without the header, too."""
    path = started_again(tmp_path)
    damage(beside(path, "-wal"), at, garbage)
    found = [frame.whole for frame in frames(path, 1024)]
    assert (found[1:4], any(found[4:]), len(found) > 8) == ([True] * 3, False, True)


@pytest.mark.parametrize(("at", "garbage"), HEADERS[1:])
def test_a_header_that_is_damaged_hides_the_log(tmp_path, monkeypatch, at, garbage):
    """From SQLite, which takes it for empty: so this is damage, and all but a page is saved."""
    path = whole(tmp_path)
    damage(beside(path, "-wal"), at, garbage)
    monkeypatch.setattr("mysense.journal.formats.TABLES", frozenset("t"))
    rescue(path, tmp_path / "copy.db")
    assert (lost_frames(path), content(tmp_path / "copy.db")) == (True, list(range(8)))


def test_the_first_block_of_the_log(tmp_path, monkeypatch):
    """With its header some frames are gone; those behind are found."""
    path = whole(tmp_path)
    damage(beside(path, "-wal"), 0, bytes(4096))
    monkeypatch.setattr("mysense.journal.formats.TABLES", frozenset("t"))
    rescue(path, tmp_path / "copy.db")
    assert (lost_frames(path), content(tmp_path / "copy.db")) == (True, list(range(8)))


def test_frames_of_zeros(tmp_path, monkeypatch):
    """Zeros are the checksum of zeros, but there is no page without a number."""
    path = whole(tmp_path)
    damage(beside(path, "-wal"), 32 + 2 * 1048, bytes(3 * 1048))
    monkeypatch.setattr("mysense.journal.formats.TABLES", frozenset("t"))
    rescue(path, tmp_path / "copy.db")
    found = [frame.whole for frame in frames(path, 1024)]
    assert (found, content(tmp_path / "copy.db")) == (
        [*[True] * 2, *[False] * 4, *[True] * 2],
        list(range(8)),
    )


def other_order(log, size):
    """The log as a machine writes it whose bytes are the other way round."""

    def check(before, data):
        one, two = before
        words = struct.unpack(f">{len(data) // 4}I", data)
        for even, odd in zip(words[::2], words[1::2], strict=True):
            one = (one + even + two) % 2**32
            two = (two + odd + one) % 2**32
        return one, two

    data = log.read_bytes()
    head = b"7\x7f\6\x83" + data[4:24]
    last = check((0, 0), head)
    new = head + struct.pack(">II", *last)
    for at in range(32, len(data), 24 + size):
        frame = data[at : at + 24 + size]
        last = check(last, frame[:8] + frame[24:])
        new += frame[:16] + struct.pack(">II", *last) + frame[24:]
    log.write_bytes(new)


@pytest.mark.parametrize("garbage", [b"", b"\xaa"])
def test_a_log_of_another_machine(tmp_path, garbage):
    """SQLite reads it, and so do we."""
    path = whole(tmp_path)
    other_order(beside(path, "-wal"), 1024)
    damage(beside(path, "-wal"), 16, garbage)
    assert [frame.whole for frame in frames(path, 1024)] == [not garbage, *[True] * 7]
    assert seen(path) == ([] if garbage else list(range(8)))


def seen(path):
    """What SQLite reads of a file with its log."""
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT a FROM t ORDER BY a")]


@given(st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_frames_are_whole_where_sqlite_says_so(logged, data):
    """A byte that has changed anywhere ends the log for SQLite; we see where."""
    path, log, folder = logged
    at = data.draw(st.integers(32, len(log) - 1))
    changed = bytearray(log)
    changed[at] ^= data.draw(st.integers(1, 255))
    beside(path, "-wal").write_bytes(changed)
    found = list(takewhile(lambda frame: frame.whole, frames(path, 1024)))
    copy = folder / "seen.db"
    for suffix in ("", "-wal"):
        shutil.copy(beside(path, suffix), beside(copy, suffix))
    assert seen(copy) == list(range(len(found)))


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    path = whole(tmp_path_factory.mktemp("logged"))
    return path, beside(path, "-wal").read_bytes(), tmp_path_factory.mktemp("seen")


# -- the size of a page -------------------------------------------------------------------------

SIZES = [PAGE_SIZE, BULK_PAGE_SIZE]


def disguised(folder, size):
    """A journal of one size, most of which looks as if it were of the other."""
    path = whole(folder, size=size, commits=1)
    with path.open("ab") as stream:
        stream.write((b"text" if size == PAGE_SIZE else b"\r").ljust(PAGE_SIZE, b"\0") * 100)
    return path


@pytest.mark.parametrize("size", SIZES)
def test_the_header_says_how_large_pages_are(tmp_path, size):
    """Whatever the log says, and whatever the rest looks like."""
    path = disguised(tmp_path, size)
    damage(beside(path, "-wal"), 8, struct.pack(">I", 5120 - size))
    assert page_size(path) == size


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("garbage", [bytes(16), b"SQLite format 4\0"])
@pytest.mark.parametrize("told", SIZES)
def test_where_that_is_gone_the_log_says_it(tmp_path, size, garbage, told):
    """It has a header of its own. What else stands in the file's is not believed."""
    path = disguised(tmp_path, size)
    damage(path, 0, garbage + struct.pack(">H", told))
    assert page_size(path) == size


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("told", [0, 1, 512, 1025, 2048, 8192])
def test_a_size_that_no_journal_has_is_not_believed(tmp_path, size, told):
    """There are two."""
    path = disguised(tmp_path, size)
    damage(path, 16, struct.pack(">H", told))
    assert page_size(path) == size


@pytest.fixture(scope="module", params=[(size, count) for size in SIZES for count in (0, 3, 300)])
def filled(request, tmp_path_factory):
    """A journal with pages of a size, and how large they are."""
    size, telegrams = request.param
    path = tmp_path_factory.mktemp("filled") / "journal.db"
    db = Opening(path, lambda: 0.0, size, 250).connect()
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("BEGIN")
    db.executemany(
        "INSERT INTO telegrams (kind, source, time, ident, new, at, data)"
        " VALUES ('telegram', 1, ?, 1, 0, 0, ?)",
        [(at, "x" * 700) for at in range(telegrams)],
    )
    db.execute("COMMIT")
    db.close()
    return path.read_bytes(), size


@pytest.mark.parametrize("gone", [100, 4096, 14 * 1024])
@pytest.mark.parametrize("log", [None, b"", b"\xaa" * 32])
def test_where_both_are_gone_what_fits_is_taken(tmp_path, filled, gone, log):
    """MySense makes journals of two kinds."""
    (content, size), path = filled, tmp_path / "journal.db"
    path.write_bytes(bytes(gone) + content[gone:])
    if log is not None:
        beside(path, "-wal").write_bytes(log)
    assert page_size(path) == size


def test_pages_that_hold_the_rest_of_a_telegram_say_nothing(tmp_path):
    """They begin with the number of the next one."""
    path = tmp_path / "journal.db"
    leaf, rest = b"\r".ljust(PAGE_SIZE, b"\0"), b"\0\1\2\3".ljust(PAGE_SIZE, b"x")
    path.write_bytes(leaf + 5 * rest)
    assert page_size(path) == PAGE_SIZE


def test_an_empty_file(tmp_path):
    """As small as any."""
    (tmp_path / "journal.db").touch()
    assert page_size(tmp_path / "journal.db") == PAGE_SIZE


# -- what the disk gives ------------------------------------------------------------------------


def failing(monkeypatch, first, last):
    """A disk that does not give these bytes: what stands before them it may give, as Linux does."""
    pread = os.pread

    def read(number, length, at):
        if first <= at <= last:
            raise OSError(5, "Input/output error")
        return pread(number, min(length, first - at) if at < first else length, at)

    monkeypatch.setattr(pages.os, "pread", read)


@pytest.mark.parametrize("bad", [0, 1, 255, 300, 511])
@pytest.mark.parametrize("within", [0, 700])
def test_what_cannot_be_read_is_zeros_in_its_place(tmp_path, monkeypatch, bad, within):
    """It costs a page at most."""
    path = tmp_path / "file"
    text = bytes(range(1, 251)) * ((2 * 2**20 + 1000) // 250)
    path.write_bytes(text)
    first, last = bad * PAGE_SIZE + within, bad * PAGE_SIZE + PAGE_SIZE - 1
    failing(monkeypatch, first, last)
    wanted = bytearray(text)
    wanted[first : last + 1] = bytes(len(wanted[first : last + 1]))
    assert b"".join(pages.pages(path, PAGE_SIZE)) == wanted.ljust(2049 * PAGE_SIZE, b"\0")


def test_a_header_that_cannot_be_read(tmp_path, monkeypatch):
    """The log tells how large pages are, and the rest is there."""
    path = whole(tmp_path)
    failing(monkeypatch, 0, 31)
    assert [frame.whole for frame in frames(path, 1024)] == [False, *[True] * 7]


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
    monkeypatch.setattr("mysense.journal.formats.TABLES", frozenset("t"))
    rescue(path, tmp_path / "copy.db")
    assert content(tmp_path / "copy.db") == list(range(there))


@pytest.fixture
def open_to_all():
    """The user's files are for everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_to_all")
def test_what_a_journal_holds_is_private(tmp_path):
    """Only its owner writes it, only the group may read it."""
    pages.create_private(tmp_path / "journal.db")
    assert (tmp_path / "journal.db").stat().st_mode & 0o777 == 0o640


def test_what_is_there_stays(tmp_path):
    """It is made where there is none."""
    (tmp_path / "journal.db").write_bytes(b"text")
    pages.create_private(tmp_path / "journal.db")
    assert (tmp_path / "journal.db").read_bytes() == b"text"


@pytest.mark.usefixtures("open_to_all")
def test_a_copy_is_private(tmp_path):
    """It holds what the journal holds."""
    path = whole(tmp_path)
    rescue(path, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o640


# -- the first page -----------------------------------------------------------------------------


def made(folder, size, order):
    """A journal of this size of pages, whose tables were made in this order, with a row in each."""
    path = folder / "journal.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {size}")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA journal_mode = OFF")
        create(db, order)
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("PRAGMA ignore_check_constraints = ON")
        for name in names(db):
            columns = len(db.execute(f"PRAGMA table_info({name})").fetchall())
            db.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * columns)})", [7] * columns)
    return path


def grown(folder, order):
    """One with events on several pages."""
    path = made(folder, PAGE_SIZE, order)
    with closing(sqlite3.connect(path)) as db, db:
        rows = [(number, 1.0, 1, "x" * 400, "y", "z" * 400) for number in range(100, 110)]
        db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)
    return path


def roots(path):
    """The page with which each table begins."""
    with closing(sqlite3.connect(path)) as db:
        return dict(db.execute("SELECT name, rootpage FROM sqlite_schema"))


def names(db):
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1"
    return [name for (name,) in db.execute(query) if not name.startswith("sqlite")]


def tables(path):
    """The values of each table."""
    with closing(pages.read_only(path)) as db:
        return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names(db)}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("order", [0, 1], ids=["made", "upgraded"])
@pytest.mark.parametrize("garbage", [b"", b"\0", b"\xff"])
def test_a_copy_has_all_tables_without_the_first_page(tmp_path, size, order, garbage):
    """Also of a journal that was of an older format once, whose tables begin elsewhere."""
    path = made(tmp_path, size, orders()[order])
    before = tables(path)
    damage(path, 0, garbage * size)
    rescue(path, tmp_path / "copy.db")
    assert (tables(tmp_path / "copy.db"), len(before) > 10) == (before, True)


@pytest.mark.parametrize("order", [0, 1], ids=["made", "upgraded"])
@pytest.mark.parametrize(("left", "count"), [("events", 11), ("positions", 1)])
def test_one_page_tells_in_which_order_tables_were_made(tmp_path, order, left, count):
    """Also one that has grown: where all others that differ are damaged."""
    path = grown(tmp_path, orders()[order])
    for name in {"hours", "undated", "positions", "events"} - {left}:
        damage(path, (roots(path)[name] - 1) * PAGE_SIZE, bytes(PAGE_SIZE))
    damage(path, 0, bytes(PAGE_SIZE))
    rescue(path, tmp_path / "copy.db")
    with closing(pages.read_only(tmp_path / "copy.db")) as db:
        assert db.execute(f"SELECT count(*) FROM {left}").fetchone() == (count,)


@pytest.mark.parametrize("log", [b"", b"garbage" * 1000])
def test_a_copy_of_nothing(tmp_path, log):
    """It has the tables of an empty journal."""
    path = tmp_path / "journal.db"
    path.touch()
    beside(path, "-wal").write_bytes(log)
    rescue(path, tmp_path / "copy.db")
    found = tables(tmp_path / "copy.db")
    assert set(found) >= TABLES
    assert not any(found.values())


@pytest.mark.parametrize("damaged", [False, True])
def test_a_copy_of_one_that_was_cut_off(tmp_path, damaged):
    """Tables that began behind the end are empty, the others are there."""
    path = made(tmp_path, PAGE_SIZE, orders()[0])
    before = tables(path)
    there = roots(path)
    os.truncate(path, there["outputs"] * PAGE_SIZE)
    damage(path, 0, bytes(PAGE_SIZE) if damaged else b"")
    rescue(path, tmp_path / "copy.db")
    left = {name: rows if there[name] <= there["outputs"] else [] for name, rows in before.items()}
    assert tables(tmp_path / "copy.db") == left


def test_a_list_of_tables_with_a_name_that_is_none(tmp_path):
    """SQLite's own error cannot be decoded; the tables are found all the same."""
    path = made(tmp_path, PAGE_SIZE, orders()[0])
    before = tables(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"CREATE TABLE aside", b"CREATE XXXXX \xff\xfeide"))
    rescue(path, tmp_path / "copy.db")
    assert (path.read_bytes() != content, tables(tmp_path / "copy.db")) == (True, before)


@pytest.mark.parametrize("told", [0xFFFF_FFFF, 0x0100_0000, 3, "too few"])
def test_a_header_that_is_wrong_about_the_file(tmp_path, told):
    """About how many pages there are; no page is given up for it, nor a table."""
    path = grown(tmp_path, orders()[0])
    before, there = tables(path), roots(path)
    told = max(there.values()) if told == "too few" else told
    damage(path, 24, struct.pack(">II", 256, told))
    damage(path, 92, struct.pack(">I", 256))
    rescue(path, tmp_path / "copy.db")
    assert tables(tmp_path / "copy.db") == before


@pytest.mark.parametrize("told", [3, 0xFF00_0000])
def test_tables_that_were_made_in_another_order(tmp_path, told):
    """Where the first page is whole it is believed, whatever its header says."""
    backwards = orders()[0][::-1]
    indexes = [text for text in backwards if "CREATE TABLE" not in text]
    path = made(tmp_path, PAGE_SIZE, [text for text in backwards if text not in indexes] + indexes)
    before = tables(path)
    damage(path, 28, struct.pack(">III", told, 4, 5))
    rescue(path, tmp_path / "copy.db")
    assert tables(tmp_path / "copy.db") == before
