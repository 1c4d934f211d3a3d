"""What was read of one database, hour by hour: for finding what was written there later.

For every hour there is the weight of its values, which a count by the server can be compared
with, and the sum of the marks of its rows. Both are small and go into the position. The marks
themselves are kept in memory alone: they tell which rows of an hour are the late ones.
"""

from __future__ import annotations

import base64
import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from zlib import crc32

HOUR = 3600
_HOUR = struct.Struct(">III")
_FRESH = 6  # hours that are written with every telegram; more go together with all others
_BITS = 0xFFFFFFFF

Account = tuple[int, int]
"""The weight of the values in an hour, and the sum of the marks of its rows; 32 bits each."""

NOTHING: Account = (0, 0)


def weight(label: str | None, values: int) -> int:
    """What `values` values with that label add to an hour; no two labels weigh the same."""
    return (crc32((label or "").encode(errors="backslashreplace")) | 1) * values & _BITS


class Ledger:
    """What was read of each hour.

    Args:
        entry: what `entry` was, or "".
        fresh: what `fresh` was, or "".
        most: rows that are known one by one, four bytes each.
    """

    def __init__(self, entry: str = "", fresh: str = "", most: int = 100_000) -> None:
        self._most = most
        self.entry = entry
        """All hours as they were when last folded, for the position."""
        self._hours: dict[int, Account] = dict(_unpack(entry))
        self._fresh: dict[int, Account] = dict(_unpack(fresh))
        self._hours |= self._fresh
        self._marks: dict[int, array[int]] = {}
        self._count = 0

    def __getitem__(self, hour: int) -> Account:
        return self._hours.get(hour, NOTHING)

    @property
    def hours(self) -> Iterable[int]:
        """The hours of which something was read."""
        return self._hours.keys()

    @property
    def fresh(self) -> str:
        """The hours that have changed since; folds them in where they are many."""
        if len(self._fresh) > _FRESH:
            self.fold()
        return _pack(self._fresh)

    def fold(self) -> None:
        """Put everything into `entry`."""
        self._fresh = {}
        self.entry = _pack(self._hours)

    def marks(self, hour: int) -> Sequence[int]:
        """The marks of the rows that were read, as far as they are known."""
        return self._marks.get(hour, ())

    def add(self, hour: int, account: Account, marks: array[int]) -> None:
        """These rows were read as well."""
        before = self[hour]
        total = tuple((old + more) & _BITS for old, more in zip(before, account, strict=True))
        self._hours[hour] = self._fresh[hour] = (total[0], total[1])
        self._marks.setdefault(hour, array("I")).extend(marks)
        self._count += len(marks)
        self._limit()

    def set(self, hour: int, account: Account, marks: array[int]) -> None:
        """These are all rows of that hour."""
        if self[hour] != account:
            self._hours[hour] = self._fresh[hour] = account
        self._count += len(marks) - len(self._marks.get(hour, ()))
        self._marks[hour] = marks
        self._limit()

    def _limit(self) -> None:
        while self._count > self._most and len(self._marks) > 1:
            self._count -= len(self._marks.pop(min(self._marks)))

    def forget(self, before: int) -> None:
        """Drop the hours before that one."""
        for hour in [hour for hour in self._hours if hour < before]:
            del self._hours[hour]
            self._fresh.pop(hour, None)
            self._count -= len(self._marks.pop(hour, ()))


def _pack(hours: Mapping[int, Account]) -> str:
    whole = b"".join(_HOUR.pack(hour, *account) for hour, account in sorted(hours.items()))
    return base64.b64encode(whole).decode()


def _unpack(text: str) -> Iterator[tuple[int, Account]]:
    for hour, values, marks in _HOUR.iter_unpack(base64.b64decode(text)):
        yield hour, (values, marks)
