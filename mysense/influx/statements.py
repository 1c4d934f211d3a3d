"""Statements about one database, and what is in their results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mysense.influx.columns import Columns
from mysense.influx.cursor import Cursor
from mysense.influx.idents import Info
from mysense.influx.kits import Stray
from mysense.influx.naming import quote_identifier
from mysense.influx.rows import Row

Result = Mapping[str, Any]
"""What the server answered to one statement."""


def show_keys(cursor: Cursor) -> str:
    """The statement for fields and their types."""
    name = quote_identifier(cursor.database)
    return f"SHOW FIELD KEYS ON {name} FROM {cursor.source('data')}, {cursor.source('info')}"


def show_policies(database: str) -> str:
    """The statement for the retention policies of a database."""
    return f"SHOW RETENTION POLICIES ON {quote_identifier(database)}"


def default_policy(result: Result) -> str:
    """Of the answer to `show_policies`: the one that counts where none is named, or ""."""
    for series in result.get("series", ()):
        for row in series.get("values", ()):
            policy = dict(zip(series["columns"], row, strict=True))
            if policy.get("default"):
                return str(policy["name"])
    return ""


def select(columns: str, source: str) -> str:
    """A statement up to its WHERE."""
    return f"SELECT {columns} FROM {source}"  # noqa: S608  # every name in it is quoted


def count_values(cursor: Cursor, low: int, high: int, series: str = "data") -> str:
    """The statement for how many values there are from `low` to before `high`."""
    columns = cursor.known
    named = columns.count_data if series == "data" else columns.count_info
    return f"{select(named, cursor.source(series))} WHERE time >= {low}s AND time < {high}s"


def newest_infos(cursor: Cursor, columns: Columns, before: int) -> str:
    """The statement for the infos of each label that hold at `before`."""
    rows = select(columns.select_info, cursor.source("info"))
    tags = ", ".join(map(quote_identifier, ("label", *columns.kit)))
    return f"{rows} WHERE time < {before}s GROUP BY {tags} ORDER BY time DESC LIMIT 1"


def rows_of(result: Result) -> list[Row]:
    """The rows of all series in a result."""
    series = result.get("series", ())
    return series[0]["values"] if len(series) == 1 else [r for s in series for r in s["values"]]


def sum_of(result: Result) -> int:
    """What counts come to together."""
    return sum(count or 0 for row in rows_of(result) for count in row[1:])


def info_names(columns: Columns) -> list[str]:
    """The names of an info's columns behind time and tags."""
    return [name for name, _ in columns.info_fields]


def infos_of(cursor: Cursor, rows: list[Row], columns: Columns | None = None) -> list[Info | Stray]:
    """The infos that `rows` hold."""
    names = info_names(columns or cursor.known)
    return [cursor.kits.info(row, names) for row in rows]
