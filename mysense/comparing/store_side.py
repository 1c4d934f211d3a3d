"""The embedded store as a place to compare."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mysense.comparing.sides import NO_VALUES, CompareError, Counted, Found, Told
from mysense.plugin import RetryLater
from mysense.store.layout import connect_reader, store_faults
from mysense.store.reader import Reader

_HOURS = (
    "SELECT s.label, v.time / 3600, t.new, r.field, count(*) FROM source s"
    " JOIN series r ON r.source = s.id JOIN value v ON v.series = r.id AND v.time >= ?"
    " AND v.time < ? JOIN telegram t ON t.source = s.id AND t.time = v.time"
    " WHERE s.kit = ? GROUP BY 1, 2, 3, 4"
)
_SPAN = (
    "SELECT min(t.time), max(t.time) FROM source s JOIN telegram t ON t.source = s.id"
    " AND t.time >= ? AND t.time < ? WHERE s.kit = ?"
)


class StoreSide:
    """An embedded store.

    Raises:
        CompareError: there is none.
        Misconfigured, RetryLater: it cannot be read.
    """

    knows_kits = True

    def __init__(self, path: Path, told: Told, name: str) -> None:
        self.name = name
        self.told = told
        self._path = path
        try:
            self._reader = Reader(path)
        except RetryLater as wrong:
            raise CompareError(f"{name}: {wrong}; the output sqlitepub makes one") from wrong
        self._db: sqlite3.Connection = connect_reader(path)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        self._db.close()

    def kits(self) -> list[str]:
        """All kits in it."""
        return self._reader.kits()

    def span(self, kit: str, low: int, high: int) -> tuple[int, int] | None:
        """The first and the last second."""
        first, last = self._all(_SPAN, low, high, kit)[0]
        return None if first is None else (first, last)

    def hours(self, kit: str, low: int, high: int) -> dict[int, Counted]:
        """What it has in each hour."""
        found: defaultdict[int, Counted] = defaultdict(Counted)
        for label, hour, new, field, count in self._all(_HOURS, low, high, kit):
            if field not in NO_VALUES:
                found[hour].values[label, field, new] += count
        return dict(found)

    def telegrams(self, kit: str, low: int, high: int) -> Iterator[Found]:
        """What it has, by time."""
        return map(Found, self._reader.read(kit, low, high))

    def given_up(self, kit: str, low: int, high: int) -> int:  # noqa: ARG002  # it keeps all
        """Nothing."""
        return 0

    def _all(self, query: str, *values: object) -> list[Any]:
        with store_faults(self._path):
            return self._db.execute(query, values).fetchall()
