"""Rows of the series `data` -> telegrams."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, NoReturn

import attrs

from mysense.errors import TelegramError
from mysense.influx.columns import FIRST, TAGS, Key
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
"""Point time, the tags of `TAGS`, then the fields in the order of the columns."""

_NEW = {"1": True, "0": False}


@attrs.frozen
class Group:
    """What the rows with one label and one geolocation have in common."""

    ident: Ident
    geolocation: str | None  # where it is not the ident's own


class Plan:
    """How the columns of one database become telegrams.

    Args:
        fields: names and types in the order of the columns.
    """

    def __init__(self, fields: Sequence[Key]) -> None:
        self._fields = tuple(fields)
        plain = [name for name, of in fields if of == "float" and _is_plain(name)]
        # numbers are converted in one go as far as they stand together
        self._floats = tuple(_leading(fields, plain))
        self._rest_from = FIRST + len(self._floats)
        self._rest = tuple(map(_converter, fields[len(self._floats) :]))
        self._stand_ins = {name: at for at, (name, _) in enumerate(fields, FIRST) if name in TAGS}

    def settle_tags(self, rows: Sequence[Row]) -> None:
        """Where a tag is missing, move the field of that name there: people insert by hand."""
        for name, at in self._stand_ins.items():
            tag = TAGS.index(name) + 1
            for row in rows:
                if row[at] is not None:
                    row[tag] = row[tag] or _tag(row[at])
                    row[at] = None

    def telegram(self, row: Row, group: Group, latest: float) -> Telegram:
        """The telegram that `row` holds.

        Raises:
            TelegramError: a value or time that no telegram can have.
        """
        data: dict[str, Value] = {"time": row[0]}
        values = row[FIRST : self._rest_from]
        try:
            data.update(zip(self._floats, map(float, values), strict=True))
        except TypeError:  # some were not measured
            pairs = zip(self._floats, values, strict=True)
            data = {"time": row[0]} | {name: float(v) for name, v in pairs if v is not None}
        if self._rest:
            for (name, convert), value in zip(self._rest, row[self._rest_from :], strict=True):
                if value is not None:
                    data[name] = convert(value)
            if "timestamp" in data:
                data["time"] = _true_time(data.pop("timestamp"), latest)
        if group.geolocation is not None:
            data["geolocation"] = group.geolocation
        return Telegram(group.ident, MappingProxyType(data), _new(row[3]))

    def digest(self, row: Row) -> str:
        """Eight letters that stand for all of the row's content but `new`."""
        pairs = zip(self._fields, row[FIRST:], strict=True)
        content = sorted((key[0], _canonical(v)) for key, v in pairs if v is not None)
        whole = (row[0], clean_tag(row[1]) or "", clean_tag(row[2]) or "", content)
        sum_ = blake2b(repr(whole).encode(errors="backslashreplace"), digest_size=6).digest()
        return base64.b64encode(sum_).decode()

    def text(self, row: Row) -> str:
        """The row for somebody who wants to see why it was refused."""
        names = ["time", *TAGS, *(name for name, _ in self._fields)]
        pairs = zip(names, row, strict=True)
        return json.dumps({name: v for name, v in pairs if v is not None}, ensure_ascii=False)


def _is_plain(name: str) -> bool:
    if name in TAGS or name == "timestamp":
        return False
    try:
        check_field(name, "data")
    except TelegramError:
        return False
    return True


def _leading(fields: Sequence[Key], plain: Sequence[str]) -> Iterator[str]:
    for name, of in fields:
        if of != "float" or name not in plain:
            return
        yield name


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


def _new(tag: str | None) -> bool | None:
    return _NEW.get(clean_tag(tag) or "") if tag else None


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
        groups: dict[tuple[str | None, str | None], Group] = {}
        before = None
        twins: set[str] = set()
        for row in rows:
            second = row[0]
            if second >= walk.next:
                walk.to(second)
                groups.clear()
            if second <= newest and plan.digest(row) in self._seen:
                continue
            if before is not None and before[0] == second:
                twins.add(plan.digest(before))
                if plan.digest(row) in twins:
                    continue
            elif twins:
                twins.clear()
            before = row
            try:
                key = (row[1], row[2])
                group = groups.get(key)
                if group is None:
                    group = groups[key] = _group(walk, *key)
                if second < 0:
                    check_time(second)
                yield plan.telegram(row, group, latest)
            except TelegramError as wrong:
                yield self.refusal(second, str(wrong), plan.text(row))


def _group(walk: Walk, label_tag: str | None, geolocation_tag: str | None) -> Group:
    label, geolocation = clean_tag(label_tag) or None, clean_tag(geolocation_tag) or None
    for name, text in (("label", label), ("geolocation", geolocation)):
        if text is not None:
            check_text(text, f"tag {name}")
    ident = walk.ident(label)
    return Group(ident, None if geolocation == ident.geolocation else geolocation)
