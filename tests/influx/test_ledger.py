"""The ledger of what was read: small, exact, and the same in every process."""

from __future__ import annotations

from array import array

import pytest

from mysense.influx.columns import Columns
from mysense.influx.ledger import Ledger, weight
from mysense.influx.rows import Plan
from mysense.influx.trail import Batch, Trail
from mysense.influx.windows import values_of

HOUR = 498_000


def marks(rows, *fields):
    plan = Plan(Columns(frozenset(fields)))
    return list(plan.marker.marks(rows, values_of(rows, plan.tags_from)))


def batch(*seconds):
    some = array("I", [second % 97 + 1 for second in seconds])
    return Batch(array("q", seconds), ["a"] * len(seconds), array("l", [2] * len(seconds)), some)


T, U, TEXT = ("t", "float"), ("u", "float"), ("text", "string")


@pytest.mark.parametrize("label", ["a", None])
def test_a_mark_is_the_same_beside_other_columns(label):
    """A field that comes later does not make old rows new."""
    alone = marks([[1, 2.5, label, None, "0"]], T)
    wide = marks(
        [[1, 2.5, None, label, None, "0", None], [2, 1.0, 1.0, "a", "b", "c", "d"]], T, U, TEXT
    )
    assert alone == wide[:1]


def test_a_mark_does_not_change_from_process_to_process():
    """It is kept in the journal, as part of a sum."""
    assert marks([[1, 2.5, "a", None, "0"], [1, 2.5, "a", None, "1"]], T) == [1_236_593_961] * 2


@pytest.mark.parametrize(
    "other",
    [
        [2, 2.5, 1, "a", None, "0"],
        [1, 2.5, 2, "a", None, "0"],
        [1, 1, 2.5, "a", None, "0"],
        [1, 2.5, 1, "b", None, "0"],
        [1, 2.5, 1, "a", "1,2", "0"],
        [1, 2.5, None, "a", None, "0"],
        [1, None, 2.5, "a", None, "0"],
    ],
)
def test_another_content_has_another_mark(other):
    """Time, values, the fields they are of, and tags."""
    first, second = marks([[1, 2.5, 1, "a", None, "0"], other], T, U)
    assert first != second


def test_labels_weigh_differently():
    """What one label lost and another won is seen."""
    assert weight("a", 3) + weight("b", 4) != weight("a", 4) + weight("b", 3)


@pytest.mark.parametrize("hours", [3, 100])
def test_it_is_the_same_after_a_restart(hours):
    """Few hours go with the telegrams, many into the entry."""
    ledger = Ledger()
    for hour in range(HOUR, HOUR + hours):
        ledger.add(hour, (hour, 7), array("I", [7]))
    fresh = ledger.fresh
    again = Ledger(ledger.entry, fresh)
    assert {hour: again[hour] for hour in again.hours} == {
        h: (h, 7) for h in range(HOUR, HOUR + hours)
    }
    assert len(fresh) < 100


def test_an_hour_takes_little_room():
    """A week is less than three kilobytes."""
    ledger = Ledger()
    for hour in range(HOUR, HOUR + 168):
        ledger.add(hour, (1, 1), array("I"))
    ledger.fold()
    assert len(ledger.entry) <= 168 * 16


def test_marks_are_bounded():
    """Of the oldest hours only the account is kept."""
    ledger = Ledger()
    for hour in range(HOUR, HOUR + 3):
        ledger.set(hour, (1, 1), array("I", range(60_000)))
    known = [len(ledger.marks(hour)) for hour in range(HOUR, HOUR + 3)]
    assert (known, ledger[HOUR]) == ([0, 0, 60_000], (1, 1))


def test_rows_are_entered_once_they_are_not_read_again():
    """Those that are read again count as they were the last time."""
    ledger = Ledger()
    trail = Trail(ledger, None)
    first = HOUR * 3600
    trail.read(first, batch(first, first + 50, first + 100), first + 40)
    trail.read(first + 40, batch(first + 50, first + 60, first + 200), first + 190)
    rows = batch(first, first + 50, first + 60)
    assert (ledger[HOUR], list(ledger.marks(HOUR))) == (rows.account(), list(rows.marks))


def test_hours_gone_by_are_forgotten():
    """A sweep does not look at them any more."""
    ledger = Ledger()
    for hour in (HOUR, HOUR + 1):
        ledger.add(hour, (1, 1), array("I", [1]))
    ledger.forget(HOUR + 1)
    ledger.fold()
    assert list(Ledger(ledger.entry).hours) == [HOUR + 1]
