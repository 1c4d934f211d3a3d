"""For how long something has failed, by those who tried it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Trials:
    """Trials to write into a database.

    A full disk is not counted: it mends itself when somebody makes room, and nothing else helps.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.failing_for = 0.0
        """Seconds from the first to the last failure since the last success."""
        self._clock = clock
        self._since: float | None = None

    @contextmanager
    def trial(self) -> Iterator[None]:
        """What is done within is one trial; its error is passed on."""
        try:
            yield
        except sqlite3.Error as wrong:
            if getattr(wrong, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
                now = self._clock()
                self._since = now if self._since is None else self._since
                self.failing_for = now - self._since
            raise
        else:
            self._since, self.failing_for = None, 0.0
