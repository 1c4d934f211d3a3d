"""Sweeps: finding rows that were written late, with old times, among rows read long ago.

The values of each hour and label are counted and compared with the ledger. Hours that differ,
and those of the last day in any case, are read again; where the marks of their rows differ too,
what was not there before is given, once two looks a moment apart saw the same.
"""

from __future__ import annotations

import logging
import time
from array import array
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import attrs

from mysense.influx.ahead import Ahead, Reply
from mysense.influx.collector import paused
from mysense.influx.columns import Columns
from mysense.influx.cursor import Cursor
from mysense.influx.http import Answer
from mysense.influx.kits import Fresh
from mysense.influx.ledger import HOUR, weight
from mysense.influx.rows import Plan, Row
from mysense.influx.statements import (
    Result,
    infos_of,
    newest_infos,
    rows_of,
    select,
    show_keys,
)
from mysense.influx.trail import Batch
from mysense.influx.windows import STEADY, Item, values_of
from mysense.plugin import RetryLater
from mysense.telegram import DAY

_LAST_DAY = 24  # hours that are read again however they count
_TRIES = 10  # looks at hours in which somebody goes on writing; the next sweep has the rest

Moved = set[Cursor]


class Step(Protocol):
    """One request of a sweep."""

    cursor: Cursor
    due: float

    def statements(self, columns: Columns) -> list[str]:
        """What to ask behind SHOW FIELD KEYS."""

    def take(self, columns: Columns, results: Sequence[Result], now: float) -> list[Item]:
        """What it gives; `more` has what is to be done next."""

    @property
    def more(self) -> list[Step]:
        """Steps that follow from the answer."""


class Sweep:
    """Sweeps over databases, a request at a time.

    Args:
        ahead: how to ask the server.
        log: where it is told what was found.
    """

    def __init__(self, ahead: Ahead, log: logging.Logger) -> None:
        self._ahead = ahead
        self._log = log
        self._steps: deque[Step] = deque()
        self._columns: dict[str, Columns] = {}
        self._found = 0
        self.ended = 0
        """How many came to their end."""

    def begin(self, cursors: Iterable[Cursor], now: float) -> None:
        """Begin another one; `now` is the server's clock, about."""
        self._columns.clear()
        self._steps = deque(Count(cursor, now) for cursor in cursors if cursor.entry is not None)
        self._found = 0

    def stop(self) -> None:
        """Leave the rest for another time."""
        self._steps.clear()

    @property
    def done(self) -> bool:
        """Whether there is nothing more to ask."""
        return not self._steps

    @property
    def waits(self) -> bool:
        """Whether nothing is due yet."""
        return self._next() is None

    def step(self) -> tuple[list[Item], Moved]:
        """Ask once, if anything is due; returns what it gave, and the cursors it moved.

        Raises:
            RetryLater: the server did not answer; the same will be asked again.
        """
        step = self._next()
        if step is None:
            return [], set()
        items, moved = self._take(step)
        self._found += len(items)
        if self.done:
            self.ended += 1
            if self._found:
                self._log.info("a sweep gave %d rows that were written late", self._found)
        return items, moved

    def _take(self, step: Step) -> tuple[list[Item], Moved]:
        columns = self._columns.get(step.cursor.database) or step.cursor.known
        reply = self._ask(step, columns)
        self._steps.remove(step)
        if reply is None:
            return [], set()
        keys = Columns.read(reply.results[0])
        if not columns.covers(keys):
            self._columns[step.cursor.database] = columns | keys
            self._steps.appendleft(step)
            return [], set()
        if not columns.data:  # nor is there anything in it
            return [], set()
        cursor = step.cursor
        before = cursor.entry, cursor.ledger.entry
        with paused():
            items = step.take(columns, reply.results[1:], reply.now)
        self._steps.extendleft(reversed(step.more))
        return items, {cursor} if (cursor.entry, cursor.ledger.entry) != before else set()

    def _next(self) -> Step | None:
        now = time.monotonic()
        return next((step for step in self._steps if step.due <= now), None)

    def _ask(self, step: Step, columns: Columns) -> Reply | None:
        """The answer, or None where this database has none at the moment."""
        if step.cursor.failed or step.cursor.entry is None:
            return None
        statements = [show_keys(step.cursor)]
        if columns.data:  # else they are known next time
            statements += step.statements(columns)
        try:
            reply = self._ahead.ask(statements)
        except Answer as answer:
            if answer.status in {400, 403, 404}:  # whoever polls tells it
                return None
            raise RetryLater(f"the server answered {answer}", answer.retry_after) from answer
        if len(reply.results) < len(statements) or any("error" in r for r in reply.results):
            return None
        return reply


class Count:
    """Counts the values of each hour and label of one database."""

    due = 0.0

    def __init__(self, cursor: Cursor, now: float) -> None:
        self.cursor = cursor
        self.more: list[Step] = []
        self._since = cursor.reach.horizon(now) or 0

    def statements(self, columns: Columns) -> list[str]:
        """Counts up to where live reading takes over, and the infos that hold there."""
        cursor = self.cursor
        upto = max(cursor.trail.upto or 0, self._since)
        counts = select(columns.count_data, cursor.source("data"))
        within = f"WHERE time >= {self._since}s AND time < {upto}s"
        asked = [f'{counts} {within} GROUP BY time(1h), "label" fill(none)']
        if columns.info:
            asked.append(newest_infos(cursor, columns, upto))
        return asked

    def take(self, columns: Columns, results: Sequence[Result], now: float) -> list[Item]:
        """Find out which hours to read."""
        cursor = self.cursor
        for result in results[1:]:  # what is read from now on gets the idents that came late
            cursor.kits.add(infos_of(cursor, rows_of(result), columns))
        weights, rows = _count(results[0])
        cursor.ledger.forget(self._since // HOUR)
        for hour in [*cursor.ledger.hours]:
            if hour not in weights and cursor.ledger[hour][0]:
                cursor.ledger.set(hour, (0, 0), array("I"))  # its rows were deleted
        last = int(now) // HOUR - _LAST_DAY
        wanted = [h for h in weights if h >= last or weights[h] != cursor.ledger[h][0]]
        self.more = [Look(cursor, hours) for hours in _runs(sorted(wanted), rows, cursor)]
        cursor.ledger.fold()
        cursor.write()
        return []


def _count(result: Result) -> tuple[dict[int, int], dict[int, int]]:
    """The weight of the values of each hour, and about how many rows it has."""
    weights: dict[int, int] = {}
    rows: dict[int, int] = {}
    for series in result.get("series", ()):
        label = series.get("tags", {}).get("label")
        for second, *counts in series["values"]:
            some = [count or 0 for count in counts]
            hour = second // HOUR
            if sum(some):
                weights[hour] = (weights.get(hour, 0) + weight(label, sum(some))) & 0xFFFFFFFF
                rows[hour] = rows.get(hour, 0) + max(some)
    return weights, rows


def _runs(hours: Sequence[int], rows: Mapping[int, int], cursor: Cursor) -> list[range]:
    """Hours one after the other, of as many rows as may be asked for together."""
    runs: list[range] = []
    total = 0
    for hour in hours:
        total += rows[hour]
        if runs and runs[-1].stop == hour and total <= cursor.reach.bufsize:
            runs[-1] = range(runs[-1].start, hour + 1)
        else:
            runs.append(range(hour, hour + 1))
            total = rows[hour]
    return runs


@attrs.frozen
class Seen:
    """What was seen of an hour at a look: up to where, and its marks."""

    upto: int
    marks: array[int]


class Look:
    """Reads some hours of one database again."""

    def __init__(
        self,
        cursor: Cursor,
        hours: range,
        seen: Mapping[int, Seen] | None = None,
        tries: int = _TRIES,
    ) -> None:
        self.cursor = cursor
        self.due = time.monotonic() + STEADY if seen else 0.0
        self.more: list[Step] = []
        self._hours = hours
        self._seen = seen or {}
        self._tries = tries
        self._low = self._high = 0

    def statements(self, columns: Columns) -> list[str]:
        """All rows up to where live reading takes over, and the infos that belong to them."""
        cursor = self.cursor
        self._low = max(self._hours.start * HOUR, cursor.reach.floor or 0)
        self._high = min(self._hours.stop * HOUR, cursor.trail.upto or 0)
        within = f"WHERE time >= {self._low}s AND time < {self._high}s"
        asked = [f"{select(columns.select_data, cursor.source('data'))} {within}"]
        if columns.info:
            asked.append(newest_infos(cursor, columns, self._low))
            asked.append(f"{select(columns.select_info, cursor.source('info'))} {within}")
        return asked

    def take(self, columns: Columns, results: Sequence[Result], now: float) -> list[Item]:
        """Give what is new in hours that two looks saw alike; look again at the others."""
        cursor, plan = self.cursor, Plan(columns)
        data = rows_of(results[0])
        batch = _batch(data, plan)
        news: list[Row] = []
        doubts: dict[int, Seen] = {}
        for hour, some in batch.hours():
            if some.account() == cursor.ledger[hour] or self._is_steady(hour, some):
                news += self._news(hour, some, data[batch.before(hour * HOUR) :])
                cursor.ledger.set(hour, some.account(), some.marks)
            else:
                doubts[hour] = Seen(self._high, some.marks)
        if doubts and self._tries:
            hours = range(min(doubts), max(doubts) + 1)
            self.more = [Look(cursor, hours, doubts, self._tries - 1)]
        cursor.ledger.fold()
        cursor.write()
        if not news:
            return []
        kits = cursor.kits.without_idents()
        for result in results[1:]:
            kits.add(infos_of(cursor, rows_of(result), columns))
        plan.settle_tags(news)
        return list(kits.join(plan, news, Fresh(self._low - 1, (), now + DAY)))

    def _is_steady(self, hour: int, rows: Batch) -> bool:
        """Whether everything seen at the look before is as it was; more may have come since."""
        seen = self._seen.get(hour)
        return seen is not None and rows[: rows.before(seen.upto)].marks == seen.marks

    def _news(self, hour: int, some: Batch, data: Sequence[Row]) -> list[Row]:
        """The first rows of `data`, `some` of them, without those that were read before."""
        if some.account() == self.cursor.ledger[hour]:
            return []
        known = {*self.cursor.ledger.marks(hour)}
        return [row for row, mark in zip(data, some.marks, strict=False) if mark not in known]


def _batch(data: list[Row], plan: Plan) -> Batch:
    seconds = array("q", [row[0] for row in data])
    values = values_of(data, plan.tags_from, len(plan.tags))
    labels = [row[plan.tags_from] for row in data]
    return Batch(seconds, labels, values, plan.marker.marks(data, values))
