"""Line protocol as InfluxDB 2.x reads it: one line that cannot be parsed refuses the whole body."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_INTEGER = re.compile(r"-?\d+i|\d+u")
_BOOLEANS = frozenset(["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"])


class Unparsable(ValueError):
    """Lines that are not line protocol, each with the reason."""


def check(text: str) -> int:
    """The number of points in `text`.

    Raises:
        Unparsable: all lines that are wrong.
    """
    at, points = 0, 0
    wrong = []
    while at < len(text):
        if text[at] in " \t\n":
            at += 1
            continue
        end = _end(text, at)
        line = text[at:end]
        at = end + 1
        if line.startswith("#"):
            continue
        if why := _why(line):
            wrong.append(f"unable to parse '{line}': {why}")
        points += 1
    if wrong:
        raise Unparsable("\n".join(wrong))
    return points


def _end(text: str, at: int) -> int:
    """Where the line ends: a newline between quotes of a field's value is part of it."""
    quoted, in_fields, after_equals = False, False, False
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 2
            continue
        if quoted:
            quoted = char != '"'
        elif char == "\n":
            break
        elif char == '"' and in_fields and after_equals:
            quoted = True
        in_fields = in_fields or char == " "
        after_equals = char == "="
        at += 1
    return min(at, len(text))


def _why(line: str) -> str | None:
    key, fields, stamp = _sections(line)
    if not fields:
        return "missing fields"
    measurement, *tags = _split(key, ",")
    if not measurement:
        return "missing measurement"
    return _wrong_tags(tags) or _wrong_fields(fields) or _wrong_stamp(stamp)


def _wrong_tags(tags: list[str]) -> str | None:
    for tag in tags:
        name, *value = _split(tag, "=")
        if not name:
            return "missing tag key"
        if name == "time":
            return 'cannot use reserved tag key "time"'
        if len(value) != 1 or not value[0]:
            return "missing tag value"
        if value[0].endswith("\\"):
            return "invalid tag format"
    return None


def _wrong_fields(fields: str) -> str | None:
    for field in _split(fields, ",", quotes=True):
        name, equals, value = _cut(field)
        if not name or not equals:
            return "missing field key" if equals else "invalid field format"
        if not value:
            return "missing field value"
        if value.startswith('"'):
            if not re.fullmatch(r'"(\\.|[^"\\])*"', value, re.DOTALL):
                return "unbalanced quotes"
        elif value in _BOOLEANS or _INTEGER.fullmatch(value):
            continue
        elif not _NUMBER.fullmatch(value):
            return "invalid number" if value[0] in "-.0123456789N" else "invalid boolean"
        elif abs(float(value)) == float("inf"):
            return "invalid float"
    return None


def _wrong_stamp(stamp: str) -> str | None:
    if not stamp:
        return None
    return None if re.fullmatch(r"-?\d{1,19}", stamp) else "bad timestamp"


def _sections(line: str) -> tuple[str, str, str]:
    """Series key, fields and time stamp, divided by spaces that are not escaped or quoted."""
    key = _take(line, quotes=False)
    rest = line[len(key) :].lstrip(" ")
    fields = _take(rest, quotes=True)
    return key, fields, rest[len(fields) :].strip(" ")


def _take(text: str, *, quotes: bool) -> str:
    return _split(text, " ", quotes=quotes)[0]


def _cut(field: str) -> tuple[str, str, str]:
    name = _split(field, "=")[0]
    return name, field[len(name) : len(name) + 1], field[len(name) + 1 :]


def _split(text: str, sign: str, *, quotes: bool = False) -> list[str]:
    parts, start, at, quoted = [], 0, 0, False
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 2
            continue
        if quotes and char == '"':
            quoted = not quoted
        if char == sign and not quoted:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]
