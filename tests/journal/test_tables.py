"""Reading tables around what is damaged, and what passes for a row."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from mysense.journal import tables
from mysense.journal.tables import Tables, good_json, good_telegram, whose
from mysense.points import NANO
from tests.journal.damaging import over

PAGE = 1024
COUNT = 1500


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A database of one table with numbers, of many pages, and one without."""
    path = tmp_path_factory.mktemp("whole") / "whole.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"PRAGMA page_size = {PAGE}")
        db.execute("CREATE TABLE numbers (id INTEGER PRIMARY KEY, text)")
        db.execute(
            "CREATE TABLE names (name, other, text, PRIMARY KEY (name, other)) WITHOUT ROWID"
        )
        many = [(n, f"number {n:04} {'x' * 100}") for n in range(7, COUNT + 1)]
        db.executemany("INSERT INTO numbers VALUES (?, ?)", many)
        named = [(f"name {n:04}", 1, "x" * 100) for n in range(100)]
        db.executemany("INSERT INTO names VALUES (?, ?, ?)", named)
    return path.read_bytes()


@pytest.fixture
def damaged(tmp_path, whole):
    """Opens it with the pages zeroed on which these texts stand."""
    path, opened = tmp_path / "damaged.db", []

    def damage(*texts):
        path.write_bytes(whole)
        for text in texts:
            at = whole.index(text.encode())
            over(path, at - at % PAGE, bytes(PAGE))
        db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
        opened.append(db)
        return Tables(db)

    yield damage
    for db in opened:
        db.close()


def around(whole, *numbers):
    """The rows that stand on the same pages."""
    lost = set()
    for number in numbers:
        at = whole.index(f"number {number:04}".encode())
        page = whole[at - at % PAGE :][:PAGE]
        lost |= {n for n in range(7, COUNT + 1) if f"number {n:04}".encode() in page}
    return lost


def found(table, last=0):
    return [row[0] for rows in table.numbered("numbers", last) for row in rows]


EVERY = list(range(7, COUNT + 1))


@pytest.mark.parametrize("last", [0, 1000, COUNT, 2 * COUNT])
@pytest.mark.parametrize("lost", [(), (7,), (COUNT,), (700,), (7, 300, 301, 900, COUNT)])
def test_all_but_the_pages_that_are_damaged(damaged, whole, lost, last):
    """In their order, each once; whether the last is known or not."""
    table = damaged(*(f"number {number:04}" for number in lost))
    gone = around(whole, *lost)
    assert found(table, last) == [n for n in EVERY if n not in gone]
    assert table.failed is bool(lost)


def test_a_row_with_an_impossible_number_is_not_looked_for(damaged):
    """There would be no end to it."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE numbers (id INTEGER PRIMARY KEY)")
        db.executemany("INSERT INTO numbers VALUES (?)", [(number,) for number in (0, 5, 2**60)])
        assert found(Tables(db)) == [0, 5]


@pytest.mark.parametrize("chunk", [1, 2, 7, 1494, 1495])
def test_in_parts(damaged, monkeypatch, chunk):
    """Of at most so many rows."""
    monkeypatch.setattr(tables, "_CHUNK", chunk)
    parts = list(damaged().numbered("numbers"))
    assert [row[0] for rows in parts for row in rows] == EVERY
    assert max(map(len, parts)) <= chunk


@pytest.mark.parametrize("chunk", [1, 3])
def test_in_parts_around_what_is_damaged(damaged, whole, monkeypatch, chunk):
    """None ends the search."""
    monkeypatch.setattr(tables, "_CHUNK", chunk)
    gone = around(whole, 700)
    assert found(damaged("number 0700")) == [n for n in EVERY if n not in gone]


@pytest.mark.parametrize(
    ("many", "least", "count"), [(0, 62, 62), (0, 61, 31), (4, 64, 62), (5, 64, 31)]
)
def test_where_very_much_is_damaged_single_rows_are_not_looked_for(
    damaged, monkeypatch, many, least, count
):
    """After so many failures what is whole in a small range goes with it; all else is found."""
    monkeypatch.setattr(tables, "_MANY", many)
    monkeypatch.setattr(tables, "_SMALL", least)
    assert found(damaged("number 0700")) == [n for n in EVERY if not 694 <= n < 694 + count]


def test_in_the_end_the_rest_is_given_up(damaged, monkeypatch):
    """No salvage lasts for ever."""
    monkeypatch.setattr(tables, "_FAILURES", 4)
    assert found(damaged("number 0700")) == list(range(7, 632))


@pytest.mark.parametrize("number", [0, 50, 99])
def test_a_table_without_numbers_is_read_from_both_ends(damaged, whole, number):
    """Up to the page that is damaged."""
    at = whole.index(f"name {number:04}".encode())
    page = whole[at - at % PAGE :][:PAGE]
    expected = [n for n in range(100) if f"name {n:04}".encode() not in page]
    rows = [int(row[0][5:]) for row in damaged(f"name {number:04}").keyed("names")]
    assert sorted(rows) == expected


def test_what_is_not_there_has_no_rows(damaged):
    """Also a table."""
    table = damaged()
    assert (table.columns("nowhere"), list(table.numbered("nowhere"))) == ([], [])
    assert (table.keyed("nowhere"), table.listed("SELECT * FROM nowhere")) == ([], [])


def test_rows_are_taken_in_parts(damaged, monkeypatch):
    """Up to the first that cannot be read, and it is told whether there was one."""
    monkeypatch.setattr(tables, "_CHUNK", 100)
    query = "SELECT id FROM numbers NOT INDEXED ORDER BY id"
    table = damaged()
    assert [len(part) for part in table.parts(query)] == [100] * 14 + [94]
    failed = [table.failed]
    table = damaged("number 0700")
    parts = list(table.parts(query))
    assert [*failed, table.failed] == [False, True]
    assert [row[0] for part in parts for row in part] in (EVERY[:687], EVERY[:688])


def test_an_empty_table_is_asked_once(damaged):
    """There is nothing to look for, unless a number says so."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE numbers (id INTEGER PRIMARY KEY)")
        assert (found(Tables(db)), found(Tables(db), 5)) == ([], [])


# -- whether a row makes sense ------------------------------------------------------------------

GOOD = (1, "telegram", 2, 5, 3, 0, 5.5, '{"time":5,"temp":1.5,"note":"x"}')


def other(**values):
    names = ("seq", "kind", "source", "time", "ident", "new", "at", "data")
    return tuple(values.get(name, value) for name, value in zip(names, GOOD, strict=True))


@pytest.mark.parametrize(
    "row",
    [
        GOOD,
        (*GOOD, "more"),
        other(new=1),
        other(kind="point", data=json.dumps({"time": 5 * NANO})),
        other(kind="point", data=json.dumps({"time": 6 * NANO - 1})),
    ],
)
def test_a_row_as_it_was_written(row):
    """Of either kind."""
    assert good_telegram(row)


@pytest.mark.parametrize(
    "row",
    [
        *(
            other(**{name: value})
            for name in ("seq", "source", "time", "ident")
            for value in (None, "5", 5.0)
        ),
        *(other(kind=kind) for kind in ("telegrax", None, "point")),
        *(other(new=new) for new in (2, None, "0")),
        *(other(at=at) for at in (5, None, "5")),
        *(other(data=data) for data in (None, 5, b"{}", "", "{", "[5]", "{}", '{"time":6}')),
        *(other(data=data) for data in ('{"time":5.0}', '{"time":5,"temp":1e999}', '{"time":"5"}')),
        other(data='{"time":5,"temp":NaN}'),
        other(kind="point", data=json.dumps({"time": 6 * NANO})),
        other(kind="point", data=json.dumps({"time": 5 * NANO - 1})),
    ],
)
def test_a_row_that_was_not_written_so(row):
    """Whatever it is, it is told."""
    assert not good_telegram(row)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ('{"project":"p","serial":"a"}', ("p_a", "")),
        ('{"project":"p","serial":"a","label":"roof"}', ("p_a", "roof")),
        ('{"measurement":"air","tags":{"a":"b"}}', ("points", "air")),
        ('{"measurement":"air"}', None),
        ('{"measurement":"air","tags":5}', None),
        ('{"measurement":"air","tags":{"a":"b"},', None),
        ('{"serial":"a"}', None),
        ("{}", None),
        ("[1]", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_whose_it_is(body, key):
    """Of an ident, or of a series of points; nobody's where it is neither."""
    assert whose(body) == key


@pytest.mark.parametrize(
    ("text", "good"),
    [("{}", True), ("null", True), ("1", True), ("{", False), (None, False), (1, False)],
)
def test_what_is_json(text, good):
    """As text."""
    assert good_json(text) is good


def test_json_that_is_too_deep_is_none():
    """A page of brackets."""
    assert not good_json("[" * 100_000)
