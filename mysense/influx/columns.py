"""The columns to ask for: what SHOW FIELD KEYS tells about the series `data` and `info`.

Columns are named with their types, because a field may have another type in another shard, and
`SELECT *` hides what is not of the type that it picks.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import attrs

from mysense.influx.naming import quote_identifier

Key = tuple[str, str]
"""A field and one of its types."""

TAGS = ("label", "geolocation", "new")
"""The tags of `data`, in the order of their columns, which follow the time."""

FIRST = 1 + len(TAGS)
"""The first column of a row of `data` that is a field."""

_TYPES = ("float", "integer", "unsigned", "string", "boolean")


@attrs.frozen(slots=False)
class Columns:
    """Fields and types of one database; a union over time, so it only grows."""

    data: frozenset[Key] = frozenset()
    info: frozenset[Key] = frozenset()

    @classmethod
    def read(cls, result: Mapping[str, Any]) -> Columns:
        """The columns that an answer to SHOW FIELD KEYS names."""
        found: dict[str, frozenset[Key]] = {}
        for series in result.get("series", ()):
            keys = ((name, of) for name, of in series["values"] if of in _TYPES)
            found[series["name"]] = frozenset(keys)
        return cls(found.get("data", frozenset()), found.get("info", frozenset()))

    def covers(self, other: Columns) -> bool:
        """Whether everything in `other` is named here."""
        return other.data <= self.data and other.info <= self.info

    def __or__(self, other: Columns) -> Columns:
        return Columns(self.data | other.data, self.info | other.info)

    @cached_property
    def data_fields(self) -> tuple[Key, ...]:
        """The fields of `data` in the order of their columns: numbers by the thousand first."""
        return tuple(sorted(_merged(self.data), key=lambda key: (key[1] != "float", key)))

    @cached_property
    def info_fields(self) -> tuple[Key, ...]:
        """The fields of `info` in the order of their columns, which follow time and label."""
        return tuple(sorted(_merged(self.info)))

    @cached_property
    def select_data(self) -> str:
        """What stands between SELECT and FROM for `data`; empty where it has no fields."""
        return _select(TAGS, self.data_fields)

    @cached_property
    def select_info(self) -> str:
        """What stands between SELECT and FROM for `info`; empty where it has no fields."""
        return _select(("label",), self.info_fields)


def _merged(keys: frozenset[Key]) -> frozenset[Key]:
    # the server casts whole numbers when floats are asked for: naming both would give both
    return keys - {(name, "integer") for name, of in keys if of == "float"}


def _select(tags: tuple[str, ...], fields: tuple[Key, ...]) -> str:
    if not fields:
        return ""
    columns = [f'"{tag}"::tag' for tag in tags]
    columns += [f"{quote_identifier(name)}::{of}" for name, of in fields]
    return ", ".join(columns)
