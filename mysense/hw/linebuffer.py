"""Whole lines out of bytes as they come: what is not whole is told, and never guessed at.

A serial line has no frames. Whoever opens it in mid-line gets a tail such as `59,93`, which looks
like a reading; a line that breaks off would join with the next one. Only silence tells them apart.
"""

from __future__ import annotations

import logging
from collections import deque

from mysense.hw.pieces import TORN, Piece

LONGEST = 80
"""Bytes in a line, at most; a Dylos needs 40."""

SURE = 2.0
"""Seconds of silence after which the next byte begins a line."""


class LineBuffer:
    """Cuts bytes into lines, which wait in `ready`.

    Args:
        log: where to say which line was dropped.
        sure: whether the first byte begins a line.
    """

    longest = LONGEST

    def __init__(self, log: logging.Logger, *, sure: bool = False) -> None:
        self.ready: deque[Piece] = deque()
        self._log = log
        self._sure = sure
        self._part = b""

    def feed(self, data: bytes) -> None:
        """Take bytes that came after those before, without a silence in between."""
        *whole, self._part = (self._part + data).split(b"\n")
        for line in whole:
            self._whole(line.rstrip(b"\r"))
        if len(self._part) > LONGEST:
            self._give_up(f"no line end in {LONGEST} bytes")

    def silence(self, seconds: float) -> None:
        """Nothing came for so long; may be told again and again as it grows."""
        if seconds >= TORN and self._part:
            self._give_up("the line broke off")
        if seconds >= SURE:
            self._sure = True

    def finish(self) -> None:
        """Nothing will come any more: what is there is a line, though it lacks its end."""
        if self._part:
            self.feed(b"\n")

    def _whole(self, line: bytes) -> None:
        if not self._sure:
            self._log.info("dropped %r: it may be the tail of a line", line[:LONGEST])
        elif len(line) > LONGEST:
            self.ready.append(Piece(line[:LONGEST], f"longer than {LONGEST} bytes"))
        else:
            self.ready.append(Piece(line))
        self._sure = True

    def _give_up(self, trouble: str) -> None:
        """Drop what is there, and what follows up to a line end or a silence."""
        if self._sure:  # else it was told before
            self.ready.append(Piece(self._part[:LONGEST], trouble))
        self._part = b""
        self._sure = False
