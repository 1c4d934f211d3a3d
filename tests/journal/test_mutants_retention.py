"""What goes, to the letter: what mutants of retention would get wrong."""

from __future__ import annotations

import pytest

from mysense.journal import Outcome, retention
from mysense.journal.retention import trim
from mysense.journal.view import View
from tests.journal.looking import START, kept, values
from tests.pipeline import telegram

DAY = 86_400
NEVER = float("inf")


def settle(journal, output, upto):
    """As a delivery does with all up to number `upto`."""
    journal.register(output)
    with View(journal.path) as view:
        rows = [row for row in view.rows(0, 10_000, 10**9) if row.seq <= upto]
    journal.settle(output, Outcome(upto, rows))


@pytest.mark.parametrize(("seconds", "left"), [(30 * DAY, [0, 1]), (30 * DAY + 1, [])])
def test_as_many_days_as_was_set_and_not_a_second_longer(journal, now, seconds, left):
    """What is exactly so old stays."""
    journal.append([telegram(0), telegram(1)])
    settle(journal, "x", 2)
    now.now += seconds
    trim(journal, NEVER, 30, now)
    assert kept(journal) == left


@pytest.mark.parametrize(("seconds", "left"), [(2 * DAY, 1), (2 * DAY + 1, 0)])
def test_events_stay_as_long(journal, now, seconds, left):
    """And not longer."""
    journal.note("who", "kind", "text")
    now.now += seconds
    trim(journal, NEVER, 2, now)
    assert values(journal, "SELECT count(*) FROM events") == [(left,)]


def test_only_what_is_settled_goes_by_age(journal, now):
    """Up to the cursor, and the number of the cursor itself."""
    journal.append([telegram(at) for at in range(4)])
    settle(journal, "x", 2)
    now.now += 40 * DAY
    given_up = trim(journal, NEVER, 30, now)
    assert (kept(journal), given_up, values(journal, "SELECT * FROM gaps")) == ([2, 3], 0, [])


def test_behind_a_young_one_nothing_goes_by_age(journal, now):
    """Numbers go from the front, without holes; a clock may have been wrong for a while."""
    now.now = START + 100 * DAY
    journal.append([telegram(0)])
    now.now = START
    journal.append([telegram(1)])
    settle(journal, "x", 2)
    now.now = START + 60 * DAY
    trim(journal, NEVER, 30, now)
    assert kept(journal) == [0, 1]


def small(monkeypatch, chunk):
    monkeypatch.setattr(retention, "_CHUNK", chunk)


def steps(count):
    """Says stop after so many transactions."""
    left = iter([False] * count + [True])
    return lambda: next(left)


@pytest.mark.parametrize(("count", "left"), [(1, [3, 4, 5, 6]), (2, [6]), (9, [])])
def test_by_age_in_parts(journal, now, monkeypatch, count, left):
    """Others get their turn in between."""
    small(monkeypatch, 3)
    journal.append([telegram(at) for at in range(7)])
    settle(journal, "x", 7)
    now.now += 40 * DAY
    trim(journal, NEVER, 30, now, steps(count))
    assert kept(journal) == left


@pytest.mark.parametrize(
    ("count", "became"),
    [(1, ([2, 3, 4, 5], 0)), (2, ([3, 4, 5], 0)), (3, ([5], 2)), (4, ([], 3))],
)
def test_by_size_what_is_settled_first_then_the_oldest(journal, now, monkeypatch, count, became):
    """In parts of at most so many, up to the last."""
    small(monkeypatch, 2)
    journal.append([telegram(at) for at in range(6)])
    settle(journal, "x", 3)
    given_up = trim(journal, 0, NEVER, now, steps(count))
    assert (kept(journal), given_up) == became


def test_a_gap_says_whose_from_when_to_when_and_how_many(journal, now, monkeypatch):
    """For each output that had not had them, and each kit."""
    small(monkeypatch, 1000)
    journal.append([telegram(at, "ab"[at % 2]) for at in range(10, 20)])
    settle(journal, "x", 4)
    settle(journal, "y", 0)
    now.now += 5
    given_up = trim(journal, 0, NEVER, now, steps(2))
    query = "SELECT output, kit, since, first, last, count, at, reason FROM gaps ORDER BY 1, 2"
    reason = "the journal was over its limit of 0 MB"
    assert (given_up, values(journal, query)) == (
        16,
        [
            ("x", "p_a", 4, 14, 18, 3, START + 5.0, reason),
            ("x", "p_b", 4, 15, 19, 3, START + 5.0, reason),
            ("y", "p_a", 0, 10, 18, 5, START + 5.0, reason),
            ("y", "p_b", 0, 11, 19, 5, START + 5.0, reason),
        ],
    )


def test_a_cursor_goes_along_with_what_was_given_up(journal, now):
    """And only that of an output that had not had it."""
    journal.append([telegram(at) for at in range(5)])
    for output, upto in (("x", 3), ("y", 2), ("z", 5)):
        settle(journal, output, upto)
    trim(journal, 0, NEVER, now)
    query = "SELECT name, cursor, gap_from, gap_upto FROM outputs ORDER BY name"
    assert values(journal, query) == [("x", 5, 3, 5), ("y", 5, 2, 5), ("z", 5, None, None)]


def test_a_gap_that_goes_on_is_widened(journal, now, monkeypatch):
    """First and last time, count, and when it was; also where times run backwards."""
    small(monkeypatch, 2)
    journal.append([telegram(at) for at in (50, 40, 60, 30)])
    journal.register("x")
    trim(journal, 0, NEVER, now, steps(1))
    now.now += 7
    trim(journal, 0, NEVER, now, steps(1))
    query = "SELECT since, first, last, count, at FROM gaps"
    assert values(journal, query) == [(0, 30, 60, 4, START + 7.0)]


def test_hours_count_what_was_let_go(journal, now, monkeypatch):
    """By source, over all parts."""
    small(monkeypatch, 2)
    journal.append([telegram(at) for at in (3599, 3600, 7199, 7200)])
    journal.append([telegram(3600, "b")])
    settle(journal, "x", 5)
    trim(journal, 0, NEVER, now)
    query = "SELECT source, hour, count FROM hours ORDER BY 1, 2"
    assert values(journal, query) == [(1, 0, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1)]


def aside(journal, at):
    with journal.transaction() as db:
        db.execute(
            "INSERT INTO aside (output, state, kit, time, at, reason, data)"
            " VALUES ('x', 'dead', 'p_a', 7, ?, '', '')",
            (at,),
        )


@pytest.mark.parametrize(
    ("came", "left"),
    [
        ([START - 1], (0, 2)),
        ([START], (0, 2)),
        ([START + 1], (1, 1)),
        ([START - 1, START + 20], (1, 2)),
    ],
)
def test_what_came_in_first_goes_first(journal, now, monkeypatch, came, left):
    """What waits aside, where its first is as old; else what waits in order."""
    small(monkeypatch, 1)
    journal.register("x")
    journal.append([telegram(1)])
    now.now += 10
    journal.append([telegram(2)])
    for at in came:
        aside(journal, at)
    trim(journal, 0, NEVER, now, steps(1))
    counts = "SELECT (SELECT count(*) FROM aside), (SELECT count(*) FROM telegrams)"
    assert values(journal, counts) == [left]


def test_what_is_aside_goes_where_nothing_else_is(journal, now, monkeypatch):
    """The oldest of it, into gaps of its own that add up; text without a time by when it came."""
    small(monkeypatch, 2)
    journal.register("x")
    for at in range(START, START + 6):
        aside(journal, at)
    with journal.transaction() as db:
        db.execute("UPDATE aside SET time = NULL WHERE id = 2")
        db.execute("UPDATE aside SET time = 3 WHERE id = 3")
    given_up = trim(journal, 0, NEVER, now, steps(1))
    first = values(journal, "SELECT output, kit, since, first, last, count FROM gaps")
    left = values(journal, "SELECT id FROM aside")
    given_up += trim(journal, 0, NEVER, now)
    second = values(journal, "SELECT first, last, count FROM gaps")
    assert (first, left, second, given_up) == (
        [("x", "p_a", -1, 7, START + 1, 2)],
        [(3,), (4,), (5,), (6,)],
        [(3, START + 1, 6)],
        6,
    )


def test_the_reason_of_what_went_by_age(journal, now):
    """It is not the size; for an output that no longer runs it is a gap."""
    journal.append([telegram(1)])
    settle(journal, "x", 1)
    with journal.transaction() as db:
        db.execute("INSERT INTO outputs (name, cursor) VALUES ('gone', 0)")
    now.now += 3 * DAY
    trim(journal, NEVER, 2, now)
    assert values(journal, "SELECT output, reason FROM gaps") == [("gone", "older than 2 days")]


@pytest.mark.parametrize(
    ("settled", "gone", "share"),
    [(0, 0, 1.0), (2, 0, 0.75), (8, 0, 0.0), (4, 2, 4 / 6), (2, 2, 1.0), (0, 2, 1.0)],
)
def test_the_share_that_waits(journal, now, settled, gone, share):
    """Of what is here: behind the slowest cursor."""
    journal.append([telegram(at) for at in range(8)])
    settle(journal, "x", settled)
    with journal.transaction() as db:
        db.execute("DELETE FROM telegrams WHERE seq <= ?", (gone,))
        step = retention._Step(db, journal.delivered(db), now(), 1.0)
        assert step.share_unsent() == share


def test_what_is_as_large_as_it_may_be_stays(journal, now):
    """To the byte."""
    journal.append([telegram(at) for at in range(4)])
    trim(journal, journal.megabytes, NEVER, now)
    assert kept(journal) == [0, 1, 2, 3]


def test_nothing_waits_where_nothing_is_or_nobody_takes_it(journal, now):
    """Neither an empty journal nor one without outputs is full, however little it may hold."""
    trim(journal, 0, NEVER, now)
    with journal.transaction() as db:
        empty = retention._Step(db, 0, now(), 1.0).share_unsent()
    journal.append([telegram(1)])
    with journal.transaction() as db:
        nobody = retention._Step(db, 0, now(), 1.0).share_unsent()
    assert (journal.full, empty, nobody) == (False, 0.0, 0.0)


@pytest.mark.parametrize(("part", "full"), [(0.82, True), (0.78, False)])
def test_from_four_fifths_on_it_is_full(journal, now, part, full):
    """Of the limit, by what waits."""
    journal.append([telegram(at, text="x" * 500) for at in range(500)])
    journal.register("x")
    trim(journal, journal.megabytes / part, NEVER, now)
    assert journal.full is full
