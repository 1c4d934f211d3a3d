"""Whole frames out of bytes: in pieces, in garbage, after a break."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mysense.hw import sds011
from mysense.hw.framebuffer import FrameBuffer
from mysense.hw.pieces import TORN

FIRST, SECOND = sds011.measurement(0.6, 1.2), sds011.measurement(12.5, 999.9)


def made():
    return FrameBuffer(sds011.LENGTH, sds011.HEAD, sds011.good, logging.getLogger("test"))


def taken(buffer):
    pieces = [piece.trouble or piece.data for piece in buffer.ready]
    buffer.ready.clear()
    return pieces


def fed(*pieces):
    buffer = made()
    for piece in pieces:
        buffer.feed(piece)
    return taken(buffer)


@pytest.mark.parametrize("at", range(1, 10))
def test_opened_in_the_middle(at):
    """The tail of a frame is dropped, and the next one is given."""
    assert fed(FIRST[at:] + SECOND) == [SECOND]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xaa",
        b"\xaa\xaa\xaa",
        b"\xaa\xc0",
        FIRST[:9],
        FIRST[:8] + b"\0\xab",
        b"\xaa\xc1" + FIRST[2:],
        FIRST[:9] + b"\xaa",
        bytes(9),
    ],
)
def test_garbage_before_a_frame(garbage):
    """A frame right after garbage that looks like one is not lost with it; the garbage is told."""
    assert fed(FIRST, garbage + SECOND) == [FIRST, "not a frame", SECOND]


def test_frame_that_broke_off():
    """The head of a frame is told after a silence, and does not join with the next."""
    buffer = made()
    buffer.feed(FIRST + FIRST[:5])
    buffer.silence(TORN / 2)
    buffer.silence(TORN)
    buffer.silence(TORN)
    buffer.feed(SECOND)
    assert taken(buffer) == [FIRST, "the frame broke off", SECOND]


def test_flood():
    """Garbage without end is told frame by frame, and kept no longer than that."""
    buffer = made()
    for _ in range(1000):
        buffer.feed(b"\xaa" * 7)
    assert set(taken(buffer)) == {"not a frame"}
    assert len(buffer._other) + len(buffer._part) < 3 * sds011.LENGTH


@given(st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 9999))), st.data())
def test_any_pieces(tenths, data):
    """However the bytes are cut, the same frames come out."""
    frames = [sds011.measurement(small / 10, large / 10) for small, large in tenths]
    sent, buffer = b"".join(frames), made()
    while sent:
        at = data.draw(st.integers(1, len(sent)))
        buffer.feed(sent[:at])
        sent = sent[at:]
    assert taken(buffer) == frames


@given(st.lists(st.binary(max_size=60)))
def test_any_bytes(pieces):
    """Whatever comes, frames are whole and nothing grows; the frame after it is found."""
    buffer = made()
    for piece in pieces:
        buffer.feed(piece)
    buffer.feed(FIRST)
    assert buffer.ready[-1].data == FIRST
    assert all(sds011.good(p.data) for p in buffer.ready if not p.trouble)
