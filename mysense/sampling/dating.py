"""The times of a kit's own telegrams: given at once, or when the clock can be trusted.

What has to wait stays in the journal meanwhile (`mysense.journal.undated`); when the clock is
trusted it gets its times, in order, before anything newer does.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence

import attrs

from mysense.clock import Clock, Seconds
from mysense.journal import Journal, undated
from mysense.journal.undated import CHUNK, Kept, Measured
from mysense.telegram import Ident
from mysense.trust import Anchor, Hold, Trust

Report = Callable[[str, str, str], None]
"""Writes an event down: who, kind, text."""

_REMIND = 3600.0  # seconds after which it is said again that telegrams wait
_MOVED = 60.0  # seconds by which the clock was regulated before that is worth a write
_TRIM_EVERY = 60  # times that something was kept
_log = logging.getLogger("mysense.clock")


class Dating:
    """Gives telegrams their times; driven by `Outbox`, which holds a lock.

    Args:
        ident: who this kit is.
        clock: what to go by.
        trust: whether the wall clock is right; None believes it as it is.
        report: where events go.
    """

    def __init__(self, ident: Ident, clock: Clock, trust: Trust | None, report: Report) -> None:
        self.hold: Hold | None = None
        """Why telegrams wait for their time; None where they get it at once."""
        self.waits = False
        """Whether the journal has some that wait."""
        self._ident = ident
        self._clock = clock
        self._trust = trust
        self._report = report
        self._seconds = Seconds(clock)
        self._limit = float("inf")
        self._former: Anchor | None = None  # of an earlier start, whose telegrams may wait yet
        self._noted: tuple[Hold | None, Anchor | None] = None, None  # what the journal has
        self._buried = False
        self._kept = 0
        self._said = float("-inf")

    def attach(self, journal: Journal, *, once: bool, max_mb: float) -> None:
        """Go on after the newest telegram that the journal has of this kit.

        Args:
            journal: open for writing.
            once: somebody wants one telegram now, with the time that the clock shows.
            max_mb: megabytes that the journal may hold.
        """
        if self._trust is None:
            return
        if once:
            self._trust.take_as_it_is()
        self._limit = max_mb
        self._noted = hold, anchor = _recall(journal)
        self._trust.resume(anchor)
        if anchor is not None and anchor.boot != self._trust.boot:
            self._former = anchor
        self._seconds = Seconds(self._clock, undated.newest(journal, self._ident))
        self.waits = bool(undated.oldest(journal, 1))
        self.hold = hold

    # -- the clock -------------------------------------------------------------------------------

    def look(self) -> None:
        """See whether the clock is trusted now, and tell where that has changed."""
        before, jump = self.hold, self._seconds.jump()
        self.hold = self._trust.look(self._seconds.last) if self._trust else None
        if self.hold is not None:
            self._tell_hold(self.hold, new=before is None or before.kind != self.hold.kind)
        elif before is not None:
            self._said = float("-inf")
            self._seconds = Seconds(self._clock, self._seconds.last)  # what it showed was wrong
            _log.warning("the clock is trusted now")
            self._report("clock", "trusted", "the clock is trusted now")
        elif jump:
            text = f"the clock was set by {jump:+.0f} s"
            _log.warning("%s", text)
            self._report("clock", "jump", text)

    def _tell_hold(self, hold: Hold, *, new: bool) -> None:
        now = self._clock.monotonic()
        if new:
            self._report("clock", "held", f"telegrams wait for the right time: {hold.text}")
        if new or now - self._said >= _REMIND:
            self._said = now
            _log.warning("telegrams wait for the right time: %s; to do: %s", hold.text, hold.fix)

    def stamp(self, elapsed: float) -> int:
        """The time of an interval that ended at `elapsed` of the boot-time clock."""
        return self._seconds.date(elapsed)

    @property
    def ahead(self) -> float:
        """Seconds until the next telegram would not share its second with the last one."""
        return self._seconds.ahead(self._clock.boottime())

    def accept(self, journal: Journal) -> bool:
        """Take the clock for right, because a person says so; returns whether it was in doubt."""
        self.look()
        if self._trust is None or self.hold is None or self.hold.kind == "unbelievable":
            return False
        self._trust.accept()
        undated.accept(journal, self._clock.wall())
        self._seconds = Seconds(self._clock, undated.newest(journal, self._ident))
        return True

    # -- the journal -----------------------------------------------------------------------------

    def settle(self, journal: Journal) -> None:
        """Do what the journal needs before anything else is written."""
        if self._trust is None:
            return
        if not self._buried:
            self._bury(journal)
        hold, noted = self._noted
        anchor = self._former or self._trust.anchor
        if _kind(self.hold) != _kind(hold) or _differ(anchor, noted):
            _remember(journal, self.hold, anchor)
            self._noted = self.hold, anchor

    def _bury(self, journal: Journal) -> None:
        assert self._trust is not None
        boots = [self._trust.boot, *([self._former.boot] if self._former else [])]
        count = undated.bury(journal, boots) if self.waits else 0
        self.waits = self.waits and bool(undated.oldest(journal, 1))
        self._buried = True
        if count:
            text = f"{count} telegrams of an earlier start have no time and are dead letters now"
            _log.error("%s: the machine was switched off before its clock was right", text)
            self._report("clock", "unknown", text)

    def keep(self, journal: Journal, many: Sequence[Measured]) -> None:
        """Let these wait in the journal."""
        assert self._trust is not None
        undated.keep(journal, self._trust.boot, many)
        self.waits = True
        if self._kept % _TRIM_EVERY == 0:
            undated.trim(journal, self._limit)
        self._kept += 1

    def drain(self, journal: Journal, source: str) -> None:
        """Give their times to some that wait in the journal, oldest first."""
        rows, last = undated.oldest(journal, CHUNK), self._seconds.last
        try:
            times = [self._date(row) for row in rows]
            undated.date(journal, rows, times, source=source)
        except sqlite3.Error:
            self._seconds.last = last
            raise
        self.waits = len(rows) == CHUNK
        if rows:
            self._tell_dated(rows)
        if not self.waits and self._former is not None:
            self._former = None
            self._seconds = Seconds(self._clock, self._seconds.last)

    def _date(self, row: Kept) -> int:
        former = self._former
        foreign = former is not None and former.boot == row.boot
        return self._seconds.date(
            row.measured.elapsed, former.offset if former and foreign else None
        )

    def _tell_dated(self, rows: Sequence[Kept]) -> None:
        first = rows[0].measured
        moved = self._clock.wall() - self._clock.boottime() - (first.wall - first.elapsed)
        text = f"{len(rows)} telegrams that waited have their time, {moved:+.0f} s"
        _log.warning("%s", text)
        self._report("clock", "dated", text)


def _kind(hold: Hold | None) -> str:
    return hold.kind if hold else ""


def _differ(anchor: Anchor | None, noted: Anchor | None) -> bool:
    if anchor is None or noted is None:
        return anchor is not noted
    same = (anchor.boot, anchor.sure) == (noted.boot, noted.sure)
    return not same or abs(anchor.offset - noted.offset) > _MOVED


def _recall(journal: Journal) -> tuple[Hold | None, Anchor | None]:
    kept = undated.recall(journal, "clock") or {}
    hold, anchor = kept.get("hold"), kept.get("anchor")
    try:
        return hold and Hold(*hold), anchor and Anchor(*anchor)
    except TypeError:  # a damage has spoiled it: as if it was not there
        return None, None


def _remember(journal: Journal, hold: Hold | None, anchor: Anchor | None) -> None:
    value = {"hold": hold and attrs.astuple(hold), "anchor": anchor and attrs.astuple(anchor)}
    with journal.transaction() as db:
        undated.remember(db, "clock", value)
