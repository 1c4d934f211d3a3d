"""Lines from a file that was recorded at a serial port."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import BinaryIO

from mysense.hw.linebuffer import LineBuffer
from mysense.hw.pieces import Piece
from mysense.plugin import Finished, Gone, Misconfigured

_CHUNK = 4096


class Recording:
    """The lines of a file, one after the other; opened again, it goes on where it was.

    Args:
        path: the file.
        log: where to say which line was dropped.
    """

    def __init__(self, path: Path, log: logging.Logger) -> None:
        self._path = path
        self._buffer = LineBuffer(log, sure=True)
        self._file: BinaryIO | None = None
        self._at = 0

    def open(self) -> None:
        """Open the file. Raises Misconfigured."""
        self.close()
        try:
            self._file = self._path.open("rb")
        except OSError as wrong:
            raise Misconfigured(f"file = {self._path}: {wrong.strerror}") from wrong

    def read(self) -> Piece:
        """The next line, whole or not.

        Raises:
            Finished: there is none.
            Gone: the file cannot be read, or is not open.
        """
        while not self._buffer.ready:
            if not self._more():
                raise Finished(f"{self._path}: read to its end")
        return self._buffer.ready.popleft()

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _more(self) -> bool:
        """Read on; False at the end, when all was given."""
        if self._file is None:
            raise Gone(f"{self._path} is not open")
        try:
            if self._at and self._file.tell() != self._at:
                self._file.seek(self._at)
            chunk = self._file.read(_CHUNK)
        except OSError as wrong:
            raise Gone(f"{self._path}: {wrong.strerror}") from wrong
        self._at += len(chunk)
        if chunk:
            self._buffer.feed(chunk)
        else:
            self._buffer.finish()
        return bool(chunk or self._buffer.ready)
