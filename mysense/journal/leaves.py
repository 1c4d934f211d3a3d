"""Telegrams straight from the pages that hold them, where the pages above those are lost.

A telegram never changes once it is written, so any page on which it stands will do, also one
that is no longer in use. Formats: https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mysense.journal.pages import beside, blocks, frames, page_size
from mysense.journal.tables import Row
from mysense.points import Point
from mysense.telegram import Telegram

_LEAF = 13  # kind of a page: the rows of a table
_COLUMNS = 8  # of table telegrams, the first of which is the row's number
_KINDS = [13 + 2 * len(kind) for kind in (Telegram.kind, Point.kind)]  # how texts are told
_WHOLE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # bytes of whole numbers, by the type a record tells


def telegrams(path: Path) -> Iterator[list[Row]]:
    """What may be rows of `telegrams`, page by page: from the file, then from the log."""
    size = page_size(path)
    for at, block in blocks(path):
        for start in range(0, len(block), size):
            if at + start > 0:
                yield list(rows(block[start : start + size]))
    for frame in frames(beside(path, "-wal")):
        yield list(rows(frame.data))


def rows(page: bytes) -> Iterator[Row]:
    """The telegrams on a page; none where it is another one."""
    if len(page) < 512 or page[0] != _LEAF:
        return
    (cells,) = struct.unpack(">H", page[3:5])
    end = 8 + 2 * cells
    if end > len(page):
        return
    for cell in struct.unpack(f">{cells}H", page[8:end]):
        try:
            row = _row(page, cell)
        except (IndexError, struct.error, UnicodeDecodeError):
            continue
        if row is not None:
            yield row


def _row(page: bytes, at: int) -> Row | None:
    length, at = _varint(page, at)
    number, at = _varint(page, at)
    if at + length > len(page):
        return None  # what goes on elsewhere cannot be put together
    header, here = _varint(page, at)
    kinds: list[int] = []
    end = at + header
    while here < end and len(kinds) <= _COLUMNS:
        kind, here = _varint(page, here)
        kinds.append(kind)
    if len(kinds) != _COLUMNS or kinds[0] != 0 or kinds[1] not in _KINDS:
        return None
    values: list[Any] = [number]
    for kind in kinds[1:]:
        value, end = _value(page, end, kind)
        values.append(value)
    values[6] = float(values[6])  # a REAL without fraction is stored as a whole number
    return tuple(values) if end == at + length else None


def _value(page: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in _WHOLE:
        end = at + _WHOLE[kind]
        return int.from_bytes(page[at:end], "big", signed=True), end
    if kind == 7:
        return struct.unpack(">d", page[at : at + 8])[0], at + 8
    if kind in (8, 9):
        return kind - 8, at
    if kind >= 13 and kind % 2:
        end = at + (kind - 13) // 2
        return page[at:end].decode(), end
    raise IndexError(kind)


def _varint(page: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | page[place] & 0x7F
        if page[place] < 0x80:
            return value, place + 1
    return value << 8 | page[at + 8], at + 9
