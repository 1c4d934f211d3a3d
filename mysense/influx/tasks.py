"""What to ask about one database next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mysense.influx.columns import Columns
from mysense.influx.cursor import Cursor
from mysense.influx.statements import (
    Result,
    count_values,
    default_policy,
    infos_of,
    newest_infos,
    rows_of,
    select,
    show_keys,
    show_policies,
    sum_of,
)
from mysense.influx.windows import Item, Window

ROLL_UPS = "1h"  # the retention policy of means, which are no telegrams
_NOTHING_LEFT = "nothing that was read is there any more"
_PROBE = 100  # more rows than this behind the overlap are news in any case


class Task(Protocol):
    """Statements about one database, and what to do with their results."""

    cursor: Cursor
    statements: list[str]

    @property
    def weight(self) -> int:
        """About how many rows the answer will have."""

    def take(self, results: Sequence[Result], now: float, /) -> list[Item]:
        """Digest the answer; `now` is the server's clock when it gave it."""


def next_task(cursor: Cursor, now: float) -> Task:
    """What to ask about the database of `cursor`; `now` is the server's clock, about."""
    if cursor.columns is None or not cursor.columns.data:
        return Keys(cursor)
    if cursor.missing:
        return Missing(cursor)
    if cursor.low is None and not cursor.columns.info:
        cursor.low = cursor.resume_at  # there is no ident to be looked up
    if cursor.low is None:
        return Begin(cursor)
    if cursor.idle:
        return Probe(cursor)
    return Window(cursor, *cursor.next_range(now))


class Keys:
    """Asks which columns there are."""

    weight = 50

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.statements = [show_keys(cursor)]
        if not cursor.reach.rp:
            self.statements.append(show_policies(cursor.database))

    def take(self, results: Sequence[Result], _now: float) -> list[Item]:
        """Without a single column there is nothing to read: that is idle."""
        cursor = self.cursor
        if len(results) > 1 and default_policy(results[1]) == ROLL_UPS:
            cursor.pass_over(f"its default retention policy is {ROLL_UPS}, that of roll-ups")
            return []
        cursor.know(Columns.read(results[0]))
        if not cursor.known.data and cursor.entry is not None:
            cursor.begin_anew(_NOTHING_LEFT)
        cursor.idle = not cursor.known.data
        return []


class Begin:
    """Asks where a database begins, or which idents hold where reading goes on."""

    weight = 10

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        columns = cursor.known
        self._from = cursor.resume_at
        self.statements: list[str] = []
        if self._from is None:
            data = select(columns.select_data, cursor.source("data"))
            info = select(columns.select_info, cursor.source("info"))
            first = " WHERE time <= now() ORDER BY time LIMIT 1"
            self.statements = [data + first] + [info + first] * bool(columns.info)
        elif columns.info:
            self.statements = [newest_infos(cursor, columns, self._from)]

    def take(self, results: Sequence[Result], _now: float) -> list[Item]:
        """Set the cursor to its first window."""
        if self.cursor.low is not None:  # asked twice
            return []
        rows = [row for result in results for row in rows_of(result)]
        if self._from is None:
            data = rows_of(results[0])
            self.cursor.low = min(row[0] for row in rows) if data else None
            self.cursor.idle = not data
            return []
        self.cursor.low = self._from
        self.cursor.kits.add(infos_of(self.cursor, rows))
        return []


class Probe:
    """Asks whether anything has changed since it was last asked; cheap, for databases at rest.

    The first time it also counts again what was read last: the server stores a batch that spans
    several shards in any order of them.
    """

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        before = cursor.probed
        count = len(before) if isinstance(before, list) else 0
        rows = select("*", cursor.source("data"))
        limit = f"LIMIT {count + _PROBE}"
        self.statements = [f"{rows} WHERE time >= {cursor.low}s AND time <= now() {limit}"]
        self._doubt = cursor.doubt
        if self._doubt is not None:
            self.statements.append(count_values(cursor, *self._doubt))

    @property
    def weight(self) -> int:
        """About how many rows the answer will have."""
        return len(self.cursor.seen) + 1

    def take(self, results: Sequence[Result], _now: float) -> list[Item]:
        """News make the cursor read."""
        rows = rows_of(results[0])
        if self.cursor.misses(rows):
            return []
        if self._doubt is not None:
            if not self.cursor.settle(*self._doubt, sum_of(results[1])):
                return []
            self.cursor.forget_read()
        if rows != self.cursor.probed:
            self.cursor.probed = rows
            self.cursor.idle = False
        return []


class Missing:
    """Asks whether anything is left of what was given, where the newest of it is not there.

    If nothing is, the database was made anew, or all of it has expired: reading begins anew. If
    only older rows are, somebody has deleted some: then reading goes on where it was. The newest
    itself may be there as well: in the future of a clock that was set back.
    """

    weight = 1

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        columns = cursor.known
        floor = cursor.reach.floor
        since = "" if floor is None else f"time >= {floor}s AND "
        rows = select(columns.select_data, cursor.source("data"))
        self.statements = [
            f"{rows} WHERE {since}time <= {cursor.second}s LIMIT 1",
            f"{rows} WHERE time >= {cursor.resume_at}s AND time <= {cursor.second}s LIMIT 1",
        ]

    def take(self, results: Sequence[Result], _now: float) -> list[Item]:
        """Go back to the beginning, or believe it."""
        older, newest = map(rows_of, results)
        if older:
            self.cursor.accept_missing(told=not newest)
        else:
            self.cursor.begin_anew(_NOTHING_LEFT)
        return []
