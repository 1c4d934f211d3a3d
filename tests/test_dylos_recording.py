"""The real lines of a Dylos from its serial port to the journal, on a clock of a line a minute."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mysense.application import ProcessSettings
from mysense.hw.sim_dylos import SimDylos
from mysense.journal import Journal
from mysense.journal.view import View
from mysense.plugin import READING
from mysense.sampling import Sampling
from mysense.telegram import Ident
from sensors.MyDYLOS import DylosSensor, DylosSettings
from tests.virtual import VirtualClock

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "dylos-input.txt"
MADE = "675,22\n336,0\n1659,93\n1660,94\n511,21\n"
START = 1_600_000_000


class Street(VirtualClock):
    """A Dylos that says these lines, a minute each, and the kit's clock, which moves with it.

    A minute passes from reading to reading; before the first line, some seconds whenever the driver
    looks at the clock: it hears that there is a silence first.
    """

    def __init__(self, lines):
        super().__init__(wall=START)
        self.left, self.stop = list(lines), threading.Event()
        self.far = SimDylos(self.say, pace=60.0, clock=lambda: self.now)
        self.waits = True

    def say(self):
        self.waits = False
        return self.left.pop(0) if self.left else None

    def look(self):
        """What the driver sees of the clock."""
        if self.waits:
            self.pass_by(20.0)
        return self.now

    def wait(self, stop, seconds):
        if not self.left:  # the one that was just read was the last
            stop.set()
        self.pass_by(max(60.0, seconds))
        return stop.is_set()

    def pass_by(self, seconds):
        self.now += seconds
        self.far.step()


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def kit(journal, street, **settings):
    """A kit with the real driver at the near end of the street's pty."""
    settings = DylosSettings(input=True, port=str(street.far.port), **settings)
    dylos = DylosSensor(settings, "dylos", street.look)
    ident = Ident(project="p", serial="1")
    sampling = Sampling(ident, [dylos], ProcessSettings(), street)
    sampling.attach(journal, once=False)
    return sampling


def stored(journal):
    with View(journal.path) as view:
        return [dict(row.telegram.data) for row in view.rows(0, 10**6, 10**9)]


def recorded(journal, lines):
    """What is in the journal after a Dylos has said these lines."""
    street = Street(lines)
    try:
        kit(journal, street, interval=READING).samplers[0].run(street.stop)
    finally:
        street.far.close()
    return stored(journal)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(MADE, id="made"),
        pytest.param(
            REAL.read_text() if REAL.exists() else "",
            id="real",
            marks=pytest.mark.skipif(not REAL.exists(), reason="recording is not here"),
        ),
    ],
)
def test_every_line_is_in_the_journal(text, journal):
    """With `interval = reading` each line is a telegram, in order, a minute from the one before."""
    lines = text.split()
    counts = [tuple(map(float, line.split(","))) for line in lines]
    found = recorded(journal, lines)
    times = [data["time"] for data in found]
    assert [(data["pm_25"], data["pm_10"]) for data in found] == counts
    assert times == list(range(times[0], times[0] + 60 * len(lines), 60))


def test_two_lines_in_one_interval_and_none_in_the_next(journal):
    """The mean, then no telegram: nothing of the old lines is in the one after."""
    street = Street(["600,20", "610,30", "700,40"])
    sampling = kit(journal, street, interval=120.0)
    (sampler,) = sampling.samplers
    try:
        sampling.tick()
        sampler.read()
        street.pass_by(60.0)
        sampler.read()
        sampling.tick()
        street.left.insert(0, None)
        street.left.insert(0, None)
        street.pass_by(120.0)
        sampling.tick()
        street.pass_by(60.0)
        sampler.read()
        street.pass_by(60.0)
        sampling.tick()
    finally:
        sampler.sensor.close()
        street.far.close()
    assert [(data["pm_25"], data["pm_10"]) for data in stored(journal)] == [(605, 25), (700, 40)]
