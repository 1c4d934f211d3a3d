"""The clocks that sampling goes by; a test brings its own."""

from __future__ import annotations

import threading
import time


class Clock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Seconds that never jump; what intervals are measured with."""
        return time.monotonic()

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
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = self._seen = clock.wall() - clock.monotonic()
        self._last = 0

    @property
    def ahead(self) -> float:
        """Seconds until the next telegram would not share its second with the last one."""
        return self._last + 1 - (self._clock.monotonic() + self._offset)

    def next(self) -> tuple[int, float]:
        """The time of a telegram that ends now, and by how many seconds the clock was set since."""
        now = self._clock.monotonic()
        offset = self._clock.wall() - now
        jump, self._seen = offset - self._seen, offset
        if int(now + offset) > self._last:
            self._offset = offset
        self._last = max(int(now + self._offset), self._last + 1)
        return self._last, jump if abs(jump) > JUMP else 0.0


JUMP = 2.0  # seconds between two telegrams that are not yet a jump, but a clock being regulated
