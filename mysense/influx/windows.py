"""Windows of time: asking for all rows of one, and making telegrams of those that are new."""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from collections.abc import Sequence

import attrs

from mysense.influx.columns import TAGS, Columns
from mysense.influx.cursor import Cursor, Read
from mysense.influx.idents import Info
from mysense.influx.joining import refusal
from mysense.influx.kits import Fresh, Stray
from mysense.influx.rows import Row, as_text, digest
from mysense.influx.statements import (
    Result,
    count_values,
    info_names,
    infos_of,
    rows_of,
    select,
    show_keys,
    sum_of,
)
from mysense.influx.trail import Batch
from mysense.plugin import Refusal
from mysense.telegram import DAY, Telegram

Item = Telegram | Refusal

STEADY = 0.3  # seconds after which a row that may lack something must still be the same


@attrs.frozen
class Found:
    """The answer to a window: its rows, how many values each row of data has, the rest as it came.

    Attributes:
        before: how many values there are before the window, or None where that was not asked.
        counted: how many there are in it, counted after the rows were selected.
        now: the server's clock.
        info_from: the column of the first field of `infos`.
    """

    data: list[Row]
    infos: list[Row]
    values: array[int]
    before: int | None
    counted: int
    now: float
    info_from: int

    @property
    def read(self) -> int:
        """How many values the rows have together."""
        fields = [row[self.info_from :] for row in self.infos]
        return sum(self.values) + sum(len(some) - some.count(None) for some in fields)

    @property
    def end(self) -> int:
        """The second after the newest row, or 0."""
        return max((rows[-1][0] + 1 for rows in (self.data, self.infos) if rows), default=0)


class Window:
    """Asks for everything from `low` up to `high` (None: up to the server's own now).

    In this order: a row of data that is seen had its info and its field before it. And whoever
    writes in the order of times has written all that comes before such a row: so the values from
    `before` up to `low` are counted afterwards. Are there more than were read, then a kit was
    writing there while it was read, and reading goes back. What is given a second time then, the
    journal knows.

    Last of all the values of the window itself are counted: the server shows a point that it is
    storing value by value, and half a telegram must not be given. Are there more than were read,
    then it is asked again, up to the newest row that was seen. Where a row may lack something all
    the same, the window is held until they were counted once more; those after it wait for it.
    """

    def __init__(
        self, cursor: Cursor, low: int, high: int | None, before: int | None = None
    ) -> None:
        self.cursor = cursor
        self.low = low
        self.high = high
        self.turn = cursor.turn
        self.due: float | None = None
        """When to count once more (monotonic seconds); None: there is no need to."""
        self._before = before
        # one second is never cut: it would be cut at the same place for ever
        self._size = cursor.reach.bufsize if cursor.width > 1 else None
        self._found: Found | None = None
        columns = cursor.known
        self._has_info = bool(columns.info)
        self.statements = [self._ask("data", columns.select_data)]
        if self._has_info:
            self.statements.append(self._ask("info", columns.select_info))
        self.statements.append(show_keys(cursor))
        if before is not None:
            self.statements.append(count_values(cursor, before, low))
        self._counts = len(self.statements)
        self.statements.append(self._within("data", columns.count_data))
        if self._has_info:
            self.statements.append(self._within("info", columns.count_info))

    def _ask(self, series: str, columns: str) -> str:
        limit = f" LIMIT {self._size + 1}" if self._size else ""
        return self._within(series, columns) + limit

    def _within(self, series: str, columns: str) -> str:
        until = "time <= now()" if self.high is None else f"time < {self.high}s"
        rows = select(columns, self.cursor.source(series))
        return f"{rows} WHERE time >= {self.low}s AND {until}"

    @property
    def more(self) -> bool:
        """Whether the window after this one can be asked for already."""
        return self.high is not None

    @property
    def weight(self) -> int:
        """About how many rows the answer will have."""
        return self.cursor.expected

    def take(self, results: Sequence[Result], now: float) -> list[Item]:
        """Make telegrams of what is new and move the cursor, if nothing speaks against it."""
        cursor = self.cursor
        if cursor.turn != self.turn:
            return []
        if cursor.read_upto != self.low:  # the window before this one was held up
            cursor.rewind()
            return []
        if not cursor.known.covers(keys := Columns.read(results[1 + self._has_info])):
            cursor.know(keys)
            cursor.rewind()
            return []
        found = self._sort_out(results, now)
        if self._misses(found) or not self._is_whole(found):
            return []
        self._found = found
        if cursor.trust.doubts(found.data, found.values, found.infos):
            self.due = time.monotonic() + STEADY
        cursor.held.append(self)
        return release(cursor)

    def _sort_out(self, results: Sequence[Result], now: float) -> Found:
        data = rows_of(results[0])
        infos = rows_of(results[1]) if self._has_info else []
        columns, plan = self.cursor.known, self.cursor.plan
        values = values_of(data, plan.tags_from, len(columns.tags))
        before = None if self._before is None else sum_of(results[self._counts - 1])
        counted = sum(map(sum_of, results[self._counts :]))
        return Found(data, infos, values, before, counted, now, columns.info_from)

    def _misses(self, found: Found) -> bool:
        """Whether the newest row that was given is not there."""
        cursor = self.cursor
        if self.low != cursor.resume_at or cursor.second is None:
            return False
        if self.high is not None and self.high <= cursor.second:
            return False
        return cursor.misses(found.data)

    def _is_whole(self, found: Found) -> bool:
        """Whether no row and no value of a row is missing; else a shorter window is asked for."""
        data = found.data
        cut = self._cut(data, found.infos)
        if cut is not None:
            self.cursor.width = max((cut - self.low) * 4 // 5, 1)
            self.cursor.shorten(self.low, cut)
            return False
        if self.cursor.stands(self.low, found.counted, found.read):
            return True
        self.cursor.shorten(self.low, data[-1][0] + 1 if data else None)
        return False

    def _cut(self, data: list[Row], infos: list[Row]) -> int | None:
        """The second from which on rows are missing, where there were more than asked for."""
        size = self._size
        if size is None:
            return None
        return min((rows[-1][0] for rows in (data, infos) if len(rows) > size), default=None)

    # -- once it is known to be whole -------------------------------------------------------------

    @property
    def end(self) -> int:
        """The second after the last one that was read, at the least."""
        if self.high is not None:
            return self.high
        return max(self._found.end if self._found else 0, self.low)

    @property
    def again(self) -> list[str]:
        """The statements that count its values once more."""
        kinds = ("data", "info") if self._has_info else ("data",)
        return [count_values(self.cursor, self.low, self.end, kind) for kind in kinds]

    def confirm(self, counted: int) -> bool:
        """Whether its values are as many as before; then nothing more speaks against it."""
        found = self._found
        assert found is not None, "it was held"
        if counted not in (found.read, found.counted):
            return False
        self.cursor.trust.learn(found.data, found.infos)
        self.due = None
        return True

    def finish(self) -> list[Item]:
        """Make telegrams of what is new and move the cursor."""
        cursor, found = self.cursor, self._found
        assert found is not None, "it was held"
        data, values = found.data, found.values
        if not self._is_settled(found):
            return []
        seconds = array("q", map(_time, data))
        batch = self._batch(found, seconds)
        before = cursor.second
        items = self._give(found, cursor.unknown(data, values))
        if batch is not None:
            cursor.follow(self.low, batch)
        if items or cursor.second != before:
            cursor.write()
        self._move(max(len(data), len(found.infos)))
        if self.high is not None or data:
            end = self.high if self.high is not None else seconds[-1] + 1
            cursor.note(Read(self.low, end, seconds, values))
        return items

    def _is_settled(self, found: Found) -> bool:
        """Whether nobody wrote before this window since that was read."""
        if self._before is None or found.before is None or not found.data:
            return True
        return self.cursor.settle(self._before, self.low, found.before)

    def _batch(self, found: Found, seconds: array[int]) -> Batch | None:
        """What the ledger wants to know of the rows that a sweep will look at."""
        horizon = self.cursor.reach.horizon(found.now)
        if horizon is None:
            return None
        start = bisect_left(seconds, horizon)
        data, values = found.data[start:], found.values[start:]
        plan = self.cursor.plan
        labels = [row[plan.tags_from] for row in data]
        return Batch(seconds[start:], labels, values, plan.marker.marks(data, values))

    def _give(self, found: Found, news: list[Row]) -> list[Item]:
        cursor = self.cursor
        infos = infos_of(cursor, found.infos)
        cursor.kits.add(infos)
        items = self._refused(infos, found.infos)
        cursor.plan.settle_tags(found.data)
        newest = cursor.second if cursor.second is not None else self.low - 1
        fresh = Fresh(newest, cursor.seen, found.now + DAY)
        items += cursor.kits.join(cursor.plan, news, fresh)
        if items or (news and news[-1][0] > newest):  # those may be of kits that nobody wants
            self._remember(found.data)
        return items

    def _refused(self, found: list[Info | Stray], rows: list[Row]) -> list[Item]:
        """Infos of which something had to be left out, each told once."""
        items: list[Item] = []
        columns = self.cursor.known
        names = ("time", "label tag", *columns.kit, *info_names(columns))
        for info, row in zip(found, rows, strict=True):
            if info.fault and (known := digest(row)) not in self.cursor.seen:
                self.cursor.seen[known] = info.time
                reason = f"info: {info.fault}"
                items.append(refusal(self.cursor.database, row, reason, as_text(names, row)))
        return items

    def _remember(self, data: list[Row]) -> None:
        cursor = self.cursor
        newest = data[-1][0] if data else self.low
        cursor.second = newest if cursor.second is None else max(newest, cursor.second)
        since = cursor.second - cursor.reach.overlap
        seen = {digest: at for digest, at in cursor.seen.items() if at >= since}
        for row in data[bisect_left(data, since, key=_time) :]:
            seen[cursor.plan.digest(row)] = row[0]
        cursor.seen = seen

    def _move(self, rows: int) -> None:
        cursor, size = self.cursor, self.cursor.reach.bufsize
        cursor.expected = min(rows * 2 + 10, size)
        if self.high is None:
            cursor.advance(cursor.resume_at)
            cursor.idle = True
            cursor.rewind()
        else:
            cursor.advance(self.high)
            # wide enough for many rows, with room for some more: what is cut was read in vain
            wanted = cursor.width * min(4.0, 0.7 * size / max(rows, 1))
            cursor.width = max(cursor.width, int(wanted))
        if cursor.second is not None:
            cursor.kits.forget(min(cursor.low or 0, cursor.second - cursor.reach.overlap))


def release(cursor: Cursor) -> list[Item]:
    """What the windows give that are held no longer."""
    items: list[Item] = []
    while cursor.held and cursor.held[0].due is None:
        items += cursor.held.popleft().finish()
    return items


class Confirm:
    """Counts the values of a window that is held, once more."""

    weight = 1

    def __init__(self, window: Window) -> None:
        self.cursor = window.cursor
        self.statements = window.again
        self._window = window

    def take(self, results: Sequence[Result], _now: float) -> list[Item]:
        """Let the window go, or ask for it again."""
        window, cursor = self._window, self.cursor
        if cursor.turn != window.turn:
            return []
        if window.confirm(sum(map(sum_of, results))):
            return release(cursor)
        cursor.shorten(window.low, window.end)
        return []


def values_of(data: list[Row], first: int, tags: int = len(TAGS)) -> array[int]:
    """How many values of fields each row has; so many tags stand from column `first` on."""
    some = slice(first, first + tags)
    most = len(data[0]) - 1 - tags if data else 0
    return array("l", [most - row.count(None) + row[some].count(None) for row in data])


def _time(row: Row) -> int:
    return int(row[0])
