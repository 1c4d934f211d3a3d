"""Writing telegrams into the embedded store, each once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import attrs

from mysense.files.lines import Lines
from mysense.store.layout import connect_writer, is_same_file, store_faults, transaction
from mysense.store.reader import row_telegram
from mysense.telegram import Ident, Telegram, Value

_KEPT = 2000  # idents whose numbers are remembered; a fleet has some hundreds

_ADD = "INSERT OR IGNORE INTO telegram (source, time, ident, new) VALUES (?, ?, ?, ?)"
_PUT = "INSERT INTO value VALUES (?, ?, ?)"


@attrs.define
class _Known:
    """The numbers that stand for an ident in the file."""

    source: int
    ident: int
    series: dict[str, int] = attrs.Factory(dict)


class Writer:
    """Adds telegrams to the store of a file, which is made when it is not there.

    Raises:
        RetryLater, Misconfigured: the file cannot be opened, see `store_faults`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = connect_writer(path)
        self._opened = path.stat()
        self._known: dict[Ident, _Known] = {}
        self._lines = Lines()

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._db.close()

    def is_current(self) -> bool:
        """Whether the file is still the one that was opened."""
        return is_same_file(self.path, self._opened)

    def write(self, batch: Sequence[Telegram]) -> None:
        """Add all of `batch` durably, or nothing.

        A telegram that is there already changes nothing. Another one of the same kit, label and
        second replaces the older and gets a new `seq`, so that readers see it.

        Raises:
            RetryLater, Misconfigured: see `store_faults`.
        """
        try:
            with store_faults(self.path, os.W_OK), transaction(self._db):
                self._write(batch)
        except BaseException:
            self._known.clear()  # numbers that were given in what is now undone
            raise

    def _write(self, batch: Sequence[Telegram]) -> None:
        known = [self._numbers(telegram.ident) for telegram in batch]
        rows = [(k.source, t.time, k.ident, t.new) for k, t in zip(known, batch, strict=True)]
        self._db.execute("SAVEPOINT all_new")
        if self._db.executemany(_ADD, rows).rowcount == len(rows):
            self._put_values(known, batch)
        else:
            self._db.execute("ROLLBACK TO all_new")
            for numbers, telegram in zip(known, batch, strict=True):
                self._write_one(numbers, telegram)
        self._db.execute("RELEASE all_new")

    def _write_one(self, known: _Known, telegram: Telegram) -> None:
        key = (known.source, telegram.time)
        found = self._db.execute(
            "SELECT t.seq, t.source, t.time, t.new, i.json FROM telegram t "
            "JOIN ident i ON i.id = t.ident WHERE t.source = ? AND t.time = ?",
            key,
        ).fetchone()
        if found is not None:
            if row_telegram(self._db, found).normal() == telegram.normal():
                return
            self._db.execute(
                "DELETE FROM value WHERE series IN (SELECT id FROM series WHERE source = ?) "
                "AND time = ?",
                key,
            )
            self._db.execute("DELETE FROM telegram WHERE seq = ?", found[:1])
        self._db.execute(_ADD, (*key, known.ident, telegram.new))
        self._put_values([known], [telegram])

    def _put_values(self, known: Sequence[_Known], batch: Sequence[Telegram]) -> None:
        rows: list[tuple[int, int, Value]] = []
        for numbers, telegram in zip(known, batch, strict=True):
            series, time = numbers.series, telegram.time
            for field, value in telegram.data.items():
                if value is None or field == "time":
                    continue
                if (number := series.get(field)) is None:
                    unit = telegram.ident.unit(field)
                    number = series[field] = self._series(numbers.source, field, unit)
                rows.append((number, time, value))
        rows.sort(key=_place)  # neighbours in the file are written one after the other
        self._db.executemany(_PUT, rows)

    def _numbers(self, ident: Ident) -> _Known:
        known = self._known.get(ident)
        if known is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            source = self._number("source", kit=ident.kit, label=ident.label or "")
            number = self._number("ident", json=self._lines.ident(ident))
            known = self._known[ident] = _Known(source, number)
        return known

    def _series(self, source: int, field: str, unit: str) -> int:
        return self._number("series", source=source, field=field, unit=unit)

    def _number(self, table: str, **columns: str | int) -> int:
        """The id of the row of `table` with these columns, which is made when it is not there."""
        where = " AND ".join(f"{name} = :{name}" for name in columns)
        query = f"SELECT id FROM {table} WHERE {where}"  # noqa: S608  # names are of this file
        found = self._db.execute(query, columns).fetchone()
        if found is not None:
            return int(found[0])
        names, places = ", ".join(columns), ", ".join(f":{name}" for name in columns)
        insert = f"INSERT INTO {table} ({names}) VALUES ({places})"  # noqa: S608  # as above
        return int(self._db.execute(insert, columns).lastrowid or 0)


def _place(row: tuple[int, int, Value]) -> tuple[int, int]:
    return row[0], row[1]
