"""Where reading stands in one database.

A database is read in bounded windows of time, as wide as its rows are sparse. Behind the newest
row an overlap is read again at every visit, so what arrives a little late is found; rows given
before are known by their digests.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from mysense.influx.columns import Columns
from mysense.influx.kits import Kits, OwnKit, SharingKits, Wanted
from mysense.influx.ledger import HOUR, Ledger
from mysense.influx.naming import quote_identifier
from mysense.influx.rows import Plan, Row
from mysense.influx.trail import Batch, Trail
from mysense.influx.trust import Trust
from mysense.telegram import DAY

if TYPE_CHECKING:
    from mysense.influx.windows import Window

_MARKS = 100_000  # rows that the ledger of a kit knows one by one: 400 kB
_MARKS_SHARED = 2_000_000  # that of many kits: 8 MB
HELD = 4  # windows that may wait to be counted once more
_OLDER = 2  # entries of a position that was kept before there were sweeps
_REMEMBERED = HELD + 3  # windows with rows; more than there are requests under way
WEEK = 7 * DAY  # the width of a shard, by default


@attrs.frozen
class Reach:
    """What holds for all databases that one subscriber reads.

    Attributes:
        bufsize: rows that one window may have.
        overlap: seconds behind the newest row that are read again.
        floor: the second at which reading began, or None for each database's own beginning.
        rp: retention policy, or "" for each database's default.
        sweep_days: of so many days what is read is written down by the hour; 0: of none.
        wanted: which kits, where kits share databases; None where each has its own.
    """

    bufsize: int = 10_000
    overlap: int = 120
    floor: int | None = None
    rp: str = ""
    sweep_days: int = 0
    wanted: Wanted | None = None

    def horizon(self, now: float) -> int | None:
        """The second from which on sweeps look for late rows, a full hour; None: nowhere."""
        if not self.sweep_days:
            return None
        since = (int(now) // HOUR - 24 * self.sweep_days) * HOUR
        return since if self.floor is None else max(since, self.floor)


@attrs.frozen
class Read:
    """A window that was read to its end: where, and of its rows the seconds and how many values."""

    low: int
    high: int
    seconds: array[int]
    values: array[int]

    @property
    def total(self) -> int:
        """How many values there are in it."""
        return sum(self.values)


class Cursor:
    """Where reading stands in one database. It asks by itself for whatever it has to know first.

    Args:
        database: its name, that of a kit unless kits share it.
        reach: what holds for all.
        entry: what `entry` gave before, or None.
        hours: what `ledger.entry` was before.
    """

    def __init__(
        self,
        database: str,
        reach: Reach,
        entry: Sequence[Any] | None = None,
        hours: str = "",
    ) -> None:
        self.database = database
        self.reach = reach
        self.failed = ""
        """Why this database cannot be read; empty where it can."""
        self.retry_at = 0.0
        self.told = ""
        """What somebody should know of it; whoever tells it empties it."""
        self._passed_over = ""
        self.turn = 0
        """Goes up when answers under way cease to count."""
        self._start(entry, hours)

    def _start(self, entry: Sequence[Any] | None, hours: str) -> None:
        self.entry = entry
        """The position in this database: `[second, [digests], hours]`, None: nothing read yet."""
        self.second: int | None = entry[0] if entry else None
        # of these digests only the upper limit of their seconds is known: they may leave together
        self.seen: dict[str, int] = dict.fromkeys(entry[1], entry[0]) if entry else {}
        fresh = entry[2] if entry and len(entry) > _OLDER else ""
        self.ledger = Ledger(hours, fresh, _MARKS_SHARED if self.reach.wanted else _MARKS)
        self.trail = Trail(self.ledger, self.resume_at if entry else None)
        self.kits = self._new_kits()
        self.columns: Columns | None = None
        self.plan = Plan(self.known)
        self.trust = self._new_trust()
        self.held: deque[Window] = deque()
        """Windows that were read, and what they give has to wait."""
        self.low: int | None = None
        """The second at which the next window begins; None until it is known."""
        self.width = DAY
        self.idle = False
        """Whether everything up to now has been read."""
        self.probed: object = None  # what was there when last looked
        self.missing = False
        """Whether the newest row that was given is not there any more."""
        self._missed: int | None = None  # the newest row that is known to be missing
        self.expected = self.reach.bufsize // 4
        self._read: list[Read] = []
        self._known: Counter[int] = Counter()
        self._disputed: tuple[int, int, int | None] | None = None
        self._chain: int | None = None  # where the windows now under way began
        self._planned: int | None = None
        self._until: int | None = None  # where the next window ends, if that is settled
        self._doubted: tuple[int, int, int] | None = None

    def _new_kits(self) -> Kits:
        wanted = self.reach.wanted
        return OwnKit(self.database) if wanted is None else SharingKits(self.database, wanted)

    def source(self, series: str) -> str:
        """`series` as FROM takes it."""
        rp = quote_identifier(self.reach.rp) if self.reach.rp else ""
        return f"{quote_identifier(self.database)}.{rp}.{quote_identifier(series)}"

    def next_range(self, now: float) -> tuple[int, int | None, int | None]:
        """The window to ask for next: its first second, and its end or None for up to now.

        May be called again before the answer to the one before came.

        Returns:
            also the second from which on to count what is before it, see `expect`, or None.
        """
        assert self.low is not None, "a window needs a beginning"
        if self._planned is None:
            self._chain = self.low
        low = self.low if self.read_upto is None else self.read_upto
        low = low if self._planned is None else self._planned  # 0 is a second like any other
        before = self._unsure
        end = low + self.width
        if self.width >= WEEK:  # end where shards do, as a rule: on Mondays
            end = (low + self.width + 3 * DAY) // WEEK * WEEK - 3 * DAY
        near = now - self.reach.overlap - 2  # two seconds, for clocks that differ
        reaches_now = end >= near and (self.width > 1 or end > now)
        if self._planned is None and self._until is not None:
            end, reaches_now = self._until, False
        self._planned = None if reaches_now else end
        return low, self._planned, before if before is not None and before < low else None

    @property
    def read_upto(self) -> int | None:
        """Where the next window to be taken begins."""
        return self.held[-1].high if self.held else self.low

    @property
    def _unsure(self) -> int | None:
        """The second from which on somebody may still have been writing when it was read.

        Whoever writes in the order of times was in the last window with a row, or after it.
        """
        if not self._read:
            return self._chain
        return next((w.low for w in reversed(self._read) if w.seconds), self._read[0].low)

    def note(self, window: Read) -> None:
        """A window was read to its end."""
        if self._read and self._read[-1].high != window.low:
            self._read = []
        self._read.append(window)
        full = [at for at, each in enumerate(self._read) if each.seconds]
        if len(full) > _REMEMBERED:  # what is under way may count from one of these
            del self._read[: full[-_REMEMBERED]]

    @property
    def doubt(self) -> tuple[int, int] | None:
        """From which second to before which one somebody may have written meanwhile."""
        return (self._read[0].low, self._read[-1].high) if self._read else None

    def settle(self, low: int, high: int, counted: int) -> bool:
        """So many values were counted there; whether that is what was read, or goes back to it.

        Whoever wants to be told that something is missing twice over is not believed: then it is
        the count that is wrong.
        """
        some = [window for window in self._read if low <= window.low and window.high <= high]
        if not some or some[0].low != low or some[-1].high != high:
            return True
        expected = sum(window.total for window in some)
        if expected == counted or self._disputed == (low, counted, expected):
            return True
        self._disputed = (low, counted, expected)
        self._known = Counter()
        for window in self._read:
            for second, values in zip(window.seconds, window.values, strict=True):
                self._known[second] += values
        self.advance(low)
        self.idle, self._read = False, []
        self.rewind()
        return False

    def unknown(self, rows: list[Row], values: Sequence[int]) -> list[Row]:
        """Of rows that are read again, those of seconds that have other values than before."""
        if not self._known:
            return rows
        now: Counter[int] = Counter()
        for row, count in zip(rows, values, strict=True):
            now[row[0]] += count
        known = self._known
        if rows and rows[-1][0] >= max(known):
            self._known = Counter()
        return [row for row in rows if known[row[0]] != now[row[0]]]

    def forget_read(self) -> None:
        """What was read is complete."""
        self._read = []

    def stands(self, low: int, counted: int, read: int) -> bool:
        """Whether rows from `low` on are whole: so many values were read, and counted after that.

        The server shows the values of a point one by one while it stores it. As with `settle`, a
        count that says the same twice over is not believed.
        """
        if counted == read or self._doubted == (low, counted, read):
            return True
        self._doubted = (low, counted, read)
        return False

    def shorten(self, low: int, until: int | None) -> None:
        """Ask again from `low` on, only up to before `until`: behind it is more than was read.

        What is held before `low` stays: else it was asked for anew, and cut off again, for ever.
        """
        before = [window for window in self.held if window.low < low]
        self.rewind()
        for window in before:
            window.turn = self.turn
        self.held.extend(before)
        self._until = until if until is not None and until > low else None

    def advance(self, low: int | None) -> None:
        """Everything before `low` was read."""
        self.low = low
        self._until = None

    def pass_over(self, why: str) -> None:
        """Do not read this database, as long as that is so."""
        if self._passed_over != why:
            self.told = f"not read: {why}"
        self.idle, self._passed_over = True, why

    def rewind(self) -> None:
        """Answers still under way do not count: ask again from `low` on."""
        self.turn += 1
        self._planned = None
        self.held.clear()

    def know(self, columns: Columns) -> None:
        """Name these columns from now on."""
        self.columns = self.known | columns
        self.plan = Plan(self.columns)
        self.trust = self._new_trust()

    @property
    def known(self) -> Columns:
        """The columns as far as they are known."""
        return self.columns or Columns(tagged=self.reach.wanted is not None)

    def _new_trust(self) -> Trust:
        return Trust(self.known, self.plan.tags_from)

    def follow(self, low: int, rows: Batch) -> None:
        """All rows from `low` on were read: `rows`, as far as a sweep will look at them."""
        if (since := self.resume_at) is not None:
            self.trail.read(low, rows, since)

    def write(self) -> None:
        """Make the entry anew."""
        fresh = self.ledger.fresh
        self.entry = [self.second, list(self.seen), *([fresh] if fresh else [])]

    def misses(self, rows: Sequence[Row]) -> bool:
        """Whether none of `rows`, read from `resume_at` on, was there when it was last read."""
        second = self.second
        if second is None or self._missed == second or (rows and rows[0][0] <= second):
            return False
        self.missing, self.idle = True, False
        self.rewind()
        return True

    def accept_missing(self, *, told: bool) -> None:
        """Reading goes on; told: because rows were deleted, others before them were not."""
        self.missing, self._missed = False, self.second
        self.told = told * (
            "the newest rows that were read are gone, older ones are not: somebody deleted "
            "some, or made it anew and filled it again; reading goes on where it was"
        )

    def begin_anew(self, why: str) -> None:
        """Read the database from its beginning, as if for the first time."""
        self.rewind()
        self._start(None, "")
        self.told = f"{why}; it was dropped, or all of it has expired: it is read anew"

    @property
    def resume_at(self) -> int | None:
        """The second from which on there may be rows that were not given yet, where known."""
        floor = self.reach.floor
        if self.second is None:
            return floor
        again = self.second - self.reach.overlap
        return again if floor is None else max(again, floor)
