"""Field types of a database, and how a value gets into a column of another type without loss."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from math import isfinite

from mysense.errors import MySenseError

FLOAT, INTEGER, STRING, BOOLEAN = "float", "integer", "string", "boolean"
MAX_INTEGER = 2**63

_CONFLICT = re.compile(
    r'field type conflict: input field "(?P<field>.+)" on measurement "(?P<measurement>\w+)" '
    r"is type (?P<given>\w+), already exists as type (?P<type>\w+)"
)


class Misfit(MySenseError, ValueError):
    """A value that the column of its field cannot hold without loss."""


class Columns:
    """The types that the fields of one measurement have; several where shards differ.

    A field that is not known yet gets the type of its first value, within a batch too: two types
    for a new field in one batch would lose the whole batch.
    """

    def __init__(self, types: dict[str, tuple[str, ...]] | None = None) -> None:
        self._types = dict(types or {})

    def copy(self) -> Columns:
        """A copy to try a batch with."""
        return Columns(self._types)

    def of(self, field: str) -> tuple[str, ...]:
        """The types that `field` has; none when it is new."""
        return self._types.get(field, ())

    def set(self, field: str, *types: str) -> None:
        """From now on `field` has these types."""
        self._types[field] = types

    def takes_floats(self, fields: Iterable[str]) -> bool:
        """Whether all `fields` take floats, as those do that are new."""
        types = self._types
        return all(field not in types or FLOAT in types[field] for field in fields)

    def set_floats(self, fields: Iterable[str]) -> None:
        """From now on those of `fields` that were new have floats."""
        for field in fields:
            self._types.setdefault(field, (FLOAT,))

    def fit(self, field: str, value: float | str) -> float | str:
        """`value` as the column of `field` holds it: a number, a text, or an int for `62i`.

        Raises:
            Misfit: that would lose something.
        """
        types = self._types.get(field)
        natural = STRING if isinstance(value, str) else FLOAT
        if types is None or natural in types:
            return value
        for kind in types:
            converted = _convert(value, kind)
            if converted is not None:
                return converted
        found = f"the text {value[:60]!r}" if isinstance(value, str) else f"the number {value!r}"
        raise Misfit(f"{field}: {found} does not fit its column of type {' and '.join(types)}")


def natural(value: float | str) -> str:
    """The type that a fitted value has on the wire."""
    return {str: STRING, int: INTEGER}.get(type(value), FLOAT)


def number_text(value: float) -> str:
    """The shortest text from which `value` can be read back."""
    return repr(value).removesuffix(".0")


def _convert(value: float | str, kind: str) -> float | str | None:
    if isinstance(value, str):
        number = _number(value)
        return None if number is None or kind == STRING else _convert_number(number, kind)
    return _convert_number(value, kind)


def _convert_number(value: float, kind: str) -> float | str | None:
    if kind == FLOAT:
        return value
    if kind == STRING:
        return number_text(value)
    if kind == INTEGER and value.is_integer() and -MAX_INTEGER <= value < MAX_INTEGER:
        return int(value)
    return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and text in (repr(value), number_text(value)) else None


def conflict(message: str) -> tuple[str, str, str] | None:
    """Measurement, field and type of its column, from an answer that names a conflict."""
    match = _CONFLICT.search(message)
    if match is None:
        return None
    return match["measurement"], match["field"].replace('\\"', '"'), match["type"]


def field_keys(answer: bytes) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Measurement, field and its types, from the answer to SHOW FIELD KEYS; none on its errors."""
    try:
        results = json.loads(answer)["results"]
        series = [each for result in results for each in result.get("series", ())]
        for each in series:
            types: dict[str, list[str]] = {}
            for field, kind in each["values"]:
                types.setdefault(field, []).append(kind)
            yield from ((each["name"], field, tuple(kinds)) for field, kinds in types.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return  # what is not InfluxDB's answer teaches nothing; conflicts still will
