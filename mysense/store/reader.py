"""Reading the embedded store: kits, fields, telegrams, and ranges of one field."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from mysense.store.layout import connect_reader, identity, is_same_file, store_faults, transaction
from mysense.telegram import MAX_WHOLE, Ident, Telegram, Value

_SELECT = (
    "SELECT t.seq, t.source, t.time, t.new, i.json FROM telegram t JOIN ident i ON i.id = t.ident "
)
_PAGE = 1000  # rows read in one go, so that no reader keeps a writer's log from being cleared


@attrs.frozen
class Stored:
    """A telegram, and the number of the change that put it there."""

    seq: int
    telegram: Telegram


class Reader:
    """A store, opened for reading only.

    Raises:
        RetryLater, Misconfigured: the file cannot be opened, see `connect_reader`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = connect_reader(path)
        self._opened = path.stat()
        with store_faults(path):
            self.identity = identity(self._db)
        """What tells this store from another one in its place."""

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._db.close()

    def is_current(self) -> bool:
        """Whether the file is still the one that was opened."""
        return is_same_file(self.path, self._opened)

    def kits(self) -> list[str]:
        """The kits, sorted."""
        return [row[0] for row in self._all("SELECT DISTINCT kit FROM source ORDER BY kit")]

    def fields(self, kit: str) -> list[tuple[str, str]]:
        """The fields of a kit with their units, in the order they first came."""
        query = (
            "SELECT field, unit FROM series JOIN source ON source.id = series.source "
            "WHERE kit = ? GROUP BY field, unit ORDER BY min(series.id)"
        )
        return [(field, unit) for field, unit in self._all(query, (kit,))]

    def read(self, kit: str, start: int = 0, end: int = MAX_WHOLE) -> Iterator[Telegram]:
        """The telegrams of a kit from second `start` to before `end`, by time, then label."""
        where = "JOIN source s ON s.id = t.source WHERE s.kit = ? AND (t.time, t.source) > (?, ?) "
        query = f"{_SELECT}{where}AND t.time < ? ORDER BY t.time, t.source LIMIT {_PAGE}"
        after = (start - 1, MAX_WHOLE)
        while page := self._stored(query, (kit, *after, end)):
            for row, stored in page:
                yield stored.telegram
                after = (row[2], row[1])

    def range(
        self, kit: str, field: str, start: int = 0, end: int = MAX_WHOLE
    ) -> Iterator[tuple[int, float | str]]:
        """The values of a field from second `start` to before `end`, by time."""
        query = (
            "SELECT v.time, v.value FROM source s JOIN series r ON r.source = s.id "
            "JOIN value v ON v.series = r.id "
            "WHERE s.kit = ? AND r.field = ? AND v.time >= ? AND v.time < ? ORDER BY v.time, r.id"
        )
        with store_faults(self.path):
            yield from self._db.execute(query, (kit, field, start, end))

    def newest(self) -> int:
        """The number of the latest change, 0 in an empty store."""
        found = self._all("SELECT seq FROM sqlite_sequence WHERE name = 'telegram'")
        return int(found[0][0]) if found else 0

    def idents(self, after: int) -> list[tuple[int, Ident]]:
        """The idents with a number greater than `after`, and their numbers."""
        rows = self._all("SELECT id, json FROM ident WHERE id > ? ORDER BY id", (after,))
        return [(number, _ident(text)) for number, text in rows]

    def changes(
        self,
        after: int,
        until: int,
        limit: int,
        *,
        start: int = 0,
        idents: Sequence[int] | None = None,
    ) -> list[Stored]:
        """What came after change `after`, up to and with change `until`, in order.

        Args:
            after: number of the last change seen.
            until: number of the last change wanted.
            limit: how many telegrams at most.
            start: leaves out what was measured before this second.
            idents: leaves out what is not of one of these idents; None takes all.
        """
        chosen = "" if idents is None else "AND t.ident IN (SELECT value FROM json_each(?)) "
        where = f"WHERE t.seq > ? AND t.seq <= ? AND t.time >= ? {chosen}"
        given = (after, until, start, *([] if idents is None else [json.dumps(idents)]), limit)
        rows = self._stored(f"{_SELECT}{where}ORDER BY t.seq LIMIT ?", given)
        return [stored for _, stored in rows]

    def _stored(
        self, query: str, given: tuple[object, ...]
    ) -> list[tuple[tuple[int, int, int, int | None, str], Stored]]:
        with store_faults(self.path), transaction(self._db, "BEGIN"):
            rows = self._db.execute(query, given).fetchall()
            return [(row, Stored(row[0], row_telegram(self._db, row))) for row in rows]

    def _all(self, query: str, given: tuple[object, ...] = ()) -> list[Any]:
        with store_faults(self.path):
            return self._db.execute(query, given).fetchall()


def row_telegram(db: sqlite3.Connection, row: tuple[int, int, int, int | None, str]) -> Telegram:
    """The telegram of a row `seq, source, time, new, ident as JSON`."""
    _, source, time, new, text = row
    values: list[tuple[str, Value]] = db.execute(
        "SELECT r.field, v.value FROM series r JOIN value v ON v.series = r.id AND v.time = ? "
        "WHERE r.source = ? ORDER BY r.id",
        (time, source),
    ).fetchall()
    data: dict[str, Value] = {"time": time}
    data.update(values)
    return Telegram(_ident(text), MappingProxyType(data), None if new is None else bool(new))


@lru_cache(maxsize=2000)
def _ident(text: str) -> Ident:
    return Ident.from_json(json.loads(text))
