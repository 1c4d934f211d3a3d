"""What to ask about one database next, and what becomes of the answer."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mysense.influx.columns import TAGS, Columns
from mysense.influx.cursor import Cursor, Read
from mysense.influx.idents import Info
from mysense.influx.joining import Joiner, refusal
from mysense.influx.naming import quote_identifier
from mysense.influx.rows import Row, as_text, digest
from mysense.plugin import Refusal
from mysense.telegram import DAY, Telegram

Result = Mapping[str, Any]
"""What the server answered to one statement."""

Item = Telegram | Refusal

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
        self.statements = [show_keys(cursor.database)]

    def take(self, results: Sequence[Result], _now: float) -> list[Item]:
        """Without a single column there is nothing to read: that is idle."""
        self.cursor.know(Columns.read(results[0]))
        self.cursor.idle = not (self.cursor.columns and self.cursor.columns.data)
        return []


def show_keys(database: str) -> str:
    """The statement for fields and their types."""
    return f'SHOW FIELD KEYS ON {quote_identifier(database)} FROM "data", "info"'


def _select(columns: str, source: str) -> str:
    return f"SELECT {columns} FROM {source}"  # noqa: S608  # every name in it is quoted


class Begin:
    """Asks where a database begins, or which idents hold where reading goes on."""

    weight = 10

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        columns = cursor.columns or Columns()
        self._from = cursor.resume_at
        data = _select(columns.select_data, cursor.source("data"))
        info = _select(columns.select_info, cursor.source("info"))
        self.statements: list[str] = []
        if self._from is None:
            first = " WHERE time <= now() ORDER BY time LIMIT 1"
            self.statements = [data + first] + [info + first] * bool(columns.info)
        elif columns.info:
            newest = f' WHERE time < {self._from}s GROUP BY "label" ORDER BY time DESC LIMIT 1'
            self.statements = [info + newest]

    def take(self, results: Sequence[Result], _now: float) -> list[Item]:
        """Set the cursor to its first window."""
        if self.cursor.low is not None:  # asked twice
            return []
        rows = [row for result in results for row in _rows(result)]
        if self._from is None:
            data = _rows(results[0])
            self.cursor.low = min(row[0] for row in rows) if data else None
            self.cursor.idle = not data
            return []
        self.cursor.low = self._from
        self.cursor.idents.add(_infos(self.cursor, rows))
        return []


class Window:
    """Asks for everything from `low` up to `high` (None: up to the server's own now).

    In this order: a row of data that is seen had its info and its field before it. And whoever
    writes in the order of times has written all that comes before such a row: so the values from
    `before` up to `low` are counted afterwards. Are there more than were read, then a kit was
    writing there while it was read, and reading goes back. What is given a second time then, the
    journal knows.

    Last of all the values of the window itself are counted: the server shows a point that it is
    storing value by value, and half a telegram must not be given. Are there more than were read,
    then it is asked again, up to the newest row that was seen.
    """

    def __init__(
        self, cursor: Cursor, low: int, high: int | None, before: int | None = None
    ) -> None:
        self.cursor = cursor
        self.low = low
        self.high = high
        self._before = before
        self._turn = cursor.turn
        # one second is never cut: it would be cut at the same place for ever
        self._size = cursor.reach.bufsize if cursor.width > 1 else None
        columns = cursor.columns or Columns()
        self._has_info = bool(columns.info)
        self.statements = [self._ask("data", columns.select_data)]
        if self._has_info:
            self.statements.append(self._ask("info", columns.select_info))
        self.statements.append(show_keys(cursor.database))
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
        rows = _select(columns, self.cursor.source(series))
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
        """Make telegrams of what is new and move the cursor."""
        cursor = self.cursor
        if cursor.turn != self._turn:
            return []
        if cursor.low != self.low:  # the window before this one was held up
            cursor.rewind()
            return []
        known = cursor.columns or Columns()
        if not known.covers(found := Columns.read(results[1 + self._has_info])):
            cursor.know(found)
            cursor.rewind()
            return []
        data: list[Row] = _rows(results[0])
        infos: list[Row] = _rows(results[1]) if self._has_info else []
        values = _values(data, cursor.plan.tags_from)
        if not self._is_settled(results, data) or not self._is_whole(results, data, infos, values):
            return []
        seconds = array("q", map(_time, data))
        items = self._give(data, cursor.unknown(data, values), infos, now)
        self._move(max(len(data), len(infos)))
        end = self.high
        if end is None and data:
            end = seconds[-1] + 1
        if end is not None:
            cursor.note(Read(self.low, end, seconds, values))
        return items

    def _is_settled(self, results: Sequence[Result], data: list[Row]) -> bool:
        """Whether nobody wrote before this window since that was read."""
        if self._before is None or not data:
            return True
        return self.cursor.settle(self._before, self.low, _sum(results[self._counts - 1]))

    def _is_whole(
        self, results: Sequence[Result], data: list[Row], infos: list[Row], values: array[int]
    ) -> bool:
        """Whether no row and no value of a row is missing; else a shorter window is asked for."""
        cut = self._cut(data, infos)
        if cut is not None:
            self.cursor.width = max((cut - self.low) * 4 // 5, 1)
            self.cursor.shorten(self.low, cut)
            return False
        read = sum(values) + sum(len(row) - 2 - row[2:].count(None) for row in infos)
        if self.cursor.stands(self.low, sum(map(_sum, results[self._counts :])), read):
            return True
        self.cursor.shorten(self.low, data[-1][0] + 1 if data else None)
        return False

    def _cut(self, data: list[Row], infos: list[Row]) -> int | None:
        """The second from which on rows are missing, where there were more than asked for."""
        size = self._size
        if size is None:
            return None
        return min((rows[-1][0] for rows in (data, infos) if len(rows) > size), default=None)

    def _give(self, data: list[Row], news: list[Row], infos: list[Row], now: float) -> list[Item]:
        cursor = self.cursor
        found = _infos(cursor, infos)
        cursor.idents.add(found)
        items = self._refused(found, infos)
        cursor.plan.settle_tags(data)
        newest = cursor.second if cursor.second is not None else self.low - 1
        joiner = Joiner(cursor.database, cursor.plan, cursor.idents.walk(), now + DAY)
        items += joiner.join(news, newest, cursor.seen)
        if items:
            self._remember(data)
        return items

    def _refused(self, found: list[Info], rows: list[Row]) -> list[Item]:
        """Infos of which something had to be left out, each told once."""
        items: list[Item] = []
        names = ("time", "label tag", *_info_names(self.cursor))
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
        cursor.entry = [cursor.second, list(seen)]

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
            cursor.idents.forget(min(cursor.low or 0, cursor.second - cursor.reach.overlap))


def count_values(cursor: Cursor, low: int, high: int) -> str:
    """The statement for how many values there are from `low` to before `high`."""
    columns = cursor.columns or Columns()
    count = _select(columns.count_data, cursor.source("data"))
    return f"{count} WHERE time >= {low}s AND time < {high}s"


def _sum(result: Result) -> int:
    return sum(count or 0 for row in _rows(result) for count in row[1:])


class Probe:
    """Asks whether anything has changed since it was last asked; cheap, for databases at rest.

    The first time it also counts again what was read last: the server stores a batch that spans
    several shards in any order of them.
    """

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        before = cursor.probed
        count = len(before) if isinstance(before, list) else 0
        rows = _select("*", cursor.source("data"))
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
        if self._doubt is not None:
            if not self.cursor.settle(*self._doubt, _sum(results[1])):
                return []
            self.cursor.forget_read()
        rows = _rows(results[0])
        if rows != self.cursor.probed:
            self.cursor.probed = rows
            self.cursor.idle = False
        return []


def _rows(result: Result) -> list[Row]:
    series = result.get("series", ())
    return series[0]["values"] if len(series) == 1 else [r for s in series for r in s["values"]]


def _values(data: list[Row], tags: int) -> array[int]:
    """How many values of fields each row has; its tags stand from column `tags` on."""
    some = slice(tags, tags + len(TAGS))
    most = len(data[0]) - 1 - len(TAGS) if data else 0
    return array("l", [most - row.count(None) + row[some].count(None) for row in data])


def _infos(cursor: Cursor, rows: list[Row]) -> list[Info]:
    names = _info_names(cursor)
    return [cursor.infos.read(row, names) for row in rows]


def _info_names(cursor: Cursor) -> list[str]:
    return [name for name, _ in (cursor.columns or Columns()).info_fields]


def _time(row: Row) -> int:
    return int(row[0])
