"""The rest that a sensor needs between two measurements."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mysense.plugin import Transient


class Pace:
    """Lets a measurement begin no sooner than so many seconds after the one before.

    Args:
        seconds: from the beginning of one to that of the next.
        clock: monotonic seconds.
        wait: lets so many seconds pass, returns True when ended from outside; `stop` unless given.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.stop = threading.Event()
        self._seconds = seconds
        self._clock = clock
        self._wait = wait or self.stop.wait
        self._last: float | None = None

    def next(self) -> float:
        """Wait until the next one may begin; returns the clock's seconds then.

        Raises:
            Transient: `stop` was set.
        """
        if self._last is not None:
            left = self._last + self._seconds - self._clock()
            if left > 0 and self._wait(left):
                raise Transient("ended from outside")
        self._last = self._clock()
        return self._last
