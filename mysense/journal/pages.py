"""The pages of a journal's file, for when SQLite itself cannot get at them.

Two things make SQLite give up more than is lost: a first page that is gone hides all others, and a
bad frame in the write-ahead log hides all frames after it. Both are mended in a copy. The formats
are those of https://www.sqlite.org/fileformat2.html, sections 1.3 and 4.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import dropwhile, groupby
from pathlib import Path

import attrs

from mysense.journal.formats import BULK_PAGE_SIZE, PAGE_SIZE, create, lists_tables, orders

MAGIC = b"SQLite format 3\0"
_LOG_MAGIC = b"7\x7f\6"
_ORDERS = {_LOG_MAGIC + b"\x82": "<", _LOG_MAGIC + b"\x83": ">"}  # of bytes, in checksums
_LOG_HEADER, _FRAME_HEADER = 32, 24
_LEAVES = b"\n\r"  # kinds of pages, the first byte of each: rows of an index, of a table
_KINDS = {13: (b"\r", b"\5"), 10: (b"\n", b"\2")}  # of an empty table or index, and a grown one


@attrs.frozen
class Frame:
    """A page in the write-ahead log; `commit` is the size of the database there, else 0."""

    page: int
    commit: int
    data: bytes
    whole: bool


def lost_frames(path: Path) -> bool:
    """Whether transactions stand in the write-ahead log behind a frame that is bad.

    SQLite would not see them. One may stand there after a power cut, it was never acknowledged;
    two in a row can only be there when the log was damaged before them.
    """
    behind = dropwhile(lambda frame: frame.whole, frames(path, page_size(path)))
    runs = groupby(behind, lambda frame: frame.whole)
    return any(whole and sum(bool(frame.commit) for frame in run) > 1 for whole, run in runs)


def rescue(path: Path, target: Path) -> None:
    """Copy a journal as far as it can be read, its write-ahead log worked in, its header mended.

    The copy is not to be written to, and not to be trusted: tables have to be read from it
    row by row.

    Raises:
        OSError: there is no room for it.
    """
    size = page_size(path)
    create_private(target)
    with target.open("wb") as copy:
        copy.writelines(pages(path, size))
        for frame in _committed(path, size):
            copy.seek((frame.page - 1) * size)
            copy.write(frame.data)
    _mend_header(target, size)


def beside(path: Path, suffix: str) -> Path:
    """The file of this name with something added."""
    return path.with_name(path.name + suffix)


def create_private(path: Path) -> None:
    """Idents hold addresses; SQLite gives its other files the mode that this one has."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o640))


def pages(file: Path, size: int, start: int = 0) -> Iterator[bytes]:
    """A file in parts of so many bytes; none where there is no such file.

    What the disk does not give, and what the last part lacks, is zeros.
    """
    if not file.exists():
        return
    with file.open("rb") as stream:
        number = stream.fileno()
        for at in range(start, os.fstat(number).st_size, size):
            yield _read(number, at, size)


def _read(number: int, at: int, length: int) -> bytes:
    try:
        found = os.pread(number, length, at)
    except OSError:
        found = b""
    return found.ljust(length, b"\0")


def page_size(path: Path) -> int:
    """As the file's header says it, else that of its log; where both are gone, what fits best."""
    for file, magic, at in ((path, MAGIC, 16), (beside(path, "-wal"), _LOG_MAGIC, 10)):
        with suppress(OSError), file.open("rb") as stream:
            head = stream.read(_LOG_HEADER)
            size = int.from_bytes(head[at : at + 2], "big")
            if head.startswith(magic) and size in (PAGE_SIZE, BULK_PAGE_SIZE):
                return size
    return PAGE_SIZE if _looks_small(path) else BULK_PAGE_SIZE


def _looks_small(path: Path) -> bool:
    """Whether most of what would be the beginning of a small page looks like one."""
    looks = Counter(
        page[0] in _LEAVES and int.from_bytes(page[5:7], "big") <= PAGE_SIZE
        for page in pages(path, PAGE_SIZE)
        if page[0]
    )
    return looks[True] >= looks[False]


# -- the write-ahead log ------------------------------------------------------------------------


def _committed(path: Path, size: int) -> Iterator[Frame]:
    """All whole frames up to the last that ends a transaction, in their order."""
    begun: list[Frame] = []
    for frame in frames(path, size):
        if frame.whole:
            begun.append(frame)
            if frame.commit:
                yield from begun
                begun = []


def frames(path: Path, size: int) -> Iterator[Frame]:
    """The frames of a journal's log, whole or not; none where there is no log.

    A frame's checksum goes on from that of the frame before. So each can be checked alone, from
    what the frame before says of itself. The salts, which tell this log from an earlier one whose
    frames still stand behind, are in each frame, too.
    """
    log = beside(path, "-wal")
    head = next(pages(log, _LOG_HEADER), b"")
    order, salts, before = _ORDERS.get(head[:4], ""), head[16:24], head[24:]
    if not order or _checksum(order, bytes(8), head[:24]) != before:
        order, salts, before = order or "<", b"", b""
    for data in pages(log, _FRAME_HEADER + size, _LOG_HEADER):
        page, commit, ours, check = struct.unpack(">II8s8s", data[:_FRAME_HEADER])
        whole = bool(page and before and ours == (salts or ours)) and check == _checksum(
            order, before, data[:8] + data[_FRAME_HEADER:]
        )
        salts = ours if whole else salts
        yield Frame(page, commit, data[_FRAME_HEADER:], whole)
        before = check


def _checksum(order: str, before: bytes, data: bytes) -> bytes:
    one, two = struct.unpack(">II", before)
    for even, odd in struct.iter_unpack(f"{order}II", data):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return struct.pack(">II", one, two)


# -- the first page -----------------------------------------------------------------------------


def _mend_header(copy: Path, size: int) -> None:
    """Make the copy one that SQLite opens: with the tables of an empty journal if need be."""
    with copy.open("r+b") as stream:
        number = stream.fileno()
        _forget_size(number)
        if not _tables(copy):
            _transplant(number, size)
            _forget_size(number)


def _forget_size(number: int) -> None:
    """Of pages that the header does not count there are as many as the file holds."""
    os.pwrite(number, b"\0\0\0\0", 28)


def _tables(copy: Path) -> bool:
    with closing(read_only(copy)) as db:
        try:
            return lists_tables(db)
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            return False


def read_only(path: Path) -> sqlite3.Connection:
    """A connection to a copy that nobody writes to."""
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True)


def _transplant(number: int, size: int) -> None:
    """Put the list of tables of an empty journal there, whose tables begin where ours do.

    Its first page goes over the first, those below it behind the last. What is missing of a file
    that is shorter is as in an empty one: SQLite wants every table to begin somewhere.
    """
    empties = [_empty(size, order) for order in orders()]
    empty = max(empties, key=lambda one: _fits(number, one, size))
    os.pwrite(number, empty[:size], 0)
    end = os.fstat(number).st_size
    os.pwrite(number, empty[end:], end)
    for place in _below(empty):
        (page,) = struct.unpack(">I", empty[place : place + 4])
        end = os.fstat(number).st_size
        os.pwrite(number, empty[(page - 1) * size : page * size], end)
        os.pwrite(number, struct.pack(">I", end // size + 1), place)


def _below(first: bytes) -> list[int]:
    """Where the first page says which pages are below it: there are always some."""
    (cells,) = struct.unpack(">H", first[103:105])
    return [108, *struct.unpack(f">{cells}H", first[112 : 112 + 2 * cells])]


def _fits(number: int, empty: bytes, size: int) -> int:
    """How many tables and indexes of an empty journal begin with a page of that kind in a file."""
    starts = range(0, len(empty), size)
    return sum(_read(number, at, 1) in _KINDS.get(empty[at], ()) for at in starts)


def _empty(size: int, order: list[str]) -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {size}")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        create(db, order)
        return db.serialize()
