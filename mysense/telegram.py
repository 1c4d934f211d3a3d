"""Telegrams: who measured (ident) and what was measured when (data).

    >>> ident = Ident(project="BdP", serial="test_sense", label="alphaTest")
    >>> telegram = Telegram.from_json(ident, {"time": 1494777772, "temp": 28.75})
    >>> telegram.kit, telegram.time, telegram.data["temp"]
    ('BdP_test_sense', 1494777772, 28.75)

Everything that comes from outside the process enters through `Ident.from_json` and
`Telegram.from_json`; what they return can be trusted by journal, channels and encoders.
"""

from __future__ import annotations

import hashlib
import re
import struct
import time as _time
import unicodedata
from collections.abc import Mapping
from math import isfinite
from types import MappingProxyType
from typing import Any, ClassVar

import attrs

from mysense.errors import TelegramError

Value = float | str | None
"""One measured value: a number, a text, or None for "not measured"."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What a project or a serial may look like: together they name databases and files."""

MAX_NAME = 100  # each; a database name of InfluxDB holds 255 characters at most
MAX_FIELD = 255
MAX_TEXT = 65_536  # bytes
MAX_WHOLE = 2**53  # beyond it a float no longer holds every whole number
DAY = 86_400

_FORBIDDEN = {"Cc": "a control character", "Cs": "half a surrogate pair"}
_FORBIDDEN |= {"Zl": "a line separator", "Zp": "a paragraph separator"}


def check_text(text: object, where: str, *, limit: int = MAX_TEXT) -> str:
    """Return `text` when it is printable text of at most `limit` bytes of UTF-8.

    Raises:
        TelegramError: naming `where`, and the character that is not accepted.
    """
    if not isinstance(text, str):
        raise TelegramError(f"{where}: expected text, found {_kind(text)}")
    if not text.isprintable():
        for at, char in enumerate(text):
            if (bad := _FORBIDDEN.get(unicodedata.category(char))) is not None:
                raise TelegramError(
                    f"{where}: {bad} (U+{ord(char):04X}) at position {at + 1}; remove it"
                )
    if len(text) > limit // 4 and len(text.encode()) > limit:
        raise TelegramError(f"{where}: longer than {limit} bytes; shorten it")
    return text


def check_name(text: object, where: str) -> str:
    """Return `text` when it may be (part of) the name of a database and of a file."""
    name = check_text(text, where, limit=MAX_NAME * 4)
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise TelegramError(
            f"{where}: {short(name)} is not usable as a name: start with a letter or digit, then "
            f"letters, digits, '_', '.' and '-', {MAX_NAME} characters at most"
        )
    return name


def check_field(name: object, where: str) -> str:
    """Return `name` when it may name a measured field."""
    text = check_text(name, where, limit=MAX_FIELD)
    if not text or '"' in text or "\\" in text or text == "time":
        raise TelegramError(
            f"{where}: {short(text)} is not usable as a field name: "
            "it may not be empty, 'time', or hold a quote or backslash"
        )
    return text


def check_time(value: object, latest: float | None = None) -> int:
    """Return `value` as whole Unix seconds.

    Args:
        value: a number without a fraction.
        latest: the last acceptable second; a day ahead of this machine's clock unless given.
    """
    if value.__class__ is not int and not (isinstance(value, float) and value.is_integer()):
        if isinstance(value, float) and isfinite(value):
            raise TelegramError(f"time: {value!r} is not a whole number of Unix seconds; round it")
        raise TelegramError(f"time: expected whole Unix seconds, found {_kind(value)}")
    seconds = int(value)
    if seconds < 0:
        raise TelegramError(f"time: {_digits(seconds)} lies before 1970")
    if seconds > (latest if latest is not None else _time.time() + DAY):
        hint = ""
        if seconds >= 10**11:
            hint = "; it looks like milliseconds or finer, divide it down to seconds"
        raise TelegramError(f"time: {_digits(seconds)} lies more than a day in the future{hint}")
    return seconds


def _digits(number: int) -> str:
    """A whole number for a message, also where it has thousands of digits."""
    return str(number) if number.bit_length() < 200 else "a number of very many digits"


def short(text: str, width: int = 60) -> str:
    """`text` quoted, escaped and cut for use in a message."""
    return repr(text if len(text) <= width else text[: width - 3] + "...")


def _kind(value: object) -> str:
    names = {bool: "a boolean", dict: "an object", list: "a list", str: "text", int: "a number"}
    if value is None:
        return "nothing (null)"
    if isinstance(value, float):
        return "a number" if isfinite(value) else f"{value}, which is not a number"
    return names.get(type(value), type(value).__name__)


_TEXTS = ("label", "geolocation", "description", "street", "village", "province", "municipality")
_LISTS = ("extern_ip", "intern_ip", "fields", "units", "types")


def _empty_to_none(text: str | None) -> str | None:
    return text or None


@attrs.frozen(kw_only=True, cache_hash=True)
class Ident:
    """Who measured.

    `project` and `serial` name the kit and are required. `geolocation` is "lat,lon,alt" in
    degrees and metres. `fields`, `units` and `types` run in parallel, first entry `time`, `s`.
    """

    project: str
    serial: str
    label: str | None = attrs.field(default=None, converter=_empty_to_none)
    geolocation: str | None = attrs.field(default=None, converter=_empty_to_none)
    description: str | None = attrs.field(default=None, converter=_empty_to_none)
    street: str | None = attrs.field(default=None, converter=_empty_to_none)
    village: str | None = attrs.field(default=None, converter=_empty_to_none)
    province: str | None = attrs.field(default=None, converter=_empty_to_none)
    municipality: str | None = attrs.field(default=None, converter=_empty_to_none)
    extern_ip: tuple[str, ...] = ()
    intern_ip: tuple[str, ...] = ()
    version: str | None = attrs.field(default=None, converter=_empty_to_none)
    fields: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    types: tuple[str, ...] = ()

    kit: str = attrs.field(init=False, eq=False, repr=False)
    """The kit's key, `<project>_<serial>`: names its database and its files."""

    @kit.default
    def _kit(self) -> str:
        return f"{self.project}_{self.serial}"

    def unit(self, field: str) -> str:
        """The unit of `field`, or an empty text when the ident does not say."""
        return dict(zip(self.fields, self.units, strict=False)).get(field, "")

    def to_json(self) -> dict[str, Any]:
        """The ident as a JSON object, without what is absent."""
        every = ((name, getattr(self, name)) for name in IDENT_KEYS)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in every
            if value not in (None, ())
        }

    @classmethod
    def from_json(cls, source: object) -> Ident:
        """Validate `source`, an object as `to_json` makes it; unknown keys are left out.

        Raises:
            TelegramError: a part that is missing, of the wrong type, or not acceptable text.
        """
        if not isinstance(source, Mapping):
            raise TelegramError(f"ident: expected an object, found {_kind(source)}")
        given: dict[str, Any] = {}
        for name in ("project", "serial"):
            if source.get(name) in (None, ""):
                raise TelegramError(f"ident: {name} is missing; every kit needs one")
            given[name] = check_name(source[name], f"ident {name}")
        for name in (*_TEXTS, "version"):
            if source.get(name) is not None:
                given[name] = check_text(source[name], f"ident {name}")
        for name in _LISTS:
            if source.get(name) is not None:
                given[name] = _texts(source[name], f"ident {name}")
        return cls(**given)


IDENT_KEYS = tuple(field.name for field in attrs.fields(Ident) if field.init)


def _texts(source: object, where: str) -> tuple[str, ...]:
    if isinstance(source, str):  # a lone address was once written without its list
        return (check_text(source, where),)
    if not isinstance(source, list | tuple):
        raise TelegramError(f"{where}: expected a list of texts, found {_kind(source)}")
    return tuple(check_text(entry, f"{where} entry {at}") for at, entry in enumerate(source, 1))


@attrs.frozen
class Telegram:
    """One measurement of one kit: its ident, and `time` plus one entry a field.

    `data["time"]` is whole Unix seconds (UTC) as int; every other number is a float. `new` says
    whether the kit's ident is new with this telegram; None leaves that to the journal.
    """

    kind: ClassVar[str] = "telegram"

    ident: Ident
    data: Mapping[str, Value]
    new: bool | None = None

    @property
    def kit(self) -> str:
        """The key of the kit that measured."""
        return self.ident.kit

    @property
    def time(self) -> int:
        """When it was measured, in Unix seconds."""
        return self.data["time"]  # type: ignore[return-value]  # the one entry that is an int

    @property
    def identity(self) -> str:
        """What tells this telegram from every other, `BdP_k1@1494777772-<16 hex digits>`.

        Equal wherever and whenever it is made, so that who gets telegrams at least once can drop
        doubles. The digits are of the content: the kit's label and the data in normal form. What
        else the ident says of the kit is no part of it, as in the journal. docs/telegram.md has
        the algorithm.
        """
        return f"{self.kit}@{self.time}-{content_hash(self.ident.label, self.data)}"

    def to_json(self) -> dict[str, Any]:
        """The interchange form, `{"ident": ..., "data": ...}`."""
        return {"ident": self.ident.to_json(), "data": plain(self.data)}

    def normal(self) -> tuple[tuple[tuple[str, Any], ...], tuple[tuple[str, Value], ...]]:
        """The form in which equal telegrams are equal: no None, no version, no local address."""
        ident = self.ident.to_json()
        for name in ("version", "intern_ip"):
            ident.pop(name, None)
        return (
            tuple((key, tuple(v) if isinstance(v, list) else v) for key, v in ident.items()),
            normal_data(self.data),
        )

    @classmethod
    def from_json(cls, ident: Ident, source: object, *, latest: float | None = None) -> Telegram:
        """Validate `source`, the data of one telegram of `ident`.

        Args:
            ident: who measured.
            source: an object with `time` and one entry a field.
            latest: the last acceptable second; a day ahead of this machine's clock unless given.

        Raises:
            TelegramError: naming the field and what is wrong with it.
        """
        if source.__class__ is not dict:
            raise TelegramError(f"data: expected an object, found {_kind(source)}")
        if latest is None:
            latest = _time.time() + DAY
        if _is_plain(source, latest):
            return cls(ident, MappingProxyType(source.copy()))
        data: dict[str, Value] = {}
        for name, value in source.items():
            data[name] = check_time(value, latest) if name == "time" else _value(value, name)
            if name not in _good_fields:
                _check_new_field(name)
        if "time" not in data:
            raise TelegramError("data: time is missing; every telegram needs one")
        return cls(ident, MappingProxyType(data))


def _is_plain(source: dict[str, Any], latest: float) -> bool:
    """Whether there is nothing to check or convert any more, as in nearly all telegrams.

    It looks at all values at once, which is several times as fast as one by one.
    """
    time = source.get("time")
    return (
        time.__class__ is int
        and 0 <= time <= latest
        and list(map(type, source.values())).count(float) == len(source) - 1
        and source.keys() <= _good_fields
        and isfinite(sum(source.values()))
    )


_double = struct.Struct(">d").pack
_good_fields = {"time"}  # names found good before: a bounded memory, so each is checked once


def _check_new_field(name: object) -> None:
    check_field(name, "data")
    if len(_good_fields) < 1000:
        _good_fields.add(name)  # type: ignore[arg-type]  # check_field lets only texts through


def _value(value: object, name: object) -> Value:
    if value is None:
        return None
    if value.__class__ is float:
        if not isfinite(value):
            raise TelegramError(f"{_of(name)}: {value} is not a number; leave it out")
        return value
    if value.__class__ is int:
        if abs(value) > MAX_WHOLE:
            raise TelegramError(
                f"{_of(name)}: {_digits(value)} is beyond 2^53 and would be rounded; "
                "send it as text"
            )
        return float(value)
    if isinstance(value, str):
        return check_text(value, _of(name))
    raise TelegramError(f"{_of(name)}: expected a number or text, found {_kind(value)}")


def _of(name: object) -> str:
    """Which entry of data a message speaks of; the name is not checked yet."""
    text = str(name)
    return f"data {text if text.isprintable() and len(text) <= 60 else short(text)}"


def plain(data: Mapping[str, Value]) -> dict[str, Value]:
    """`data` as a dict of one's own; a proxy copies itself several times as fast as dict() does."""
    return data.copy() if data.__class__ is MappingProxyType else dict(data)


def normal_data(data: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    """`data` sorted by name and without None, for comparing contents."""
    return tuple(sorted((name, value) for name, value in data.items() if value is not None))


def content_hash(label: str | None, data: Mapping[str, Value]) -> str:
    """16 hex digits: the beginning of the SHA-256 of what a telegram says.

    Hashed is UTF-8 text of lines that end in a newline: the label (empty where there is none),
    then a line for each value but the time, sorted by name: name, tab, and for a number `n` and
    the 16 hex digits of its IEEE 754 double, for a text `t` and the text.
    """
    lines = [label or ""]
    for name in sorted(data):
        value = data[name]
        if isinstance(value, str):
            lines.append(f"{name}\tt{value}")
        elif value is not None and name != "time":
            lines.append(f"{name}\tn{_double(value + 0.0).hex()}")  # 0.0 added: -0.0 is 0.0
    text = "\n".join(lines) + "\n"
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]
