"""Gaps for numbers that are missing, to the letter."""

from __future__ import annotations

import pytest

from mysense.journal import Journal, missing
from mysense.journal.view import View
from tests.pipeline import telegram


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db", now=lambda: 5000.0)
    yield opened
    opened.close()


def gaps(journal, columns):
    with View(journal.path) as view:
        return sorted(tuple(row) for row in view.all(f"SELECT {columns} FROM gaps"))


def record(journal, numbers, head, cursors, lost=()):
    """What is recorded where only these numbers are there; telegram n is of second 10 n."""
    journal.append([telegram(10 * n) for n in range(1, max([1, head, *numbers]) + 1)])
    journal.append([telegram(1, "b")])
    with journal.transaction() as db:
        marks = ", ".join(map(str, numbers)) or "NULL"
        db.execute(f"DELETE FROM telegrams WHERE NOT coalesce(seq IN ({marks}), 0)")
        for name, cursor in cursors.items():
            db.execute("INSERT INTO outputs (name, cursor) VALUES (?, ?)", (name, cursor))
        missing.prepare(db)
        db.executemany("INSERT INTO lost VALUES (?, ?, ?)", lost)
        return missing.record(db, head, 5000.0, "damaged (x)")


@pytest.mark.parametrize(
    ("numbers", "head", "cursor", "found"),
    [
        ([1, 2, 3], 3, 0, []),
        ([1, 2, 3], 3, 3, []),
        ([], 0, 0, []),
        ([], 3, 3, []),
        ([2, 3], 3, 0, [(1, 1)]),
        ([2, 3], 3, 1, []),
        ([1, 3], 3, 0, [(2, 1)]),
        ([1, 3], 3, 1, [(2, 1)]),
        ([1, 3], 3, 2, []),
        ([1, 5, 9], 9, 0, [(2, 3), (6, 3)]),
        ([1, 5, 9], 9, 3, [(4, 1), (6, 3)]),
        ([1, 2], 5, 0, [(3, 3)]),
        ([1, 2], 5, 4, [(5, 1)]),
        ([1, 2], 5, 5, []),
        ([1, 2], 3, 0, [(3, 1)]),
        ([1, 2], 3, 2, [(3, 1)]),
        ([], 3, 0, [(1, 3)]),
        ([], 1, 0, [(1, 1)]),
        ([2], 2, 1, []),
        ([3], 2, 2, []),
        ([3, 4], 2, 2, []),
    ],
)
def test_holes(journal, numbers, head, cursor, found):
    """Behind the cursor, between telegrams, and up to the highest number ever given."""
    most = record(journal, numbers, head, {"x": cursor})
    wanted = ("x", "?") if found else ()
    assert gaps(journal, "since, count") == found
    assert (most, gaps(journal, "DISTINCT output, kit, at")) == (
        sum(count for _, count in found),
        [(*wanted, 5000.0)] if found else [],
    )


def test_each_output_has_its_own(journal):
    """Returned is the number of the one that misses most."""
    most = record(journal, [1, 4, 8], 9, {"x": 0, "y": 5, "z": 9})
    assert (most, gaps(journal, "output, since, count")) == (
        6,
        [("x", 2, 2), ("x", 5, 3), ("x", 9, 1), ("y", 6, 2), ("y", 9, 1)],
    )


@pytest.mark.parametrize(
    ("numbers", "found"), [([3, 5], [("", 4, 1), ("", 6, 1)]), ([], []), ([5, 6], [])]
)
def test_where_no_output_is_known_it_is_lost_for_whoever_may_come(journal, numbers, found):
    """From the first that is there."""
    record(journal, numbers, 6, {})
    assert gaps(journal, "output, since, count") == found


@pytest.mark.parametrize(
    ("numbers", "cursor", "times"),
    [
        ([1, 2, 5, 6], 0, (20, 50)),
        ([5, 6], 0, (50, 50)),
        ([1, 2], 0, (20, 5000)),
        ([], 0, (5000, 5000)),
    ],
)
def test_the_times_of_what_is_not_known_are_those_around_it(journal, numbers, cursor, times):
    """Of the telegram before and after; else what there is."""
    record(journal, numbers, 6, {"x": cursor})
    assert gaps(journal, "first, last")[:1] == [times]


def test_what_is_known_of_lost_ones(journal):
    """Whose they are and of when; what remains is nobody's."""
    lost = [(2, 1, 500), (3, 1, 300), (4, 2, 400), (9, 1, 1), (1, 1, 1)]
    record(journal, [1, 6], 6, {"x": 1}, lost)
    assert gaps(journal, "kit, since, first, last, count, reason") == [
        ("?", 2, 10, 60, 1, "damaged (x)"),
        ("p_a", 2, 300, 500, 2, "damaged (x)"),
        ("p_b", 2, 400, 400, 1, "damaged (x)"),
    ]


def test_where_all_are_known_nobody_is_unknown(journal):
    """Exactly as many."""
    record(journal, [1, 4], 4, {"x": 0}, [(2, 1, 7), (3, 1, 8)])
    assert gaps(journal, "kit, count") == [("p_a", 2)]


def test_an_earlier_salvage_is_counted_again_and_nothing_else(journal):
    """Its gaps within this one go; others, before, behind or for another reason stay."""
    entries = [
        ("x", "k1", 2, "damaged (before)"),
        ("x", "k2", 4, "damaged (before)"),
        ("x", "k3", 1, "damaged (before)"),
        ("x", "k4", 5, "damaged (before)"),
        ("x", "k5", 3, "the journal was over its limit"),
        ("y", "k6", 3, "damaged (before)"),
    ]
    with journal.transaction() as db:
        db.executemany(
            "INSERT INTO gaps (output, kit, since, first, last, count, at, reason)"
            " VALUES (?, ?, ?, 0, 0, 1, 0, ?)",
            entries,
        )
    record(journal, [1, 5], 5, {"x": 0})
    assert [kit for (kit,) in gaps(journal, "kit")] == ["?", "k3", "k4", "k5", "k6"]


def test_a_gap_that_begins_at_the_same_number_is_widened(journal):
    """There can be one of another reason; its telegrams are lost as well."""
    with journal.transaction() as db:
        db.execute(
            "INSERT INTO gaps (output, kit, since, first, last, count, at, reason)"
            " VALUES ('x', '?', 2, 30, 35, 7, 1.0, 'full')"
        )
    record(journal, [1, 5], 5, {"x": 0})
    assert gaps(journal, "since, first, last, count, at, reason") == [
        (2, 10, 50, 10, 5000.0, "full"),
    ]


def test_what_never_reached_the_journal(journal):
    """One gap a kit, that is widened; it is no other one's."""
    with journal.transaction() as db:
        missing.give_up(db, "p_a", (50, 60, 2), 100.0, "full")
        missing.give_up(db, "p_b", (1, 2, 3), 100.0, "full")
        missing.give_up(db, "p_a", (40, 55, 3), 200.0, "full")
        missing.give_up(db, "p_a", (45, 70, 1), 300.0, "full")
    columns = "output, kit, since, first, last, count, at, reason"
    assert gaps(journal, columns) == [
        ("", "p_a", -3, 40, 70, 6, 300.0, "full"),
        ("", "p_b", -3, 1, 2, 3, 100.0, "full"),
    ]
