"""Seconds of a kit: they follow the wall clock, never repeat and never run back."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mysense.clock import Clock, Seconds
from tests.virtual import VirtualClock

START = 1_600_000_000


def test_a_second_is_given_once():
    """Intervals that end in the same second get two."""
    seconds = Seconds(VirtualClock(START))
    assert [seconds.date(1000.0), seconds.date(1000.4)] == [START, START + 1]


def test_it_begins_after_the_newest():
    """At the pace of the clock, not a second at a time."""
    clock = VirtualClock(START)
    seconds = Seconds(clock, START + 500)
    assert [seconds.date(1060.0), seconds.date(1120.0)] == [START + 560, START + 620]


def test_it_follows_when_the_clock_has_caught_up():
    """From then on it is the wall clock again."""
    clock = VirtualClock(START)
    seconds = Seconds(clock, START + 50)
    clock.offset += 100
    assert seconds.date(1010.0) == START + 110


def test_the_boot_time_clock_goes_on():
    """It is the machine's, and no part of a second apart when asked twice."""
    clock = Clock()
    assert 0 <= clock.boottime() - clock.boottime() + 1 <= 1


@given(
    st.lists(
        st.tuples(st.floats(0.0, 5000.0), st.floats(-90_000.0, 90_000.0)), min_size=2, max_size=30
    ),
    st.integers(0, 2 * START),
)
def test_never_twice_and_never_back(steps, newest):
    """However the clock is set between any two intervals, and whatever the journal has."""
    clock = VirtualClock(START)
    seconds, times = Seconds(clock, newest), [newest]
    for passed, step in steps:
        clock.now += passed
        clock.offset += step
        times.append(seconds.date(clock.boottime()))
    assert all(before < after for before, after in pairwise(times))
