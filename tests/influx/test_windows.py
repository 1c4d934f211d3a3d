"""What becomes of answers."""

from __future__ import annotations

import pytest

from mysense.influx.columns import Columns
from mysense.influx.cursor import Cursor, Reach
from mysense.influx.tasks import Keys, Missing, Probe, next_task
from mysense.influx.windows import Confirm, Window

NOW = 10**9
KEYS = {"series": [{"name": "data", "values": [["t", "float"]]}]}


def cursor(low=0, **reach):
    made = Cursor("A_1", Reach(**reach))
    made.know(Columns.read(KEYS))
    made.low = low
    return made


def rows(*seconds):
    values = [[second, 1.0, None, None, None] for second in seconds]
    return {"series": [{"name": "data", "values": values}]} if values else {}


def count(values):
    return {"series": [{"name": "data", "values": [[0, values]]}]} if values else {}


def test_an_answer_that_overtook_another_does_not_count():
    """Else the rows of the one that was held up were skipped."""
    made = cursor()
    next_task(made, NOW)
    second = next_task(made, NOW)
    given = second.take([rows(second.low), KEYS], NOW)
    assert (given, made.low, next_task(made, NOW).low) == ([], 0, 0)


def test_an_answer_planned_before_a_cut_does_not_count():
    """What was cut off comes first."""
    made = cursor(bufsize=2)
    first, second = next_task(made, NOW), next_task(made, NOW)
    first.take([rows(1, 2, 3), KEYS, count(3)], NOW)
    assert second.take([rows(second.low), KEYS, count(1)], NOW) == []


def test_what_was_cut_is_asked_for_again_up_to_the_cut():
    """And then it is known to be all there is."""
    made = cursor(bufsize=2)
    next_task(made, NOW).take([rows(1, 2, 3), KEYS, count(9)], NOW)
    again = next_task(made, NOW)
    items = again.take([rows(1, 2), KEYS, count(2)], NOW)
    assert (again.low, again.high, [item.time for item in items], made.low) == (0, 3, [1, 2], 3)


def test_a_row_that_is_just_being_stored_is_not_given():
    """The server shows its values one by one: those of the first look may not be all."""
    made = cursor()
    torn = next_task(made, NOW).take([rows(1, 2), KEYS, count(3)], NOW)
    again = next_task(made, NOW)
    assert (torn, again.low, again.high) == ([], 0, 3)


def test_a_count_that_says_the_same_twice_over_is_not_believed():
    """Else reading would stand still for ever."""
    made = cursor()
    items = [next_task(made, NOW).take([rows(1, 2), KEYS, count(5)], NOW) for _ in range(2)]
    assert [len(each) for each in items] == [0, 2]


def test_an_ident_that_is_just_being_stored_is_not_used():
    """Its label is there, its place not yet."""
    made = cursor()
    fields = [["label", "string"], ["geolocation", "string"]]
    made.know(Columns.read({"series": [{"name": "info", "values": fields}]}))
    info = {"series": [{"name": "info", "values": [[1, "L", None, "L"]]}]}
    assert next_task(made, NOW).take([rows(1), info, KEYS, count(1), count(2)], NOW) == []


def test_an_answer_without_a_new_column_is_asked_again():
    """Values of that column would be missing."""
    made = cursor()
    wider = {"series": [{"name": "data", "values": [["t", "float"], ["u", "float"]]}]}
    assert next_task(made, NOW).take([rows(1), wider, count(1)], NOW) == []
    assert '"u"::float' in next_task(made, NOW).statements[0]


def test_where_windows_are_full_they_become_narrower():
    """Rows that are cut off were read in vain."""
    made = cursor(bufsize=2)
    width = made.width
    next_task(made, NOW).take([rows(100, 200, 300), KEYS, count(3)], NOW)
    assert made.width < width


def test_where_rows_are_sparse_windows_grow():
    """Years without any are crossed in a few steps."""
    made = cursor()
    width = made.width
    next_task(made, NOW).take([rows(), KEYS, count(0)], NOW)
    assert made.width == 4 * width


def test_a_window_up_to_now_leaves_the_cursor_at_rest():
    """Then only a look is taken from time to time."""
    made = cursor(low=NOW - 10)
    next_task(made, NOW).take([rows(NOW - 5), KEYS, count(1)], NOW)
    assert isinstance(next_task(made, NOW), Probe)


@pytest.mark.parametrize(("seen", "idle"), [([1, 2], True), ([1, 2, 3], False)])
def test_a_look_wakes_the_cursor_where_something_changed(seen, idle):
    """The rows of the overlap are the same as long as nothing came."""
    made = cursor()
    Probe(made).take([rows(1, 2)], NOW)
    made.idle = True
    Probe(made).take([rows(*seen)], NOW)
    assert made.idle is idle


def test_without_fields_there_is_only_a_look_at_them():
    """An empty database costs nearly nothing."""
    made = Cursor("A_1", Reach())
    task = next_task(made, NOW)
    task.take([{}], NOW)
    assert (isinstance(task, Keys), made.idle, isinstance(next_task(made, NOW), Keys)) == (
        True,
        True,
        True,
    )


def test_the_field_keys_are_asked_for_after_the_rows():
    """A row that is seen had its field before it, so the keys that follow have it."""
    window = next_task(cursor(), NOW)
    assert isinstance(window, Window)
    assert [text[:6] for text in window.statements] == ["SELECT", "SHOW F", "SELECT"]


WIDE = {"series": [{"name": "data", "values": [["t", "float"], ["u", "float"]]}]}


def wide_rows(*rows):
    """Rows of second, t and u."""
    return {"series": [{"name": "data", "values": [[*row, "a", None, None] for row in rows]}]}


def wide_cursor():
    made = cursor()
    made.know(Columns.read(WIDE))
    return made


def held(made, *rows):
    """A window that was read and is held: its rows lack something."""
    window = next_task(made, NOW)
    given = window.take(
        [wide_rows(*rows), WIDE, count(sum(len(r) - r.count(None) - 1 for r in rows))], NOW
    )
    assert (given, window.due is None) == ([], False)
    return window


def test_a_row_that_lacks_something_waits_for_a_second_count():
    """Both counts may be the same while it is just being stored, the second one much later not."""
    made = wide_cursor()
    window = held(made, (1, 1.0, None))
    (item,) = Confirm(window).take([count(1)], NOW)
    assert (dict(item.data), made.low) == ({"time": 1, "t": 1.0}, window.high)


def test_a_row_that_was_just_being_stored_is_asked_for_again():
    """Up to the newest row that was seen or the window's end, so that it comes to an end."""
    made = wide_cursor()
    window = held(made, (1, 1.0, None))
    given = Confirm(window).take([count(2)], NOW)
    again = next_task(made, NOW)
    assert (given, again.low, again.high, made.entry) == ([], window.low, window.high, None)


def test_windows_after_one_that_is_held_wait_for_it():
    """Telegrams come in the order of times."""
    made = wide_cursor()
    window, second = held(made, (1, 1.0, None)), next_task(made, NOW)
    row = (second.low, 2.0, 3.0)
    before = second.take([wide_rows(row), WIDE, count(1), count(2)], NOW)
    after = Confirm(window).take([count(1)], NOW)
    assert (before, [item.time for item in after]) == ([], [1, second.low])


def test_a_cut_leaves_the_window_before_it_held():
    """Else both were asked for anew, the first one too wide and so cut itself, for ever."""
    made = wide_cursor()
    made.reach = Reach(bufsize=2)
    window, cut = held(made, (1, 1.0, None)), next_task(made, NOW)
    some = [(cut.low + at, 2.0, 3.0) for at in range(3)]
    cut.take([wide_rows(*some), WIDE, count(1), count(6)], NOW)
    again = next_task(made, NOW)
    assert (again.low, again.high, made.held[0].due) == (cut.low, cut.low + 2, window.due)
    assert [item.time for item in Confirm(window).take([count(1)], NOW)] == [1]


def test_a_kind_of_row_that_is_known_does_not_wait():
    """Else every telegram of a kit with fewer fields than others in its database did."""
    made = wide_cursor()
    Confirm(held(made, (1, 1.0, None))).take([count(1)], NOW)
    window = next_task(made, NOW)
    given = window.take([wide_rows((window.low, 1.0, None)), WIDE, count(1), count(1)], NOW)
    assert [item.time for item in given] == [window.low]


def test_a_kind_of_row_that_may_be_part_of_another_waits():
    """A label whose rows have more fields now and then."""
    made = wide_cursor()
    next_task(made, NOW).take([wide_rows((1, 1.0, 2.0)), WIDE, count(2)], NOW)
    for _ in range(2):
        window = next_task(made, NOW)
        row = (window.low, 1.0, None)
        given = window.take([wide_rows(row), WIDE, count(0), count(1)], NOW)
        assert (given, window.due is None) == ([], False)
        Confirm(window).take([count(1)], NOW)


@pytest.mark.parametrize(
    ("older", "newest", "told"),
    [((), (), "read anew"), ((5,), (), "somebody deleted"), ((5,), (500,), "")],
)
def test_why_the_newest_row_is_not_seen(older, newest, told):
    """All of it is gone, the newest is, or the clock that says what is now was set back."""
    made = cursor()
    next_task(made, NOW).take([rows(500), KEYS, count(1)], NOW)
    made.low, made.idle = made.resume_at, True
    next_task(made, NOW).take([rows()], NOW)
    missing = next_task(made, NOW)
    assert isinstance(missing, Missing)
    missing.take([rows(*older), rows(*newest)], NOW)
    assert (told in made.told, bool(made.told), made.entry is None) == (True, bool(told), not older)
