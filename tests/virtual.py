"""A clock that moves only when somebody waits or says so, and a sensor that reads from a script."""

from __future__ import annotations

from collections import deque

from mysense.clock import Clock
from mysense.plugin import Field, Sensor, SensorSettings


class VirtualClock(Clock):
    """All clocks in the hands of a test."""

    def __init__(self, wall=1_600_000_000.0):
        self.now = 1000.0
        self.offset = wall - self.now

    def monotonic(self):
        return self.now

    def boottime(self):
        return self.now

    def wall(self):
        return self.now + self.offset

    def wait(self, stop, seconds):
        self.now += seconds
        return stop.is_set()


class Scripted(Sensor[SensorSettings]):
    """Gives what its script says: a value, a mapping, or an error to raise; then 20 for ever."""

    Settings = SensorSettings
    fields = (Field("temp", "C", "thermo", -40.0, 85.0, digits=1),)

    def __init__(self, *script, section="thermo", fields=None, **settings):
        super().__init__(SensorSettings(input=True, **settings), section)
        self.script, self.opened, self.closed = deque(script), 0, 0
        if fields is not None:
            self.fields = fields

    def open(self):
        self.opened += 1

    def read(self):
        step = self.script.popleft() if self.script else 20.0
        if isinstance(step, BaseException):
            raise step
        return step if step is None or isinstance(step, dict) else {"temp": step}

    def close(self):
        self.closed += 1
