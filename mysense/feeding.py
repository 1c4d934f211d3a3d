"""Feeding: points as JSON Lines, from files or from a pipe that goes on for as long as it likes."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import attrs

from mysense.errors import TelegramError
from mysense.plugin import InputSettings, Misconfigured, Position, Refusal, Subscriber
from mysense.points import Point

PIPE = Path("-")  # stands for stdin
MAX_LINE = 1_000_000  # bytes
_CHUNK = 2000  # lines
_READ = 65_536  # bytes of a pipe at a time
_WAIT = 0.2  # seconds that lines of a pipe wait for more of them


@attrs.frozen(kw_only=True)
class FeedSettings(InputSettings):
    """What to read."""

    files: tuple[Path, ...] = ()


class Feed(Subscriber[FeedSettings]):
    """Lines of points, read once, in the order given.

    What is no point is given as a refusal, which the journal keeps as a dead letter. Of files the
    position is how far they are read; what a pipe gave is in the journal, or was never read.

    Args:
        settings: the files; `-` is the pipe.
        decode: makes a point of a line. Raises TelegramError.
        pipe: a file descriptor.
    """

    Settings = FeedSettings
    what: ClassVar[str] = "points"

    def __init__(
        self, settings: FeedSettings, decode: Callable[[bytes], Point], pipe: int = 0
    ) -> None:
        super().__init__(settings, "feed")
        self.count = self.bad = 0
        """Points and lines that are none, read so far."""
        self.at_end = False
        """Whether everything was read to its end."""
        self._decode = decode
        self._pipe = pipe
        self._stop = threading.Event()
        self._lines: Iterator[tuple[str, bytes, dict[str, int]]] | None = None
        self._position: dict[str, int] = {}

    def interrupt(self) -> None:
        """Do not wait for the pipe any longer."""
        self._stop.set()

    def poll(self, position: Position | None) -> tuple[Sequence[Point | Refusal], Position]:
        """The next points; empty at the end."""
        if self._lines is None:
            self._position = dict(position or {"file": 0, "line": 0, "offset": 0})
            self._lines = self._read(**self._position)
        items: list[Point | Refusal] = []
        try:
            for where, line, after in self._lines:
                if line:
                    items.append(self._take(where, line))
                self._position = after
                if len(items) >= _CHUNK or (items and not line):
                    break  # enough, or the pipe has nothing more just now
        except Exception:
            self._lines = None  # an iterator that raised is at its end: begin where it stood
            if not items:
                raise
        self.at_end = not items and not self._stop.is_set()
        return items, self._position

    def _take(self, where: str, line: bytes) -> Point | Refusal:
        try:
            if len(line) > MAX_LINE:
                raise TelegramError(f"point: a line of more than {MAX_LINE} bytes")
            point = self._decode(line)
        except TelegramError as wrong:
            self.bad += 1
            return Refusal(where, str(wrong), line[:1000].decode(errors="replace"))
        self.count += 1
        return point

    def _read(
        self, file: int, line: int, offset: int
    ) -> Iterator[tuple[str, bytes, dict[str, int]]]:
        """Where each line stands, its bytes (none: a pause), and the position after it."""
        for number, path in enumerate(self.settings.files[file:], file):
            lines = self._piped() if path == PIPE else self._of_file(path, offset)
            for raw in lines:
                offset += len(raw)
                line += bool(raw)
                if not raw or not raw.isspace():
                    yield f"{path}:{line}", raw.rstrip(b"\r\n"), _at(number, line, offset)
            line = offset = 0

    @staticmethod
    def _of_file(path: Path, offset: int) -> Iterator[bytes]:
        try:
            with path.open("rb") as stream:
                stream.seek(offset)
                while raw := stream.readline(MAX_LINE + 1):
                    yield raw
        except OSError as wrong:
            raise Misconfigured(f"{path}: {wrong.strerror}") from wrong

    def _piped(self) -> Iterator[bytes]:
        """Lines as they come, and nothing from time to time, so that those before it go out."""
        rest, paused = b"", time.monotonic()
        while not self._stop.is_set():
            quiet = not select.select([self._pipe], [], [], _WAIT)[0]
            if quiet or time.monotonic() - paused >= _WAIT:  # a feed may never be quiet
                yield b""
                paused = time.monotonic()
            if quiet:
                continue
            part = os.read(self._pipe, _READ)
            if not part:
                break
            *whole, rest = (rest + part).split(b"\n")
            yield from (one + b"\n" for one in whole)
            if len(rest) > MAX_LINE:  # it is refused for its length, in pieces
                yield rest
                rest = b""
        if rest:
            yield rest


def _at(file: int, line: int, offset: int) -> dict[str, int]:
    return {"file": file, "line": line, "offset": offset}
