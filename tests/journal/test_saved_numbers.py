"""What a salvage knows of numbers: which telegrams are lost, and which were let go."""

from __future__ import annotations

import pytest

from tests.journal.loose import HOUR, Damaged, telegram

BAD = {"data": "{"}  # the index still knows of it


@pytest.fixture
def damaged(tmp_path):
    made = Damaged(tmp_path)
    yield made
    made.db.close()


def gaps(damaged):
    query = "SELECT output, kit, since, first, last, count FROM gaps ORDER BY output, since, kit"
    return damaged.rows(query)


def test_what_the_index_knows_of_is_in_the_gaps_and_in_the_ledger(damaged):
    """By kit and second; for each output that had not had it."""
    damaged.outputs(0, 2)
    damaged.put("hours", (1, 2, 5))
    at = {number: 2 * HOUR + number for number in range(1, 6)}
    damaged.telegrams(1, time=at[1])
    damaged.telegrams(2, time=at[2], **BAD)
    damaged.telegrams(3, time=at[3], **BAD)
    damaged.telegrams(4, ident=2, time=3 * HOUR - 1, **BAD)
    damaged.telegrams(5, time=at[5])
    told = damaged.salvage()
    assert gaps(damaged) == [
        ("x", "p_a", 2, at[2], at[3], 2),
        ("x", "p_b", 2, 3 * HOUR - 1, 3 * HOUR - 1, 1),
        ("y", "p_a", 3, at[3], at[3], 1),
        ("y", "p_b", 3, 3 * HOUR - 1, 3 * HOUR - 1, 1),
    ]
    assert damaged.rows("SELECT * FROM hours ORDER BY 1, 2") == [(1, 2, 7), (2, 2, 1)]
    assert told.endswith("; 3 telegrams are lost, see the gaps")
    assert damaged.only_there() == 3


@pytest.mark.parametrize(
    ("given", "lost", "head"),
    [
        (None, [7], 7),
        (None, [10_004], 10_004),
        (None, [10_005], 5),
        (None, [], 5),
        (3, [], 5),
        (3, [7], 7),
        (5, [7], 5),
        (6, [], 6),
        (9, [7], 9),
    ],
)
def test_how_far_the_numbers_went(damaged, given, lost, head):
    """As is written down; else as the last telegram or the index say, within reason."""
    damaged.outputs(0)
    damaged.telegrams(1, 2, 4, 5)
    damaged.telegrams(3, *lost, **BAD)
    damaged.db.execute("DELETE FROM sqlite_sequence")
    if given is not None:
        damaged.number(telegrams=given)
    damaged.salvage()
    query = "SELECT seq FROM sqlite_sequence WHERE name = 'telegrams'"
    missed = damaged.rows("SELECT coalesce(sum(count), 0) FROM gaps")
    ledger = damaged.rows("SELECT sum(count) FROM hours")
    counted = len([number for number in (3, *lost) if number <= head])
    assert (damaged.rows(query), missed, ledger) == ([(head,)], [(head - 4,)], [(counted,)])


def test_a_number_that_stands_alone_is_not_believed(damaged):
    """Nothing else says that there were so many."""
    damaged.telegrams(10_000, **BAD)
    damaged.db.execute("DELETE FROM sqlite_sequence")
    damaged.salvage()
    assert damaged.rows("SELECT seq FROM sqlite_sequence WHERE name = 'telegrams'") == [(0,)]


@pytest.mark.parametrize(
    ("values", "kit"),
    [
        ({"time": 0}, "p_a"),
        ({"time": -1}, "?"),
        ({"source": "x"}, "?"),
        ({"source": -1}, "?"),
        ({"time": 1.5}, "?"),
    ],
)
def test_what_the_index_says_may_be_damaged_as_well(damaged, values, kit):
    """Then it is lost, and nobody knows whose it was."""
    damaged.outputs(0)
    damaged.telegrams(1, 3)
    damaged.telegrams(2, **values, **BAD)
    damaged.salvage()
    assert [row[1] for row in gaps(damaged)] == [kit]


@pytest.mark.parametrize(("numbers", "looks"), [([1, 2, 3], 0), ([1, 3], 1)])
def test_the_index_is_looked_at_where_something_is_missing(damaged, numbers, looks):
    """Once, where it can be read: it may be large."""
    damaged.outputs(0)
    damaged.telegrams(*numbers)
    said = []
    damaged.db.set_trace_callback(said.append)
    damaged.salvage()
    assert len([query for query in said if "SELECT seq, source, time" in query]) == looks


def test_what_was_lost_earlier_is_not_lost_with_this_one(damaged):
    """What only its copy may hold is what is missing now."""
    damaged.put_everything()
    damaged.number(telegrams=5)
    damaged.db.execute("UPDATE outputs SET cursor = 5 WHERE name = 'y'")
    damaged.salvage()
    assert damaged.only_there() == 2


@pytest.mark.parametrize(("cursor", "stays"), [(-1, False), (0, True), (5, True), (6, False)])
def test_a_place_that_cannot_be_is_none(damaged, cursor, stays):
    """The output begins with the oldest telegram: more than once, rather than never."""
    damaged.outputs(cursor)
    damaged.telegrams(1, 2, 3, 4, 5)
    damaged.salvage()
    assert bool(damaged.rows("SELECT * FROM outputs")) is stays


@pytest.mark.parametrize(
    ("numbers", "cursors", "last", "looked"),
    [
        ([1, 2, 3], [0], 3, False),
        ([2, 3], [1], 3, False),
        ([2, 3], [2, 3], 3, False),
        ([2, 3], [3, 0], 3, True),
        ([1, 3], [0], 3, True),
        ([1, 2], [0], 3, True),
        ([1, 2], [], 2, True),
        ([1, 2], ["x"], 2, True),
        ([], [3], 3, True),
        ([], [0], 0, False),
        ([1, 3], [0], 0, True),
        ([1], [0], None, True),
        ([], [0], None, True),
    ],
)
def test_pages_are_looked_through_where_something_is_missing(
    damaged, numbers, cursors, last, looked
):
    """All of them: that takes its time."""
    damaged.outputs(*cursors)
    damaged.telegrams(*numbers)
    damaged.db.execute("DELETE FROM sqlite_sequence")
    if last is not None:
        damaged.number(telegrams=last)
    damaged.salvage()
    assert damaged.looked is looked


@pytest.mark.parametrize(
    ("cursor", "known", "last", "expected"),
    [
        (9, [], 13, range(9, 14)),
        (8, [], 13, range(8, 14)),
        (9, [7], 13, range(7, 14)),
        (9, [], 12, range(9, 13)),
        (9, [], 11, range(9, 15)),
        (9, [], 0, range(9, 15)),
        (14, [], 13, range(10, 14)),
    ],
)
def test_what_was_let_go_does_not_come_back(damaged, cursor, known, last, expected):
    """It may still stand on a page; nor does what was never acknowledged."""
    damaged.outputs(cursor)
    damaged.telegrams(10, 12)
    damaged.telegrams(*known, **BAD)
    damaged.number(telegrams=last)
    damaged.salvage([telegram(number) for number in range(5, 15)])
    assert damaged.numbers() == list(expected)


def test_what_was_let_go_does_not_come_back_without_an_index(damaged):
    """The first that is found tells where it ends."""
    damaged.outputs(14)
    damaged.telegrams(10, 12)
    damaged.number(telegrams=13)
    damaged.db.execute("DROP INDEX identity")
    damaged.salvage([telegram(number) for number in range(5, 15)])
    assert damaged.numbers() == [10, 11, 12, 13]


@pytest.mark.parametrize(("last", "expected"), [(None, [1, 2, 3]), (2, [1, 2]), (0, [])])
def test_where_nothing_else_is_known_all_that_is_found_counts(damaged, last, expected):
    """Up to the highest number that was given, if that is known."""
    if last is not None:
        damaged.number(telegrams=last)
    damaged.salvage([telegram(number) for number in (1, 2, 3)])
    assert damaged.numbers() == expected


def test_columns_of_another_time_are_left_out(damaged):
    """What a declaration says may be damaged, too."""
    damaged.db.execute("ALTER TABLE telegrams ADD COLUMN more")
    damaged.put("telegrams", (*telegram(1), "more"))
    damaged.salvage()
    assert damaged.rows("SELECT * FROM telegrams") == [telegram(1)]


def test_what_every_output_has_had_may_stay_behind(damaged):
    """It is counted where what is let go is counted, and only there."""
    damaged.outputs(3, 4)
    damaged.put("hours", (1, 0, 5))
    damaged.telegrams(1, time=2 * HOUR - 1)
    damaged.telegrams(2, **BAD)
    damaged.telegrams(3, time=HOUR)
    damaged.telegrams(5)
    damaged.telegrams(6, **BAD)
    damaged.number(telegrams=6)
    told = damaged.salvage([telegram(number) for number in range(1, 5)], settled=3)
    assert damaged.numbers() == [4, 5]
    assert damaged.rows("SELECT * FROM hours") == [(1, 0, 6), (1, 1, 2)]
    assert gaps(damaged) == [("x", "p_a", 6, 6, 6, 1), ("y", "p_a", 6, 6, 6, 1)]
    assert told.endswith(
        "; 1 telegrams are lost, see the gaps"
        "; 3 that every output has had stay there, for want of room"
    )
    assert damaged.only_there() == 4


def test_a_telegram_that_made_no_sense_may_be_lost(damaged):
    """Also where every output has had it, and nothing else tells."""
    damaged.outputs(3)
    damaged.telegrams(1, 3)
    damaged.put("telegrams", (2, "telex", *telegram(2)[2:]))
    damaged.number(telegrams=3)
    damaged.salvage()
    assert damaged.only_there() is None
