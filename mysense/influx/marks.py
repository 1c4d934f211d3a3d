"""Marks: four bytes that stand for the content of a row, whatever columns there are beside it."""

from __future__ import annotations

import marshal
from array import array
from collections.abc import Sequence
from functools import partial
from itertools import compress, repeat
from operator import is_not
from typing import Any
from zlib import crc32

from mysense.influx.columns import TAGS

Row = list[Any]
_is_there = partial(is_not, None)
_FORM = 2  # of marshal: the last one that writes equal contents as equal bytes


class Marker:
    """Marks rows with one set of columns; equal rows with other columns get equal marks.

    The tag `new` does not count: rows that differ in it are one telegram.

    Args:
        names: of the columns: time, numbers, the tags, all others.
        tags: the column of the first tag.
    """

    def __init__(self, names: Sequence[str], tags: int) -> None:
        self._names = names
        self._tags = tags
        self._new = tags + len(TAGS) - 1
        self._full = len(names) - 1 - len(TAGS)
        self._salt = self._shape((True,) * len(names))[0]
        self._shapes: dict[tuple[bool, ...], tuple[int, tuple[bool, ...]]] = {}

    def marks(self, rows: Sequence[Row], values: array[int]) -> array[int]:
        """The marks of `rows`, which have so many values each."""
        if values.count(self._full) == len(rows):
            if self._new + 1 == len(self._names):
                kept = [row[: self._new] for row in rows]
            else:
                kept = [row[: self._new] + row[self._new + 1 :] for row in rows]
            return array(
                "I", map(crc32, map(marshal.dumps, kept, repeat(_FORM)), repeat(self._salt))
            )
        return array("I", map(self._mark, rows))

    def _mark(self, row: Row) -> int:
        shape = tuple(map(_is_there, row))
        known = self._shapes.get(shape)
        if known is None:
            known = self._shapes[shape] = self._shape(shape)
        salt, wanted = known
        return crc32(marshal.dumps(list(compress(row, wanted)), _FORM), salt)

    def _shape(self, shape: tuple[bool, ...]) -> tuple[int, tuple[bool, ...]]:
        """What stands for the names of the fields that are there, and which columns count."""
        first, new = self._tags, self._new
        wanted = (*shape[:first], *(True,) * (new - first), False, *shape[new + 1 :])
        names = [*compress(self._names, shape[:first])]
        names += compress(self._names[new + 1 :], shape[new + 1 :])
        return crc32(repr(names).encode(errors="backslashreplace")), wanted
