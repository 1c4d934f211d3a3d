"""Rows of the series `data` -> telegrams."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import blake2b
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NoReturn

import attrs

from mysense.errors import TelegramError
from mysense.influx.columns import TRUE_TIME, Columns, Key
from mysense.influx.idents import clean_tag, clean_text
from mysense.influx.marks import Marker
from mysense.telegram import (
    MAX_WHOLE,
    Ident,
    Telegram,
    Value,
    check_field,
    check_text,
    check_time,
)

Row = list[Any]
"""Point time, the fields that are numbers, the tags, all other fields; see Columns."""

_NEW = {"1": True, "0": False}
_second = itemgetter(0)


@attrs.frozen
class Group:
    """What the rows with the same tags have in common."""

    ident: Ident
    geolocation: str | None  # where it is not the ident's own
    new: bool | None


class Plan:
    """How the columns of one database become telegrams."""

    def __init__(self, columns: Columns) -> None:
        self._numbers = ("time", *columns.numbers)
        self.tags_from = len(self._numbers)
        """The column of the first tag."""
        self.tags = columns.tags
        self._others_from = self.tags_from + len(self.tags)
        self._telling = [at for at, tag in enumerate(self.tags, self.tags_from) if tag != "new"]
        self._others = tuple(map(_converter, columns.others))
        self._names = (*self._numbers, *self.tags, *(name for name, _ in columns.others))
        self.marker = Marker(self._names, self.tags_from)
        self._stand_ins = [
            at for at in range(self._others_from, len(self._names)) if self._names[at] in self.tags
        ]

    def settle_tags(self, rows: Sequence[Row]) -> None:
        """Where a tag is missing, move the field of that name there: people insert by hand."""
        for at in self._stand_ins:
            tag = self._names.index(self._names[at])
            for row in rows:
                if row[at] is not None:
                    row[tag] = row[tag] or _tag(row[at])
                    row[at] = None

    def telegrams(self, rows: Iterable[Row], group: Group, latest: float) -> list[Telegram]:
        """The telegrams that `rows` of one group hold; this loop is the price of every row.

        Raises:
            TelegramError: a value or time that no telegram can have.
        """
        ident, geolocation, new = group.ident, group.geolocation, group.new
        made = []
        data: dict[str, Value]
        for row in rows:
            try:  # whole numbers come as int; the names end before the tags begin
                data = dict(zip(self._numbers, map(float, row)))  # noqa: B905  # see above
            except TypeError:
                data = self._measured(row)
            data["time"] = row[0]
            if self._others:
                self._add_others(data, row, latest)
            if geolocation is not None:
                data["geolocation"] = geolocation
            made.append(Telegram(ident, MappingProxyType(data), new))
        return made

    def _measured(self, row: Row) -> dict[str, Value]:
        pairs = zip(self._numbers, row, strict=False)
        return {name: float(value) for name, value in pairs if value is not None}

    def _add_others(self, data: dict[str, Value], row: Row, latest: float) -> None:
        for (name, convert), value in zip(self._others, row[self._others_from :], strict=True):
            if value is not None:
                data[name] = convert(value)
        if TRUE_TIME in data:
            data["time"] = _true_time(data.pop(TRUE_TIME), latest)

    def digest(self, row: Row) -> str:
        """Eight letters that stand for all of the row's content but `new`."""
        tags = (clean_tag(row[at]) or "" for at in self._telling)
        values = sorted(
            (name, _canonical(value))
            for name, value in zip(self._names, row, strict=True)
            if value is not None and name not in self.tags
        )
        return digest((*tags, values))

    def kit(self, row: Row) -> tuple[str | None, str | None]:
        """The tags by which kits that share a database are told apart."""
        return row[self._others_from - 2], row[self._others_from - 1]

    def text(self, row: Row) -> str:
        """The row for somebody who wants to see why it was refused."""
        return as_text(self._names, row)


def digest(content: object) -> str:
    """Eight letters that stand for `content`, which is made of texts, numbers and lists."""
    whole = repr(content).encode(errors="backslashreplace")
    return base64.b64encode(blake2b(whole, digest_size=6).digest()).decode()


def as_text(names: Sequence[str], row: Row) -> str:
    """What `row` holds, as JSON."""
    pairs = zip(names, row, strict=True)
    return json.dumps({name: v for name, v in pairs if v is not None}, ensure_ascii=False)


def _converter(key: Key) -> tuple[str, Callable[[Any], Value]]:
    name, of = key
    try:
        check_field(name, "data")
    except TelegramError as wrong:
        return name, partial(_refuse, str(wrong))
    if of == "boolean":
        return name, partial(_refuse, f"data {name}: expected a number or text, found a boolean")
    if of == "string":
        return name, partial(_text, f"data {name}")
    return name, float if of == "float" else partial(_whole, f"data {name}")


def _refuse(reason: str, _value: Any) -> NoReturn:
    raise TelegramError(reason)


def _text(where: str, value: str) -> str:
    return check_text(clean_text(value), where)


def _whole(where: str, value: int) -> float:
    if abs(value) > MAX_WHOLE:
        raise TelegramError(f"{where}: {value} is beyond 2^53 and would be rounded")
    return float(value)


def _true_time(value: Value, latest: float) -> int:
    """The deployed publisher let the server stamp the arrival, and kept the true time apart."""
    try:
        return check_time(float(value) if isinstance(value, str) else value, latest)
    except ValueError as wrong:  # a TelegramError is one too
        raise TelegramError(f"field timestamp: {wrong}") from wrong


def _canonical(value: Any) -> Any:
    return value if isinstance(value, str | bool) else float(value)


def _tag(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"
