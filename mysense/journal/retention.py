"""What the journal lets go: by age what is delivered, by size the oldest delivered first."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable

import attrs

from mysense.journal.accounts import Journal
from mysense.journal.damage import Damaged
from mysense.journal.pruning import prune

_DAY = 86_400
_CHUNK = 1000  # telegrams a transaction: others get their turn in between
_PAGES = 8000  # given back to the disk at a time: 8 MB
_FULL = 0.8  # of max_mb, unsent: from there on inputs that can wait do
_EVERYTHING = 2**63 - 1
_GAPS = (
    "INSERT INTO gaps (output, kit, since, first, last, count, at, reason) {}"
    " ON CONFLICT (output, kit, since) DO UPDATE SET first = min(first, excluded.first),"
    " last = max(last, excluded.last), count = count + excluded.count, at = excluded.at"
)
_HOURS = (
    "INSERT INTO hours (source, hour, count)"
    " SELECT source, time / 3600, count(*) FROM telegrams WHERE seq <= ? GROUP BY 1, 2"
    " ON CONFLICT (source, hour) DO UPDATE SET count = count + excluded.count"
)
_ENDS = "SELECT (SELECT min(seq) FROM telegrams), (SELECT max(seq) FROM telegrams)"  # no scan
_log = logging.getLogger("mysense.journal")


def trim(
    journal: Journal,
    max_mb: float,
    keep_days: float,
    now: Callable[[], float] = time.time,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Let go of what may go; what is given up unsent is recorded as gaps.

    By age goes what every running output has settled. By size goes that too, and then whatever
    is oldest: telegrams that wait, are held, or are dead letters.

    Args:
        journal: open for writing.
        max_mb: megabytes that it may hold.
        keep_days: days that settled telegrams are kept.
        now: the wall clock.
        stop: whether to leave the rest for another time.

    Returns:
        how many telegrams were given up, summed over the outputs.
    """
    given_up, dropped, more = Counter[str](), False, True
    while more and not stop():
        with journal.transaction() as db:
            step = _Step(db, journal.delivered(db), now(), max_mb)
            more = step.drop_old(keep_days) or (journal.megabytes > max_mb and step.drop_oldest())
            db.execute("DELETE FROM events WHERE at < ?", (now() - keep_days * _DAY,))
            journal.full = step.share_unsent() * journal.megabytes > _FULL * max_mb
        given_up, dropped = given_up + step.given_up, dropped or more
    if dropped:
        prune(journal, now)
    journal.shrink(_PAGES)
    _tell(given_up, journal.idle(given_up), max_mb)
    return given_up.total()


def _tell(given_up: Counter[str], idle: set[str], max_mb: float) -> None:
    """Say what was given up; loudly what an output that runs has lost."""
    lost = sum(count for output, count in given_up.items() if output not in idle)
    if lost:
        _log.error(
            "the journal is over its limits (max_mb = %g): gave up %d of the oldest telegrams "
            "unsent, see the gaps in `mysense status`",
            max_mb,
            lost,
        )
    for output in sorted(idle):
        _log.info(
            "let go of %d telegrams that output %s, which is not switched on, has not sent",
            given_up[output],
            output,
        )


@attrs.define
class _Step:
    """One transaction's worth of letting go."""

    db: sqlite3.Connection
    delivered: int
    at: float
    max_mb: float
    given_up: Counter[str] = attrs.Factory(Counter)

    def drop_old(self, keep_days: float) -> bool:
        """Drop settled telegrams that came in too long ago, oldest first, up to a young one."""
        before = self.at - keep_days * _DAY
        (last,) = self.db.execute(
            "SELECT max(seq) FROM (SELECT seq, max(at) OVER (ORDER BY seq) AS latest FROM"
            " (SELECT seq, at FROM telegrams WHERE seq <= ? ORDER BY seq LIMIT ?))"
            " WHERE latest < ?",
            (self.delivered, _CHUNK, before),
        ).fetchone()
        if last is not None:
            self._drop(last, f"older than {keep_days:g} days")
        return last is not None

    def drop_oldest(self) -> bool:
        """Drop settled telegrams; where there are none, whatever came in first."""
        reason = f"the journal was over its limit of {self.max_mb:g} MB"
        last = self._end_of_chunk(self.delivered)
        if last is None and self._aside_is_oldest():
            self._drop_aside(reason)
            return True
        if last is None:
            last = self._end_of_chunk(_EVERYTHING)
        if last is not None:
            self._drop(last, reason)
        return last is not None

    def _end_of_chunk(self, upto: int) -> int | None:
        (last,) = self.db.execute(
            "SELECT max(seq) FROM (SELECT seq FROM telegrams WHERE seq <= ? ORDER BY seq LIMIT ?)",
            (upto, _CHUNK),
        ).fetchone()
        return None if last is None else int(last)

    def _aside_is_oldest(self) -> bool:
        aside = self.db.execute("SELECT at FROM aside ORDER BY id LIMIT 1").fetchone()
        waiting = self.db.execute("SELECT at FROM telegrams ORDER BY seq LIMIT 1").fetchone()
        return aside is not None and (waiting is None or aside[0] <= waiting[0])

    def _drop(self, last: int, reason: str) -> None:
        """Drop telegrams up to number `last`; to outputs that have not settled them, a gap."""
        db = self.db
        db.execute(  # a gap goes on where nothing was settled since
            "UPDATE outputs SET gap_from = cursor WHERE cursor < ? AND gap_upto IS NOT cursor",
            (last,),
        )
        self._record(
            "SELECT o.name, s.kit, o.gap_from, min(t.time), max(t.time), count(*), ?, ?"
            " FROM outputs o JOIN telegrams t ON t.seq > o.cursor AND t.seq <= ?"
            " JOIN sources s ON s.id = t.source GROUP BY o.name, s.kit",
            (self.at, reason, last),
        )
        db.execute("UPDATE outputs SET cursor = ?1, gap_upto = ?1 WHERE cursor < ?1", (last,))
        db.execute(_HOURS, (last,))
        if not db.execute("DELETE FROM telegrams WHERE seq <= ?", (last,)).rowcount:
            raise Damaged("telegrams that are there cannot be let go of")  # else for ever again

    def _drop_aside(self, reason: str) -> None:
        (last,) = self.db.execute(
            "SELECT max(id) FROM (SELECT id FROM aside ORDER BY id LIMIT ?)", (_CHUNK,)
        ).fetchone()
        self._record(
            "SELECT output, kit, -1, min(coalesce(time, at)), max(coalesce(time, at)), count(*),"
            " ?, ? FROM aside WHERE id <= ? GROUP BY output, kit",
            (self.at, reason, last),
        )
        self.db.execute("DELETE FROM aside WHERE id <= ?", (last,))

    def _record(self, gaps: str, values: tuple[object, ...]) -> None:
        before = self._gaps()
        self.db.execute(_GAPS.format(gaps), values)
        self.given_up += self._gaps() - before

    def _gaps(self) -> Counter[str]:
        return Counter(
            dict(self.db.execute("SELECT output, sum(count) FROM gaps GROUP BY output").fetchall())
        )

    def share_unsent(self) -> float:
        """Which part of the telegrams here still waits for some running output."""
        first, last = self.db.execute(_ENDS).fetchone()
        running = self.db.execute("SELECT count(*) FROM outputs").fetchone()[0]
        if first is None or not running:
            return 0.0
        return float((last - max(self.delivered, first - 1)) / (last - first + 1))
