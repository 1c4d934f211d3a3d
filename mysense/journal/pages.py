"""The pages of a journal's file, for when SQLite itself cannot get at them.

Two things make SQLite give up more than is lost: a first page that is gone hides all others, and a
bad frame in the write-ahead log hides all frames after it. Both are mended in a copy. The formats
are those of https://www.sqlite.org/fileformat2.html, sections 1.3 and 4.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import attrs

from mysense.journal.damage import TABLES
from mysense.journal.formats import BULK_PAGE_SIZE, PAGE_SIZE, create, orders

MAGIC = b"SQLite format 3\0"
_WAL_MAGIC = (0x377F0682, 0x377F0683)  # the last bit: checksums are big-endian
_WAL_HEADER, _FRAME_HEADER = 32, 24
_BLOCK = 1 << 20
_ENOUGH = 4000  # pages to tell their size by
_BTREE = (2, 5, 10, 13)  # kinds of pages, the first byte of each
_INTERIOR = 5  # kind of a page: part of a table, with pages below it
_KINDS = {13: b"\r\5", 10: b"\n\2"}  # of an empty table or index, and what it may grow into


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
    broken, commits = False, 0
    for frame in frames(beside(path, "-wal")):
        broken = broken or not frame.whole
        commits = commits + (frame.commit > 0) if frame.whole and broken else 0
        if commits > 1:
            return True
    return False


def rescue(path: Path, target: Path) -> None:
    """Copy a journal as far as it can be read, its write-ahead log worked in, its header mended.

    The copy is not to be written to, and not to be trusted: tables have to be read from it
    row by row.

    Raises:
        OSError: there is no room for it.
    """
    size = page_size(path)
    create_private(target)
    with target.open("r+b") as copy:
        for at, block in blocks(path):
            copy.seek(at)
            copy.write(block)
        for frame in _committed(beside(path, "-wal")):
            copy.seek((frame.page - 1) * size)
            copy.write(frame.data)
    _mend_header(target, size)


def beside(path: Path, suffix: str) -> Path:
    """The file of this name with something added."""
    return path.with_name(path.name + suffix)


def create_private(path: Path) -> None:
    """Idents hold addresses; SQLite gives its other files the mode that this one has."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o640))


def blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """The file; what the disk does not give is left out, page by page."""
    number = os.open(path, os.O_RDONLY)
    try:
        end = os.fstat(number).st_size
        for at in range(0, end, _BLOCK):
            try:
                yield at, os.pread(number, _BLOCK, at)
            except OSError:
                yield from _pages(number, at, min(at + _BLOCK, end))
    finally:
        os.close(number)


def _pages(number: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    for at in range(start, end, PAGE_SIZE):
        yield at, _read(number, at, min(PAGE_SIZE, end - at))


def page_size(path: Path) -> int:
    """As the file's header says it, else that of its log; where both are gone, what fits best."""
    for name, magic, at, length in ((path, MAGIC, 16, 2), (beside(path, "-wal"), b"7\x7f\6", 8, 4)):
        with suppress(OSError), name.open("rb") as stream:
            head = stream.read(_WAL_HEADER)
            size = int.from_bytes(head[at : at + length], "big") if head.startswith(magic) else 0
            size = 65536 if size == 1 else size
            if 512 <= size <= 65536 and size & (size - 1) == 0:
                return size
    return PAGE_SIZE if _looks_small(path) else BULK_PAGE_SIZE


def _looks_small(path: Path) -> bool:
    """Whether most of what would be the beginning of a small page looks like one."""
    found = starts = 0
    for _, block in blocks(path):
        for at in range(0, len(block) - 8, PAGE_SIZE):
            kind, _, cells, content = struct.unpack(">BHHH", block[at : at + 7])
            starts += kind != 0
            found += kind in _BTREE and 8 + 2 * cells <= content <= PAGE_SIZE
        if starts > _ENOUGH:
            break
    return found * 2 >= starts


# -- the write-ahead log ------------------------------------------------------------------------


def _committed(wal: Path) -> Iterator[Frame]:
    """All whole frames up to the last that ends a transaction, in their order."""
    last = -1
    for at, frame in enumerate(frames(wal)):
        last = at if frame.whole and frame.commit else last
    for at, frame in enumerate(frames(wal)):
        if at > last:
            return
        if frame.whole and frame.page:
            yield frame


def frames(wal: Path) -> Iterator[Frame]:
    """The frames of the log, whole or not; none where there is no log.

    A frame's checksum goes on from that of the frame before. So each can be checked alone, from
    what the frame before says of itself.
    """
    if not wal.exists():
        return
    number = os.open(wal, os.O_RDONLY)
    try:
        yield from _frames(number, wal.with_name(wal.name.removesuffix("-wal")))
    finally:
        os.close(number)


def _frames(number: int, path: Path) -> Iterator[Frame]:
    head = _read(number, 0, _WAL_HEADER)
    size, salts, before = int.from_bytes(head[8:12], "big"), head[16:24], head[24:32]
    magic = int.from_bytes(head[:4], "big")
    if magic not in _WAL_MAGIC or not 512 <= size <= 65536:  # each frame has the salts, too
        magic, size, before = _WAL_MAGIC[0], page_size(path), b""
        salts = _read(number, _WAL_HEADER, _FRAME_HEADER)[8:16]
    order = ">" if magic & 1 else "<"
    length = _FRAME_HEADER + size
    for at in range(_WAL_HEADER, os.fstat(number).st_size - length + 1, length):
        frame = _read(number, at, length)
        ours = frame[8:16] == salts
        whole = ours and _checksum(order, before, frame[:8] + frame[24:]) == frame[16:24]
        page, commit = struct.unpack(">II", frame[:8])
        yield Frame(page, commit, frame[24:], whole)
        before = frame[16:24]


def _read(number: int, at: int, length: int) -> bytes:
    """A part of a file; zeros where the disk does not give it."""
    try:
        found = os.pread(number, length, at)
    except OSError:
        found = b""
    return found.ljust(length, b"\0")


def _checksum(order: str, before: bytes, data: bytes) -> bytes:
    if len(before) != 8:
        return b""
    one, two = struct.unpack(">II", before)
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return struct.pack(">II", one, two)


# -- the first page -----------------------------------------------------------------------------


def _mend_header(copy: Path, size: int) -> None:
    """Make the copy one that SQLite opens: with the tables of an empty journal if need be."""
    with copy.open("r+b") as stream:
        _write_header(stream.fileno(), size)
    if _tables(copy):
        return
    with copy.open("r+b") as stream:
        _transplant(stream.fileno(), size)
        _write_header(stream.fileno(), size)


def _write_header(number: int, size: int) -> None:
    first = bytearray(os.pread(number, size, 0).ljust(size, b"\0"))
    pages = -(-os.fstat(number).st_size // size)
    first[18:20] = b"\1\1"  # no write-ahead log any more
    first[24:28] = first[92:96] = struct.pack(">I", 1)  # the size that follows is right
    first[28:32] = struct.pack(">I", pages)
    first[32:40] = bytes(8)  # nobody needs to know which pages are free
    os.pwrite(number, first, 0)
    os.ftruncate(number, pages * size)


def _tables(copy: Path) -> bool:
    with closing(read_only(copy)) as db:
        try:
            found = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            return False
    return found >= TABLES


def read_only(path: Path) -> sqlite3.Connection:
    """A connection to a copy that nobody writes to."""
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def _transplant(number: int, size: int) -> None:
    """Put the list of tables of an empty journal there, whose tables begin where ours do.

    Its first page goes over the first, those below it behind the last.
    """
    empty = _best(number, size)[1]
    first = bytearray(empty[:size])
    if first[100] == _INTERIOR:
        (cells,) = struct.unpack(">H", first[103:105])
        places = [108, *struct.unpack(f">{cells}H", first[112 : 112 + 2 * cells])]
        end = -(-os.fstat(number).st_size // size)
        for place in places:
            (page,) = struct.unpack(">I", first[place : place + 4])
            os.pwrite(number, empty[(page - 1) * size : page * size], end * size)
            end += 1
            first[place : place + 4] = struct.pack(">I", end)
    os.pwrite(number, first, 0)


def _best(number: int, size: int) -> tuple[int, bytes]:
    """Of the empty journals that there may have been, the one that fits best, and how well."""
    empties = [_empty(size, order) for order in orders()]
    return max((_fits(number, one), one) for one in empties)


def _fits(number: int, empty: bytes) -> int:
    """How many tables and indexes of an empty journal begin with a page of that kind in a file."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.deserialize(empty)
        roots = db.execute("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0").fetchall()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    kinds = [((root - 1) * size, _KINDS.get(empty[(root - 1) * size], b"")) for (root,) in roots]
    return sum(os.pread(number, 1, at) in [kind[:1], kind[1:]] for at, kind in kinds)


def _empty(size: int, order: list[str]) -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {size}")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        create(db, order)
        return db.serialize()
