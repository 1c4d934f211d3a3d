"""Telegrams straight from the pages that hold them, where the pages above those are lost.

A telegram never changes once it is written, so any page on which it stands will do, also one
that is no longer in use. Formats: https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate, chain, pairwise
from math import isnan
from pathlib import Path
from typing import Any

from mysense.journal.pages import frames, page_size, pages
from mysense.journal.tables import Row

_LEAF = 13  # kind of a page: the rows of a table
_COLUMNS = 8  # of table telegrams, the first of which is the row's number
_AT = 6  # the column that is a REAL
_LENGTHS = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)  # bytes of a value, by the kind that a record tells
_FLOAT, _ZERO, _BLOB = 7, 8, 12  # kinds; one more are a one, and a text without any byte


def telegrams(path: Path) -> Iterator[list[Row]]:
    """What may be rows of `telegrams`, page by page: from the file, then from the log."""
    size = page_size(path)
    for page in chain(pages(path, size), (frame.data for frame in frames(path, size))):
        yield list(rows(page))


def rows(page: bytes) -> Iterator[Row]:
    """The rows on a page that have as many columns as a telegram; none where it is another one.

    A row that goes on on another page is left out, as it cannot be put together. All values have
    to be looked at: a pointer that is damaged may lead to anything.
    """
    if page[0] != _LEAF:
        return
    (cells,) = struct.unpack(">H", page[3:5])
    for (cell,) in struct.iter_unpack(">H", page[8 : 8 + 2 * cells]):
        with suppress(IndexError, ValueError):
            yield _row(page, cell)


def _row(page: bytes, at: int) -> Row:
    length, at = _varint(page, at)
    number, at = _varint(page, at)
    record = page[at : at + length]
    header, here = _varint(record, 0)
    kinds: list[int] = []
    while here < header:
        kind, here = _varint(record, here)
        kinds.append(kind)
    ends = list(accumulate(map(_length, kinds), initial=header))
    if (kinds[0], len(kinds), ends[-1], len(record)) != (0, _COLUMNS, length, length):
        raise ValueError("another row, or a part of one")
    values = list(map(_value, kinds, (record[start:end] for start, end in pairwise(ends))))
    if isinstance(values[_AT], int):  # what has no fraction is stored as a whole number
        values[_AT] = float(values[_AT])
    return number, *values[1:]


def _length(kind: int) -> int:
    return _LENGTHS[kind] if kind < _BLOB else (kind - _BLOB) // 2


def _value(kind: int, data: bytes) -> Any:
    if kind == _FLOAT:
        (value,) = struct.unpack(">d", data)
        return None if isnan(value) else value
    if kind >= _BLOB:
        return data.decode() if kind % 2 else data
    if kind >= _ZERO:
        return kind - _ZERO
    return int.from_bytes(data, "big", signed=True) if data else None


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """A number of up to 56 bits, as all of ours are, and where it ends."""
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | page[place] & 0x7F
        if page[place] < 0x80:
            return value, place + 1
    raise ValueError("no number of ours")
