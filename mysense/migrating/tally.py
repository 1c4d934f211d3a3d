"""Counting and adding up what a server holds of a kit, by hour, label and field."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import attrs

from mysense.comparing.reading import Database
from mysense.comparing.sides import HOUR, NO_VALUES
from mysense.excluding import Exclude
from mysense.influx.idents import clean_tag, split_name
from mysense.influx.naming import quote_identifier
from mysense.influx.types import number_text
from mysense.migrating.place import Server
from mysense.plugin import OutputSettings, Refusal
from mysense.telegram import Ident, Telegram, Value

Slot = tuple[int, str, str]
"""An hour (seconds / 3600), a label ("" for none) and a field."""

REFUSED = "(rows that hold no telegram)"  # in place of a field
_NUMBERS = frozenset({"float", "integer", "unsigned"})
_CLOSE = 1e-9  # sums of the same numbers in another order differ by less, as a part of the sum


@attrs.define
class Sum:
    """How many values there are, and what those that are numbers come to."""

    count: int = 0
    total: float = 0.0

    def add(self, count: int, total: float) -> None:
        """Add some more."""
        self.count += count
        self.total += total

    def is_about(self, other: Sum) -> bool:
        """Whether the counts are the same, and the sums but for their order."""
        near = math.isclose(self.total, other.total, rel_tol=_CLOSE, abs_tol=_CLOSE)
        return self.count == other.count and near


Tally = dict[Slot, Sum]


class Hidden:
    """Which fields are not compared, as the other place is not told of them.

    Args:
        settings: of the output; anything else is told all.
    """

    def __init__(self, settings: object = None) -> None:
        options = settings if isinstance(settings, OutputSettings) else OutputSettings()
        self._omit = frozenset(options.omit)
        self._exclude = Exclude(options.exclude)
        self._known: dict[tuple[str, str], bool] = {}

    def label(self, label: str) -> str:
        """The label as the other place has it."""
        return "" if "label" in self._omit else label

    def kit(self, kit: str) -> bool:
        """Whether all of a kit is hidden."""
        return self.field(kit, "time")

    def field(self, kit: str, field: str) -> bool:
        """Whether a field of a kit is hidden."""
        if (kit, field) not in self._known:
            project, serial = split_name(kit)
            one = Telegram(Ident(project=project, serial=serial), {"time": 0, field: 0})
            hidden = field in self._omit or (bool(self._exclude) and self._exclude.whole(one))
            self._known[kit, field] = hidden
        return self._known[kit, field]


def by_server(server: Server, database: Database, low: int, high: int) -> Tally:
    """As the server counts and adds up by point times; texts count and add up to nothing.

    Rows that differ only in `new` count each, so what looks different may yet be the same.

    Raises:
        CompareError, RetryLater
    """
    every = [*((name, "float") for name in database.columns.numbers), *database.columns.others]
    columns = [(name, of) for name, of in every if name not in NO_VALUES]
    found: defaultdict[Slot, Sum] = defaultdict(Sum)
    for series in _grouped(server, database, columns, (low, high)):
        label = clean_tag(series["tags"]["label"]) or ""
        for second, *values in series["values"]:
            rest = iter(values)
            for name, of in columns:
                count = next(rest) or 0
                total = (next(rest) or 0) if of in _NUMBERS else 0
                if count:
                    found[second // HOUR, label, name].add(count, total)
    return dict(found)


def _grouped(
    server: Server, database: Database, columns: list[tuple[str, str]], times: tuple[int, int]
) -> list[Any]:
    if not columns:
        return []
    query = (
        f"SELECT {', '.join(map(_aggregates, columns))} FROM {database.source.series('data')}"  # noqa: S608  # its names are quoted
        f" WHERE time >= {times[0]}s AND time < {times[1]}s{database.source.condition}"
        ' GROUP BY time(1h), "label" fill(none)'
    )
    found: list[Any] = server.asking.ask(query)[0].get("series", [])
    return found


def _aggregates(key: tuple[str, str]) -> str:
    name, of = key
    column = f"{quote_identifier(name)}::{of}"
    return f"count({column}), sum({column})" if of in _NUMBERS else f"count({column})"


def by_telegrams(items: Iterable[Telegram | Refusal], hour: int) -> Tally:
    """The same of telegrams, to the last digit; texts that are numbers count as such.

    Args:
        items: those of some hours.
        hour: to which rows count that hold no telegram.
    """
    numbers: defaultdict[Slot, list[float]] = defaultdict(list)
    for item in items:
        if isinstance(item, Refusal):
            numbers[hour, "", REFUSED].append(0)
        else:
            slot = item.time // HOUR, item.ident.label or ""
            for name, value in item.data.items():
                if name not in NO_VALUES and value is not None:
                    numbers[*slot, name].append(_number(value))
    return {slot: Sum(len(values), math.fsum(values)) for slot, values in numbers.items()}


def _number(value: Value) -> float:
    if isinstance(value, float | int):
        return float(value)
    try:
        number = float(value or "")
    except ValueError:
        return 0.0
    return number if value in (repr(number), number_text(number)) else 0.0
