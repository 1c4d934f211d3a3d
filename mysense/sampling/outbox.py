"""What was measured, on its way into the journal: with its time, or to wait there for it."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Mapping

from mysense.backoff import Backoff
from mysense.clock import Clock
from mysense.journal import Journal, missing
from mysense.journal.undated import Measured
from mysense.sampling.dating import Dating, Report
from mysense.telegram import Ident, Telegram, Value
from mysense.trust import Hold, Trust

KEPT = 10_000  # telegrams in memory while the journal cannot be written; a week of minutes
_log = logging.getLogger("mysense.sampling")


class Outbox:
    """Takes what the intervals give, and commits it as soon as the journal can be written.

    Args:
        ident: who this kit is.
        source: the name of the input.
        clock: what to go by.
        trust: whether the wall clock is right; None believes it as it is.
        report: where events go.
    """

    def __init__(
        self, ident: Ident, source: str, clock: Clock, trust: Trust | None, report: Report
    ) -> None:
        self._ident = ident
        self._source = source
        self._clock = clock
        self._dating = Dating(ident, clock, trust, report)
        self._journal: Journal | None = None
        self._dated: deque[Telegram] = deque()
        self._undated: deque[Measured] = deque()  # all are younger than those with a time
        self._ended = float("-inf")  # when the last interval did
        self._lost: tuple[int, int, int] | None = None  # first and last time, how many
        self._lock = threading.RLock()
        self._failing = Backoff(_log, 60.0)

    def attach(self, journal: Journal, *, once: bool, max_mb: float) -> None:
        """Say where telegrams go; see `Dating.attach`."""
        with self._lock:
            self._dating.attach(journal, once=once, max_mb=max_mb)
            self._journal = journal

    @property
    def in_memory(self) -> int:
        """How many telegrams the journal has not taken yet."""
        return len(self._dated) + len(self._undated)

    @property
    def hold(self) -> Hold | None:
        """Why telegrams wait for their time; None where they get it at once."""
        return self._dating.hold

    @property
    def waiting(self) -> bool:
        """Whether something has no time yet."""
        return self._dating.waits or bool(self._undated)

    @property
    def ahead(self) -> float:
        """Seconds until the next telegram would not share its second with the last one."""
        if self.hold or self.waiting:
            return self._ended + 1 - self._clock.boottime()
        return self._dating.ahead

    def put(self, values: Mapping[str, Value]) -> int | None:
        """Take what an interval gave that ends now; returns its time, where it has one already."""
        now = Measured(self._ident, values, self._clock.boottime(), self._clock.wall())
        with self._lock:
            self._ended = now.elapsed
            if self._journal is None:  # it knows after which time this kit goes on
                self._undated.append(now)
                self._forget()
                return None
            self._dating.look()
            if self.hold or self.waiting:
                self._undated.append(now)
                return None
            telegram = now.at(self._dating.stamp(now.elapsed))
            self._dated.append(telegram)
            return telegram.time

    def stamp(self, values: Mapping[str, Value]) -> Telegram:
        """A telegram with the time that the clock shows; it goes nowhere."""
        now = self._clock.boottime()
        return Measured(self._ident, values, now, 0.0).at(self._dating.stamp(now))

    def accept(self) -> bool:
        """Take the clock for right, because a person says so; returns whether it was in doubt."""
        with self._lock:
            return self._journal is not None and self._dating.accept(self._journal)

    def save(self) -> bool:
        """Commit what was measured; what the journal cannot take now is kept for the next time."""
        with self._lock:
            if self._journal is None:
                return True
            self._dating.look()
            try:
                self._store(self._journal)
            except sqlite3.Error as wrong:
                self._failing.failed(f"journal: {wrong}; telegrams are kept in memory")
                self._forget()
                return False
            self._failing.recovered()
            return True

    def _store(self, journal: Journal) -> None:
        dating = self._dating
        if self._lost:
            with journal.transaction() as db:
                reason = "the journal could not be written, and there was no room in memory"
                missing.give_up(db, self._ident.kit, self._lost, journal.now(), reason)
            self._lost = None
        dating.settle(journal)
        self._append(journal)
        if dating.waits and not self.hold:
            dating.drain(journal, self._source)
        if self._undated and (self.hold or dating.waits):
            dating.keep(journal, list(self._undated))
            self._undated.clear()
        while self._undated:
            oldest = self._undated.popleft()
            self._dated.append(oldest.at(dating.stamp(oldest.elapsed)))
        self._append(journal)

    def _append(self, journal: Journal) -> None:
        if self._dated:
            journal.append(list(self._dated), source=self._source)
            self._dated.clear()

    def _forget(self) -> None:
        """Stay within the memory that there is."""
        while self.in_memory > KEPT:
            oldest = self._dated.popleft() if self._dated else self._undated.popleft()
            time = oldest.time if isinstance(oldest, Telegram) else int(oldest.wall)
            first, last, count = self._lost or (time, time, 0)
            self._lost = min(first, time), max(last, time), count + 1
            _log.error("no room left in memory either: lost the telegram of %d", time)
