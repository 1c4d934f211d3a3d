"""The clocks that sampling goes by, and the seconds that it names its telegrams by."""

from __future__ import annotations

import threading
import time


class Clock:
    """The machine's clocks; a test brings its own."""

    def monotonic(self) -> float:
        """Seconds that never jump; what intervals are measured with."""
        return time.monotonic()

    def boottime(self) -> float:
        """Seconds since this machine was started, those in which it slept too; they never jump."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        """Unix seconds, as right as this machine knows; may jump when somebody sets it."""
        return time.time()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait until `stop` is set, which is told, or so many seconds have passed."""
        return stop.wait(seconds)


class Seconds:
    """The times of a kit's own telegrams: whole seconds that never repeat and never run back.

    They follow the wall clock. Where that is set back, they go on as if it had not been, until it
    has caught up.

    Args:
        clock: what to go by.
        last: the newest time that the journal has of this kit.
    """

    def __init__(self, clock: Clock, last: int = 0) -> None:
        self._clock = clock
        self._seen = clock.wall() - clock.boottime()
        self._offset = max(self._seen, last - clock.boottime())
        self.last = last
        """The last time that was given, or that the journal has."""

    def ahead(self, elapsed: float) -> float:
        """Seconds until an interval that ends would not share its second with the last one."""
        return self.last + 1 - (elapsed + self._offset)

    def date(self, elapsed: float, offset: float | None = None) -> int:
        """The time of a telegram whose interval ended at `elapsed` of the boot-time clock.

        Args:
            elapsed: seconds of that clock.
            offset: Unix seconds when that clock began; as the wall clock has it now if not given.
        """
        if offset is None:
            offset = self._clock.wall() - self._clock.boottime()
        if int(elapsed + offset) > self.last:
            self._offset = offset
        self.last = max(int(elapsed + self._offset), self.last + 1)
        return self.last

    def jump(self) -> float:
        """By how many seconds the clock was set since this was last asked; 0 where it was not."""
        offset = self._clock.wall() - self._clock.boottime()
        jump, self._seen = offset - self._seen, offset
        return jump if abs(jump) > JUMP else 0.0


JUMP = 2.0  # seconds between two looks that are not yet a jump, but a clock being regulated
