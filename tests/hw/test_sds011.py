"""What the frames of an SDS011 mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mysense.hw import sds011


@pytest.mark.parametrize(
    ("frame", "small", "large"),
    [
        ("aac0d4043a0aa1601dab", 123.6, 261.8),  # the example of the data sheet
        ("aac0060006000a0016ab", 0.6, 0.6),
        ("aac00f270f270a0076ab", 999.9, 999.9),
        ("aac00000000058d931ab", 0.0, 0.0),
    ],
)
def test_measurements(frame, small, large):
    """Low byte first, in tenths."""
    data = bytes.fromhex(frame)
    assert (sds011.good(data), sds011.masses(data)) == (True, (small, large))


@pytest.mark.parametrize(
    "frame",
    [
        "aac0d4043a0aa1601eab",  # sum
        "aac0d4043a0aa1601daa",  # tail
        "abc0d4043a0aa1601dab",  # head
        "aacfd4043a0aa1601dab",  # an SDS198
    ],
)
def test_no_frames(frame):
    """One wrong byte, and it is none."""
    assert not sds011.good(bytes.fromhex(frame))


@given(st.integers(0, 9999), st.integers(0, 9999))
def test_there_and_back(small, large):
    """What a measurement says is what was put into it."""
    assert sds011.masses(sds011.measurement(small / 10, large / 10)) == (small / 10, large / 10)


def test_commands():
    """Those of the data sheet, to the byte."""
    assert [sds011.command(what).hex() for what in (sds011.WAKE, sds011.period(1))] == [
        "aab406010100000000000000000000ffff06ab",
        "aab408010100000000000000000000ffff08ab",
    ]


def test_answer():
    """It says which period was set, and is no measurement."""
    answer = sds011.answer(sds011.command(sds011.period(5)), b"\xa1\x60")
    assert (answer.hex(), sds011.asked(answer), sds011.masses(answer), sds011.good(answer)) == (
        "aac508010500a1600fab",
        5,
        None,
        True,
    )


def test_answer_to_nonsense():
    """What is no command is not answered."""
    assert sds011.answer(b"\xaa" * 19) == b""
