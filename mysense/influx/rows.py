"""Rows of the series `data` -> telegrams."""

from __future__ import annotations

import base64
import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NoReturn

import attrs

from mysense.errors import TelegramError
from mysense.influx.columns import TAGS, TRUE_TIME, Columns, Key
from mysense.influx.idents import Walk, clean_tag, clean_text
from mysense.plugin import Refusal
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
"""Point time, the fields that are numbers, the tags of `TAGS`, all other fields."""

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
        self._others_from = self.tags_from + len(TAGS)
        self._others = tuple(map(_converter, columns.others))
        self._names = (*self._numbers, *TAGS, *(name for name, _ in columns.others))
        self._stand_ins = [
            at for at in range(self._others_from, len(self._names)) if self._names[at] in TAGS
        ]

    def settle_tags(self, rows: Sequence[Row]) -> None:
        """Where a tag is missing, move the field of that name there: people insert by hand."""
        for at in self._stand_ins:
            tag = self._names.index(self._names[at])
            for row in rows:
                if row[at] is not None:
                    row[tag] = row[tag] or _tag(row[at])
                    row[at] = None

    def telegram(self, row: Row, group: Group, latest: float) -> Telegram:
        """The telegram that `row` holds.

        Raises:
            TelegramError: a value or time that no telegram can have.
        """
        # whole numbers come without a point, so each has to be made a float; ends before the tags
        data: dict[str, Value]
        try:
            data = dict(zip(self._numbers, map(float, row), strict=False))
        except TypeError:  # some were not measured
            pairs = zip(self._numbers, row, strict=False)
            data = {name: float(value) for name, value in pairs if value is not None}
        data["time"] = row[0]
        if self._others:
            self._add_others(data, row, latest)
        if group.geolocation is not None:
            data["geolocation"] = group.geolocation
        return Telegram(group.ident, MappingProxyType(data), group.new)

    def _add_others(self, data: dict[str, Value], row: Row, latest: float) -> None:
        for (name, convert), value in zip(self._others, row[self._others_from :], strict=True):
            if value is not None:
                data[name] = convert(value)
        if TRUE_TIME in data:
            data["time"] = _true_time(data.pop(TRUE_TIME), latest)

    def digest(self, row: Row) -> str:
        """Eight letters that stand for all of the row's content but `new`."""
        label, geolocation = (clean_tag(row[self.tags_from + at]) or "" for at in (0, 1))
        values = sorted(
            (name, _canonical(value))
            for name, value in zip(self._names, row, strict=True)
            if value is not None and name not in TAGS
        )
        return digest((label, geolocation, values))

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


class Joiner:
    """Joins rows to idents; remembers what it has given before.

    Args:
        where: what to call the database in messages.
        seen: digests of rows that were given before, with their point times.
    """

    def __init__(self, where: str, seen: Mapping[str, int]) -> None:
        self._where = where
        self._seen = seen

    def refusal(self, second: int, reason: str, text: str) -> Refusal:
        """A refusal of something at a point time."""
        return Refusal(f"{self._where} time {second}", reason, text)

    def join(
        self, rows: Sequence[Row], plan: Plan, walk: Walk, newest: int, latest: float
    ) -> Iterator[Telegram | Refusal]:
        """What `rows` hold, once each.

        Args:
            rows: in the order of their times; those up to `newest` may have been given before.
            plan: how columns become telegrams.
            walk: the idents, from before the first row on.
            newest: the newest point time given before.
            latest: the last acceptable second of a field `timestamp`.
        """
        groups: dict[tuple[str | None, ...], Group] = {}
        tags, end = plan.tags_from, plan.tags_from + len(TAGS)
        turn = walk.next
        for row in self._unseen(rows, plan, newest):
            second = row[0]
            if second >= turn:
                walk.to(second)
                turn = walk.next
                groups.clear()
            key = (*row[tags:end],)
            try:
                if second < 0:
                    check_time(second)
                group = groups.get(key)
                if group is None:
                    group = groups[key] = _group(walk, *key)
                yield plan.telegram(row, group, latest)
            except TelegramError as wrong:
                yield self.refusal(second, str(wrong), plan.text(row))

    def _unseen(self, rows: Sequence[Row], plan: Plan, newest: int) -> list[Row]:
        """`rows` without those given before, and each content of a second only once."""
        fresh = bisect_right(rows, newest, key=_second)
        unseen = [row for row in rows[:fresh] if plan.digest(row) not in self._seen]
        unseen += rows[fresh:]
        if len(set(map(_second, unseen))) == len(unseen):
            return unseen
        once: list[Row] = []
        for _, each in groupby(unseen, key=_second):
            twins = list(each)
            if len(twins) > 1:  # written twice, the second time with another `new`
                contents: dict[str, Row] = {}
                for row in twins:
                    contents.setdefault(plan.digest(row), row)
                twins = list(contents.values())
            once += twins
        return once


def _group(
    walk: Walk, label_tag: str | None, geolocation_tag: str | None, new_tag: str | None
) -> Group:
    label, geolocation = clean_tag(label_tag) or None, clean_tag(geolocation_tag) or None
    for name, text in (("label", label), ("geolocation", geolocation)):
        if text is not None:
            check_text(text, f"tag {name}")
    ident = walk.ident(label)
    elsewhere = None if geolocation == ident.geolocation else geolocation
    return Group(ident, elsewhere, _NEW.get(clean_tag(new_tag) or ""))
