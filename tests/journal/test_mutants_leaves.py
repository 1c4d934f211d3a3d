"""Pages as SQLite writes them, row by row: what is read from them is what was written."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mysense.journal.leaves import rows, telegrams

TABLE = (
    "CREATE TABLE telegrams (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, source INTEGER,"
    " time INTEGER, ident INTEGER, new INTEGER, at REAL, data TEXT)"
)
USUAL = (7, "telegram", 1, 1_700_000_000, 2, 1, 1_700_000_000.25, '{"time":1700000000}')


def page(*written, size=4096, table=TABLE):
    """The page on which SQLite puts these rows."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {size}")
        db.execute(table)
        marks = ", ".join("?" * len((*written, USUAL)[0]))
        db.executemany(f"INSERT INTO telegrams VALUES ({marks})", written)
        (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE type = 'table'").fetchone()
        return db.serialize()[(root - 1) * size : root * size]


def usual(**other):
    names = ("seq", "kind", "source", "time", "ident", "new", "at", "data")
    return tuple((dict(zip(names, USUAL, strict=True)) | other).values())


EDGES = [2 ** (8 * length - 1) for length in (1, 2, 3, 4, 6, 8)]  # of whole numbers, by bytes


@pytest.mark.parametrize(
    "number", [0, 1, 2, *(edge - 1 for edge in EDGES), *EDGES[:-1], *(-edge for edge in EDGES)]
)
def test_whole_numbers_of_every_length(number):
    """SQLite takes as few bytes as it can."""
    one = usual(time=number, source=number)
    assert list(rows(page(one))) == [one]


VARINTS = [2 ** (7 * length) for length in range(1, 9)]


@pytest.mark.parametrize("number", [1, *(n - 1 for n in VARINTS), *VARINTS[:-1]])
def test_numbers_of_rows_of_every_length(number):
    """From one byte to eight."""
    one = usual(seq=number)
    assert list(rows(page(one))) == [one]


@pytest.mark.parametrize("number", [-1, 2**56, 2**56 + 2**30 + 200, 2**63 - 1])
def test_numbers_that_no_telegram_has(number):
    """They cost that row only."""
    assert list(rows(page(usual(seq=number), USUAL))) == [USUAL]


@pytest.mark.parametrize("at", [0.0, 1.0, 5.0, 1e9, 1_700_000_000.125, -0.5, 1e300])
def test_times_with_and_without_a_fraction(at):
    """Without one SQLite stores a whole number; it is a float all the same."""
    (row,) = rows(page(usual(at=at)))
    assert (row[6], type(row[6])) == (at, float)


@pytest.mark.parametrize("length", [0, 1, 56, 57, 58, 100, 121, 122, 2000])
def test_texts_of_every_length(length):
    """None to many, and others than ASCII."""
    for text in ("x" * length, "é" * (length // 2)):
        one = usual(data=text)
        assert list(rows(page(one))) == [one]


def test_many_on_a_page():
    """All of them, in the order of their numbers."""
    many = [usual(seq=seq, time=seq * 1000, data="x" * (seq % 50)) for seq in range(1, 40)]
    assert list(rows(page(*many))) == many


@pytest.mark.parametrize("size", [512, 1024, 65_536])
def test_pages_of_every_size(size):
    """The smallest there may be, and the largest."""
    assert list(rows(page(USUAL, size=size))) == [USUAL]


def test_what_goes_on_on_another_page_is_left_out():
    """It cannot be put together; the others are there."""
    long = usual(seq=8, data="x" * 5000)
    last = usual(seq=9)
    assert list(rows(page(USUAL, long, last))) == [USUAL, last]


@pytest.mark.parametrize("kind", ["telegram", "point"])
def test_what_a_journal_keeps(kind):
    """Both kinds of it."""
    one = usual(kind=kind)
    assert list(rows(page(one))) == [one]


def test_rows_of_another_table_are_none():
    """Too few columns, too many, another kind of row."""
    others = [
        page(USUAL[:7], table="CREATE TABLE telegrams (a INTEGER PRIMARY KEY, b, c, d, e, f, g)"),
        page((*USUAL, 1), table=TABLE.replace("data TEXT", "data TEXT, more")),
        page((*USUAL, 1, 2), table=TABLE.replace("data TEXT", "data TEXT, more, most")),
        page(("x", *USUAL[1:]), table=TABLE.replace("seq INTEGER PRIMARY KEY", "seq TEXT")),
    ]
    assert [list(rows(one)) for one in others] == [[]] * 4


def test_pages_of_another_kind_are_none():
    """Of an index, of the inside of a table, one without anything."""
    whole = page(USUAL)
    others = [b"\x0a" + whole[1:], b"\x05" + whole[1:], bytes(4096), page()]
    assert [list(rows(one)) for one in others] == [[]] * 4


def changed(whole, at, new):
    return whole[:at] + new + whole[at + len(new) :]


@pytest.mark.parametrize(
    "cell", [0, 7, 4090, 4095, 4096, 65_535], ids=lambda cell: f"points at {cell}"
)
def test_a_pointer_that_was_damaged_costs_that_row_only(cell):
    """Whatever it points at."""
    many = [usual(seq=seq) for seq in (1, 2, 3)]
    whole = changed(page(*many), 8, struct.pack(">H", cell))
    assert list(rows(whole)) == many[1:]


@pytest.mark.parametrize(("cells", "found"), [(0, 0), (1, 1), (2044, 2), (2045, 2), (65_535, 2)])
def test_a_count_that_was_damaged(cells, found):
    """What stands there all the same is found."""
    many = [usual(seq=seq) for seq in (1, 2)]
    whole = changed(page(*many), 3, struct.pack(">H", cells))
    assert len({row[0] for row in rows(whole)}) == found


def test_text_that_is_none_costs_that_row_only():
    """Bytes that are no UTF-8."""
    many = [usual(seq=1, data="first"), usual(seq=2)]
    whole = page(*many)
    assert list(rows(whole.replace(b"first", b"f\xff\xfest"))) == many[1:]


# -- as SQLite reads it --------------------------------------------------------------------------

VALUES = (
    st.none()
    | st.sampled_from(
        [sign * edge - less for edge in EDGES[:-1] for sign in (1, -1) for less in (0, 1)]
    )
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text("ab\0é€😀", max_size=70)
    | st.binary(max_size=70)
)
COLUMNS = TABLE.replace(" NOT NULL", "")


def read(image):
    """What SQLite reads; None where it finds fault."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.deserialize(image)
        db.text_factory = lambda text: text.decode(errors="replace")
        try:
            return db.execute("SELECT * FROM telegrams").fetchall()
        except sqlite3.DatabaseError:
            return None


def image(*written):
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("PRAGMA page_size = 4096")
        db.execute(COLUMNS)
        db.executemany(f"INSERT INTO telegrams VALUES ({', '.join('?' * 8)})", written)
        return db.serialize()


@pytest.mark.parametrize(
    "values", [(b"", b"a", b"\xff", "", "b", b"c", None), (b"", 0, 1, 2, 3.5, b"", "")]
)
def test_what_no_telegram_has_is_read_as_it_is(values):
    """Whoever asks for rows looks at each value."""
    assert list(rows(image((5, *values))[4096:])) == [(5, *values)]


@given(st.lists(st.tuples(*[VALUES] * 7), max_size=3))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_rows_are_read_as_sqlite_reads_them(written):
    """Whatever it has put there."""
    made = image(*((at * 300, *values) for at, values in enumerate(written)))
    found, wanted = list(rows(made[4096:])), read(made)
    assert repr(found) == repr(wanted)


MANY = image(
    *(usual(seq=seq, time=seq * 1000, at=seq / 4, data="x" * seq) for seq in range(100, 120))
)


@given(st.lists(st.tuples(st.integers(0, 4095), st.integers(1, 255)), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_of_a_damaged_page_nothing_is_read_that_sqlite_would_not_read(changes):
    """And nothing ends in an error."""
    damaged = bytearray(MANY)
    for at, change in changes:
        damaged[4096 + at] ^= change
    found, wanted = list(rows(bytes(damaged[4096:]))), read(bytes(damaged))
    assert wanted is None or set(map(repr, found)) <= set(map(repr, wanted))


@pytest.mark.parametrize("changed", [(7, 15), (7, 1), (7, 5), (7, 20), (7, 10), (7, 0)])
def test_a_kind_of_value_that_was_damaged_costs_that_row_only(changed):
    """The bytes of a number are read as a text, and so on."""
    record = bytes([9, 0, 29, 9, 4, 1, 9, 7, 51])
    whole = page(usual(seq=1, time=2**25), usual(seq=2, time=2**25))
    assert whole.count(record) == 2
    at = whole.rindex(record) + record.index(7)  # rows are written from the end
    assert whole[at] == changed[0]
    found = list(rows(whole[:at] + bytes(changed[1:]) + whole[at + 1 :]))
    assert found == [usual(seq=2, time=2**25)]


def test_a_number_that_is_none():
    """SQLite takes it for nothing."""
    whole = page(usual(at=0.1))
    nan = struct.pack(">d", float("nan"))
    assert list(rows(whole.replace(struct.pack(">d", 0.1), nan))) == [usual(at=None)]


# -- a journal's ---------------------------------------------------------------------------------


def test_all_pages_of_a_file_and_of_its_log(tmp_path):
    """The first page is the list of tables; what stands in the log comes last."""
    path = tmp_path / "journal.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(TABLE)
    db.executemany(f"INSERT INTO telegrams VALUES ({', '.join('?' * 8)})", [USUAL])
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("UPDATE telegrams SET time = 5")
    found = [row for some in telegrams(path) for row in some]
    db.close()
    assert found == [USUAL, usual(time=5)]
