"""Points: measurements that somebody else has shaped, with tags, fields and nanoseconds.

They share the journal and its promises with telegrams, and only outputs that say so take them. An
agent of an observatory control system (OCS) publishes feeds; a line of such a feed looks like this:

    {"agent": "bme", "feed": "temps", "fields": {"room": 21.5, "n": 3}, "time": 1615389657.29}

    >>> from_ocs({"agent": "bme", "feed": "temps", "fields": {"n": 3}, "time": 1615389657}).line()
    'bme,feed=temps n=3i 1615389657000000000'
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from math import isfinite
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeGuard

import attrs

from mysense.errors import TelegramError
from mysense.telegram import Telegram, check_text, short

KIT = "points"  # the key under which all points are told; a kit's own key holds a `_`
MAX_NAME = 1000  # characters of a measurement, a tag or a field's name
NANO = 1_000_000_000
_LATEST = 2**63 - 1  # of a timestamp in nanoseconds
_INTEGERS = range(-(2**63), 2**63)

PointValue = float | int | bool | str
"""A field of a point: unlike those of telegrams, whole numbers and truths keep their type."""


@attrs.frozen(cache_hash=True)
class Series:
    """What a point belongs to: a measurement and its tags, sorted by name."""

    measurement: str
    tags: tuple[tuple[str, str], ...] = ()

    kit: ClassVar[str] = KIT

    @property
    def label(self) -> str:
        """What tells series apart in the journal."""
        return self.measurement

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"measurement": self.measurement, "tags": dict(self.tags)}

    @classmethod
    def from_json(cls, source: Mapping[str, Any]) -> Self:
        """What `to_json` made."""
        return cls(source["measurement"], tuple(sorted(source["tags"].items())))

    @property
    def key(self) -> str:
        """As line protocol has it."""
        tags = "".join(f",{_escaped(name)}={_escaped(value)}" for name, value in self.tags)
        return re.sub(r"([, ])", r"\\\1", self.measurement) + tags


@attrs.frozen
class Point:
    """One point; `data["time"]` is whole nanoseconds since 1970, the other entries are fields."""

    kind: ClassVar[str] = "point"

    ident: Series
    data: Mapping[str, Any]
    new: bool | None = False

    @property
    def kit(self) -> str:
        """The key under which it is told."""
        return KIT

    @property
    def time(self) -> int:
        """When it was measured, in whole Unix seconds: what the journal goes by."""
        return self.nanoseconds // NANO

    @property
    def nanoseconds(self) -> int:
        """When it was measured, in nanoseconds since 1970."""
        return int(self.data["time"])

    def line(self) -> str:
        """Line protocol, to be written with nanosecond precision."""
        fields = ",".join(
            f"{_escaped(name)}={_wire(value)}"
            for name, value in self.data.items()
            if name != "time"
        )
        return f"{self.ident.key} {fields} {self.nanoseconds}"

    def to_json(self) -> dict[str, Any]:
        """As it came: `mysense ingest ocs` takes it again."""
        fields = {name: value for name, value in self.data.items() if name != "time"}
        feed = dict(self.ident.tags).get("feed", "")
        seconds = self.nanoseconds / NANO
        return {"agent": self.ident.measurement, "feed": feed, "fields": fields, "time": seconds}


Measured = Telegram | Point
"""What the journal keeps and carries on."""


def measured(ident: Any, data: Mapping[str, Any]) -> Measured:
    """What was measured, by whom it was."""
    return Point(ident, data) if isinstance(ident, Series) else Telegram(ident, data)


def is_points(batch: Sequence[Any]) -> TypeGuard[Sequence[Point]]:
    """Whether a batch, which is of one kit, is one of points."""
    return bool(batch) and batch[0].kind == Point.kind


def from_ocs(source: object) -> Point:
    """The point that a line of an OCS feed stands for.

    Fields that are NaN or infinite are left out, as InfluxDB has no word for them; null too.

    Args:
        source: `{agent, feed, fields, time}`, time in Unix seconds.

    Raises:
        TelegramError: naming what is missing or wrong.
    """
    if not isinstance(source, dict):
        raise TelegramError("point: expected an object with agent, feed, fields and time")
    strange = source.keys() - {"agent", "feed", "fields", "time"}
    if strange:
        raise TelegramError(f"point: {short(min(strange))} is none of agent, feed, fields, time")
    agent, feed = _name(source.get("agent"), "agent"), _name(source.get("feed"), "feed")
    given = source.get("fields")
    if not isinstance(given, dict):
        raise TelegramError("point: fields: expected an object with one entry a field")
    fields = {_name(name, "field name"): _value(value, name) for name, value in given.items()}
    kept = {name: value for name, value in fields.items() if value is not None}
    if not kept:
        raise TelegramError("point: fields: none has a value, there is nothing to store")
    if "time" in kept:
        raise TelegramError("point: fields: 'time' is the name of the timestamp; rename the field")
    data = {"time": nanoseconds(source.get("time")), **kept}
    return Point(Series(agent, (("feed", feed),)), MappingProxyType(data))


def nanoseconds(seconds: object) -> int:
    """Unix seconds as nanoseconds, as OCS computes them: 1615389657.2904894 is ...290489344."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TelegramError("point: time: expected Unix seconds")
    if not isfinite(seconds) or not 0 <= seconds * NANO <= _LATEST:
        raise TelegramError("point: time: lies outside of 1970 to 2262")
    return int(seconds * NANO)


def decoded(line: bytes) -> Point:
    """A line of JSON Lines. Raises TelegramError."""
    try:
        source = json.loads(line)
    except (ValueError, RecursionError) as wrong:
        raise TelegramError(f"point: not JSON: {wrong}") from None
    return from_ocs(source)


def _name(text: object, where: str) -> str:
    name = check_text(text, f"point: {where}", limit=4 * MAX_NAME)
    if not name or len(name) > MAX_NAME:
        raise TelegramError(f"point: {where}: expected 1 to {MAX_NAME} characters")
    if "\\" in name:  # InfluxDB would take it, and give back something else
        raise TelegramError(f"point: {where}: {short(name)} holds a backslash; remove it")
    if where == "agent" and name.startswith("#"):
        raise TelegramError("point: agent: a line that starts with # is a comment to InfluxDB")
    return name


def _value(value: object, name: str) -> PointValue | None:
    where = f"point: field {short(name)}"
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return None
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        if value not in _INTEGERS:
            raise TelegramError(f"{where}: a whole number beyond 64 bits")
        return value
    if isinstance(value, str):
        return check_text(value, where)
    raise TelegramError(f"{where}: expected a number, a truth or a text")


def _escaped(text: str) -> str:
    return re.sub(r"([,= ])", r"\\\1", text)


def _wire(value: PointValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
