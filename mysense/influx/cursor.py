"""Where reading stands in one database.

A database is read in bounded windows of time, as wide as its rows are sparse. Behind the newest
row an overlap is read again at every visit, so what arrives a little late is found; rows given
before are known by their digests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from mysense.influx.columns import Columns
from mysense.influx.idents import Idents, InfoReader
from mysense.influx.naming import quote_identifier
from mysense.influx.rows import Plan
from mysense.telegram import DAY

WEEK = 7 * DAY  # the width of a shard, by default


@attrs.frozen
class Reach:
    """What holds for all databases that one subscriber reads.

    Attributes:
        bufsize: rows that one window may have.
        overlap: seconds behind the newest row that are read again.
        floor: the second at which reading began, or None for each database's own beginning.
        rp: retention policy, or "" for each database's default.
    """

    bufsize: int = 10_000
    overlap: int = 120
    floor: int | None = None
    rp: str = ""


class Cursor:
    """Where reading stands in one database. It asks by itself for whatever it has to know first.

    Args:
        database: its name, that of a kit.
        reach: what holds for all.
        entry: what `entry` gave before, or None.
    """

    def __init__(self, database: str, reach: Reach, entry: Sequence[Any] | None = None) -> None:
        self.database = database
        self.reach = reach
        self.entry = entry
        """The position in this database: `[second, [digests]]`, or None: nothing read yet."""
        self.second: int | None = entry[0] if entry else None
        # of these digests only the upper limit of their seconds is known: they may leave together
        self.seen: dict[str, int] = dict.fromkeys(entry[1], entry[0]) if entry else {}
        self.infos = InfoReader(database)
        self.idents = Idents(self.infos.plain)
        self.columns: Columns | None = None
        self.plan = Plan(Columns())
        self.low: int | None = None
        """The second at which the next window begins; None until it is known."""
        self.width = DAY
        self.idle = False
        """Whether everything up to now has been read."""
        self.probed: object = None  # what was there when last looked
        self.failed = ""
        """Why this database cannot be read; empty where it can."""
        self.retry_at = 0.0
        self.expected = reach.bufsize // 4
        self._planned: int | None = None
        self.turn = 0
        """Goes up when answers under way cease to count."""

    def source(self, series: str) -> str:
        """`series` as FROM takes it."""
        rp = quote_identifier(self.reach.rp) if self.reach.rp else ""
        return f"{quote_identifier(self.database)}.{rp}.{quote_identifier(series)}"

    def next_range(self, now: float) -> tuple[int, int | None]:
        """The window to ask for next: its first second, and its end or None for up to now.

        May be called again before the answer to the one before came.
        """
        assert self.low is not None, "a window needs a beginning"
        low = self._planned if self._planned is not None else self.low
        end = low + self.width
        if self.width >= WEEK:  # end where shards do, as a rule: on Mondays
            end = (low + self.width + 3 * DAY) // WEEK * WEEK - 3 * DAY
        near = now - self.reach.overlap - 2  # two seconds, for clocks that differ
        reaches_now = end >= near and (self.width > 1 or end > now)
        self._planned = None if reaches_now else end
        return low, self._planned

    def rewind(self) -> None:
        """Answers still under way do not count: ask again from `low` on."""
        self.turn += 1
        self._planned = None

    def know(self, columns: Columns) -> None:
        """Name these columns from now on."""
        self.columns = columns if self.columns is None else self.columns | columns
        self.plan = Plan(self.columns)

    @property
    def resume_at(self) -> int | None:
        """The second from which on there may be rows that were not given yet, where known."""
        floor = self.reach.floor
        if self.second is None:
            return floor
        again = self.second - self.reach.overlap
        return again if floor is None else max(again, floor)
