"""Rows on their way into the ledger: they get there when they are not read again any more."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Self

import attrs

from mysense.influx.ledger import HOUR, Account, Ledger, weight

_BITS = 0xFFFFFFFF


@attrs.frozen
class Batch:
    """What counts of rows in the order of their times, a list each."""

    seconds: array[int] = attrs.field(factory=lambda: array("q"))
    labels: list[str | None] = attrs.field(factory=list)
    values: array[int] = attrs.field(factory=lambda: array("l"))
    """How many values each has."""
    marks: array[int] = attrs.field(factory=lambda: array("I"))

    def __getitem__(self, part: slice) -> Batch:
        return Batch(self.seconds[part], self.labels[part], self.values[part], self.marks[part])

    def __add__(self, other: Self) -> Batch:
        return Batch(
            self.seconds + other.seconds,
            self.labels + other.labels,
            self.values + other.values,
            self.marks + other.marks,
        )

    def before(self, second: int) -> int:
        """How many rows are older than that."""
        return bisect_left(self.seconds, second)

    def hours(self) -> list[tuple[int, Batch]]:
        """The rows of each hour that has some."""
        found, start = [], 0
        while start < len(self.seconds):
            hour = self.seconds[start] // HOUR
            end = bisect_left(self.seconds, (hour + 1) * HOUR, start)
            found.append((hour, self[start:end]))
            start = end
        return found

    def account(self) -> Account:
        """The weight of the values, and the sum of the marks."""
        label = self.labels[0] if self.labels else None
        if self.labels.count(label) == len(self.labels):
            values = weight(label, sum(self.values))
        else:
            values = sum(map(weight, self.labels, self.values))
        return values & _BITS, sum(self.marks) & _BITS


class Trail:
    """The newest rows read of one database.

    Args:
        ledger: where they go in the end.
        upto: the second up to which the ledger has them all; None where nothing was read.
    """

    def __init__(self, ledger: Ledger, upto: int | None) -> None:
        self._ledger = ledger
        self._rows = Batch()
        self.upto = upto

    def read(self, low: int, rows: Batch, since: int) -> None:
        """All rows from `low` on were read; from `since` on they will be read again."""
        start = 0 if self.upto is None else rows.before(self.upto)
        self._rows = self._rows[: self._rows.before(low)] + rows[start:]
        cut = self._rows.before(since)
        for hour, some in self._rows[:cut].hours():
            self._ledger.add(hour, some.account(), some.marks)
        self._rows = self._rows[cut:]
        self.upto = since
