"""Windows of time."""

from __future__ import annotations

import pytest

from mysense.influx.cursor import WEEK, Cursor, Reach
from mysense.influx.start import check_start, parse_start
from mysense.telegram import DAY

MONDAY = 1_493_596_800  # 2017-05-01
NOW = MONDAY + 10 * WEEK


def cursor(low, **reach):
    made = Cursor("A_1", Reach(**reach))
    made.low = low
    made.width = WEEK
    return made


def test_a_window_ends_where_a_shard_does():
    """The server opens one shard for it."""
    assert cursor(MONDAY + 1000).next_range(NOW) == (MONDAY + 1000, MONDAY + WEEK, None)


def test_the_next_window_begins_where_the_one_before_ended():
    """It can be asked for before the answer came."""
    made = cursor(MONDAY)
    made.next_range(NOW)
    assert made.next_range(NOW) == (MONDAY + WEEK, MONDAY + 2 * WEEK, MONDAY)


def test_1970_is_a_second_like_any_other():
    """A window that ends there is not asked for again."""
    made = cursor(-DAY)
    made.width = DAY
    assert [made.next_range(NOW)[:2] for _ in range(2)] == [(-DAY, 0), (0, DAY)]


def test_after_a_rewind_it_is_asked_again():
    """Nothing was given of what was under way."""
    made = cursor(MONDAY)
    made.next_range(NOW)
    made.rewind()
    assert made.next_range(NOW)[0] == MONDAY


def test_the_last_window_has_no_end():
    """The server's own clock bounds it."""
    assert cursor(NOW - 100).next_range(NOW) == (NOW - 100, None, None)


def test_a_window_of_one_second_keeps_its_end():
    """It is not limited in rows, so it must be limited in time."""
    made = cursor(NOW - 50)
    made.width = 1
    assert made.next_range(NOW) == (NOW - 50, NOW - 49, None)


def test_reading_goes_on_an_overlap_before_the_newest_row():
    """Late rows are found, but nothing before the floor."""
    made = Cursor("A_1", Reach(overlap=120, floor=1000), [1050, []])
    assert made.resume_at == 1000


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("beginning", "beginning"),
        ("Now", "now"),
        ("1494777772", 1494777772),
        ("2017-05-14T16:02:52Z", 1494777772),
        ("2017-05-14 16:02:52", 1494777772),
        ("2017-05-14T18:02:52+02:00", 1494777772),
    ],
)
def test_start_is_a_word_or_a_time(text, start):
    """Times without a zone are UTC."""
    assert parse_start(text) == start


@pytest.mark.parametrize("text", ["", "yesterday", "14/05/2017", "99999999999999"])
def test_another_start_is_explained(text):
    """The settings say what was expected."""
    assert "beginning" in (check_start(text) or "")
