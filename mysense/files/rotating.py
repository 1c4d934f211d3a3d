"""A file of lines that grows durably, is renamed when it is full, and knows where it stopped.

Nothing that ends with a newline is ever cut away: it may be somebody else's. So a restart does
not go back to where it stopped, it looks which of its lines stand there already.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import attrs

from mysense.files.durable import append, open_append, sync_folder, try_lock
from mysense.plugin import Misconfigured

_PRINT = 256  # bytes before a place, by which it is known again
_PIECE = b'{"ident":'  # how every line begins that is written here


@attrs.frozen
class Place:
    """A place between two lines of a file, known again when that file was renamed or copied."""

    offset: int
    check: int

    @classmethod
    def at(cls, descriptor: int, offset: int) -> Place:
        """The place `offset` bytes into an open file."""
        start = max(0, offset - _PRINT)
        return cls(offset, zlib.crc32(os.pread(descriptor, offset - start, start)))

    @classmethod
    def from_receipt(cls, text: str | None) -> Place | None:
        """What `receipt` gave; None where there is none, or not one of ours."""
        try:
            given = json.loads(text or "")
            return cls(int(given["offset"]), int(given["check"]))
        except (ValueError, TypeError, KeyError):
            return None

    def receipt(self) -> str:
        """The place as text."""
        return json.dumps(attrs.asdict(self))

    def is_in(self, path: Path) -> bool:
        """Whether `path` holds this place."""
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            return size >= self.offset and Place.at(stream.fileno(), self.offset) == self


class Standing:
    """The lines that stand after a place, in one file and those that came after it."""

    def __init__(self, paths: Sequence[Path], offset: int) -> None:
        self._later = list(paths)
        self._stream = self._later.pop(0).open("rb")
        self._stream.seek(offset)
        self._met = False

    def meets(self, line: bytes) -> bool:
        """Whether `line` stands next; the first one is looked for, others may have written too."""
        if self._met:
            return self._next() == line
        while found := self._next():
            if found == line:
                self._met = True
                return True
        return False

    @property
    def place(self) -> Place:
        """The place after the last line that was met."""
        return Place.at(self._stream.fileno(), self._stream.tell())

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _next(self) -> bytes:
        while not (line := self._stream.readline()) and self._later:
            self._stream.close()
            self._stream = self._later.pop(0).open("rb")
        return line


class RotatingFile:
    """A file of lines that one process at a time appends to.

    Args:
        path: the file; its folder is made when missing.
        max_bytes: at this size it is renamed to `<stem>-<UTC time><suffix>`.
        keep: how many renamed files are kept; 0 for all.
        log: where to say what was mended or removed.
    """

    def __init__(self, path: Path, max_bytes: int, keep: int, log: logging.Logger) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._log = log
        self._descriptor: int | None = None
        self._cut_to: int | None = None

    def open(self) -> bool:
        """Open, lock and mend the file; False when it is open and still the one of that name.

        Raises:
            OSError: it cannot be opened.
            Misconfigured: another process has it.
        """
        if self._descriptor is not None and self._is_current(self._descriptor):
            self._cut()
            return False
        self.close()
        descriptor = open_append(self.path)
        try:
            if not try_lock(descriptor) or not self._is_current(descriptor):
                raise Misconfigured(
                    f"{self.path} is in use by another process; stop that or name another file"
                )
            self._mend(descriptor)
            os.fsync(descriptor)  # what stands there may have been written by a killed process
            sync_folder(self.path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def close(self) -> None:
        """Close the file and give up its lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self._cut_to = None

    @property
    def end(self) -> Place:
        """The place after the last line."""
        return Place.at(self._open_descriptor, os.fstat(self._open_descriptor).st_size)

    def append(self, data: bytes) -> None:
        """Append whole lines durably, or raise OSError and leave no part of them."""
        size = os.fstat(self._open_descriptor).st_size
        if size and size + len(data) > self._max_bytes:
            self._rotate()
            size = os.fstat(self._open_descriptor).st_size
        self._cut_to = size
        append(self._open_descriptor, data)
        self._cut_to = None

    def after(self, place: Place | None) -> Standing:
        """The lines that stand after `place`; all lines of all files where it is not found."""
        files = [*self.rotated(), self.path]
        for at in reversed(range(len(files))):
            if place is not None and place.is_in(files[at]):
                return Standing(files[at:], place.offset)
        return Standing(files, 0)

    def rotated(self) -> list[Path]:
        """The renamed files, oldest first."""
        stem, suffix = re.escape(self.path.stem), re.escape(self.path.suffix)
        name = re.compile(rf"{stem}-\d{{8}}T\d{{6}}Z{suffix}")
        return sorted(p for p in self.path.parent.iterdir() if name.fullmatch(p.name))

    @property
    def _open_descriptor(self) -> int:
        if self._descriptor is None:
            raise FileNotFoundError(2, "is not open", str(self.path))
        return self._descriptor

    def _is_current(self, descriptor: int) -> bool:
        """Whether the open file still bears the name: others may have renamed or removed it."""
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def _cut(self) -> None:
        """Do now what could not be done when an append failed."""
        if self._cut_to is not None:
            os.ftruncate(self._open_descriptor, self._cut_to)
            self._cut_to = None

    def _rotate(self) -> None:
        self.path.rename(self._next_name())
        self.close()
        self.open()
        if not self._keep:
            return
        for old in self.rotated()[: -self._keep]:
            try:
                old.unlink()
            except OSError as wrong:
                self._log.warning("%s cannot be removed: %s", old, wrong.strerror)
            else:
                self._log.info("%s removed, %d newer ones are kept", old.name, self._keep)

    def _next_name(self) -> Path:
        """A name that sorts after all others, also when the clock was set back."""
        now = time.time()
        while True:
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
            name = self.path.with_name(f"{self.path.stem}-{stamp}{self.path.suffix}")
            newest = max(self.rotated(), default=None)
            if not name.exists() and (newest is None or newest < name):
                return name
            now += 1

    def _mend(self, descriptor: int) -> None:
        """Cut off the piece of a line that a crash left; end any other text with a newline."""
        tail, size = _tail(descriptor)
        if not tail:
            return
        piece = tail.rstrip(b"\0")  # what a file system leaves where nothing was written yet
        if _is_json(piece) or not (piece.startswith(_PIECE) or _PIECE.startswith(piece)):
            self._log.warning("%s: the last line had no end, ended it", self.path)
            append(descriptor, b"\n")
            return
        self._log.warning("%s: %d bytes of an unfinished line cut off", self.path, len(tail))
        os.ftruncate(descriptor, size - len(tail))


def _tail(descriptor: int) -> tuple[bytes, int]:
    """What follows the last newline, and the size of the file."""
    size = os.fstat(descriptor).st_size
    window = 4096
    while True:
        start = max(0, size - window)
        tail = os.pread(descriptor, size - start, start)
        if b"\n" in tail or start == 0:
            return tail.rpartition(b"\n")[2], size
        window *= 4


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
