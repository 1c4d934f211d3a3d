"""Reading the tables of a damaged journal: whatever can be read, around what cannot."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any

from mysense.errors import TelegramError
from mysense.points import NANO, Point, Series
from mysense.telegram import Ident, Telegram

Row = tuple[Any, ...]
_CHUNK = 500  # rows read at a time
_UNITS = {Telegram.kind: 1, Point.kind: NANO}  # kinds of rows, and how their data tell the time
_TYPES: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "REAL": (float, int), "TEXT": (str,)}
_FAILURES = 2_000_000  # ranges of a table that are tried in vain before the rest is given up
_MANY = 3000  # and from which on it is no longer looked for single rows,
_SMALL = 64  # but for that many
_JSON = {"positions": "value", "undated": "data", "aside": "data"}  # columns that hold some
_NUMBERS = range(2**53)  # that rows may have
_PER_PAGE = 400  # rows at most on a page: what a table can hold whose end is not known


class Tables:
    """The tables of a journal that may be damaged anywhere.

    Args:
        db: read-only.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.failed = False
        """Whether something could not be read."""

    def columns(self, table: str) -> list[str]:
        """The names of a table's columns; none where there is no such table."""
        return [row[1] for row in self._try(f"PRAGMA table_info({table})") or ()]

    def numbered(self, table: str, last: int = 0) -> Iterator[list[Row]]:
        """The rows of a table with a whole number as key, by that number; in parts.

        A range that cannot be read is divided until single rows are left out; where very much is
        damaged, only until it is small.

        Args:
            table: its first column is the key.
            last: the highest number, if it is known.
        """
        columns = self.columns(table)
        if not columns:
            return
        key = columns[0]
        query = (
            f"SELECT * FROM {table} NOT INDEXED WHERE {key} BETWEEN ? AND ? ORDER BY {key} LIMIT ?"  # noqa: S608  # names of our own tables
        )
        first, found = self._ends(table, key)
        ranges, failures = [(first, max(last, found))], 0
        while ranges and failures < _FAILURES:
            low, high = ranges.pop()
            if low > high:
                continue
            # no more than there can be: SQLite would look beyond the last, where damage may be
            rows = self._try(query, low, high, min(_CHUNK, high - low + 1))
            if rows is None:
                failures += 1
                least = _SMALL if failures > _MANY else 1
                middle = (low + high) // 2
                ranges += [(middle + 1, high), (low, middle)] if high - low >= least else []
                continue
            yield rows
            if len(rows) == _CHUNK:
                ranges.append((max(low, _whole(rows[-1][0], low)) + 1, high))

    def _ends(self, table: str, key: str) -> tuple[int, int]:
        """The lowest and the highest number, as far as they can be told."""
        low, high = (
            self._try(f"SELECT {end}({key}) FROM {table} NOT INDEXED")  # noqa: S608  # as above
            for end in ("min", "max")
        )
        first = _whole(low[0][0] if low else None, 1)
        ((pages,),) = self._try("PRAGMA page_count") or [(0,)]
        return first, _whole(high[0][0] if high else None, first + _PER_PAGE * pages)

    def listed(self, query: str) -> list[Row]:
        """The rows of a query, which has no limit, up to the first that cannot be read."""
        return [row for part in self.parts(query) for row in part]

    def parts(self, query: str) -> Iterator[list[Row]]:
        """The same in parts, for many rows."""
        part: list[Row] = []
        count = 0
        try:
            for row in self._db.execute(query):
                part.append(row)
                count += 1
                if len(part) == _CHUNK:
                    yield part
                    part = []
        except (sqlite3.DatabaseError, ValueError, OverflowError):
            self.failed = True
            part += self._try(f"{query} LIMIT 1 OFFSET {count}") or []  # read before the error came
        yield part

    def keyed(self, table: str) -> list[Row]:
        """The rows of a table without row numbers, from both ends up to what cannot be read."""
        names = self.columns(table)
        if not names:
            return []
        rows = self.listed(f"SELECT * FROM {table}")  # noqa: S608  # as above
        back = self.listed(f"SELECT * FROM {table} ORDER BY {names[0]} DESC")  # noqa: S608  # as above
        return list(dict.fromkeys(rows + back))

    def _try(self, query: str, *values: object) -> list[Row] | None:
        try:
            return self._db.execute(query, values).fetchall()
        except (sqlite3.DatabaseError, ValueError, OverflowError):  # numbers and names, too
            self.failed = True
            return None


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and value in _NUMBERS else otherwise


# -- whether a row makes sense ------------------------------------------------------------------


def good_telegram(row: Row) -> bool:
    """Whether a row of `telegrams` can be what was written there, its ident aside."""
    seq, kind, source, time, ident, new, at, data = row[:8]
    whole = all(isinstance(value, int) for value in (seq, source, time, ident))
    if not (whole and kind in _UNITS and new in (0, 1) and isinstance(at, float)):
        return False
    values = _object(data) if isinstance(data, str) else {}
    finite = all(isfinite(value) for value in values.values() if isinstance(value, float))
    told = values.get("time")
    return finite and isinstance(told, int) and told // _UNITS[kind] == time


def whose(body: object) -> tuple[str, str] | None:
    """Kit and label of the ident (or series) that this is the text of; None where it is none."""
    values = _object(body) if isinstance(body, str) else {}
    try:
        ident = Series.from_json(values) if "measurement" in values else Ident.from_json(values)
    except (TelegramError, KeyError, AttributeError, TypeError):
        return None
    return ident.kit, ident.label or ""


def good_json(text: object) -> bool:
    """Whether it is JSON text."""
    return isinstance(text, str) and _loads(text) is not _NOTHING


def fitting(db: sqlite3.Connection, name: str, columns: list[str]) -> Callable[[Row], bool]:
    """Tells whether the values of a row are of the types that `db` has them declared in a table.

    JSON has to be JSON, too.
    """
    table = db.execute(f"PRAGMA table_info({name})")
    declared = {column[1]: (_TYPES.get(column[2]), column[3]) for column in table}
    known = all(column in declared for column in columns)

    def fits(row: Row) -> bool:
        values = dict(zip(columns, row, strict=True))
        if not known or not all(_fits(values[name], *declared[name]) for name in values):
            return False
        is_text = name == "aside" and values["ident"] is None  # that an input could not use
        return is_text or name not in _JSON or good_json(values[_JSON[name]])

    return fits


def _fits(value: object, wanted: tuple[type, ...] | None, needed: bool) -> bool:  # noqa: FBT001  # as SQLite tells it
    if value is None:
        return not needed
    return wanted is None or isinstance(value, wanted)


def _object(text: str) -> dict[str, Any]:
    value = _loads(text)
    return value if isinstance(value, dict) else {}


_NOTHING = object()


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOTHING
