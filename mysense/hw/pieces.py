"""What comes from a serial port, cut where it belongs: into lines, or into frames."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import attrs

TORN = 0.5
"""Seconds of silence inside a piece after which its rest is not waited for."""


@attrs.frozen
class Piece:
    """A line without its end, or a frame; with `trouble` where it is not a whole one."""

    data: bytes
    trouble: str = ""


class Cutter(Protocol):
    """Cuts bytes into pieces, which wait in `ready`."""

    ready: deque[Piece]
    longest: int
    """Bytes in a piece, at most."""

    def feed(self, data: bytes, /) -> None:
        """Take bytes that came after those before, without a silence in between."""

    def silence(self, seconds: float, /) -> None:
        """Nothing came for so long; may be told again and again as it grows."""
