"""Backing off: how long to wait after a failure, and what to say about it."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from math import isnan

from mysense.text import counted

_DOUBLINGS = 20  # of a second, which is longer than anybody waits
Jitter = Callable[[float], float]
"""A random number from 0 to its argument."""


def full_jitter(most: float) -> float:
    """Spread the tries of many kits evenly, so that a server that returns is not run over."""
    return random.uniform(0, most)  # noqa: S311  # spreads load, keeps no secret


class Backoff:
    """Counts failures in a row. The first is logged, then it is quiet until it works again.

    Args:
        log: where to say it.
        most: longest wait in seconds when the other side does not ask for one.
        clock: monotonic seconds.
        jitter: see `Jitter`.
    """

    def __init__(
        self,
        log: logging.Logger,
        most: float,
        clock: Callable[[], float] = time.monotonic,
        jitter: Jitter = full_jitter,
    ) -> None:
        self.failures = 0
        self._log = log
        self._most = most
        self._clock = clock
        self._jitter = jitter
        self._until = float("-inf")
        self._alarmed = False

    @property
    def left(self) -> float:
        """Seconds that are left to wait."""
        return max(0.0, self._until - self._clock())

    def failed(self, reason: str, after: float | None = None, *, alarm: bool = False) -> float:
        """One more failure; returns the seconds to wait.

        Args:
            reason: what went wrong.
            after: seconds that the other side asked for; 1 s to 1 h are honoured.
            alarm: whether somebody has to mend it: said as an error, also when it comes later.
        """
        self.failures += 1
        if self.failures == 1:
            self._since = self._clock()
        if alarm and not self._alarmed:
            self._log.error("%s; trying again", reason)
            self._alarmed = True
        elif self.failures == 1:
            self._log.warning("%s; trying again", reason)
        if after is None or isnan(after):
            ceiling = min(self._most, 2.0 ** min(self.failures - 1, _DOUBLINGS))
            pause = max(0.05, self._jitter(ceiling))
        else:
            pause = min(max(after, 1.0), 3600.0)
        self._until = self._clock() + pause
        return pause

    def recovered(self) -> None:
        """It works; said once where it did not before."""
        if self.failures:
            took = self._clock() - self._since
            failures = counted(self.failures, "failures")
            self._log.warning("works again after %s in %.0f s", failures, took)
        self.failures, self._until, self._alarmed = 0, float("-inf"), False
