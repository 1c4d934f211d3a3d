"""Health: how it goes with an output, for the log, for the journal and for the next pause."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import suppress

from mysense.backoff import Backoff
from mysense.journal import Journal

_NOTE_EVERY = 10.0  # seconds between two notes in the journal that an output still fails


class Health:
    """What went wrong with one output, and how long to wait.

    Args:
        name: of the output.
        journal: where `mysense status` finds it.
        log: where it is told.
        backoff: counts the failures.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        journal: Journal,
        log: logging.Logger,
        backoff: Backoff,
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._journal = journal
        self._log = log
        self._clock = clock
        self._backoff = backoff
        self._noted_at: float | None = None
        self._noted_failures = 0
        self.stopped: str | None = None
        """Why this output has given up; cleared by who lets it try again."""

    @property
    def good(self) -> bool:
        """Whether nothing goes wrong."""
        return not (self._backoff.failures or self.stopped)

    @property
    def left(self) -> float:
        """Seconds to wait before the next try."""
        return self._backoff.left

    def failed(self, reason: str, after: float | None = None, *, alarm: bool = False) -> float:
        """One more failure, see `Backoff.failed`; returns the seconds to wait."""
        pause = self._backoff.failed(reason, after, alarm=alarm)
        failures, now = self._backoff.failures, self._clock()
        if self._noted_at is None or now - self._noted_at >= _NOTE_EVERY:
            with suppress(sqlite3.Error, OSError):  # perhaps the journal fails: later then
                self._journal.fail(self._name, reason, failures - self._noted_failures)
                self._noted_at, self._noted_failures = now, failures
        return pause

    def recovered(self) -> None:
        """It works."""
        if self._backoff.failures:
            left = self._backoff.failures - self._noted_failures
            self._journal.recovered(self._name, left)
            self._backoff.recovered()
            self._noted_at, self._noted_failures = None, 0

    def give_up(self, reason: str) -> None:
        """It cannot work until somebody mends it."""
        self.stopped = reason
        with suppress(sqlite3.Error, OSError):  # the journal fails too: the log line is left
            self._journal.fail(self._name, f"stopped: {reason}", 1)
        self._log.error("%s; this output is stopped, its telegrams wait in the journal", reason)
