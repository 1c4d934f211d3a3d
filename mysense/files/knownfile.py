"""A text file to which nothing is written twice, whatever happened before.

The file is the truth: it is read when it is first touched, and again when somebody else wrote to
it. Several processes may write to one file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mysense.files.durable import append, locked, open_append, sync_folder
from mysense.plugin import RetryLater


class KnownFile:
    """A file of pieces, lines or blocks of lines, each of which stands there once.

    Args:
        path: the file; made, with its folder, by the first `add`.
        log: where to say what was mended.
        end: what ends a piece, one newline or two.
    """

    def __init__(self, path: Path, log: logging.Logger, end: str = "\n") -> None:
        self.path = path
        self.pieces: dict[str, None] = {}
        """All that stands in the file, in its order."""
        self._log = log
        self._end = end
        self._seen: tuple[int, ...] | None = None

    def refresh(self) -> None:
        """Read the file, unless it is as we left it.

        Raises:
            OSError: it cannot be read.
        """
        try:
            seen = _state(self.path.stat())
        except FileNotFoundError:
            self.pieces, self._seen = {}, None
            return
        if seen != self._seen:
            with self._opened():
                pass

    def add(self, pieces: Iterable[str], first: str | None = None) -> None:
        """Append durably those of `pieces` that do not stand there yet.

        Args:
            pieces: without their end.
            first: what the file must begin with; written when it is empty.

        Raises:
            OSError: nothing was appended.
            RetryLater: somebody else began the file in another way, just now.
        """
        with self._opened() as descriptor:
            if first is not None and next(iter(self.pieces), first) != first:
                raise RetryLater(f"{self.path} was begun by another process")
            wanted = dict.fromkeys(pieces if first is None else (first, *pieces))
            fresh = [piece for piece in wanted if piece not in self.pieces]
            if fresh:
                self._seen = None  # until it is known what became of it
                append(descriptor, "".join(piece + self._end for piece in fresh).encode())
                self._seen = _state(os.fstat(descriptor))
                self.pieces.update(dict.fromkeys(fresh))

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The file, open, locked, read and whole."""
        descriptor = open_append(self.path)
        try:
            with locked(descriptor):
                if _state(os.fstat(descriptor)) != self._seen:
                    self._read(descriptor)
                yield descriptor
        finally:
            os.close(descriptor)

    def _read(self, descriptor: int) -> None:
        with os.fdopen(os.dup(descriptor), "rb") as stream:
            stream.seek(0)
            raw = stream.read()
        whole, tail = _split(raw, self._end.encode())
        if tail:
            self._mend(descriptor, len(whole), tail)
        os.fsync(descriptor)  # a killed process may have written it and not come this far
        sync_folder(self.path.parent)
        text = whole.decode("utf-8-sig", "replace").replace("\r\n", "\n")
        self.pieces = dict.fromkeys(piece for piece in text.split(self._end) if piece)
        self._seen = _state(os.fstat(descriptor))

    def _mend(self, descriptor: int, size: int, tail: bytes) -> None:
        """Cut a torn line; a torn block is ended, for people write notes into such files."""
        if self._end == "\n":
            self._log.warning("%s: unfinished last line cut off: %r", self.path, tail[:200])
            os.ftruncate(descriptor, size)
        else:
            missing = self._end.encode()[len(tail) - len(tail.rstrip(b"\n")) :]
            append(descriptor, missing)


def _split(raw: bytes, end: bytes) -> tuple[bytes, bytes]:
    """`raw` up to its last `end`, and what follows that."""
    whole, found, tail = raw.rpartition(end)
    return whole + found, tail


def _state(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
