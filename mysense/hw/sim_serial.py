"""A Dylos that is not there: the far end of a pty, which speaks the lines of a DC1100.

The near end is a terminal like that of an adapter, with a link in a folder `by-id`: pyserial opens
it, and the driver reads it, as they would the real one.
"""

from __future__ import annotations

import os
import pty
import tempfile
import threading
import time
import tty
from collections import deque
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Self

from mysense.hw.faults import Clock, Faults
from mysense.hw.scenario import Air, Scenario

KINDS = ("unplug", "silence", "partial", "garbage", "slow")
"""What a script can let go wrong; see `docs/sensors/dylos.md`."""

NAME = "usb-Prolific_Technology_Inc._USB-Serial_Controller-if00-port0"

_TICK = 0.1  # seconds from one look at the clock to the next
_SLOW = 0.05  # seconds from byte to byte of a slow line

Lines = Callable[[], str | None]
"""The next line without its end; None when there is none this time."""


def live(air: Air) -> str:
    """What a DC1100 says about this air."""
    return f"{air.small},{air.large}"


def scenario(wall: Clock = time.time) -> Lines:
    """Lines about the air of the moment."""
    street = Scenario()
    return lambda: live(street.at(wall()))


class SimDylos:
    """A Dylos on a pty. Plugged in from the start, unless its faults say otherwise.

    Run it in a thread of its own with `start`, or, on a virtual clock, call `step` after each move
    of the clock.

    >>> with SimDylos(lambda: "675,22") as dylos:
    ...     dylos.port.is_symlink()
    True

    Args:
        lines: what it says, asked for whenever a line is due.
        faults: what goes wrong, and when.
        pace: seconds from line to line.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        lines: Lines,
        faults: Faults | None = None,
        pace: float = 1.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._lines = lines
        self._faults = faults or Faults()
        self._pace = pace
        self._clock = clock
        self._due = clock() + pace
        self._random = Random(1100)  # noqa: S311  # the noise of a broken cable
        self._pieces: deque[tuple[float, bytes]] = deque()  # when, and what to send
        self._ends: tuple[int, int] | None = None  # of the pty: ours, theirs
        self._folder = tempfile.TemporaryDirectory(prefix="mysense-dylos-")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.port = self.links / "by-id" / NAME
        self.port.parent.mkdir()
        self.step()

    @property
    def links(self) -> Path:
        """What /dev/serial is for real adapters."""
        return Path(self._folder.name)

    def start(self) -> None:
        """Let time pass by itself, in a thread."""
        self._thread = threading.Thread(target=self._run, name="sim-dylos", daemon=True)
        self._thread.start()

    def step(self) -> None:
        """Do what is due by now: say lines, be unplugged, be plugged in again."""
        if self._faults.active("unplug"):
            self._unplug()
        elif self._ends is None:
            self._plug()
        now = self._clock()
        while self._due <= now:
            self._say(self._due)
            self._due += self._pace
        while self._pieces and self._pieces[0][0] <= now:
            self._send(self._pieces.popleft()[1])

    def close(self) -> None:
        """End the thread and leave nothing behind; may be called twice."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._unplug()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop.wait(_TICK):
            self.step()

    def _say(self, when: float) -> None:
        line = self._lines()
        if line is None or self._ends is None or self._faults.active("silence"):
            return
        sent = f"{line}\r\n".encode("ascii")
        if self._faults.active("partial"):
            sent = sent[: len(sent) // 2]
        if self._faults.active("garbage"):
            sent = bytes(self._random.randrange(128, 256) for _ in sent) + b"\r\n"
        if self._faults.active("slow"):
            self._pieces.extend((when + at * _SLOW, bytes([byte])) for at, byte in enumerate(sent))
        else:
            self._pieces.append((when, sent))

    def _send(self, data: bytes) -> None:
        if self._ends is not None:
            try:
                os.write(self._ends[0], data)
            except BlockingIOError:  # nobody reads, and the buffer is full: lost, as in an adapter
                return

    def _plug(self) -> None:
        ours, theirs = pty.openpty()
        os.set_blocking(ours, False)
        tty.setraw(theirs)  # else it would echo before somebody opens it
        self._ends = ours, theirs
        self.port.symlink_to(os.ttyname(theirs))

    def _unplug(self) -> None:
        self._pieces.clear()
        if self._ends is not None:
            self.port.unlink()
            for end in self._ends:
                os.close(end)
            self._ends = None
