"""Whole lines out of bytes: tails, breaks, floods, in pieces of any size."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mysense.hw.linebuffer import LONGEST, SURE, TORN, LineBuffer

LOG = logging.getLogger("test")


def taken(buffer):
    lines = [(line.data, bool(line.trouble)) for line in buffer.ready]
    buffer.ready.clear()
    return lines


def test_first_line_is_dropped():
    """A line that was opened in its middle looks valid and is not given."""
    buffer = LineBuffer(LOG)
    buffer.feed(b"59,93\r\n675,22\r\n")
    assert taken(buffer) == [(b"675,22", False)]


def test_first_line_after_silence():
    """After a silence the first line is a whole one."""
    buffer = LineBuffer(LOG)
    buffer.silence(SURE)
    buffer.feed(b"1659,93\r\n")
    assert taken(buffer) == [(b"1659,93", False)]


def test_line_that_breaks_off_does_not_join():
    """The head of a line is told, and the line after the silence is its own."""
    buffer = LineBuffer(LOG, sure=True)
    buffer.feed(b"16")
    buffer.silence(SURE)
    buffer.feed(b"675,22\r\n")
    assert taken(buffer) == [(b"16", True), (b"675,22", False)]


def test_doubtful_break_drops_both_sides():
    """After a short break nobody knows whether a tail or a line follows: it is not given."""
    buffer = LineBuffer(LOG, sure=True)
    buffer.feed(b"16")
    buffer.silence(TORN)
    buffer.feed(b"59,93\r\n675,22\r\n")
    assert taken(buffer) == [(b"16", True), (b"675,22", False)]


def test_hesitation_is_no_break():
    """A pause within a line, shorter than a break, leaves it whole."""
    buffer = LineBuffer(LOG, sure=True)
    buffer.feed(b"16")
    buffer.silence(TORN / 2)
    buffer.feed(b"59,93\r\n")
    assert taken(buffer) == [(b"1659,93", False)]


def test_flood_is_told_once():
    """Bytes without end are told one time, what ends them is dropped, the next line is given."""
    buffer = LineBuffer(LOG, sure=True)
    for _ in range(100):
        buffer.feed(b"x" * LONGEST)
    buffer.feed(b"59,93\r\n675,22\r\n")
    assert [trouble for _, trouble in taken(buffer)] == [True, False]


def test_long_line():
    """A line over the limit that came in one piece is refused, the next is given."""
    buffer = LineBuffer(LOG, sure=True)
    buffer.feed(b"1" * (LONGEST + 1) + b"\n675,22\n")
    assert taken(buffer) == [(b"1" * LONGEST, True), (b"675,22", False)]


def test_last_line_lacks_its_end():
    """At the end of a file what is there is a line."""
    buffer = LineBuffer(LOG, sure=True)
    buffer.feed(b"1,0\n2,0")
    buffer.finish()
    buffer.finish()
    assert taken(buffer) == [(b"1,0", False), (b"2,0", False)]


@given(st.lists(st.binary(max_size=200)), st.booleans())
def test_any_bytes(pieces, sure):
    """Whatever comes, lines are no longer than the limit and hold no line end."""
    buffer = LineBuffer(LOG, sure=sure)
    for piece in pieces:
        buffer.feed(piece)
    assert all(len(data) <= LONGEST and b"\n" not in data for data, _ in taken(buffer))


@given(st.lists(st.integers(0, 99_999), min_size=1), st.data())
def test_any_pieces(counts, data):
    """However the bytes are cut, the same lines come out."""
    sent = b"".join(b"%d,0\r\n" % count for count in counts)
    buffer = LineBuffer(LOG, sure=True)
    while sent:
        at = data.draw(st.integers(1, len(sent)))
        buffer.feed(sent[:at])
        sent = sent[at:]
    assert taken(buffer) == [(b"%d,0" % count, False) for count in counts]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\r\n"])
def test_line_ends(end):
    """Carriage returns belong to the end of a line."""
    buffer = LineBuffer(LOG, sure=True)
    buffer.feed(b"1,0" + end)
    assert taken(buffer) == [(b"1,0", False)]
