"""Statements about one database, and what is in their results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mysense.influx.columns import Columns
from mysense.influx.cursor import Cursor
from mysense.influx.idents import Info
from mysense.influx.naming import quote_identifier
from mysense.influx.rows import Row

Result = Mapping[str, Any]
"""What the server answered to one statement."""


def show_keys(database: str) -> str:
    """The statement for fields and their types."""
    return f'SHOW FIELD KEYS ON {quote_identifier(database)} FROM "data", "info"'


def select(columns: str, source: str) -> str:
    """A statement up to its WHERE."""
    return f"SELECT {columns} FROM {source}"  # noqa: S608  # every name in it is quoted


def count_values(cursor: Cursor, low: int, high: int, series: str = "data") -> str:
    """The statement for how many values there are from `low` to before `high`."""
    columns = cursor.columns or Columns()
    named = columns.count_data if series == "data" else columns.count_info
    return f"{select(named, cursor.source(series))} WHERE time >= {low}s AND time < {high}s"


def newest_infos(cursor: Cursor, columns: Columns, before: int) -> str:
    """The statement for the infos of each label that hold at `before`."""
    rows = select(columns.select_info, cursor.source("info"))
    return f'{rows} WHERE time < {before}s GROUP BY "label" ORDER BY time DESC LIMIT 1'


def rows_of(result: Result) -> list[Row]:
    """The rows of all series in a result."""
    series = result.get("series", ())
    return series[0]["values"] if len(series) == 1 else [r for s in series for r in s["values"]]


def sum_of(result: Result) -> int:
    """What counts come to together."""
    return sum(count or 0 for row in rows_of(result) for count in row[1:])


def info_names(columns: Columns | None) -> list[str]:
    """The names of an info's columns behind time and label."""
    return [name for name, _ in (columns or Columns()).info_fields]


def infos_of(cursor: Cursor, rows: list[Row], columns: Columns | None = None) -> list[Info]:
    """The infos that `rows` hold."""
    names = info_names(columns or cursor.columns)
    return [cursor.infos.read(row, names) for row in rows]


def is_not_there(reason: str) -> bool:
    """Whether the server says that it has no such database, not that one may not read it."""
    return reason.startswith("database not found")
