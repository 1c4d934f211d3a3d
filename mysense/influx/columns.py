"""The columns to ask for: what SHOW FIELD KEYS tells about the series `data` and `info`.

Columns are named with their types, because a field may have another type in another shard, and
`SELECT *` hides what is not of the type that it picks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import attrs

from mysense.errors import TelegramError
from mysense.influx.naming import quote_identifier
from mysense.telegram import check_field

Key = tuple[str, str]
"""A field and one of its types."""

TAGS = ("label", "geolocation", "new")
"""The tags of `data`, in the order of their columns."""

KIT = ("project", "serial")
"""The tags by which kits that share a database are told apart; they follow those of `TAGS`."""

TRUE_TIME = "timestamp"
"""The field in which the deployed publisher kept a telegram's time."""

_TYPES = ("float", "integer", "unsigned", "string", "boolean")


@attrs.frozen(slots=False)
class Columns:
    """Fields and types of one database; a union over time, so it only grows.

    Attributes:
        data: those of that series.
        info: those of that series.
        tagged: whether kits share the database: then there are the tags of `KIT`, too.
    """

    data: frozenset[Key] = frozenset()
    info: frozenset[Key] = frozenset()
    tagged: bool = False

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
        tagged = self.tagged or other.tagged
        return Columns(self.data | other.data, self.info | other.info, tagged)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of `data`, in the order of their columns."""
        return TAGS + self.kit

    @property
    def kit(self) -> tuple[str, ...]:
        """The tags that tell kits apart; in `info` they follow the label."""
        return KIT if self.tagged else ()

    @property
    def info_from(self) -> int:
        """The column of the first field of `info`."""
        return 2 + len(self.kit)

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """The fields of `data` that are numbers and nothing else; they follow the time."""
        return tuple(name for name, of in sorted(_merged(self.data)) if self._is_number(name, of))

    @cached_property
    def others(self) -> tuple[Key, ...]:
        """All other fields of `data`; they follow the tags."""
        return tuple(key for key in sorted(_merged(self.data)) if not self._is_number(*key))

    def _is_number(self, name: str, of: str) -> bool:
        if of != "float" or name in self.tags or name == TRUE_TIME:
            return False
        try:
            check_field(name, "data")
        except TelegramError:
            return False
        return True

    @cached_property
    def info_fields(self) -> tuple[Key, ...]:
        """The fields of `info` in the order of their columns, which follow time and tags."""
        return tuple(sorted(_merged(self.info)))

    @cached_property
    def select_data(self) -> str:
        """What stands between SELECT and FROM for `data`."""
        return _select([*self._floats, *((tag, "tag") for tag in self.tags), *self.others])

    @cached_property
    def count_data(self) -> str:
        """The same for how many values each field of `data` has."""
        return _counts([*self._floats, *self.others])

    @cached_property
    def count_info(self) -> str:
        """The same for the fields of `info`."""
        return _counts(self.info_fields)

    @property
    def _floats(self) -> list[Key]:
        return [(name, "float") for name in self.numbers]

    @cached_property
    def select_info(self) -> str:
        """What stands between SELECT and FROM for `info`."""
        tags = ((tag, "tag") for tag in ("label", *self.kit))
        return _select([*tags, *self.info_fields])


def _merged(keys: frozenset[Key]) -> frozenset[Key]:
    # the server casts whole numbers when floats are asked for: naming both would give both
    return keys - {(name, "integer") for name, of in keys if of == "float"}


def _select(columns: Iterable[Key]) -> str:
    return ", ".join(map(_column, columns))


def _counts(columns: Iterable[Key]) -> str:
    return ", ".join(f"count({_column(key)})" for key in columns)


def _column(key: Key) -> str:
    name, of = key
    return f"{quote_identifier(name)}::{of}"
