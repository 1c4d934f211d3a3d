"""JSON Lines at speed are the same lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mysense import jsonlines
from mysense.errors import TelegramError
from mysense.files.lines import Lines
from mysense.telegram import Telegram
from mysense.text import cell, counted, moment, number, plain, readable
from tests.channels.made import ident

VALUES = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)


@given(st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=5), st.text(max_size=9))
def test_same_lines(data, village):
    """Whatever the values and the ident, the line is that of jsonlines.line."""
    try:
        telegram = Telegram.from_json(ident(village=village), data | {"time": 5})
    except TelegramError:
        return
    assert Lines()([telegram, telegram]) == [jsonlines.line(telegram)] * 2
    named = Lines(identities=True)([telegram, telegram])
    assert named == [jsonlines.line(telegram, identity=True)] * 2


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_reads_back(value):
    """The text of a number is that number."""
    assert float(number(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_readable_is_near(value):
    """What is shown differs by less than a thousandth of the value, or of one."""
    assert abs(float(readable(value)) - value) <= max(1e-3, abs(value) * 1e-3)


@given(st.text(max_size=200))
def test_plain_is_printable(text):
    """No text brings control characters to a terminal."""
    assert plain(text).isprintable()


@given(st.text(max_size=20))
def test_no_cell_is_a_formula(text):
    """No text begins as a formula does."""
    assert not cell(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_moment_without_zone_is_utc():
    """A time that names no zone is UTC."""
    assert {moment(t) for t in ("2017-05-14 16:02:52", "2017-05-14T18:02:52+02:00")} == {1494777772}


@pytest.mark.parametrize(("count", "told"), [(0, "0 lines"), (1, "1 line"), (2, "2 lines")])
def test_one_of_a_thing_is_no_plural(count, told):
    """The first replay of many a newcomer has one telegram."""
    assert counted(count, "lines") == told
