"""The simulated Dylos, as pyserial sees it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import serial

from mysense.hw.faults import Faults
from mysense.hw.scenario import Scenario
from mysense.hw.sim_dylos import SimDylos, scenario
from mysense.hw.sim_port import KINDS
from tests.hw.clock import VirtualClock


def held():
    """How many descriptors and threads this process has."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


class Street:
    """A simulated Dylos on a virtual clock, and what its port has given."""

    def __init__(self, script="", pace=10.0):
        self.clock = VirtualClock()
        faults = Faults.parse(script, KINDS, self.clock)
        self.dylos = SimDylos(lambda: "675,22", faults, pace, self.clock)

    def pass_by(self, seconds, step=0.05):
        """Let time pass, in small steps, and return what arrived."""
        with serial.Serial(str(self.dylos.port), 9600, timeout=0.1) as port:
            for _ in range(round(seconds / step)):
                self.clock.now += step
                self.dylos.step()
            return port.read(4096)


@pytest.fixture
def street(request):
    street = Street(getattr(request, "param", ""))
    yield street
    street.dylos.close()


def test_lines(street):
    """A line comes at every pace."""
    assert street.pass_by(30.1) == b"675,22\r\n" * 3


@pytest.mark.parametrize(
    ("street", "arrives"),
    [
        ("15s silence 10s", b"675,22\r\n" * 2),
        ("15s partial 10s", b"675,22\r\n675,675,22\r\n"),
        ("0s slow", b"675,22\r\n" * 3),
    ],
    indirect=["street"],
)
def test_faults(street, arrives):
    """What the script says goes wrong, at its time."""
    assert street.pass_by(30.5) == arrives


@pytest.mark.parametrize("street", ["0s slow"], indirect=True)
def test_slow_is_byte_by_byte(street):
    """In the middle of a slow line only its head is there."""
    assert 0 < len(street.pass_by(10.2)) < 8


@pytest.mark.parametrize("street", ["0s garbage"], indirect=True)
def test_garbage_is_never_a_line(street):
    """Garbage has not one character of ASCII but the line end."""
    assert all(byte > 127 for byte in street.pass_by(30.1).replace(b"\r\n", b""))


@pytest.mark.parametrize("street", ["10s unplug 10s"], indirect=True)
def test_unplug_and_return(street):
    """Unplugged, an open port fails and the link is gone; then both are back."""
    with serial.Serial(str(street.dylos.port), 9600, timeout=1) as port:
        street.clock.now += 10
        street.dylos.step()
        with pytest.raises(serial.SerialException):
            port.read()
    gone = not street.dylos.port.is_symlink()
    street.clock.now += 10
    street.dylos.step()
    assert (gone, street.pass_by(10.1)) == (True, b"675,22\r\n")


def test_scenario():
    """It says what is in the air of the moment."""
    air = Scenario().at(8 * 3600)
    assert scenario(lambda: 8 * 3600.0)() == f"{air.small},{air.large}"


def test_nobody_reads():
    """A full buffer loses lines, as an adapter does, and blocks nothing."""
    clock = VirtualClock()
    with SimDylos(lambda: "675,22", pace=1.0, clock=clock) as dylos:
        clock.now += 100_000
        dylos.step()
        assert dylos.port.exists()


def test_nothing_is_left():
    """Closed, twice too, it leaves no descriptor, no thread and no folder."""
    before = held()
    dylos = SimDylos(lambda: "675,22")
    dylos.start()
    dylos.close()
    dylos.close()
    assert (held(), dylos.links.exists()) == (before, False)
