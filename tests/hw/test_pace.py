"""The rest between two measurements."""

import threading
import time

import pytest

from mysense.hw.pace import Pace
from mysense.plugin import Transient
from tests.hw.clock import VirtualClock


def test_waits_for_the_rest():
    """It waits for what is left of the pause, and not at all when that is over."""
    clock, waits = VirtualClock(), []

    def wait(seconds):
        waits.append(seconds)
        clock.now += seconds
        return False

    pace = Pace(2.5, clock, wait)
    for elapsed in (0, 1, 2.5, 100):
        clock.now += elapsed
        pace.next()
    assert waits == [1.5]


def test_ended_from_outside():
    """A wait ends when another thread says so."""
    pace = Pace(60)
    pace.next()
    threading.Timer(0.1, pace.stop.set).start()
    begin = time.monotonic()
    with pytest.raises(Transient):
        pace.next()
    assert time.monotonic() - begin < 5
