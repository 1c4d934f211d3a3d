"""What an ident decides about the lines of its telegrams, made once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite

from mysense.influx.dialects import MAX_KEY, Dialect, Unsendable, key
from mysense.influx.shapes import Dumps, Shape
from mysense.influx.types import STRING, Columns, Misfit, natural
from mysense.telegram import IDENT_KEYS, Ident, Value, short

RESERVED = frozenset({"label", "new", "timestamp"})  # columns of `data` with a meaning of their own
KIT = ("project", "serial")  # tags, where kits share a database
PRIVATE = frozenset({"version", "intern_ip"})  # of an ident, and not sent
LONG = 4096  # characters of tags from which on the server's limit is looked at
MANY = 2000  # shapes that are kept

_NOTHING = ("description", "")  # a line needs a field, and readers take an empty text for none


class InfoMisfit(Misfit):
    """The ident does not fit the columns that the series `info` has in this database."""


class Station:
    """All that an ident decides about its lines.

    Args:
        ident: who measures.
        dialect: how texts are written.
        dumps: orjson's, or None.
        tagged: project and serial are tags of all lines, and no fields.
    """

    def __init__(
        self, ident: Ident, dialect: Dialect, dumps: Dumps | None, *, tagged: bool = False
    ) -> None:
        self.ident = ident
        self.kit = ident.kit
        self.refusal = ""
        self._dialect = dialect
        self._dumps = dumps
        self._tagged = tagged
        self._reserved = RESERVED.union(KIT) if tagged else RESERVED
        self._label = self._geolocation = self._kit = ""
        self._info: list[tuple[str, str]] = []
        self._shapes: dict[tuple[str, ...], Shape | None] = {}
        try:
            self._prepare()
        except Unsendable as wrong:
            self.refusal = f"ident {wrong}"

    def _prepare(self) -> None:
        ident, dialect = self.ident, self._dialect
        if ident.label:
            self._label = ",label=" + dialect.tag(ident.label, "label")
        if ident.geolocation:
            self._geolocation = ",geolocation=" + dialect.tag(ident.geolocation, "geolocation")
        if self._tagged:
            self._kit = "".join(
                f",{name}={dialect.tag(getattr(ident, name), name)}" for name in KIT
            )
        self._info = list(self._info_fields()) or [_NOTHING]
        for name, text in self._info:
            dialect.text(text, name)  # refused now, once, and not with every telegram
        _check_key("data" + self._geolocation + self._label + self._kit, "")

    def _info_fields(self) -> Iterator[tuple[str, str]]:
        for name in IDENT_KEYS:
            value = getattr(self.ident, name)
            if value and name not in PRIVATE and not self._is_tag_alone(name):
                yield name, value if isinstance(value, str) else self._dialect.join(value, name)

    def _is_tag_alone(self, name: str) -> bool:
        if name == "label":
            return not self._dialect.label_is_field
        return self._tagged and name in KIT

    def info(self, data: Mapping[str, Value], columns: Columns) -> str:
        """The line of `info`, at the time of `data`; its fields get their columns.

        Raises:
            InfoMisfit
        """
        parts = []
        for name, text in self._info:
            try:
                value = columns.fit(name, text)
            except Misfit as wrong:
                raise InfoMisfit(f"info {wrong}") from None
            if not columns.of(name):
                columns.set(name, STRING)
            parts.append(f"{name}={self._wire(value, name)}")
        return f"info{self._label}{self._kit} {','.join(parts)} {data['time']}"

    def line(self, data: Mapping[str, Value], columns: Columns, *, new: bool) -> str:
        """The line of `data`; new fields get their columns.

        Raises:
            Unsendable, Misfit: and then no column is taken.
        """
        head = f"data{self._own(data)}{self._label},new={new:d}{self._kit}"
        values = self._fit(data, columns)
        if not values:
            raise Unsendable("no value: every field is empty, there is nothing to store")
        if len(head) > LONG:
            for name in values:
                _check_key(head, name)
        text = ",".join(
            [f"{key(name)}={self._wire(value, name)}" for name, value in values.items()]
        )
        for name, value in values.items():
            if not columns.of(name):
                columns.set(name, natural(value))
        return f"{head} {text} {data['time']}"

    def _fit(self, data: Mapping[str, Value], columns: Columns) -> dict[str, float | str]:
        """The values that are sent, as their columns hold them."""
        values = {}
        for name, value in data.items():
            if name in ("time", "geolocation") or value is None:
                continue
            if name in self._reserved:
                raise Unsendable(f"{name}: InfluxDB keeps something else under this name")
            if isinstance(value, str):
                values[name] = columns.fit(name, value)
            elif isfinite(value):
                values[name] = columns.fit(name, float(value))  # all numbers are floats there
        return values

    def _own(self, data: Mapping[str, Value]) -> str:
        own = data.get("geolocation")
        if own is None:
            return self._geolocation
        if not isinstance(own, str) or not own:
            raise Unsendable(f"geolocation: {own!r} is not a text 'latitude,longitude,altitude'")
        return ",geolocation=" + self._dialect.tag(own, "geolocation")

    def _wire(self, value: float | str, name: str) -> str:
        if isinstance(value, str):
            return self._dialect.text(value, name)
        return f"{value}i" if isinstance(value, int) else repr(value)

    def shape(self, fields: tuple[str, ...]) -> Shape | None:
        """What encodes many telegrams with these entries at once, or None."""
        if fields not in self._shapes:
            if len(self._shapes) >= MANY:
                self._shapes.clear()
            self._shapes[fields] = self._new_shape(fields)
        return self._shapes[fields]

    def _new_shape(self, fields: tuple[str, ...]) -> Shape | None:
        names = [name for name in fields if name != "time"]
        head = f"data{self._geolocation}{self._label}"
        taken = self._reserved.union({"geolocation"})
        if not names or len(head) > LONG or not taken.isdisjoint(names):
            return None
        return Shape(head, f"new=0{self._kit}", names, self._dumps)


def _check_key(head: str, field: str) -> None:
    size = len(head.encode()) + len(key(field).encode()) + 4
    if size > MAX_KEY:
        raise Unsendable(
            f"label and geolocation: with field {short(field)} they take {size} bytes, and "
            f"InfluxDB takes {MAX_KEY}; shorten them"
        )
