"""What becomes of answers."""

from __future__ import annotations

import pytest

from mysense.influx.columns import Columns
from mysense.influx.cursor import Cursor, Reach
from mysense.influx.tasks import Keys, Probe, next_task
from mysense.influx.windows import Window

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
