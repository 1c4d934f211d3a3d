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
Shape = tuple[bool, ...]
Tags = tuple[str | None, str | None]

_is_there = partial(is_not, None)
_FORM = 2  # of marshal: the last one that writes equal numbers as equal bytes
_MOST = 10_000  # salts that are remembered: a kit that moves has another one with every row


class Marker:
    """Marks rows with one set of columns; equal rows with other columns get equal marks.

    The tag `new` does not count: rows that differ in it are one telegram. Marks are the same in
    every process: sums of them are kept.

    Args:
        names: of the columns: time, numbers, the tags, all others.
        tags: the column of the first tag.
    """

    def __init__(self, names: Sequence[str], tags: int) -> None:
        self._names = names
        self._tags = tags
        self._others = tags + len(TAGS)
        self._full = tags - 1 if self._others == len(names) else -1  # values of a plain row
        self._all = (True,) * len(names)
        self._salts: dict[tuple[Shape, Tags], int] = {}

    def marks(self, rows: Sequence[Row], values: array[int]) -> array[int]:
        """The marks of `rows`, which have so many values each."""
        if values.count(self._full) != len(rows):
            return array("I", map(self._mark, rows))
        tags, shape = self._tags, self._all
        plain = map(marshal.dumps, [row[:tags] for row in rows], repeat(_FORM))
        of_tags = {
            pair: self._salt(shape, pair) for pair in {(row[tags], row[tags + 1]) for row in rows}
        }
        salts = [of_tags[row[tags], row[tags + 1]] for row in rows]
        return array("I", map(crc32, plain, salts))

    def _mark(self, row: Row) -> int:
        shape = (*map(_is_there, row),)
        content = [*compress(row[: self._tags], shape)]
        others = (value for value in row[self._others :] if value is not None)
        content += (_bytes(value) if isinstance(value, str) else value for value in others)
        salt = self._salt(shape, (row[self._tags], row[self._tags + 1]))
        return crc32(marshal.dumps(content, _FORM), salt)

    def _salt(self, shape: Shape, tags: Tags) -> int:
        """What stands for the names of the fields that are there, and the tags."""
        salt = self._salts.get((shape, tags))
        if salt is None:
            if len(self._salts) >= _MOST:
                self._salts.clear()
            names = [*compress(self._names[: self._tags], shape)]
            names += compress(self._names[self._others :], shape[self._others :])
            salt = self._salts[shape, tags] = crc32(_bytes(repr((names, tags))))
        return salt


def _bytes(text: str) -> bytes:
    # not the text itself: how marshal writes one depends on whether it is interned
    return text.encode(errors="backslashreplace")
