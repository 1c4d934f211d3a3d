"""Whole frames out of bytes as they come, found again in the middle of anything.

A frame has a length, a first byte and a check. What is none is told, byte for byte, and the search
goes on with the very next byte: a frame that follows garbage is never lost with it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from mysense.hw.pieces import TORN, Piece


class FrameBuffer:
    """Cuts bytes into frames, which wait in `ready`.

    Args:
        length: bytes in a frame.
        head: its first byte.
        good: whether so many bytes that begin with `head` are a frame: ends, checksum.
        log: where to say what was dropped.
    """

    def __init__(
        self, length: int, head: bytes, good: Callable[[bytes], bool], log: logging.Logger
    ) -> None:
        self.ready: deque[Piece] = deque()
        self.longest = length
        self._head = head
        self._good = good
        self._log = log
        self._part = b""  # what may become a frame
        self._other = b""  # what came before it and is none
        self._sure = False  # whether a frame was found, so that what follows begins one

    def feed(self, data: bytes) -> None:
        """Take bytes that came after those before, without a silence in between."""
        self._part += data
        while self._begins() and len(self._part) >= self.longest:
            frame = self._part[: self.longest]
            if self._good(frame):
                self._tell("not a frame")
                self.ready.append(Piece(frame))
                self._part = self._part[self.longest :]
                self._sure = True
            else:
                self._pass_over(1)
        if len(self._other) >= self.longest:
            self._tell("not a frame")

    def silence(self, seconds: float) -> None:
        """Nothing came for so long; may be told again and again as it grows."""
        if seconds >= TORN:
            self._pass_over(len(self._part))
            self._tell("the frame broke off")

    def _begins(self) -> bool:
        """Whether a frame may begin here, after what cannot be the beginning of one."""
        at = self._part.find(self._head)
        self._pass_over(at if at >= 0 else len(self._part))
        return bool(self._part)

    def _pass_over(self, count: int) -> None:
        self._other += self._part[:count]
        self._part = self._part[count:]

    def _tell(self, trouble: str) -> None:
        """Tell what was passed over; its first bytes are enough."""
        if not self._other:
            return
        if self._sure or len(self._other) >= self.longest:
            self.ready.append(Piece(self._other[: self.longest], trouble))
        else:
            self._log.info("dropped %r: it may be the tail of a frame", self._other)
        self._other = b""
        self._sure = True
